//! The last part of a worker's life: finishing what is open. Pure.

use std::time::Duration;

use monoceros_wire::scoreboard::State;

use crate::options::Options;

/// How long idle connections are kept at most when the master has died: another
/// server wants the address.
const IDLE_ORPHANED: Duration = Duration::from_millis(250);

/// Where a worker is between serving and gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It serves.
    Serving,
    /// It finishes what is open.
    Draining {
        /// When it must be gone, in milliseconds of the rising clock.
        deadline_ms: u64,
        /// How long idle connections are kept.
        idle: Duration,
    },
    /// Nothing is open; the application side ends.
    Stopping {
        /// When it must be gone.
        deadline_ms: u64,
    },
}

/// Why a worker drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It was told to.
    Told,
    /// The master is gone.
    Orphaned,
}

/// What is open in a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    pub(crate) connections: usize,
    pub(crate) requests: u32,
    pub(crate) listeners: usize,
}

impl Life {
    /// Begins to drain; one that drains already keeps its deadline.
    pub(crate) fn drain(&mut self, cause: Cause, now_ms: u64, options: &Options) {
        let idle = match cause {
            Cause::Told => options.drain_idle,
            Cause::Orphaned => options.drain_idle.min(IDLE_ORPHANED),
        };
        match self {
            Self::Serving => {
                let graceful = options.graceful_timeout.as_millis();
                let graceful = u64::try_from(graceful).unwrap_or(u64::MAX);
                let deadline_ms = now_ms.saturating_add(graceful);
                *self = Self::Draining { deadline_ms, idle };
            }
            Self::Draining { idle: kept, .. } => *kept = idle.min(*kept),
            Self::Stopping { .. } => {}
        }
    }

    /// Goes on when nothing is open any more; whether it did so just now.
    pub(crate) fn settle(&mut self, open: Open) -> bool {
        let Self::Draining { deadline_ms, .. } = *self else { return false };
        let nothing = open.connections == 0 && open.requests == 0 && open.listeners == 0;
        if nothing {
            *self = Self::Stopping { deadline_ms };
        }
        nothing
    }

    /// Whether the process is to end now, whatever is open.
    pub(crate) fn is_over(self, now_ms: u64) -> bool {
        match self {
            Self::Serving => false,
            Self::Draining { deadline_ms, .. } | Self::Stopping { deadline_ms } => {
                now_ms >= deadline_ms
            }
        }
    }

    /// What the master is shown.
    pub(crate) fn state(self) -> State {
        match self {
            Self::Serving => State::Serving,
            Self::Draining { .. } => State::Draining,
            Self::Stopping { .. } => State::Stopping,
        }
    }

    /// Whether connections are accepted without end.
    pub(crate) fn is_serving(self) -> bool {
        self == Self::Serving
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Open = Open { connections: 0, requests: 0, listeners: 0 };

    fn options() -> Options {
        Options { graceful_timeout: Duration::from_secs(5), ..Options::default() }
    }

    #[test]
    fn a_drain_ends_when_nothing_is_open() {
        let mut life = Life::Serving;
        assert!(!life.settle(NOTHING));
        life.drain(Cause::Told, 1000, &options());
        assert!(!life.settle(Open { connections: 1, ..NOTHING }));
        assert!(!life.settle(Open { requests: 1, ..NOTHING }));
        assert!(!life.settle(Open { listeners: 1, ..NOTHING }));
        assert!(life.settle(NOTHING));
        assert!(!life.settle(NOTHING));
        assert!(!life.is_over(5999) && life.is_over(6000));
    }

    #[test]
    fn the_first_deadline_holds() {
        let mut life = Life::Serving;
        life.drain(Cause::Told, 0, &options());
        assert_eq!(life, Life::Draining { deadline_ms: 5000, idle: options().drain_idle });
        life.drain(Cause::Orphaned, 3000, &options());
        assert_eq!(life, Life::Draining { deadline_ms: 5000, idle: IDLE_ORPHANED });
    }
}
