//! Who exists: the workers and molds by their ids, and the places that outlive
//! them. Knows nothing of processes, and decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use monoceros_wire::scoreboard::Losses;
use monoceros_wire::{Generation, Slot};

use crate::master::decide::id::WorkerId;
use crate::master::decide::rules::backoff::Backoff;
use crate::master::decide::rules::random::Random;

/// Every process that has been spawned and not yet been reaped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    workers: BTreeMap<WorkerId, WorkerEntry>,
    places: BTreeMap<Role, Backoff>,
    next: u64,
}

/// Where a process belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// It is a worker.
    WorkerEntry(Slot),
    /// It forks the workers of its generation, and serves nobody.
    Mold,
}

/// One worker, or mold.
#[derive(Clone, Debug)]
pub(crate) struct WorkerEntry {
    /// Its name for the master.
    pub(crate) id: WorkerId,
    /// Its place.
    pub(crate) role: Role,
    /// Whose settings and code it runs.
    pub(crate) generation: Generation,
    /// Its pid, for people to read; 0 until it is spawned.
    pub(crate) pid: i32,
    /// How far it has come.
    pub(crate) state: WorkerState,
    /// Whether it is to stay, while it serves.
    pub(crate) disposition: Disposition,
    /// What has been seen of it while it served.
    pub(crate) observed: Observations,
}

/// How far a worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerState {
    /// Not ready yet.
    Booting {
        /// When that has lasted too long.
        until: Option<Instant>,
        /// When it is taken for ready without having said so.
        ready_at: Option<Instant>,
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
        reason: LeaveReason,
    },
    /// Was sent SIGKILL, and is not reaped yet.
    Killed {
        /// Why it had to go.
        reason: LeaveReason,
    },
}

/// Why a worker goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaveReason {
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

/// Whether a worker that serves is to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// It is.
    Stays,
    /// It is to be replaced some time: it has served long enough.
    Due,
    /// It is being replaced.
    Going,
    /// It is being replaced because it hangs, and does not count as serving.
    Doomed,
}

/// What has been seen of a worker while it served.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observations {
    /// After so many requests it is due.
    pub(crate) most_requests: Option<u64>,
    /// At this time it is due.
    pub(crate) due_at: Option<Instant>,
    /// How many times in a row it had too much memory.
    pub(crate) heavy: u8,
    /// How many requests it had answered when it was last looked at.
    pub(crate) requests: u64,
    /// What it had given up by its own decision then.
    pub(crate) losses: Losses,
    /// The requests that were seen to take half of the timeout.
    pub(crate) slow: BTreeSet<u64>,
    /// The requests that were seen to take all of it.
    pub(crate) expired: BTreeSet<u64>,
    /// When it was asked where its threads are, unless something was made of
    /// that since.
    pub(crate) traced: Option<Instant>,
}

impl WorkerEntry {
    /// Its slot, if it is a worker.
    pub(crate) fn slot(&self) -> Option<Slot> {
        match self.role {
            Role::WorkerEntry(slot) => Some(slot),
            Role::Mold => None,
        }
    }

    /// Serves, or is about to.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, WorkerState::Booting { .. } | WorkerState::Ready { .. })
    }

    /// Has said that it can serve.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, WorkerState::Ready { .. })
    }

    /// Hangs, and is being replaced.
    pub(crate) fn is_doomed(&self) -> bool {
        self.disposition == Disposition::Doomed
    }

    /// Serves, and has done so for long enough to be relied on.
    pub(crate) fn is_available(&self, min_ready: Duration, now: Instant) -> bool {
        self.is_ready() && !self.is_doomed() && self.lived(now) >= min_ready
    }

    /// How long it has served.
    pub(crate) fn lived(&self, now: Instant) -> Duration {
        match self.state {
            WorkerState::Ready { since } => now.saturating_duration_since(since),
            WorkerState::Booting { .. }
            | WorkerState::Leaving { .. }
            | WorkerState::Killed { .. } => Duration::ZERO,
        }
    }

    /// When something has to be done about it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            WorkerState::Booting { until, ready_at } => {
                [until, ready_at].into_iter().flatten().min()
            }
            WorkerState::Leaving { until, .. } => Some(until),
            WorkerState::Ready { .. } | WorkerState::Killed { .. } => None,
        }
    }

    fn shift(&mut self, by: Duration) {
        match &mut self.state {
            WorkerState::Booting { until, ready_at } => {
                *until = until.map(|until| until + by);
                *ready_at = ready_at.map(|at| at + by);
            }
            WorkerState::Leaving { until, .. } => *until += by,
            WorkerState::Ready { .. } | WorkerState::Killed { .. } => {}
        }
    }
}

