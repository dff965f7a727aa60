//! Owns the scoreboards of workers that a predecessor has started and that still drain, so that
//! what they count until their end is not lost. They are no children of this master: a pidfd
//! reports the end of each (`pidfd_open(2)`). Called by the event loop only.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use monoceros_sys::process::Process;
use monoceros_sys::reason;
use monoceros_wire::report::Totals;
use monoceros_wire::scoreboard::Scoreboard;
use monoceros_wire::{Generation, Slot};
use serde::{Deserialize, Serialize};

use crate::master::act::poller::{PollSource, Poller};
use crate::master::decide::event::MasterEvent;

/// What a successor is sent about a worker, beside the descriptors of its scoreboard and its
/// process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct FormerRecord {
    /// Its slot.
    pub(crate) slot: Slot,
    /// Its generation.
    pub(crate) generation: Generation,
    /// Its pid.
    pub(crate) pid: i32,
    /// The addresses of its listeners, in its order.
    pub(crate) listeners: Vec<String>,
    /// What it has counted so far. A successor of a release with another scoreboard cannot read
    /// what it counts later.
    pub(crate) counts: Totals,
}

/// A worker that is passed on: its record, its scoreboard and its process.
#[derive(Debug)]
pub(crate) struct PassedWorker<Fd> {
    /// Its slot, generation and counts.
    pub(crate) record: FormerRecord,
    /// Its scoreboard.
    pub(crate) board: Fd,
    /// Its process (`pidfd_open(2)`).
    pub(crate) process: Fd,
}

/// The workers of predecessors.
#[derive(Default)]
pub(crate) struct FormerWorkers {
    workers: BTreeMap<u16, FormerWorker>,
    next: u16,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct FormerWorker {
    /// Its slot, generation and counts.
    pub(crate) record: FormerRecord,
    /// Requests that it had responded to when it was passed on.
    pub(crate) passed: u64,
    /// Its scoreboard; `None` if its layout is another one.
    pub(crate) board: Option<Scoreboard>,
    memory: OwnedFd,
    process: Process,
}

impl FormerWorker {
    fn new(passed: PassedWorker<OwnedFd>) -> std::io::Result<Self> {
        let PassedWorker { record, board, process } = passed;
        let memory = board.try_clone()?;
        let board = Scoreboard::map(board).inspect_err(|error| {
            let pid = record.pid;
            log::warn!("what pid {pid} counts from now on is not known: {}", reason(error));
        });
        let process = Process::of_pidfd(record.pid, process);
        let passed = record.counts.duration.count();
        Ok(Self { record, passed, board: board.ok(), memory, process })
    }

    /// What it has counted.
    pub(crate) fn counts(&self) -> Totals {
        let listeners = &self.record.listeners;
        let counts = self.board.as_ref().map(|board| Totals::of_board(board, listeners));
        counts.unwrap_or_else(|| self.record.counts.clone())
    }
}

impl FormerWorkers {
    /// Takes over the scoreboards of workers.
    pub(crate) fn take_over(&mut self, passed: Vec<PassedWorker<OwnedFd>>, poller: &Poller) {
        for worker in passed {
            let pid = worker.record.pid;
            let number = self.next;
            self.next = self.next.wrapping_add(1);
            let known = FormerWorker::new(worker).and_then(|worker| {
                poller.register(worker.process.as_fd(), PollSource::FormerWorker(number))?;
                Ok(worker)
            });
            match known {
                Ok(worker) => drop(self.workers.insert(number, worker)),
                Err(error) => {
                    log::error!("what pid {pid} counts is not known: {}", reason(&error));
                }
            }
        }
    }

    /// A worker has ended: returns what it has counted.
    pub(crate) fn note_end(&mut self, number: u16, poller: &Poller) -> Option<MasterEvent> {
        let worker = self.workers.remove(&number)?;
        poller.deregister(worker.process.as_fd());
        let counts = Box::new(worker.counts());
        Some(MasterEvent::FormerWorkerEnded { counts, draining: worker.passed })
    }

    /// All that have not ended.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &FormerWorker> {
        self.workers.values()
    }

    /// What the next successor is sent about them.
    pub(crate) fn passed(&self) -> impl Iterator<Item = PassedWorker<BorrowedFd<'_>>> {
        self.workers.values().map(|worker| PassedWorker {
            record: FormerRecord { counts: worker.counts(), ..worker.record.clone() },
            board: worker.memory.as_fd(),
            process: worker.process.as_fd(),
        })
    }
}
