//! Owns the upgrade: the successor that this master has started, and whether this master
//! still follows a predecessor. This master serves until the successor does, also if the
//! successor fails. Called by the master only.

use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::Generation;

use crate::master::decide::action::{Action, Actions, WorkerSignal};
use crate::master::decide::lifecycle::STOP_LIMIT;
use crate::master::decide::pool_size::PoolSize;

/// The two ends of an upgrade.
#[derive(Debug, Default)]
pub(crate) struct Succession {
    /// The master that is to take over.
    successor: Option<Successor>,
    /// Why the last upgrade failed, if it did.
    failure: Option<String>,
    /// A predecessor serves, and has not passed everything on yet.
    follows: bool,
    /// The successor has taken over, and this master only finishes its requests.
    passed_on: bool,
}

/// The state of the successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Successor {
    /// The hook that comes before its start runs.
    Announced,
    /// It gets ready.
    Starting {
        /// Its pid; 0 until it is known.
        pid: i32,
        /// When it must serve.
        until: Instant,
        /// The wanted number of workers when it was started.
        workers: u16,
    },
    /// It was asked to end.
    Leaving {
        /// When it is killed.
        until: Instant,
    },
    /// It was sent SIGKILL, and is not reaped yet.
    Killed,
}

/// A successor that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TakenOver {
    /// Its pid.
    pub(crate) pid: i32,
    /// The wanted number of workers when it was started.
    pub(crate) workers: u16,
}

impl Succession {
    /// At the start of a master, which may have a predecessor.
    pub(crate) fn new(follows: bool) -> Self {
        Self { follows, ..Self::default() }
    }

    /// A predecessor serves, and has not passed everything on yet.
    pub(crate) fn follows(&self) -> bool {
        self.follows
    }

    /// There is a successor that has not taken over.
    pub(crate) fn is_upgrading(&self) -> bool {
        self.successor.is_some()
    }

    /// The successor has taken over.
    pub(crate) fn has_passed_on(&self) -> bool {
        self.passed_on
    }

