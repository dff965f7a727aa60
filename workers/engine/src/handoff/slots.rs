//! How many requests the application has, and when the end of a request must wake the
//! loop. Both sides count, by atomic addition.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The slots for requests.
#[derive(Debug)]
pub(crate) struct Slots {
    /// The most requests that may be with the application.
    capacity: u32,
    /// Requests that are queued or running.
    in_flight: AtomicU32,
    /// Requests that have ended; wraps.
    finished: AtomicU32,
    /// The loop must be woken when a slot becomes free.
    is_wanted: AtomicBool,
    /// The end of a request after this time wakes the loop; 0 for none.
    watch_from_us: AtomicU64,
}

impl Slots {
    /// So many requests may be with the application.
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            capacity,
            in_flight: AtomicU32::new(0),
            finished: AtomicU32::new(0),
            is_wanted: AtomicBool::new(false),
            watch_from_us: AtomicU64::new(0),
        }
    }

    /// So many requests are given to the application.
    pub(crate) fn begin(&self, count: u32) {
        self.in_flight.fetch_add(count, Ordering::SeqCst);
    }

    /// So many were taken back.
    pub(crate) fn withdraw(&self, count: u32) {
        self.in_flight.fetch_sub(count, Ordering::SeqCst);
    }

    /// A request has ended, at `now_us`. Returns whether the loop must be woken.
    pub(crate) fn finish(&self, now_us: u64) -> bool {
        self.finished.fetch_add(1, Ordering::Relaxed);
        let left = self.in_flight.fetch_sub(1, Ordering::SeqCst) - 1;
        let is_granted = left < self.capacity && self.is_wanted.swap(false, Ordering::SeqCst);
        let watch_from_us = self.watch_from_us.load(Ordering::Relaxed);
        let is_watched = watch_from_us != 0 && now_us >= watch_from_us;
        if is_watched {
            self.watch_from_us.store(0, Ordering::Relaxed);
        }
        is_granted || is_watched
    }

    /// Whether every slot is taken.
    pub(crate) fn is_full(&self) -> bool {
        self.in_flight() >= self.capacity
    }

    /// Requests that are queued or running.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Requests that have ended; wraps.
    pub(crate) fn finished(&self) -> u32 {
        self.finished.load(Ordering::Relaxed)
    }

    /// Requests a wake-up when a slot becomes free, if none is. Returns whether it did.
    /// Must be called before the decision that depends on it.
    pub(crate) fn want_one(&self) -> bool {
        let wanted = self.is_full();
        self.is_wanted.store(wanted, Ordering::SeqCst);
        wanted
    }

    /// Requests a wake-up when a slot becomes free.
    pub(crate) fn want(&self) {
        self.is_wanted.store(true, Ordering::SeqCst);
    }

    /// Whether the requested slot has become free.
    pub(crate) fn is_one_free(&self) -> bool {
        !self.is_wanted.load(Ordering::SeqCst)
    }

    /// The first request that ends after this time wakes the loop.
    pub(crate) fn watch_ends(&self, from_us: Option<u64>) {
        self.watch_from_us.store(from_us.unwrap_or(0), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_request_wakes_a_loop_that_waits_for_a_slot() {
        let slots = Slots::new(1);
        assert!(!slots.want_one());
        slots.begin(2);
        assert!(slots.want_one() && slots.is_full());
        assert!(!slots.finish(0), "one too many is still there");
        assert!(slots.want_one());
        assert!(slots.finish(0) && slots.is_one_free());
        assert_eq!((slots.in_flight(), slots.finished()), (0, 2));
    }

    #[test]
    fn the_first_end_after_a_time_wakes_the_loop() {
        let slots = Slots::new(9);
        slots.begin(3);
        slots.watch_ends(Some(10));
        assert!(!slots.finish(9) && slots.finish(10) && !slots.finish(11));
    }
}
