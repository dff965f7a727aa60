//! Giving memory back to the system after requests that took much.
//!
//! The C library keeps what was freed for the next allocation of its kind, up to
//! tens of mebibytes, once it has seen large ones (`M_MMAP_THRESHOLD`,
//! mallopt(3)). A few hundred clients with a large head would leave a worker with
//! as many times their size for good.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use monoceros_sys::memory;

/// From this size on, in bytes, memory that is freed makes giving back due.
const LARGE: usize = 64 * 1024;

/// How often memory is given back at most, in milliseconds.
const INTERVAL_MS: u64 = 1_000;

/// Large memory was freed since memory was last given back.
static IS_DUE: AtomicBool = AtomicBool::new(false);

/// No memory is given back before this time.
static NEXT_MS: AtomicU64 = AtomicU64::new(0);

/// Takes note that memory of this size is being freed.
pub(crate) fn note(size: usize) {
    if size >= LARGE {
        IS_DUE.store(true, Ordering::Relaxed);
    }
}

/// Gives memory back, if there was a large piece.
pub(crate) fn look(now_ms: u64) {
    if now_ms >= NEXT_MS.load(Ordering::Relaxed) && IS_DUE.swap(false, Ordering::Relaxed) {
        NEXT_MS.store(now_ms + INTERVAL_MS, Ordering::Relaxed);
        memory::trim();
    }
}
