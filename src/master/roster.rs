//! Who exists: the workers by their ids, and the slots that outlive them.
//! Knows nothing of processes, and decides nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use monoceros_wire::{Generation, Slot};

use super::backoff::Backoff;
use super::state::WorkerId;

/// Every worker that has been spawned and not yet been reaped.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    workers: BTreeMap<WorkerId, Worker>,
    slots: BTreeMap<Slot, Backoff>,
    next: u64,
}

/// One worker.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    /// Its name for the master.
    pub(crate) id: WorkerId,
    /// Its place.
    pub(crate) slot: Slot,
    /// Whose settings and code it runs.
    pub(crate) generation: Generation,
    /// Its pid, for people to read; 0 until it is spawned.
    pub(crate) pid: i32,
    /// How far it has come.
    pub(crate) life: Life,
}

/// How far a worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Not ready yet.
    Booting {
        /// When that has lasted too long.
        until: Option<Instant>,
    },
    /// Serves.
    Ready {
        /// Since when.
        since: Instant,
    },
    /// Was asked to go, or said that it goes.
    Leaving {
        /// When it is killed.
        until: Instant,
        /// Why it goes.
        why: Why,
    },
    /// Was sent SIGKILL, and is not reaped yet.
    Killed {
        /// Why it had to go.
        why: Why,
    },
}

/// Why a worker goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Another one has taken its place, or its place is gone.
    Retired,
    /// The server stops.
    Stopped,
    /// It said that it cannot serve.
    Failed,
    /// It was not ready in time.
    Late,
    /// It was silent, or one of its requests ran, for too long.
    Hung,
}

impl Worker {
    /// Serves, or is about to.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.life, Life::Booting { .. } | Life::Ready { .. })
    }

    /// Serves.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.life, Life::Ready { .. })
    }

    /// How long it has served.
    pub(crate) fn lived(&self, now: Instant) -> Duration {
        match self.life {
            Life::Ready { since } => now.saturating_duration_since(since),
            Life::Booting { .. } | Life::Leaving { .. } | Life::Killed { .. } => Duration::ZERO,
        }
    }

    /// When something has to be done about it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.life {
            Life::Booting { until } => until,
            Life::Leaving { until, .. } => Some(until),
            Life::Ready { .. } | Life::Killed { .. } => None,
        }
    }

    fn shift(&mut self, by: Duration) {
        match &mut self.life {
            Life::Booting { until } => *until = until.map(|until| until + by),
            Life::Leaving { until, .. } => *until += by,
            Life::Ready { .. } | Life::Killed { .. } => {}
        }
    }
}

impl fmt::Display for Worker {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self { slot, generation, pid, .. } = self;
        write!(formatter, "worker={slot} gen={generation} pid={pid}")
    }
}

impl Roster {
    /// Adds a worker that is about to be spawned.
    pub(crate) fn add(
        &mut self,
        slot: Slot,
        generation: Generation,
        until: Option<Instant>,
    ) -> WorkerId {
        let id = WorkerId(self.next);
        self.next += 1;
        let worker = Worker { id, slot, generation, pid: 0, life: Life::Booting { until } };
        self.workers.insert(id, worker);
        id
    }

    /// The worker of this id, unless it is gone.
    pub(crate) fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id)
    }

    /// As [`Roster::get`], to change it.
    pub(crate) fn get_mut(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.workers.get_mut(&id)
    }

    /// Takes out a worker whose process is gone.
    pub(crate) fn remove(&mut self, id: WorkerId) -> Option<Worker> {
        self.workers.remove(&id)
    }

    /// All workers, the oldest first.
    pub(crate) fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values()
    }

    /// Those that serve or are about to.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Worker> {
        self.workers().filter(|worker| worker.is_live())
    }

    /// Those that serve.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &Worker> {
        self.workers().filter(|worker| worker.is_ready())
    }

    /// Nobody is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// The waits of a slot.
    pub(crate) fn backoff(&mut self, slot: Slot) -> &mut Backoff {
        self.slots.entry(slot).or_default()
    }

    /// When a slot may be spawned into, if that is to come.
    pub(crate) fn wait(&self, slot: Slot, now: Instant) -> Option<Instant> {
        self.slots.get(&slot).and_then(|backoff| backoff.wait(now))
    }

    /// Forgets all failures: there is new code to try.
    pub(crate) fn forget_failures(&mut self) {
        self.slots.clear();
    }

    /// Moves every deadline by the time that the master slept.
    pub(crate) fn shift(&mut self, by: Duration) {
        self.workers.values_mut().for_each(|worker| worker.shift(by));
        self.slots.values_mut().for_each(|backoff| backoff.shift(by));
    }

    /// The next deadline of any worker.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.workers().filter_map(Worker::deadline).min()
    }
}
