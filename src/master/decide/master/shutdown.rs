//! The end of the server: after a delay or at once, with open requests finished or not.
//! Owns nothing. Called by the states of the master.

use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::control::ControlReply;

use super::Master;
use crate::master::decide::action::{Action, Notification};
use crate::master::decide::boot_failures::last_line;
use crate::master::decide::commands::LEAVING;
use crate::master::decide::lifecycle::STOP_LIMIT;
use crate::master::decide::roster::LeaveReason;
use crate::master::decide::state::{MasterState, Purpose};

impl Master {
    /// Ends as an operator has asked: after `shutdown-delay`, if clients may still send
    /// requests here.
    pub(super) fn begin_shutdown(&mut self, now: Instant) {
        let delay = self.settings().shutdown_delay;
        let serves = match self.state {
            MasterState::Serving => self.pool.size().workers() > 0,
            // No client relies on a check, or on a master whose predecessor still serves.
            MasterState::Booting => {
                let is_alone = self.purpose == Purpose::Serve && !self.succession.follows();
                is_alone && self.pool.roster().ready().next().is_some()
            }
            MasterState::Starting
            | MasterState::Binding { .. }
            | MasterState::Delaying { .. }
            | MasterState::Draining
            | MasterState::Stopping
            | MasterState::Stopped => false,
        };
        if delay.is_zero() || !serves {
            return self.drain(now);
        }
        let seconds = delay.as_secs();
        self.actions.log(Level::Info, format!("serving for {seconds} s more, then stopping"));
        self.state = MasterState::Delaying { until: now + delay };
        // What would outlast this master, or has not begun, is given up now.
        self.succession.dismiss(now, &mut self.actions);
        self.clients.upgrade_ended(&ControlReply::failed(LEAVING), &mut self.actions);
        self.reload.take_put_off();
        self.clients.dismiss_put_off(self.reload.newest(), &mut self.actions);
        self.notify_delay();
        self.pool.announce_end(&mut self.actions);
    }

    /// A signal asks for what may not begin any more.
    pub(super) fn refuse_signal(&mut self) {
        let text = format!("{LEAVING}: no reload, upgrade or withdrawal begins");
        self.actions.log(Level::Warn, text);
    }

    /// The workers finish their requests; then the master exits.
    pub(super) fn drain(&mut self, now: Instant) {
        self.actions.log(Level::Info, "draining");
        self.leave_service(MasterState::Draining, "draining");
        self.succession.dismiss(now, &mut self.actions);
        self.actions.notify(Notification::Extend(self.longest_drain()));
        self.drain_workers(LeaveReason::Stopped, now);
        self.actions.push(Action::CloseListeners);
    }

    /// Lets all workers finish their requests.
    pub(super) fn drain_workers(&mut self, reason: LeaveReason, now: Instant) {
        let limit = self.settings().graceful_timeout;
        self.pool.drain(reason, limit, now, &mut self.actions);
    }

    /// Ends before any worker exists. A mold may exist already.
    pub(super) fn give_up_start(&mut self, now: Instant) {
        if self.pool.roster().is_empty() {
            self.state = MasterState::Stopping;
        } else {
            self.stop(0, now);
        }
    }

    /// Stops all processes because of an error, then exits with this code.
    pub(super) fn fail(&mut self, code: u8, reason: &str, now: Instant) {
        let status = format!("cannot serve: {}", last_line(reason));
        self.leave_service(MasterState::Stopping, &status);
        self.stop(code, now);
    }

    /// Stops all processes at once, then exits with this code.
    pub(super) fn stop(&mut self, code: u8, now: Instant) {
        self.leave_service(MasterState::Stopping, "stopping");
        self.succession.dismiss(now, &mut self.actions);
        self.code = code;
        self.pool.stop(now, &mut self.actions);
        self.actions.push(Action::CloseListeners);
    }

    /// Enters a state in which the server ends. The init system is notified once.
    fn leave_service(&mut self, state: MasterState, status: &str) {
        match self.state {
            MasterState::Draining | MasterState::Stopping | MasterState::Stopped => {}
            MasterState::Delaying { .. } => {
                self.actions.notify(Notification::Status(status.to_owned()));
            }
            MasterState::Starting
            | MasterState::Binding { .. }
            | MasterState::Booting
            | MasterState::Serving => {
                self.actions.notify(Notification::Stopping);
                self.actions.notify(Notification::Status(status.to_owned()));
            }
        }
        self.state = state;
    }

    /// The longest time that a drain takes: for the workers, the last hooks, the molds, and the
    /// master.
    pub(super) fn longest_drain(&self) -> Duration {
        let (limit, has_hooks) = (self.settings().graceful_timeout, self.settings().has_file);
        limit * if has_hooks { 2 } else { 1 } + 2 * STOP_LIMIT
    }
}
