//! Returning memory to the system after requests that needed much.
//!
//! The C library keeps freed memory for the next allocation of its kind, up to tens of
//! mebibytes, once it has seen large ones (`M_MMAP_THRESHOLD`, mallopt(3)). After a few
//! hundred clients with a large head, a worker would keep as many times their size
//! until its end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use monoceros_sys::memory;

/// The size, in bytes, from which freed memory is returned to the system.
const LARGE: usize = 64 * 1024;

/// How often memory is returned at most, in milliseconds.
const INTERVAL_MS: u64 = 1_000;

/// A large piece was freed since memory was last returned.
static IS_DUE: AtomicBool = AtomicBool::new(false);

/// No memory is returned before this time.
static NEXT_MS: AtomicU64 = AtomicU64::new(0);

/// Notes that memory of this size is being freed.
pub(crate) fn note(size: usize) {
    if size >= LARGE {
        IS_DUE.store(true, Ordering::Relaxed);
    }
}

/// Returns memory, if a large piece was freed.
pub(crate) fn look(now_ms: u64) {
    if now_ms >= NEXT_MS.load(Ordering::Relaxed) && IS_DUE.swap(false, Ordering::Relaxed) {
        NEXT_MS.store(now_ms + INTERVAL_MS, Ordering::Relaxed);
        memory::trim();
    }
}
