//! Why a wait ended, and locks that are never poisoned.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monoceros_sys::futex::Wake;

/// How often a thread that waits sees whether a signal was handled on it: one that
/// came just before it fell asleep has not woken it.
pub(crate) const SIGNALS: Duration = Duration::from_secs(1);

/// Why an application thread stopped waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// There may be a request.
    Look,
    /// A signal was handled on this thread, or may have been.
    Interrupted,
    /// The worker stops: nothing will come any more.
    Stop,
}

/// What the end of a sleep means: nothing else ends it by time.
pub(crate) fn awoken(wake: Wake) -> Wait {
    match wake {
        Wake::Changed => Wait::Look,
        Wake::Interrupted | Wake::Elapsed => Wait::Interrupted,
    }
}

/// Locks what no holder of the lock leaves half-changed by a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
