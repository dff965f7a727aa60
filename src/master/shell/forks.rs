//! The shell's part in making workers: starting them and molds, asking molds for
//! workers, and hearing their answers.

use std::collections::VecDeque;
use std::os::fd::AsRawFd;

use monoceros_sys::{process, reason};
use monoceros_wire::message::Start;
use monoceros_wire::{Generation, Slot};

use super::{Shell, prepare_logs};
use crate::master::mold::Unborn;
use crate::master::recipe::Recipe;
use crate::master::spawn::{spawn, spawn_mold};
use crate::master::state::{Event, Refusal, WorkerId};
use crate::master::upgrade::SuccessorProcess;

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
        let (fd, mold) = (unborn.descriptor().as_raw_fd(), *mold);
        self.listen(worker, fd);
        self.forks.ask(mold, worker, unborn);
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

    /// What a worker that a mold was asked for says of itself: that it is there.
    pub(super) fn hear_unborn(&mut self, worker: WorkerId) -> Option<Event> {
        let heard = self.forks.get(worker)?.hear()?;
        let unborn = self.forks.withdraw(worker)?;
        let successor = self.successor.as_ref().map(SuccessorProcess::pid);
        let known: Vec<_> = self.workers.values().map(|it| it.pid()).chain(successor).collect();
        Some(match heard.and_then(|pid| unborn.adopt(pid, &known)) {
            Ok(process) => {
                let pid = process.pid();
                self.workers.insert(worker, process);
                Event::Spawned { worker, pid }
            }
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

    /// Hears whether any worker that was asked for is there.
    pub(super) fn hear_all_unborn(&mut self, events: &mut VecDeque<Event>) {
        for worker in self.forks.workers() {
            events.extend(self.hear_unborn(worker));
        }
    }
}
