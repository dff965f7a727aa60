//! What operators' commands ask, and when they are answered: a reload when the
//! generation that was read for it, or a later one, serves or has failed; an
//! upgrade when the new master has taken over or is gone.

use std::time::Instant;

use monoceros_config::SignalCommand;
use monoceros_wire::Generation;
use monoceros_wire::control::{ControlReply, ControlRequest, Status, WorkerStatus};

use crate::master::decide::Master;
use crate::master::decide::action::Action;
use crate::master::decide::id::ClientId;
use crate::master::decide::roster::{LeaveReason, WorkerEntry, WorkerState};
use crate::master::decide::state::MasterState;

/// Why nothing can be asked of a master any more.
pub(super) const LEAVING: &str = "the server is stopping";

/// Why a master that was replaced takes no commands.
pub(super) const REPLACED: &str = "a new master has taken over meanwhile; ask that one";

/// Who waits for an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct WaitingClients {
    /// For a reload, with the number of the generation that is read for it.
    reloads: Vec<(ClientId, Generation)>,
    /// For an upgrade.
    upgrades: Vec<ClientId>,
}

impl Master {
    pub(super) fn take_request(&mut self, client: ClientId, request: ControlRequest, now: Instant) {
        let leaves = match self.state {
            MasterState::Binding { .. } | MasterState::Booting | MasterState::Serving => false,
            MasterState::Delaying { .. }
            | MasterState::Draining
            | MasterState::Stopping
            | MasterState::Stopped => true,
        };
        match request {
            ControlRequest::Status => {
                let status = self.overview(now);
                self.answer(client, ControlReply::Status(status));
            }
            ControlRequest::Reload | ControlRequest::Upgrade if leaves => {
                self.answer(client, ControlReply::failed(LEAVING));
            }
            ControlRequest::Stop if self.passed_on => {
                self.answer(client, ControlReply::failed(REPLACED))
            }
            ControlRequest::Stop => {
                self.take_stop(now);
                self.answer(client, ControlReply::Stopping);
            }
            ControlRequest::Reload => self.take_reload(client, now),
            ControlRequest::Upgrade => match self.upgrade(now) {
                Ok(()) => self.waiting.upgrades.push(client),
                Err(reason) => self.answer(client, ControlReply::failed(reason)),
            },
        }
    }

    /// As SIGTERM, but a second one changes nothing.
    fn take_stop(&mut self, now: Instant) {
        match self.state {
            MasterState::Binding { .. } => self.state = MasterState::Stopping,
            MasterState::Booting | MasterState::Serving => self.depart(now),
            MasterState::Delaying { .. }
            | MasterState::Draining
            | MasterState::Stopping
            | MasterState::Stopped => {}
        }
    }

    fn take_reload(&mut self, client: ClientId, now: Instant) {
        self.adjust(SignalCommand::Reload, now);
        // If it had to be put off, the settings are not read yet.
        let generation = self.newest.0.saturating_add(u32::from(self.reload_again));
        self.waiting.reloads.push((client, Generation(generation)));
    }

    /// The settings for a generation could not be used: who waits for another
    /// one, that is on its way, still does.
    pub(super) fn answer_unread(&mut self, generation: Generation, reason: &str) {
        self.answer_reloads(|asked| asked == generation, &ControlReply::failed(reason));
    }

    /// A generation serves, and every reload that was asked for before it was
    /// read has come true.
    pub(super) fn answer_reloaded(&mut self) {
        let (generation, workers) = (self.current, self.workers);
        let answer = ControlReply::Reloaded { generation, workers };
        self.answer_reloads(|asked| asked <= generation, &answer);
    }

    /// A generation cannot serve.
    pub(super) fn answer_abandoned(&mut self, generation: Generation, reason: &str) {
        self.answer_reloads(|asked| asked <= generation, &ControlReply::failed(reason));
    }

    /// The upgrade has ended like this.
    pub(super) fn answer_upgrades(&mut self, answer: &ControlReply) {
        for client in std::mem::take(&mut self.waiting.upgrades) {
            self.answer(client, answer.clone());
        }
    }

    /// Reloads that were put off will not begin.
    pub(super) fn dismiss_put_off(&mut self) {
        let newest = self.newest;
        self.answer_reloads(|asked| asked > newest, &ControlReply::failed(LEAVING));
    }

    /// Nothing that anybody waits for will happen here.
    pub(super) fn dismiss_clients(&mut self, reason: &str) {
        self.answer_reloads(|_| true, &ControlReply::failed(reason));
        self.answer_upgrades(&ControlReply::failed(reason));
    }

    pub(super) fn dismiss_leaving(&mut self) {
        self.dismiss_clients(LEAVING);
    }

    fn answer_reloads(&mut self, which: impl Fn(Generation) -> bool, answer: &ControlReply) {
        for (client, asked) in std::mem::take(&mut self.waiting.reloads) {
            if which(asked) {
                self.answer(client, answer.clone());
            } else {
                self.waiting.reloads.push((client, asked));
            }
        }
    }

    fn answer(&mut self, client: ClientId, answer: ControlReply) {
        self.actions.push(Action::Answer { client, answer });
    }

    fn overview(&self, now: Instant) -> Status {
        let workers = self.roster.everyone().map(|worker| describe(worker, now));
        let mut workers: Vec<_> = workers.collect();
        workers.sort_by_key(|it| (it.slot, it.generation, it.pid));
        Status::new(self.status(), workers).with_losses(&self.losses())
    }
}

fn describe(worker: &WorkerEntry, now: Instant) -> WorkerStatus {
    WorkerStatus {
        slot: worker.slot(),
        generation: worker.generation,
        pid: worker.pid,
        state: word(worker).to_owned(),
        age: worker.is_ready().then(|| worker.lived(now).as_secs()),
        requests: worker.observed.requests,
    }
}

fn word(worker: &WorkerEntry) -> &'static str {
    match worker.state {
        WorkerState::Booting { .. } => "booting",
        WorkerState::Ready { .. } if worker.is_doomed() => "hung",
        WorkerState::Ready { .. } => "ready",
        WorkerState::Leaving { reason: LeaveReason::Retired | LeaveReason::Stopped, .. } => {
            "draining"
        }
        WorkerState::Leaving {
            reason: LeaveReason::Failed | LeaveReason::Late | LeaveReason::Hung,
            ..
        } => "stopping",
        WorkerState::Killed { .. } => "killed",
    }
}
