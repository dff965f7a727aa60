//! What an operator asks for, by a signal or by a command on the control socket. Owns
//! nothing. Called by the states of the master.

use std::time::Instant;

use log::Level;
use monoceros_config::SignalCommand;
use monoceros_wire::control::{ControlReply, ControlRequest, Status};
use monoceros_wire::scoreboard::GivenUp;

use super::Master;
use crate::master::decide::action::Action;
use crate::master::decide::commands::{LEAVING, REPLACED, list_workers};
use crate::master::decide::id::ClientId;
use crate::master::decide::server_facts::ReportReader;
use crate::master::decide::state::MasterState;

impl Master {
    /// Carries out a signal that does not end the master.
    pub(super) fn adjust(&mut self, command: SignalCommand, now: Instant) {
        let (size, roster) = self.pool.size_and_roster();
        match command {
            SignalCommand::Reload => self.ask_reload(now),
            SignalCommand::Add => size.add(roster, &mut self.actions),
            SignalCommand::Remove => size.remove(roster, &mut self.actions),
            SignalCommand::Reopen => self.reopen(),
            SignalCommand::Upgrade => {
                if let Err(reason) = self.upgrade(now) {
                    self.actions.log(Level::Warn, reason);
                }
            }
            SignalCommand::Withdraw if self.state == MasterState::Serving => {
                size.withdraw(roster, &mut self.actions);
            }
            SignalCommand::Withdraw | SignalCommand::Drain | SignalCommand::Stop => {}
        }
    }

    /// The log files are opened again, by the master and by all workers.
    pub(super) fn reopen(&mut self) {
        self.actions.push(Action::Reopen);
        self.pool.reopen_logs(&mut self.actions);
    }

    /// Carries out a command, or replies why it cannot be.
    pub(super) fn take_command(&mut self, client: ClientId, request: ControlRequest, now: Instant) {
        let leaves = match self.state {
            MasterState::Binding { .. } | MasterState::Booting | MasterState::Serving => false,
            MasterState::Delaying { .. }
            | MasterState::Draining
            | MasterState::Stopping
            | MasterState::Stopped => true,
        };
        let failed = |reason| Some(ControlReply::failed(reason));
        let reply = match request {
            ControlRequest::Status => Some(ControlReply::Status(self.compose_status(now))),
            ControlRequest::Report { recent } => {
                self.send_report(ReportReader::Command { client, recent });
                None
            }
            ControlRequest::Reload | ControlRequest::Upgrade if leaves => failed(LEAVING),
            ControlRequest::Stop if self.succession.has_passed_on() => failed(REPLACED),
            ControlRequest::Stop => {
                self.take_stop(now);
                Some(ControlReply::Stopping)
            }
            ControlRequest::Reload => {
                self.ask_reload(now);
                self.clients.await_reload(client, self.reload.last_asked());
                None
            }
            ControlRequest::Upgrade => match self.upgrade(now) {
                Ok(()) => {
                    self.clients.await_upgrade(client);
                    None
                }
                Err(reason) => failed(reason),
            },
        };
        if let Some(reply) = reply {
            self.actions.reply(client, reply);
        }
    }

    /// As SIGTERM, but a second one changes nothing.
    fn take_stop(&mut self, now: Instant) {
        match self.state {
            MasterState::Binding { .. } => self.state = MasterState::Stopping,
            MasterState::Booting | MasterState::Serving => self.begin_shutdown(now),
            MasterState::Delaying { .. }
            | MasterState::Draining
            | MasterState::Stopping
            | MasterState::Stopped => {}
        }
    }

    fn compose_status(&self, now: Instant) -> Status {
        let roster = self.pool.roster();
        let mut given_up = self.tally.totals().refused.clone();
        for worker in roster.workers() {
            for (kind, count) in GivenUp::ALL.iter().zip(worker.observed.losses) {
                let sum = given_up.entry(kind.name().to_owned()).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        given_up.retain(|_, count| *count > 0);
        Status { given_up, ..Status::new(self.status_line(), list_workers(roster, now)) }
    }
}
