//! The identifiers that the master gives out. None is ever used a second time, unlike
//! pids and descriptors.

/// Names one worker process, or mold, for as long as the master runs: never used again,
/// unlike a pid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// Names one connection of an operator's command; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientId(pub(crate) u64);
