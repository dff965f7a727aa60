//! Owns the run of the configuration file in Python that a reload waits for. Called by the
//! master only.

use std::time::{Duration, Instant};

use monoceros_wire::Generation;

use crate::master::decide::hooks::HookLimit;
use crate::master::decide::id::WorkerId;

/// The run that is under way, if there is one.
#[derive(Debug, Default)]
pub(crate) struct ConfigRuns {
    run: Option<ConfigRun>,
}

/// A mold runs the configuration file for a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigRun {
    /// The generation that the settings are for.
    pub(crate) generation: Generation,
    /// The mold.
    pub(crate) mold: WorkerId,
    /// The mold was started for this.
    pub(crate) is_new: bool,
    /// The file, as the user named it.
    pub(crate) name: String,
    /// The longest time that it may take.
    pub(crate) limit: HookLimit,
    /// When it must have ended.
    pub(crate) until: Option<Instant>,
}

impl ConfigRuns {
    /// A mold begins to run the file.
    pub(crate) fn begin(&mut self, run: ConfigRun) {
        self.run = Some(run);
    }

    /// The mold that runs the file.
    pub(crate) fn mold(&self) -> Option<WorkerId> {
        self.run.as_ref().map(|run| run.mold)
    }

    /// The run of this mold.
    pub(crate) fn of(&self, mold: WorkerId) -> Option<&ConfigRun> {
        self.run.as_ref().filter(|run| run.mold == mold)
    }

    /// Takes the run out, if it is for this generation: its result is known.
    pub(crate) fn take(&mut self, generation: Generation) -> Option<ConfigRun> {
        self.run.take_if(|run| run.generation == generation)
    }

    /// Takes the run out, if it is that of this mold.
    pub(crate) fn take_of(&mut self, mold: WorkerId) -> Option<ConfigRun> {
        self.run.take_if(|run| run.mold == mold)
    }

    /// Takes the run out, if its time is over.
    pub(crate) fn take_overdue(&mut self, now: Instant) -> Option<ConfigRun> {
        self.run.take_if(|run| run.until.is_some_and(|at| at <= now))
    }

    /// No reload waits for it any more.
    pub(crate) fn cancel(&mut self) {
        self.run = None;
    }

    /// When it must have ended.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.run.as_ref().and_then(|run| run.until)
    }

    /// Moves that time by a suspend of the master.
    pub(crate) fn shift(&mut self, by: Duration) {
        if let Some(run) = &mut self.run {
            run.until = run.until.map(|at| at + by);
        }
    }
}
