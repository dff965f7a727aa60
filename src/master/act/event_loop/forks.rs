//! The part of the event loop that makes workers: starts them and molds, asks molds for
//! workers, and reads the answers of molds.

use std::collections::VecDeque;
use std::os::fd::AsRawFd;

use monoceros_sys::{process, reason};
use monoceros_wire::message::Start;
use monoceros_wire::{Generation, Slot};

use super::{MasterLoop, prepare_logs};
use crate::master::act::pending_fork::PendingFork;
use crate::master::act::upgrade::SuccessorProcess;
use crate::master::act::worker_process::{spawn, spawn_mold};
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::decide::event::{MasterEvent, SpawnError};
use crate::master::decide::id::WorkerId;

impl MasterLoop {
    /// Starts a worker, or asks the mold of its generation to fork one; then the event
    /// comes later.
    pub(super) fn spawn(
        &mut self,
        worker: WorkerId,
        slot: Slot,
        generation: Generation,
        workers: u16,
    ) -> Result<Option<MasterEvent>, SpawnError> {
        let spec = self.find_spec(generation)?;
        prepare_logs(spec);
        let (app, settings) = (spec.app.clone(), spec.pairs.clone());
        let listeners = spec.descriptions().collect();
        let start = Start { slot, generation, workers, app, settings, listeners };
        if spec.settings.preload {
            self.ask_mold(worker, start)?;
            return Ok(None);
        }
        spawn(spec, start).map(|process| Some(self.keep(worker, process)))
    }

    /// Starts a mold. The master adopts the orphans that the mold makes.
    pub(super) fn spawn_mold(&mut self, worker: WorkerId, generation: Generation) -> MasterEvent {
        let spawned = self.find_spec(generation).map_err(SpawnError::from).and_then(|spec| {
            prepare_logs(spec);
            process::adopt_orphans()
                .map_err(|error| format!("cannot take over orphans: {}", reason(&error)))?;
            spawn_mold(spec, generation)
        });
        match spawned {
            Ok(process) => self.keep(worker, process),
            Err(error) => MasterEvent::SpawnFailed { worker, error },
        }
    }

    /// Asks the mold of the generation to fork a worker. The event comes later.
    fn ask_mold(&mut self, worker: WorkerId, start: Start) -> Result<(), String> {
        let generation = start.generation;
        let spec = self.find_spec(generation)?;
        let mut molds = self.workers.iter().rev();
        let mold = molds.find(|(_, it)| it.is_mold() && it.generation == generation);
        let (mold, process) = mold.ok_or("its mold is gone")?;
        let pending = PendingFork::ask(process, spec, worker, start)?;
        let (fd, mold) = (pending.descriptor().as_raw_fd(), *mold);
        self.watch(worker, fd);
        self.forks.ask(mold, worker, pending);
        Ok(())
    }

    fn find_spec(&self, generation: Generation) -> Result<&WorkerSpec, String> {
        let spec = self.specs.get(&generation);
        spec.ok_or_else(|| format!("the settings of gen={generation} are gone"))
    }

    /// A worker that is not forked yet is no longer wanted.
    pub(super) fn withdraw(&mut self, worker: WorkerId) -> Option<MasterEvent> {
        self.forks.withdraw(worker)?;
        Some(MasterEvent::SpawnFailed { worker, error: "it is not wanted any more".into() })
    }

    /// Reads whether a worker that a mold was asked for exists.
    pub(super) fn read_pending_fork(&mut self, worker: WorkerId) -> Option<MasterEvent> {
        let heard = self.forks.get(worker)?.read()?;
        let pending = self.forks.withdraw(worker)?;
        let successor = self.successor.as_ref().map(SuccessorProcess::pid);
        let known: Vec<_> = self.workers.values().map(|it| it.pid()).chain(successor).collect();
        Some(match heard.and_then(|pid| pending.adopt(pid, &known)) {
            Ok(process) => {
                let pid = process.pid();
                self.workers.insert(worker, process);
                MasterEvent::Spawned { worker, pid }
            }
            Err(text) => MasterEvent::SpawnFailed { worker, error: text.into() },
        })
    }

    /// A mold could not fork a worker.
    pub(super) fn note_not_forked(
        &mut self,
        mold: WorkerId,
        worker: WorkerId,
        error: SpawnError,
    ) -> Option<MasterEvent> {
        self.forks.answer(mold, worker).map(|_| MasterEvent::SpawnFailed { worker, error })
    }

    /// The forks that a mold was asked for fail when it has ended.
    pub(super) fn fail_forks_of(&mut self, mold: WorkerId, events: &mut VecDeque<MasterEvent>) {
        let failed =
            |worker| MasterEvent::SpawnFailed { worker, error: "its mold has ended".into() };
        events.extend(self.forks.orphan(mold).into_iter().map(failed));
    }

    /// Reads whether any of the workers that molds were asked for exists.
    pub(super) fn read_all_pending_forks(&mut self, events: &mut VecDeque<MasterEvent>) {
        for worker in self.forks.workers() {
            events.extend(self.read_pending_fork(worker));
        }
    }
}
