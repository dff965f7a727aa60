//! How far a look at the file system goes.

/// Whether a call may wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// It must not: what the kernel does not have in memory fails with `WouldBlock`.
    Cached,
    /// It may.
    Waiting,
}

/// The time for which the result of a look is used, in milliseconds. A change is noticed within
/// two seconds: what was found below a directory can be this old, and what was found about the
/// directory as much again.
pub(crate) const FRESH_MS: u64 = 800;
