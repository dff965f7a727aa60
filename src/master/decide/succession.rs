//! The masters' ends of an upgrade: a new master is started beside it, and when
//! that serves this one goes. Whatever becomes of the new one, this one serves
//! until then.

use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::control::ControlReply;

use crate::master::decide::action::{Action, Notice, WorkerSignal};
use crate::master::decide::commands::REPLACED;
use crate::master::decide::roster::LeaveReason;
use crate::master::decide::state::MasterState;
use crate::master::decide::{Master, STOP_LIMIT};

/// The master that is to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Successor {
    /// It is getting ready.
    Starting {
        /// Its pid; 0 until it is known.
        pid: i32,
        /// When that has lasted too long.
        until: Instant,
        /// How many workers there were to be when it was started.
        workers: u16,
    },
    /// It was asked to go.
    Leaving {
        /// When it is killed.
        until: Instant,
    },
    /// It was sent SIGKILL, and is not reaped yet.
    Killed,
}

impl Successor {
    /// When something has to be done about it.
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Starting { until, .. } | Self::Leaving { until } => Some(until),
            Self::Killed => None,
        }
    }

    /// Moves its deadline by the time that the master slept.
    pub(crate) fn shift(&mut self, by: Duration) {
        match self {
            Self::Starting { until, .. } | Self::Leaving { until } => *until += by,
            Self::Killed => {}
        }
    }
}

impl Master {
    /// Begins, or says why not.
    pub(super) fn upgrade(&mut self, now: Instant) -> Result<(), &'static str> {
        if self.state != MasterState::Serving {
            return Err("cannot upgrade: the server does not serve yet");
        }
        if self.successor.is_some() || self.follows {
            return Err("an upgrade is under way already");
        }
        self.failed_upgrade = None;
        self.log(Level::Info, "upgrading: starting a new master".to_owned());
        let until = now + self.settings().upgrade_timeout;
        self.successor = Some(Successor::Starting { pid: 0, until, workers: self.workers });
        let workers = self.workers_if_not(self.settings().workers);
        self.actions.push(Action::StartSuccessor { newest: self.newest, workers });
        Ok(())
    }

    /// How many workers there are to be, for the successor, which knows of so
    /// many; those that were withdrawn are not its concern.
    fn workers_if_not(&self, known: u16) -> Option<u16> {
        Some(self.workers).filter(|workers| *workers != known && *workers > 0)
    }

    pub(super) fn note_successor(&mut self, pid: i32) {
        if let Some(Successor::Starting { pid: known, .. }) = &mut self.successor {
            *known = pid;
        }
        self.log(Level::Info, format!("the new master has pid {pid}"));
    }

    /// The successor has read its settings, perhaps too early; the init system
    /// has to hear at once that it is obeyed.
    pub(super) fn reload_after_upgrade(&mut self) {
        self.log(Level::Info, "an upgrade is under way: the reload comes after it".to_owned());
        self.reload_again = true;
        self.notify(Notice::Reloading);
    }

    /// The master before this one is out of the way.
    pub(super) fn take_over(&mut self, workers: Option<u16>) {
        self.follows = false;
        self.log(Level::Info, "has taken over from the old master".to_owned());
        if let Some(workers) = workers {
            self.resize(workers);
        }
        // What was said before went nowhere; the watchdog has heard nothing since the
        // old master's last word, and may not be willing to wait for the next time.
        if self.watchdog.is_some() {
            self.tell_alive();
        }
        if let MasterState::Delaying { .. } = self.state {
            self.tell_delay();
        } else if self.rollout.is_some() {
            self.notify(Notice::Reloading);
        } else if self.state == MasterState::Serving {
            self.end_reload();
        }
    }

    /// The successor serves: everything is its from now on.
    pub(super) fn hand_over(&mut self, now: Instant) {
        let Some(Successor::Starting { pid, workers, .. }) = self.successor else { return };
        self.successor = None;
        self.log(Level::Info, "upgraded: the new master serves, this one drains".to_owned());
        if std::mem::take(&mut self.reload_again) {
            self.actions.push(Action::SignalSuccessor(WorkerSignal::Hup));
        }
        self.actions.push(Action::PassOn { workers: self.workers_if_not(workers) });
        // When a command hears of it, the new master has been told.
        self.answer_upgrades(&ControlReply::Upgraded { pid });
        self.dismiss_clients(REPLACED);
        (self.state, self.passed_on) = (MasterState::Draining, true);
        let limit = self.settings().graceful_timeout;
        self.release_workers(LeaveReason::Retired, limit, now);
        self.actions.push(Action::CloseListeners);
    }

    /// The successor is gone before it has taken over.
    pub(super) fn lose_successor(&mut self, text: &str) {
        if self.successor.take().is_some() {
            self.log(Level::Error, format!("upgrade failed, all goes on as before: {text}"));
            self.answer_upgrades(&ControlReply::failed(text));
            self.failed_upgrade.get_or_insert_with(|| text.to_owned());
            self.tell_status();
            if std::mem::take(&mut self.reload_again) {
                self.read_settings();
            }
        }
    }

    /// There is nothing to take over any more.
    pub(super) fn dismiss_successor(&mut self, now: Instant) {
        if let Some(Successor::Starting { .. }) = self.successor {
            self.successor = Some(Successor::Leaving { until: now + STOP_LIMIT });
            self.actions.push(Action::SignalSuccessor(WorkerSignal::Quit));
        }
    }

    pub(super) fn note_successor_deadline(&mut self, now: Instant) {
        match self.successor {
            Some(Successor::Starting { until, .. }) if until <= now => {
                let limit = self.settings().upgrade_timeout.as_secs();
                let text = format!("the new master does not serve within {limit} s");
                self.answer_upgrades(&ControlReply::failed(&text));
                self.log(Level::Error, format!("{text}; ending it"));
                self.failed_upgrade = Some(text);
                self.tell_status();
                self.dismiss_successor(now);
            }
            Some(Successor::Leaving { until }) if until <= now => {
                self.successor = Some(Successor::Killed);
                self.actions.push(Action::SignalSuccessor(WorkerSignal::Kill));
            }
            Some(Successor::Starting { .. } | Successor::Leaving { .. } | Successor::Killed)
            | None => {}
        }
    }
}
