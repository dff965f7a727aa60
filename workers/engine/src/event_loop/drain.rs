//! The last part of a worker's life: finishing what is open. Pure.

use std::time::Duration;

use monoceros_wire::scoreboard::ReportedState;

use crate::options::Options;

/// How long idle connections are kept at most when the master has died: another
/// server wants the address.
const IDLE_ORPHANED: Duration = Duration::from_millis(250);

/// How long before its deadline a draining worker refuses what it cannot begin any
/// more, at least: the responses must be sent.
const RESERVE_MS: u64 = 200;

/// How long before its deadline it gives up what has not been sent, at most: the log
/// lines must be written, the application ends, and the machine may be busy.
const GIVE_UP_MS: u64 = 1_000;

/// How long an application side that was stuck may take to end.
const STUCK_END_MS: u64 = 1_000;

/// The state of a worker from serving to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It serves.
    Serving,
    /// It finishes what is open.
    Draining {
        /// When the process must have ended, in milliseconds of the monotonic clock.
        deadline_ms: u64,
        /// When it refuses what the application has not begun.
        last_begin_ms: u64,
        /// When it gives up what has not been sent.
        give_up_ms: u64,
        /// How long the application side may take to end, in milliseconds.
        end_ms: u64,
        /// How long idle connections are kept.
        idle: Duration,
    },
    /// Nothing is open; the application side ends.
    Stopping {
        /// When the process must have ended.
        deadline_ms: u64,
    },
}

/// Why a worker drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The master or a signal has commanded the drain.
    Commanded,
    /// The master has commanded the drain, because the application takes no requests.
    Stuck,
    /// The master has ended.
    Orphaned,
}

/// What has begun a drain, as far as the application has to be notified of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainOrigin {
    /// The master, by a message or by its end.
    Master,
    /// SIGTERM, which the application's handler has got as well.
    Signal,
    /// The application itself: one of its signal handlers ends the program.
    Application,
}

/// How a draining worker treats the queues of its listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// Other workers serve them: it closes the listeners.
    Leave,
    /// It serves the connections that wait.
    Serve,
    /// Not known yet: a signal and not the master has commanded the drain. The worker
    /// serves what waits, and keeps the listeners for a moment, in which the master may
    /// send more. Init systems often send SIGTERM to all processes of a server. If the
    /// workers closed their listeners at once, no process would serve the queues.
    Keep,
}

/// What is open in a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    pub(crate) connections: usize,
    pub(crate) requests: u32,
    pub(crate) listeners: usize,
}

impl Life {
    /// Begins to drain; a worker that drains already keeps its deadline.
    pub(crate) fn drain(&mut self, cause: Cause, now_ms: u64, options: &Options) {
        let idle = match cause {
            Cause::Commanded | Cause::Stuck => options.drain_idle,
            Cause::Orphaned => options.drain_idle.min(IDLE_ORPHANED),
        };
        match self {
            Self::Serving => {
                let graceful = options.graceful_timeout.as_millis();
                let graceful = u64::try_from(graceful).unwrap_or(u64::MAX);
                let deadline_ms = now_ms.saturating_add(graceful);
                // The deadline of the master, which then kills, began a moment earlier.
                let reserve = (graceful / 4).max(RESERVE_MS).min(graceful / 2);
                let (last_begin_ms, end_ms) = match cause {
                    Cause::Commanded | Cause::Orphaned => (deadline_ms - reserve, graceful),
                    Cause::Stuck => (now_ms, STUCK_END_MS),
                };
                let give_up_ms = deadline_ms - GIVE_UP_MS.min(graceful / 4);
                *self = Self::Draining { deadline_ms, last_begin_ms, give_up_ms, end_ms, idle };
            }
            Self::Draining { idle: kept, .. } => *kept = idle.min(*kept),
            Self::Stopping { .. } => {}
        }
    }

    /// Enters the next state when nothing is open any more. Returns whether it did so
    /// just now.
    pub(crate) fn settle(&mut self, open: Open, now_ms: u64) -> bool {
        let Self::Draining { deadline_ms, end_ms, .. } = *self else { return false };
        let nothing = open.connections == 0 && open.requests == 0 && open.listeners == 0;
        if nothing {
            *self = Self::Stopping { deadline_ms: deadline_ms.min(now_ms.saturating_add(end_ms)) };
        }
        nothing
    }

    /// Whether the process must end now, whatever is open.
    pub(crate) fn is_over(self, now_ms: u64) -> bool {
        match self {
            Self::Serving => false,
            Self::Draining { deadline_ms, .. } | Self::Stopping { deadline_ms } => {
                now_ms >= deadline_ms
            }
        }
    }

