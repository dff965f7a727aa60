//! Owns the entry of every worker and mold that exists, and the backoff of every slot,
//! which outlives the processes in it. Decides nothing. The parts of the master read it;
//! `pool.rs`, `lifecycle.rs`, `recycling.rs` and `monitoring.rs` change entries.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use monoceros_wire::scoreboard::Losses;
use monoceros_wire::{Generation, Slot};

use crate::master::decide::id::WorkerId;
use crate::master::decide::rules::backoff::Backoff;
use crate::master::decide::rules::random::Random;

/// Every process that was spawned and is not reaped yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    workers: BTreeMap<WorkerId, WorkerEntry>,
    backoffs: BTreeMap<Role, Backoff>,
    next: u64,
    /// For the random part of backoffs.
    random: Random,
    /// The application, as the last worker that became ready named it.
    app: String,
}

/// The role of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// It serves clients, in this slot.
    Worker(Slot),
    /// It forks the workers of its generation, and serves no client.
    Mold,
    /// It forks the workers of all generations that have no mold of their own.
    ServerMold,
}

/// One worker or mold.
#[derive(Clone, Debug)]
pub(crate) struct WorkerEntry {
    /// Its identifier.
    pub(crate) id: WorkerId,
    /// Its role.
    pub(crate) role: Role,
    /// The generation whose settings and code it runs.
    pub(crate) generation: Generation,
    /// Its pid, for log lines; 0 until it is spawned.
    pub(crate) pid: i32,
    /// When its process was started.
    pub(crate) spawned: Option<Instant>,
    /// When it became ready.
    pub(crate) ready_since: Option<Instant>,
    /// The mold that forks it; `None` for a process that the master executes.
    pub(crate) mold: Option<WorkerId>,
    /// It is a mold that runs the configuration file in Python, and its hooks.
    pub(crate) has_file: bool,
    /// Its state.
    pub(crate) state: WorkerState,
    /// Whether it stays, while it serves.
    pub(crate) disposition: Disposition,
    /// Why it was retired, if the plan has retired it.
    pub(crate) retirement: Option<Retirement>,
    /// What samples have shown while it served.
    pub(crate) observed: Observations,
}

/// The state of a worker or a mold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerState {
    /// Not ready yet.
    Booting {
        /// When it must be ready.
        until: Option<Instant>,
        /// When it counts as ready although it has not notified.
        ready_at: Option<Instant>,
    },
    /// It serves; a mold forks.
    Ready {
        /// Since when.
        since: Instant,
    },
    /// It was asked to end, or reported that it cannot serve.
    Leaving {
        /// When it is killed.
        until: Instant,
        /// Why it ends.
        reason: LeaveReason,
    },
    /// It was sent SIGKILL, and is not reaped yet.
    Killed {
        /// Why it ends.
        reason: LeaveReason,
    },
}

/// Why a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaveReason {
    /// Another worker has replaced it, or its slot is gone.
    Retired,
    /// The server stops.
    Stopped,
    /// It reported that it cannot serve.
    Failed,
    /// It was not ready in time.
    Late,
    /// It hung: its event loop or its application threads did not go on.
    Hung,
}

/// Why the plan has retired a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retirement {
    /// It was recycled.
    Recycled(RecycleCause),
    /// A request has run for longer than `timeout`.
    TimedOut,
    /// A generation replaces another one.
    Reload,
    /// The server is to have fewer workers.
    FewerWorkers,
}

/// Why a worker is recycled although nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecycleCause {
    /// It has responded to as many requests as it was allotted.
    Requests,
    /// It has lived for as long as it was allotted.
    Lifetime,
    /// It has had more memory than allowed for some time.
    Memory,
    /// An operator has asked for it.
    Operator,
    /// The application, or a hook, has asked for it.
    Application,
}

/// Whether a worker that serves stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// It stays.
    Stays,
    /// It is to be recycled when its turn comes.
    Due,
    /// It is being replaced.
    Going,
    /// It is being replaced because it hangs, and does not count as serving.
    Doomed,
}

/// What samples have shown of a worker while it served.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observations {
    /// Requests after which it is due.
    pub(crate) most_requests: Option<u64>,
    /// When it is due.
    pub(crate) due_at: Option<Instant>,
    /// Why it is to be recycled, if it is.
    pub(crate) due: Option<RecycleCause>,
    /// How many samples in a row have shown too much memory.
    pub(crate) heavy: u8,
    /// Requests that it had responded to at the last sample.
    pub(crate) requests: u64,
    /// What it had given up by its own decision at the last sample.
    pub(crate) losses: Losses,
    /// Requests that were logged as slow.
    pub(crate) slow: BTreeSet<u64>,
    /// Requests that have run for longer than `slow-request`, and were reported or left out.
    pub(crate) lasting: BTreeSet<u64>,
    /// Requests that have taken all of `timeout`.
    pub(crate) expired: BTreeSet<u64>,
    /// When it was asked for its stacks, until the finding they belong to is acted on.
    pub(crate) traced: Option<Instant>,
}

