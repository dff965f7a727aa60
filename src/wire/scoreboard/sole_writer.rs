//! Changes of words that have one writer: a load and a store, without a locked instruction.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Adds to a word that has no other writer.
pub(super) fn add(word: &AtomicU64, count: u64) {
    word.store(word.load(Relaxed).wrapping_add(count), Relaxed);
}
