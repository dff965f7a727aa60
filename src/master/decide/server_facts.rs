//! What the decisions know of the server, for a report about it.

use std::time::Instant;

use monoceros_wire::{Generation, Slot};

use crate::master::decide::id::{ClientId, WorkerId};
use crate::master::decide::tally::TallySnapshot;

/// The facts for a report. What processes show is added by the event loop.
#[derive(Clone, Debug)]
pub(crate) struct ServerFacts {
    /// The state of the master, as a word.
    pub(crate) state: &'static str,
    /// At least one worker serves, and the server is not about to end.
    pub(crate) is_ready: bool,
    /// The state in one line for people.
    pub(crate) summary: StatusWords,
    /// The application, as the last worker that became ready named it; empty before.
    pub(crate) app: String,
    /// The generation that serves.
    pub(crate) generation: Generation,
    /// The wanted number of workers.
    pub(crate) wanted: u16,
    /// The generation that replaces it.
    pub(crate) rolling_to: Option<Generation>,
    /// A successor gets ready.
    pub(crate) is_upgrading: bool,
    /// Every worker and mold.
    pub(crate) workers: Vec<WorkerFacts>,
    /// What was counted.
    pub(crate) tally: TallySnapshot,
    /// What the operator should correct.
    pub(crate) concerns: Vec<String>,
}

/// The state in one line for people, without what is read from scoreboards.
#[derive(Clone, Debug)]
pub(crate) struct StatusWords {
    /// Such as `gen=2: 4 of 4 workers ready`.
    pub(crate) head: String,
    /// What is under way, and what has failed.
    pub(crate) notes: String,
}

impl StatusWords {
    /// The line with these figures: requests that run, and those that were answered.
    pub(crate) fn with_figures(&self, running: u64, answered: u64) -> String {
        let Self { head, notes } = self;
        format!("{head}, {running} requests running, {answered} answered{notes}")
    }
}

/// The facts of a worker or a mold.
#[derive(Clone, Debug)]
pub(crate) struct WorkerFacts {
    /// Its identifier.
    pub(crate) worker: WorkerId,
    /// Its slot; a mold has none.
    pub(crate) slot: Option<Slot>,
    /// Its generation.
    pub(crate) generation: Generation,
    /// Its pid; 0 until there is a process.
    pub(crate) pid: i32,
    /// Its state, as a word.
    pub(crate) state: &'static str,
    /// When its process was started.
    pub(crate) spawned: Option<Instant>,
    /// When it became ready.
    pub(crate) ready_since: Option<Instant>,
}

/// The receiver of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportReader {
    /// A command on the control socket; instead of the report with `recent`, it gets the
    /// requests that run and the last ones.
    Command {
        /// The client.
        client: ClientId,
        /// It has asked for requests.
        recent: bool,
    },
}
