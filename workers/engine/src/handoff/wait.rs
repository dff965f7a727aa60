//! Why a wait ended, and locks that are never poisoned.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monoceros_sys::futex::Wake;

/// How often a waiting thread checks whether a signal was handled on it: one that
/// arrived just before the thread fell asleep has not woken it.
pub(crate) const SIGNALS: Duration = Duration::from_secs(1);

/// Why an application thread stopped waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// There may be a request.
    Look,
    /// A signal was handled on this thread, or may have been.
    Interrupted,
    /// The worker stops: no further request comes.
    Stop,
}

/// The meaning of the end of a sleep. A sleep has a time limit only for the check for
/// signals.
pub(crate) fn awoken(wake: Wake) -> Wait {
    match wake {
        Wake::Changed => Wait::Look,
        Wake::Interrupted | Wake::Elapsed => Wait::Interrupted,
    }
}

/// Locks data that no holder of the lock leaves half-changed by a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