impl fmt::Display for WorkerEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self { role, generation, pid, .. } = self;
        match role {
            Role::WorkerEntry(slot) => write!(formatter, "worker={slot} gen={generation}")?,
            Role::Mold => write!(formatter, "mold gen={generation}")?,
        }
        if *pid > 0 { write!(formatter, " pid={pid}") } else { Ok(()) }
    }
}

impl Roster {
    /// Adds a process that is about to be spawned.
    pub(crate) fn add(
        &mut self,
        role: Role,
        generation: Generation,
        state: WorkerState,
    ) -> WorkerId {
        let id = WorkerId(self.next);
        self.next += 1;
        let (disposition, observed) = (Disposition::Stays, Observations::default());
        let worker = WorkerEntry { id, role, generation, pid: 0, state, disposition, observed };
        self.workers.insert(id, worker);
        id
    }

    /// The process of this id, unless it is gone.
    pub(crate) fn get(&self, id: WorkerId) -> Option<&WorkerEntry> {
        self.workers.get(&id)
    }

    /// As [`Roster::get`], to change it.
    pub(crate) fn get_mut(&mut self, id: WorkerId) -> Option<&mut WorkerEntry> {
        self.workers.get_mut(&id)
    }

    /// Takes out a process that is gone.
    pub(crate) fn remove(&mut self, id: WorkerId) -> Option<WorkerEntry> {
        self.workers.remove(&id)
    }

    /// Workers and molds, the oldest first.
    pub(crate) fn everyone(&self) -> impl Iterator<Item = &WorkerEntry> {
        self.workers.values()
    }

    /// All workers, the oldest first.
    pub(crate) fn workers(&self) -> impl Iterator<Item = &WorkerEntry> {
        self.everyone().filter(|worker| worker.slot().is_some())
    }

    /// Those that serve or are about to.
    pub(crate) fn live(&self) -> impl Iterator<Item = &WorkerEntry> {
        self.workers().filter(|worker| worker.is_live())
    }

    /// Those that serve.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &WorkerEntry> {
        self.workers().filter(|worker| worker.is_ready())
    }

    /// All molds, the oldest first.
    pub(crate) fn molds(&self) -> impl Iterator<Item = &WorkerEntry> {
        self.everyone().filter(|worker| worker.role == Role::Mold)
    }

    /// Nobody is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// Notes a failure in a place; returns how long it waits now.
    pub(crate) fn fail(
        &mut self,
        role: Role,
        lived: Duration,
        now: Instant,
        random: &mut Random,
    ) -> Duration {
        self.places.entry(role).or_default().fail(lived, now, random)
    }

    /// Notes an end in a place that is nobody's failure.
    pub(crate) fn pause(&mut self, role: Role, now: Instant) {
        self.places.entry(role).or_default().pause(now);
    }

    /// When a place may be spawned into, if that is to come.
    pub(crate) fn wait(&self, role: Role, now: Instant) -> Option<Instant> {
        self.places.get(&role).and_then(|backoff| backoff.wait(now))
    }

    /// Forgets all failures: there is new code to try.
    pub(crate) fn forget_failures(&mut self) {
        self.places.clear();
    }

    /// Moves every deadline by the time that the master slept.
    pub(crate) fn shift(&mut self, by: Duration) {
        self.workers.values_mut().for_each(|worker| worker.shift(by));
        self.places.values_mut().for_each(|backoff| backoff.shift(by));
    }

    /// The next deadline of anybody.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.everyone().filter_map(WorkerEntry::deadline).min()
    }
}
