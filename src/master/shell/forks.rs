//! The shell's part in making workers: starting them and molds, asking molds for
//! workers, and hearing their answers.

use std::collections::VecDeque;

use monoceros_sys::{process, reason};
use monoceros_wire::message::Start;
use monoceros_wire::{Generation, Slot};

use super::{Shell, prepare_logs};
use crate::master::mold::{Unborn, discard};
use crate::master::recipe::Recipe;
use crate::master::spawn::{spawn, spawn_mold};
use crate::master::state::{Event, Refusal, WorkerId};

impl Shell {
    /// Starts a worker, or asks the mold for one, which answers later.
    pub(super) fn spawn(
        &mut self,
        worker: WorkerId,
        slot: Slot,
        generation: Generation,
        workers: u16,
    ) -> Result<Option<Event>, Refusal> {
        let recipe = self.find_recipe(generation)?;
        prepare_logs(recipe);
        let (app, settings) = (recipe.app.clone(), recipe.pairs.clone());
        let start = Start { slot, generation, workers, app, settings };
        if recipe.settings.preload {
            self.ask_mold(worker, start)?;
            return Ok(None);
        }
        spawn(recipe, start).map(|process| Some(self.keep(worker, process)))
    }

    /// Starts a mold, and takes the orphans that it will make.
    pub(super) fn spawn_mold(&mut self, worker: WorkerId, generation: Generation) -> Event {
        let spawned = self.find_recipe(generation).map_err(Refusal::from).and_then(|recipe| {
            prepare_logs(recipe);
            process::adopt_orphans()
                .map_err(|error| format!("cannot take over orphans: {}", reason(&error)))?;
            spawn_mold(recipe, generation)
        });
        match spawned {
            Ok(process) => self.keep(worker, process),
            Err(refusal) => Event::SpawnFailed { worker, refusal },
        }
    }

    /// Asks the generation's mold for a worker; the answer comes later.
    fn ask_mold(&mut self, worker: WorkerId, start: Start) -> Result<(), String> {
        let generation = start.generation;
        let recipe = self.find_recipe(generation)?;
        let mut molds = self.workers.iter().rev();
        let mold = molds.find(|(_, it)| it.is_mold() && it.generation == generation);
        let (mold, process) = mold.ok_or("its mold is gone")?;
        let unborn = Unborn::ask(process, recipe, worker, start)?;
        self.forks.ask(*mold, worker, unborn);
        Ok(())
    }

    fn find_recipe(&self, generation: Generation) -> Result<&Recipe, String> {
        let recipe = self.recipes.get(&generation);
        recipe.ok_or_else(|| format!("the settings of gen={generation} are gone"))
    }

    /// A worker that is still to come has to go already.
    pub(super) fn withdraw(&mut self, worker: WorkerId) -> Option<Event> {
        self.forks.withdraw(worker)?;
        Some(Event::SpawnFailed { worker, refusal: "it is not wanted any more".into() })
    }

    /// A mold has forked a worker: whoever asked for it gets it.
    pub(super) fn note_forked(
        &mut self,
        mold: WorkerId,
        worker: WorkerId,
        pid: i32,
    ) -> Option<Event> {
        let Some(unborn) = self.forks.answer(mold, worker) else {
            discard(pid);
            return None;
        };
        Some(match unborn.adopt(pid) {
            Ok(process) => self.keep(worker, process),
            Err(text) => Event::SpawnFailed { worker, refusal: text.into() },
        })
    }

    /// A mold could not fork a worker.
    pub(super) fn note_not_forked(
        &mut self,
        mold: WorkerId,
        worker: WorkerId,
        refusal: Refusal,
    ) -> Option<Event> {
        self.forks.answer(mold, worker).map(|_| Event::SpawnFailed { worker, refusal })
    }

    /// Nobody will answer what this process was asked, if it was a mold.
    pub(super) fn note_end_of_mold(&mut self, mold: WorkerId, events: &mut VecDeque<Event>) {
        let failed = |worker| Event::SpawnFailed { worker, refusal: "its mold has ended".into() };
        events.extend(self.forks.orphan(mold).into_iter().map(failed));
    }

    pub(super) fn hear_molds(&mut self, events: &mut VecDeque<Event>) {
        let molds = self.workers.iter().filter(|(_, process)| process.is_mold());
        for mold in molds.map(|(worker, _)| *worker).collect::<Vec<_>>() {
            self.hear_worker(mold, events);
        }
    }
}