impl WorkerEntry {
    /// Its slot; a mold has none.
    pub(crate) fn slot(&self) -> Option<Slot> {
        match self.role {
            Role::Worker(slot) => Some(slot),
            Role::Mold | Role::ServerMold => None,
        }
    }

    /// It serves, or boots.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, WorkerState::Booting { .. } | WorkerState::Ready { .. })
    }

    /// It is ready.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, WorkerState::Ready { .. })
    }

    /// It hangs, and is being replaced.
    pub(crate) fn is_doomed(&self) -> bool {
        self.disposition == Disposition::Doomed
    }

    /// It has been ready for long enough to count as available.
    pub(crate) fn is_available(&self, min_ready: Duration, now: Instant) -> bool {
        self.is_ready() && !self.is_doomed() && self.lived(now) >= min_ready
    }

    /// For how long it has served.
    pub(crate) fn lived(&self, now: Instant) -> Duration {
        match self.state {
            WorkerState::Ready { since } => now.saturating_duration_since(since),
            WorkerState::Booting { .. }
            | WorkerState::Leaving { .. }
            | WorkerState::Killed { .. } => Duration::ZERO,
        }
    }

    /// When the master must act on it.
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
            Role::Worker(slot) => write!(formatter, "worker={slot} gen={generation}")?,
            Role::Mold => write!(formatter, "mold gen={generation}")?,
            Role::ServerMold => write!(formatter, "mold")?,
        }
        if *pid > 0 { write!(formatter, " pid={pid}") } else { Ok(()) }
    }
}

impl Roster {
    /// Without any process; `seed` is for the random part of backoffs.
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random(seed), ..Self::default() }
    }

    /// With so many workers of the first generation, which are ready since this moment.
    #[cfg(test)]
    pub(crate) fn of_ready(workers: u16, since: Instant) -> Self {
        let mut roster = Self::default();
        for slot in 0..workers {
            roster.add(Role::Worker(Slot(slot)), Generation(1), WorkerState::Ready { since });
        }
        roster
    }

    /// The application, as the last worker that became ready named it.
    pub(crate) fn app(&self) -> &str {
        &self.app
    }

    /// A worker has become ready that serves this application.
    pub(crate) fn set_app(&mut self, app: String) {
        self.app = app;
    }

    /// Adds a process that is to be spawned.
    pub(crate) fn add(
        &mut self,
        role: Role,
        generation: Generation,
        state: WorkerState,
    ) -> WorkerId {
        let id = WorkerId(self.next);
        self.next += 1;
        let (disposition, observed) = (Disposition::Stays, Observations::default());
        let worker = WorkerEntry {
            id,
            role,
            generation,
            pid: 0,
            spawned: None,
            ready_since: None,
            mold: None,
            has_file: false,
            state,
            disposition,
            retirement: None,
            observed,
        };
        self.workers.insert(id, worker);
        id
    }

    /// The process with this identifier, unless it was removed.
    pub(crate) fn get(&self, id: WorkerId) -> Option<&WorkerEntry> {
        self.workers.get(&id)
    }

    /// As [`Roster::get`], to change it.
    pub(crate) fn get_mut(&mut self, id: WorkerId) -> Option<&mut WorkerEntry> {
        self.workers.get_mut(&id)
    }

    /// Removes a process that has ended.
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

    /// Workers that serve or boot.
    pub(crate) fn live(&self) -> impl Iterator<Item = &WorkerEntry> {
        self.workers().filter(|worker| worker.is_live())
    }

    /// Workers that are ready.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &WorkerEntry> {
        self.workers().filter(|worker| worker.is_ready())
    }

    /// All molds, the oldest first.
    pub(crate) fn molds(&self) -> impl Iterator<Item = &WorkerEntry> {
        self.everyone().filter(|worker| worker.slot().is_none())
    }

    /// No process is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// Notes a failure in a slot; returns how long the next spawn waits.
    pub(crate) fn fail(&mut self, role: Role, lived: Duration, now: Instant) -> Duration {
        self.backoffs.entry(role).or_default().fail(lived, now, &mut self.random)
    }

    /// Notes an end that is no failure; the next spawn waits for a moment.
    pub(crate) fn pause(&mut self, role: Role, now: Instant) {
        self.backoffs.entry(role).or_default().pause(now);
    }

    /// When the next spawn may happen, if it has to wait.
    pub(crate) fn wait(&self, role: Role, now: Instant) -> Option<Instant> {
        self.backoffs.get(&role).and_then(|backoff| backoff.wait(now))
    }

    /// Forgets all failures: there is new code to try.
    pub(crate) fn forget_failures(&mut self) {
        self.backoffs.clear();
    }

    /// Moves every deadline by a suspend of the master.
    pub(crate) fn shift(&mut self, by: Duration) {
        self.workers.values_mut().for_each(|worker| worker.shift(by));
        self.backoffs.values_mut().for_each(|backoff| backoff.shift(by));
    }

    /// The next deadline of any process.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.everyone().filter_map(WorkerEntry::deadline).min()
    }
}
