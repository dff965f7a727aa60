//! The settings that the decisions of the master depend on.

use std::time::Duration;

/// What the settings ask of the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MasterSettings {
    /// How many workers there are to be.
    pub(crate) workers: u16,
    /// What a rollout may do.
    pub(crate) limits: RolloutLimits,
    /// How long a new worker must have been ready before it counts.
    pub(crate) min_ready: Duration,
    /// How long a rollout may go without progress; zero is for ever.
    pub(crate) progress_deadline: Duration,
    /// How long a request may run, and a worker be silent; zero is for ever.
    pub(crate) timeout: Duration,
    /// How long a worker may drain.
    pub(crate) graceful_timeout: Duration,
    /// How long the server goes on to serve when it is asked to drain.
    pub(crate) shutdown_delay: Duration,
    /// How long a worker may take to get ready; zero is for ever.
    pub(crate) boot_timeout: Duration,
    /// How long a successor may take to serve.
    pub(crate) upgrade_timeout: Duration,
    /// A worker that says nothing is ready when it has lived for so long;
    /// `None` for workers that say it.
    pub(crate) ready_after: Option<Duration>,
    /// Workers are forked from a mold.
    pub(crate) preload: bool,
    /// When workers are replaced without need.
    pub(crate) recycling: Recycling,
}

/// When workers are replaced although nothing is wrong; zero is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recycling {
    /// After so many requests,
    pub(crate) requests: u32,
    /// and up to so many more.
    pub(crate) requests_jitter: u32,
    /// After so long,
    pub(crate) lifetime: Duration,
    /// and up to so much longer.
    pub(crate) lifetime_jitter: Duration,
    /// When they have more memory than this, in bytes.
    pub(crate) memory: u64,
}

/// How far a rollout may go from the number of workers that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RolloutLimits {
    /// So many more may live at a time (those that drain are not counted).
    pub(crate) max_surge: u16,
    /// So many fewer may be ready.
    pub(crate) max_unavailable: u16,
}

impl RolloutLimits {
    /// Without any room in either direction no rollout could begin.
    pub(crate) fn surge(self) -> u16 {
        self.max_surge.max(u16::from(self.max_unavailable == 0))
    }
}

impl Default for RolloutLimits {
    fn default() -> Self {
        Self { max_surge: 1, max_unavailable: 0 }
    }
}