    /// Why the last upgrade failed, if it did.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// When something has to be done about the successor.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.successor? {
            Successor::Starting { until, .. } | Successor::Leaving { until } => Some(until),
            Successor::Announced | Successor::Killed => None,
        }
    }

    /// Moves that time by a suspend of the master.
    pub(crate) fn shift(&mut self, by: Duration) {
        match &mut self.successor {
            Some(Successor::Starting { until, .. } | Successor::Leaving { until }) => *until += by,
            Some(Successor::Announced | Successor::Killed) | None => {}
        }
    }

    /// Returns why no successor can be started now.
    fn check(&self) -> Result<(), &'static str> {
        let is_free = self.successor.is_none() && !self.follows;
        if is_free { Ok(()) } else { Err("an upgrade is under way already") }
    }

    /// A successor is started when a hook has ended, or the reason why it cannot be.
    pub(crate) fn announce(&mut self) -> Result<(), &'static str> {
        self.check()?;
        self.successor = Some(Successor::Announced);
        Ok(())
    }

    /// Whether a successor was to be started after a hook; forgets that.
    pub(crate) fn take_announced(&mut self) -> bool {
        self.successor.take_if(|it| *it == Successor::Announced).is_some()
    }

    /// Starts a successor, which must serve by `until`, or returns why it cannot. `known` is
    /// the number of workers in the settings that the successor reads.
    pub(crate) fn start(
        &mut self,
        pool: &PoolSize,
        known: u16,
        newest: Generation,
        until: Instant,
        actions: &mut Actions,
    ) -> Result<(), &'static str> {
        self.check()?;
        self.failure = None;
        actions.log(Level::Info, "upgrading: starting a new master");
        self.successor = Some(Successor::Starting { pid: 0, until, workers: pool.workers() });
        actions.push(Action::StartSuccessor { newest, workers: pool.unless(known) });
        Ok(())
    }

    /// The process of the successor exists.
    pub(crate) fn note_started(&mut self, pid: i32, actions: &mut Actions) {
        if let Some(Successor::Starting { pid: known, .. }) = &mut self.successor {
            *known = pid;
        }
        actions.log(Level::Info, format!("the new master has pid {pid}"));
    }

    /// The successor serves. Returns it, unless it was asked to end meanwhile.
    pub(crate) fn complete(&mut self) -> Option<TakenOver> {
        let Some(Successor::Starting { pid, workers, .. }) = self.successor else { return None };
        (self.successor, self.passed_on) = (None, true);
        Some(TakenOver { pid, workers })
    }

    /// The successor has ended. Returns whether there was one.
    pub(crate) fn note_ended(&mut self) -> bool {
        self.successor.take().is_some()
    }

    /// Notes why the upgrade has failed, unless an earlier cause is known.
    pub(crate) fn fail(&mut self, text: &str) {
        self.failure.get_or_insert_with(|| text.to_owned());
    }

    /// Asks a successor that does not serve yet to end.
    pub(crate) fn dismiss(&mut self, now: Instant, actions: &mut Actions) {
        match self.successor {
            Some(Successor::Announced) => self.successor = None,
            Some(Successor::Starting { .. }) => {
                self.successor = Some(Successor::Leaving { until: now + STOP_LIMIT });
                actions.push(Action::SignalSuccessor(WorkerSignal::Quit));
            }
            Some(Successor::Leaving { .. } | Successor::Killed) | None => {}
        }
    }

    /// Does what the deadline of the successor asks for. Returns whether it did not serve
    /// in time.
    pub(crate) fn note_deadline(&mut self, now: Instant, actions: &mut Actions) -> bool {
        match self.successor {
            Some(Successor::Starting { until, .. }) if until <= now => true,
            Some(Successor::Leaving { until }) if until <= now => {
                self.successor = Some(Successor::Killed);
                actions.push(Action::SignalSuccessor(WorkerSignal::Kill));
                false
            }
            Some(
                Successor::Announced
                | Successor::Starting { .. }
                | Successor::Leaving { .. }
                | Successor::Killed,
            )
            | None => false,
        }
    }

    /// The predecessor has passed everything on, or is gone.
    pub(crate) fn take_over(&mut self, actions: &mut Actions) {
        self.follows = false;
        actions.log(Level::Info, "has taken over from the old master");
    }

    /// Whether a request to drain is the first one after the successor has taken over:
    /// this master drains already, and its operator may not know that.
    pub(crate) fn take_first_drain(&mut self) -> bool {
        std::mem::take(&mut self.passed_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::decide::state::Purpose;

    fn start(succession: &mut Succession, until: Instant) -> Result<(), &'static str> {
        let mut actions = Actions::new(Purpose::Serve);
        succession.start(&PoolSize::new(2), 2, Generation(1), until, &mut actions)
    }

    #[test]
    fn one_upgrade_at_a_time() {
        let now = Instant::now();
        let mut succession = Succession::default();
        assert_eq!(start(&mut succession, now), Ok(()));
        assert!(start(&mut succession, now).is_err());
        assert!(succession.note_ended() && !succession.note_ended());
        assert_eq!(start(&mut succession, now), Ok(()));
        assert!(start(&mut Succession::new(true), now).is_err(), "a predecessor still serves");
    }

    #[test]
    fn a_successor_that_was_dismissed_does_not_take_over() {
        let (now, mut actions) = (Instant::now(), Actions::new(Purpose::Serve));
        let mut succession = Succession::default();
        start(&mut succession, now).unwrap();
        succession.note_started(7, &mut actions);
        assert!(succession.note_deadline(now, &mut actions), "it is late");
        succession.dismiss(now, &mut actions);
        assert_eq!(succession.complete(), None);
        assert!(!succession.note_deadline(now + STOP_LIMIT, &mut actions));
        let signals = actions.take();
        let killed = |it: &Action| matches!(it, Action::SignalSuccessor(WorkerSignal::Kill));
        assert!(signals.iter().any(killed) && succession.deadline().is_none());
    }

    #[test]
    fn the_first_cause_of_a_failure_is_kept() {
        let mut succession = Succession::default();
        succession.fail("late");
        succession.fail("killed");
        assert_eq!(succession.failure(), Some("late"));
        start(&mut succession, Instant::now()).unwrap();
        assert_eq!(succession.failure(), None);
        assert_eq!(succession.complete(), Some(TakenOver { pid: 0, workers: 2 }));
        assert!(succession.has_passed_on() && succession.take_first_drain());
        assert!(!succession.take_first_drain());
    }
}
