//! The atomic words of the table, so that a model checker can replace them: its tests try
//! every order of the steps of several processes.

use std::sync::atomic::{AtomicU64, Ordering};

/// One word that several processes change.
pub(super) trait TableWord {
    fn read(&self) -> u64;
    /// Changes `old` to `new`. Returns whether it was `old`.
    fn replace(&self, old: u64, new: u64) -> bool;
    /// Puts the changes before it ahead of the reads after it, for all processes.
    fn fence();
}

impl TableWord for AtomicU64 {
    fn read(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn replace(&self, old: u64, new: u64) -> bool {
        self.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn fence() {
        std::sync::atomic::fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
impl TableWord for loom::sync::atomic::AtomicU64 {
    fn read(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn replace(&self, old: u64, new: u64) -> bool {
        self.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn fence() {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
}
