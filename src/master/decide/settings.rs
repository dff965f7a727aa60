//! The settings that the decisions of the master depend on.

use std::time::{Duration, Instant};

/// The maximum time that a worker drains while its successor waits for its end.
const OLD_END_TIME: Duration = Duration::from_secs(3);

/// The settings of the table that the master itself uses. A limit of zero is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MasterSettings {
    /// Number of workers.
    pub(crate) workers: u16,
    /// How far a rollout may go from the number of workers.
    pub(crate) limits: RolloutLimits,
    /// Time that a new worker must have been ready before it counts as available.
    pub(crate) min_ready: Duration,
    /// Maximum time without progress of a rollout.
    pub(crate) progress_deadline: Duration,
    /// Maximum time of a request, and of silence of a worker.
    pub(crate) timeout: Duration,
    /// Time of a request after which its stacks are logged.
    pub(crate) slow_request: Duration,
    /// Maximum time that a worker drains.
    pub(crate) graceful_timeout: Duration,
    /// Time that the server goes on to serve after SIGTERM.
    pub(crate) shutdown_delay: Duration,
    /// Maximum time from the start of a worker until it is ready.
    pub(crate) boot_timeout: Duration,
    /// Maximum time from the start of a successor until it serves.
    pub(crate) upgrade_timeout: Duration,
    /// Time after which a program that does not notify counts as ready; `None` for workers
    /// that notify.
    pub(crate) ready_after: Option<Duration>,
    /// Workers are forked from a mold that has loaded the application.
    pub(crate) preload: bool,
    /// Molds run a configuration file in Python and its hooks, so workers are forked from a mold
    /// also without `preload`.
    pub(crate) has_file: bool,
    /// A change of a file is a reload, and workers show why one has failed.
    pub(crate) reload: bool,
    /// When workers are replaced although nothing is wrong.
    pub(crate) recycling: RecyclingLimits,
}

/// For how long a request may run. Zero is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimeLimits {
    /// Until its client is answered without the application.
    pub(crate) timeout: Duration,
    /// Until its stacks are logged.
    pub(crate) slow_request: Duration,
}

impl MasterSettings {
    /// How the workers come into being.
    pub(crate) fn fork_source(&self) -> ForkSource {
        match (self.preload, self.has_file) {
            (true, _) => ForkSource::GenerationMold,
            (false, true) => ForkSource::ServerMold,
            (false, false) => ForkSource::Executed,
        }
    }

    /// Whether an old worker may end before a new one starts although no setting asks for that:
    /// where changes of files reload, and one worker serves.
    pub(crate) fn can_end_old_first(&self) -> bool {
        self.reload && self.workers == 1
    }

    /// Has the old worker end before a new one starts, and soon: new requests wait, and what is
    /// open may never end by itself, such as a request in a debugger.
    pub(crate) fn end_old_first(&mut self) {
        self.limits = RolloutLimits::OLD_END_FIRST;
        if self.graceful_timeout.is_zero() || self.graceful_timeout > OLD_END_TIME {
            self.graceful_timeout = OLD_END_TIME;
        }
    }

    /// For how long a request may run.
    pub(crate) fn time_limits(&self) -> TimeLimits {
        let Self { timeout, slow_request, .. } = *self;
        TimeLimits { timeout, slow_request }
    }
}

/// How the workers of a generation come into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForkSource {
    /// Each is executed.
    Executed,
    /// A mold of their generation, which has loaded the application, forks them.
    GenerationMold,
    /// The server's mold forks them. It has no application, and outlives generations.
    ServerMold,
}

/// When workers are replaced although nothing is wrong. Zero disables a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecyclingLimits {
    /// Requests after which a worker is replaced.
    pub(crate) requests: u32,
    /// Random addition to `requests`, at most this many.
    pub(crate) requests_jitter: u32,
    /// Lifetime after which a worker is replaced.
    pub(crate) lifetime: Duration,
    /// Random addition to `lifetime`, at most this long.
    pub(crate) lifetime_jitter: Duration,
    /// Memory in bytes beyond which a worker is replaced.
    pub(crate) memory: u64,
}

/// How far a rollout may go from the number of workers that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RolloutLimits {
    /// Maximum number of live workers beyond the wanted number. Workers that drain do not
    /// count.
    pub(crate) max_surge: u16,
    /// Maximum number of workers that may be unavailable.
    pub(crate) max_unavailable: u16,
}

impl RolloutLimits {
    /// All old workers end before a new one starts.
    const OLD_END_FIRST: Self = Self { max_surge: 0, max_unavailable: u16::MAX };

    /// The surge that is used: without any room in either direction no rollout could
    /// begin.
    pub(crate) fn surge(self) -> u16 {
        self.max_surge.max(u16::from(self.max_unavailable == 0))
    }
}

impl Default for RolloutLimits {
    fn default() -> Self {
        Self { max_surge: 1, max_unavailable: 0 }
    }
}

/// The deadline of a limit that begins now; a limit of zero has none.
pub(crate) fn deadline_after(limit: Duration, now: Instant) -> Option<Instant> {
    (!limit.is_zero()).then(|| now + limit)
}
