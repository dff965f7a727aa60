//! What an operator asks for by a command on the control socket. Owns nothing. Called by the
//! states of the master, and after each event.

use std::time::Instant;

use log::Level;
use monoceros_wire::Slot;
use monoceros_wire::control::{ControlReply, ControlRequest, PoolChange, Status};
use monoceros_wire::scoreboard::GivenUp;

use super::Master;
use crate::master::decide::action::Action;
use crate::master::decide::commands::{LEAVING, PoolView, REPLACED, list_workers};
use crate::master::decide::id::ClientId;
use crate::master::decide::roster::{WorkerEntry, WorkerState};
use crate::master::decide::server_facts::ReportReader;
use crate::master::decide::state::MasterState;

impl Master {
    /// Carries out a command, or replies why it cannot be. A command that waits is replied to
    /// later.
    pub(super) fn take_command(&mut self, client: ClientId, request: ControlRequest, now: Instant) {
        let reply = match request {
            ControlRequest::Status => Ok(Some(ControlReply::Status(self.compose_status(now)))),
            ControlRequest::Report { recent } => {
                self.send_report(ReportReader::Command { client, recent });
                Ok(None)
            }
            ControlRequest::Stop if self.succession.has_passed_on() => Err(REPLACED.to_owned()),
            ControlRequest::Stop => {
                self.take_stop(now);
                Ok(Some(ControlReply::Stopping))
            }
            ControlRequest::Stacks { slot } => self.ask_for_stacks(client, slot, now),
            ControlRequest::Reopen => {
                self.reopen();
                let (roster, actions) = (self.pool.roster(), &mut self.actions);
                self.confirmations.await_all(client, roster, now, actions);
                Ok(None)
            }
            ControlRequest::LogLevel(level) => {
                let text = format!("log level {level} until a reload: an operator asks for it");
                self.actions.log(Level::Info, text);
                self.actions.push(Action::SetLogLevel(level));
                self.pool.set_log_level(level, &mut self.actions);
                let (roster, actions) = (self.pool.roster(), &mut self.actions);
                self.confirmations.await_all(client, roster, now, actions);
                Ok(None)
            }
            ControlRequest::Reload
            | ControlRequest::Upgrade
            | ControlRequest::Workers(_)
            | ControlRequest::Recycle { .. }
                if self.leaves() =>
            {
                Err(self.reason_to_leave().to_owned())
            }
            ControlRequest::Reload => {
                self.ask_reload(now);
                self.clients.await_reload(client, self.reload.last_asked());
                Ok(None)
            }
            ControlRequest::Upgrade => self.upgrade(now).map_err(str::to_owned).map(|()| {
                self.clients.await_upgrade(client);
                None
            }),
            ControlRequest::Workers(change) => self.resize(client, change),
            ControlRequest::Recycle { slot } => self.recycle(client, slot),
        };
        match reply {
            Ok(None) => {}
            Ok(Some(reply)) => self.actions.reply(client, reply),
            Err(reason) => self.actions.reply(client, ControlReply::failed(&reason)),
        }
    }

    /// The server is about to end, or this master is: nothing begins any more.
    fn leaves(&self) -> bool {
        match self.state {
            MasterState::Starting
            | MasterState::Binding { .. }
            | MasterState::Booting
            | MasterState::Serving => false,
            MasterState::Delaying { .. }
            | MasterState::Draining
            | MasterState::Stopping
            | MasterState::Stopped => true,
        }
    }

    fn reason_to_leave(&self) -> &'static str {
        if self.succession.has_passed_on() { REPLACED } else { LEAVING }
    }

    /// As SIGTERM, but a second one changes nothing.
    fn take_stop(&mut self, now: Instant) {
        match self.state {
            MasterState::Starting | MasterState::Binding { .. } => self.give_up_start(now),
            MasterState::Booting | MasterState::Serving => self.begin_shutdown(now),
            MasterState::Delaying { .. }
            | MasterState::Draining
            | MasterState::Stopping
            | MasterState::Stopped => {}
        }
    }

    /// The number of workers changes. The client waits until that number serves.
    fn resize(
        &mut self,
        client: ClientId,
        change: PoolChange,
    ) -> Result<Option<ControlReply>, String> {
        let (size, roster) = self.pool.size_and_roster();
        let workers = size.after(change)?;
        size.resize(workers, roster, &mut self.actions);
        self.clients.await_size(client, workers);
        Ok(None)
    }

    /// Workers are replaced. The client waits until they are.
    fn recycle(
        &mut self,
        client: ClientId,
        slot: Option<Slot>,
    ) -> Result<Option<ControlReply>, String> {
        if self.state != MasterState::Serving {
            return Err("the server does not serve yet".to_owned());
        }
        let workers = self.pool.recycle(slot, &mut self.actions);
        if workers.is_empty() {
            return Err(match slot {
                Some(slot) => format!("no worker {slot} serves"),
                None => "no worker serves".to_owned(),
            });
        }
        self.clients.await_replacement(client, workers);
        Ok(None)
    }

    /// Processes are asked for the stacks of their threads. The client waits for these.
    fn ask_for_stacks(
        &mut self,
        client: ClientId,
        slot: Option<Slot>,
        now: Instant,
    ) -> Result<Option<ControlReply>, String> {
        let is_meant = |worker: &&WorkerEntry| {
            let is_killed = matches!(worker.state, WorkerState::Killed { .. });
            !is_killed && (slot.is_none() || worker.slot() == slot)
        };
        let mut workers = self.pool.roster().everyone().filter(is_meant).peekable();
        if workers.peek().is_none() {
            return Err(match slot {
                Some(slot) => format!("there is no worker {slot}"),
                None => "there is no worker".to_owned(),
            });
        }
        self.stacks.ask(client, workers, now, &mut self.actions);
        Ok(None)
    }

    /// Replies to the commands that are over.
    pub(super) fn settle_commands(&mut self, now: Instant) {
        let (roster, actions) = (self.pool.roster(), &mut self.actions);
        self.confirmations.settle(roster, now, actions);
        self.stacks.settle(roster, now, actions);
        if self.clients.await_workers() && self.keeps_workers() {
            let is_reached = self.target().is_reached(self.pool.roster(), now);
            let (roster, wanted) = (self.pool.roster(), self.pool.size().workers());
            let view = PoolView { roster, wanted, is_reached };
            self.clients.note_workers(view, &mut self.actions);
        }
    }

    /// Workers are started and replaced in this state.
    fn keeps_workers(&self) -> bool {
        match self.state {
            MasterState::Booting | MasterState::Serving | MasterState::Delaying { .. } => true,
            MasterState::Starting
            | MasterState::Binding { .. }
            | MasterState::Draining
            | MasterState::Stopping
            | MasterState::Stopped => false,
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