    /// Whether requests that were not begun must be refused.
    pub(crate) fn refuses(self, now_ms: u64) -> bool {
        matches!(self, Self::Draining { last_begin_ms, .. } if now_ms >= last_begin_ms)
    }

    /// Whether what has not been sent must be given up.
    pub(crate) fn gives_up(self, now_ms: u64) -> bool {
        matches!(self, Self::Draining { give_up_ms, .. } if now_ms >= give_up_ms)
    }

    /// When the connections must be checked next, if they would be at `next_ms`: as
    /// soon as requests must be refused, or given up.
    pub(crate) fn next_look(self, now_ms: u64, next_ms: u64) -> u64 {
        let Self::Draining { last_begin_ms, give_up_ms, .. } = self else { return next_ms };
        let times = [last_begin_ms, give_up_ms].into_iter();
        times.filter(|at| *at > now_ms).fold(next_ms, u64::min)
    }

    /// The state for the scoreboard.
    pub(crate) fn state(self) -> ReportedState {
        match self {
            Self::Serving => ReportedState::Serving,
            Self::Draining { .. } => ReportedState::Draining,
            Self::Stopping { .. } => ReportedState::Stopping,
        }
    }

    /// Whether connections are accepted without a limit.
    pub(crate) fn is_serving(self) -> bool {
        self == Self::Serving
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_options::options;

    const NOTHING: Open = Open { connections: 0, requests: 0, listeners: 0 };

    fn five_seconds() -> Options {
        Options { graceful_timeout: Duration::from_secs(5), ..options() }
    }

    #[test]
    fn a_drain_ends_when_nothing_is_open() {
        let mut life = Life::Serving;
        assert!(!life.settle(NOTHING, 0));
        life.drain(Cause::Commanded, 1000, &five_seconds());
        assert!(!life.settle(Open { connections: 1, ..NOTHING }, 2000));
        assert!(!life.settle(Open { requests: 1, ..NOTHING }, 2000));
        assert!(!life.settle(Open { listeners: 1, ..NOTHING }, 2000));
        assert!(life.settle(NOTHING, 2000));
        assert!(!life.settle(NOTHING, 2000));
        assert!(!life.is_over(5999) && life.is_over(6000));
    }

    #[test]
    fn the_first_deadline_holds() {
        let mut life = Life::Serving;
        life.drain(Cause::Commanded, 0, &five_seconds());
        let draining = |idle| Life::Draining {
            deadline_ms: 5000,
            last_begin_ms: 3750,
            give_up_ms: 4000,
            end_ms: 5000,
            idle,
        };
        assert_eq!(life, draining(five_seconds().drain_idle));
        life.drain(Cause::Orphaned, 3000, &five_seconds());
        assert_eq!(life, draining(IDLE_ORPHANED));
    }

    #[test]
    fn a_stuck_worker_refuses_waiting_requests_at_once() {
        let mut life = Life::Serving;
        life.drain(Cause::Stuck, 10, &five_seconds());
        assert!(life.refuses(10) && !life.is_over(5009));
        assert!(life.settle(NOTHING, 3000));
        assert!(!life.is_over(3999) && life.is_over(4000), "no client waits for it");
    }

    #[test]
    fn requests_that_were_not_begun_are_refused_before_the_deadline() {
        for (graceful, last_begin) in [(0, 0), (100, 50), (500, 300), (2000, 1500)] {
            let graceful_timeout = Duration::from_millis(graceful);
            let options = Options { graceful_timeout, ..options() };
            let mut life = Life::Serving;
            assert!(!life.refuses(u64::MAX));
            assert_eq!(life.next_look(10, 260), 260);
            life.drain(Cause::Commanded, 10, &options);
            let last_begin = 10 + last_begin;
            assert!(life.refuses(last_begin) && !life.refuses(last_begin - 1));
            assert_eq!(life.next_look(last_begin - 1, last_begin + 249), last_begin);
            assert_eq!(life.next_look(last_begin - 1, last_begin - 1), last_begin - 1);
            let last_words = 10 + graceful - GIVE_UP_MS.min(graceful / 4);
            assert!(life.gives_up(last_words) && !life.gives_up(last_words - 1));
            assert_eq!(life.next_look(last_words - 1, last_words + 249), last_words);
            assert_eq!(life.next_look(last_words, last_words + 250), last_words + 250);
        }
    }
}
