//! How the server ends: after a delay or at once, with what is open or without.

use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::control::ControlReply;

use crate::master::decide::action::{Action, Notice};
use crate::master::decide::commands::LEAVING;
use crate::master::decide::roster::LeaveReason;
use crate::master::decide::state::MasterState;
use crate::master::decide::{Master, Purpose, STOP_LIMIT, gist};

impl Master {
    /// Ends as an operator has asked: after `shutdown-delay`, if somebody may still
    /// send requests here.
    pub(super) fn depart(&mut self, now: Instant) {
        let delay = self.settings().shutdown_delay;
        let serves = match self.state {
            MasterState::Serving => self.workers > 0,
            // Beside a check and a master that serves, nobody relies on it yet.
            MasterState::Booting => {
                let alone = self.purpose == Purpose::Serve && !self.follows;
                alone && self.roster.ready().next().is_some()
            }
            MasterState::Binding { .. }
            | MasterState::Delaying { .. }
            | MasterState::Draining
            | MasterState::Stopping
            | MasterState::Stopped => false,
        };
        if delay.is_zero() || !serves {
            return self.drain(now);
        }
        let seconds = delay.as_secs();
        self.log(Level::Info, format!("serving for {seconds} s more, then stopping"));
        self.state = MasterState::Delaying { until: now + delay };
        // What would outlast this master, or has not begun, is given up now.
        self.dismiss_successor(now);
        self.answer_upgrades(&ControlReply::failed(LEAVING));
        self.reload_again = false;
        self.dismiss_put_off();
        self.tell_delay();
    }

    /// Tells the init system that the server is to end, and how long that may take.
    pub(super) fn tell_delay(&mut self) {
        self.notify(Notice::Stopping);
        self.notify(Notice::Extend(self.settings().shutdown_delay + self.longest_drain()));
        self.tell_status();
    }

    /// What may not begin any more.
    pub(super) fn refuse_wish(&mut self) {
        self.log(Level::Warn, format!("{LEAVING}: no reload, upgrade or withdrawal begins"));
    }

    /// The most that a drain takes: for the workers, for their molds, and for this
    /// process.
    fn longest_drain(&self) -> Duration {
        self.settings().graceful_timeout + 2 * STOP_LIMIT
    }

    /// Lets everybody finish, then exits.
    pub(super) fn drain(&mut self, now: Instant) {
        self.log(Level::Info, "draining".to_owned());
        self.leave_service(MasterState::Draining, "draining");
        self.dismiss_successor(now);
        let limit = self.settings().graceful_timeout;
        self.notify(Notice::Extend(self.longest_drain()));
        self.release_workers(LeaveReason::Stopped, limit, now);
        self.actions.push(Action::CloseListeners);
    }

    /// Stops everybody, then exits with this code, for this reason.
    pub(super) fn fail(&mut self, code: u8, reason: &str, now: Instant) {
        self.leave_service(MasterState::Stopping, &format!("cannot serve: {}", gist(reason)));
        self.stop(code, now);
    }

    /// Stops everybody, then exits with this code.
    pub(super) fn stop(&mut self, code: u8, now: Instant) {
        self.leave_service(MasterState::Stopping, "stopping");
        self.dismiss_successor(now);
        self.code = code;
        for id in self.ids() {
            self.halt(id, now);
        }
        self.actions.push(Action::CloseListeners);
    }

    fn leave_service(&mut self, state: MasterState, status: &str) {
        match self.state {
            MasterState::Draining | MasterState::Stopping | MasterState::Stopped => {}
            MasterState::Delaying { .. } => self.notify(Notice::Status(status.to_owned())),
            MasterState::Binding { .. } | MasterState::Booting | MasterState::Serving => {
                self.notify(Notice::Stopping);
                self.notify(Notice::Status(status.to_owned()));
            }
        }
        self.state = state;
    }
}
