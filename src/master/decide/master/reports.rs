//! The facts of the server for a report. Owns nothing. Called by the states of the master.

use super::Master;
use crate::master::decide::action::Action;
use crate::master::decide::commands::state_word;
use crate::master::decide::roster::WorkerEntry;
use crate::master::decide::server_facts::{ReportReader, ServerFacts, WorkerFacts};
use crate::master::decide::state::MasterState;

impl Master {
    /// Sends the facts of this moment to a reader.
    pub(super) fn send_report(&mut self, reader: ReportReader) {
        let facts = Box::new(self.facts());
        self.actions.push(Action::Report { reader, facts });
    }

    /// The facts of this moment.
    pub(crate) fn facts(&self) -> ServerFacts {
        let roster = self.pool.roster();
        ServerFacts {
            state: self.state_word(),
            is_ready: self.is_ready(),
            summary: self.status_words(),
            app: roster.app().to_owned(),
            generation: self.reload.current(),
            wanted: self.pool.size().workers(),
            rolling_to: self.reload.rolling_to(),
            is_upgrading: self.succession.is_upgrading(),
            workers: list(roster.everyone()),
            tally: self.tally.snapshot(),
            concerns: self.status.concern().map(str::to_owned).into_iter().collect(),
        }
    }

    /// Whether the server serves, and will for a while.
    pub(crate) fn is_ready(&self) -> bool {
        let serves = matches!(self.state, MasterState::Booting | MasterState::Serving);
        serves && self.pool.roster().ready().any(|worker| !worker.is_doomed())
    }

    /// The state of the server as reports have it.
    fn state_word(&self) -> &'static str {
        match self.state {
            MasterState::Starting | MasterState::Binding { .. } | MasterState::Booting => {
                "starting"
            }
            MasterState::Serving if self.pool.size().workers() == 0 => "withdrawn",
            MasterState::Serving => "serving",
            MasterState::Delaying { .. } => "delaying",
            MasterState::Draining => "draining",
            MasterState::Stopping | MasterState::Stopped => "stopping",
        }
    }
}

/// The facts of workers and molds, by slot.
fn list<'a>(workers: impl Iterator<Item = &'a WorkerEntry>) -> Vec<WorkerFacts> {
    let facts = workers.map(|worker| WorkerFacts {
        worker: worker.id,
        slot: worker.slot(),
        generation: worker.generation,
        pid: worker.pid,
        state: state_word(worker),
        spawned: worker.spawned,
        ready_since: worker.ready_since,
    });
    let mut facts: Vec<_> = facts.collect();
    facts.sort_by_key(|it| (it.slot, it.generation, it.pid));
    facts
}
