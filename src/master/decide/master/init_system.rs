//! What the init system is notified of: the watchdog, the state of the server in one line,
//! and a delay. Owns nothing. Called by the states of the master and by the files beside
//! this one.

use std::time::Instant;

use super::Master;
use crate::master::decide::action::Notification;
use crate::master::decide::server_facts::StatusWords;
use crate::master::decide::state::MasterState;
use crate::master::decide::status_line::StatusFacts;

impl Master {
    /// The state of the server in one line.
    pub(super) fn status_line(&self) -> String {
        self.status.compose(&self.status_facts())
    }

    /// The line without the figures of workers.
    pub(super) fn status_words(&self) -> StatusWords {
        self.status.words(&self.status_facts())
    }

    fn status_facts(&self) -> StatusFacts<'_> {
        StatusFacts {
            generation: self.reload.current(),
            workers: self.pool.size().workers(),
            answered: self.tally.totals().duration.count(),
            roster: self.pool.roster(),
            rolling_to: self.reload.rolling_to(),
            failed_reload: self.reload.failure(),
            is_delaying: matches!(self.state, MasterState::Delaying { .. }),
            is_upgrading: self.succession.is_upgrading() && self.state == MasterState::Serving,
            failed_upgrade: self.succession.failure(),
        }
    }

    /// The files of certificates were looked at.
    pub(super) fn note_certificates(&mut self, concern: Option<String>) {
        self.status.set_concern(concern);
        self.send_changed_status();
    }

    /// Sends the line again.
    pub(super) fn send_status(&mut self) {
        self.status.send_again(self.status_line(), &mut self.actions);
    }

    /// Sends the line if it has changed.
    pub(super) fn send_changed_status(&mut self) {
        self.status.send(self.status_line(), &mut self.actions);
    }

    /// Notifies the watchdog if that is due.
    pub(super) fn note_watchdog(&mut self, now: Instant) {
        if self.watchdog.take_due(now) {
            self.notify_alive();
        }
    }

    /// Notifies the watchdog, if workers can be relied on. If none can, a restart by the
    /// init system is more likely to help.
    pub(super) fn notify_alive(&mut self) {
        let asked = self.state == MasterState::Serving && self.pool.size().workers() > 0;
        if !asked || self.pool.roster().ready().any(|worker| !worker.is_doomed()) {
            self.actions.notify(Notification::Alive);
        }
    }

    /// Notifies the init system that the server is to end, and how long that may take.
    pub(super) fn notify_delay(&mut self) {
        self.actions.notify(Notification::Stopping);
        let length = self.settings().shutdown_delay + self.longest_drain();
        self.actions.notify(Notification::Extend(length));
        self.send_status();
    }
}
