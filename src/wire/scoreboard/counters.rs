//! The counters of a worker, in words that have one writer each.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The counts of a worker since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that the application has finished.
    pub requests: u64,
    /// Responses by class, 2xx to 5xx; those of the server itself are among them.
    pub answers: [u64; 4],
    /// Bytes of the bodies of the application's responses.
    pub bytes: u64,
    /// Requests that took longer than `timeout`.
    pub timeouts: u64,
}

/// The class of a status, counted from 2xx; `None` if it is in none.
pub(super) fn class_of(status: u16) -> Option<usize> {
    let class = usize::from(status / 100).checked_sub(2)?;
    (class < 4).then_some(class)
}

/// Adds to a word that has no other writer.
pub(super) fn add(word: &AtomicU64, count: u64) {
    word.store(word.load(Relaxed).wrapping_add(count), Relaxed);
}
