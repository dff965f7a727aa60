//! Whether this process ends at once, which every part may ask.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set when a thread ends the process.
static BEGUN: AtomicBool = AtomicBool::new(false);

/// Begins the end of this process. Returns false if another thread has begun it.
pub(crate) fn begin() -> bool {
    !BEGUN.swap(true, Ordering::SeqCst)
}

/// Whether this process ends at once.
pub(crate) fn has_begun() -> bool {
    BEGUN.load(Ordering::Relaxed)
}
