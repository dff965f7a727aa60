//! Responses that are written together.
//!
//! Sending a response to a sleeping client wakes it, which costs as much as a fifth of
//! a small Django view. A client with many connections, a proxy or a load generator, is
//! woken once for everything that it can read then. So while requests wait for the only
//! application thread, its responses are left to the loop, which that thread runs again
//! after a few of them. Where responding costs less than a wake-up, the client is not
//! asleep, and no response is left.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use monoceros_sys::clock;

/// The most responses that are left at a time.
const MOST: u32 = 8;

/// How long the first response waits before no further request is begun, in
/// microseconds.
const LONGEST_US: u64 = 500;

/// The responses that wait for the loop. They are among the returned streams; this
/// counts them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The application thread has left the loop and will run it again.
    open: AtomicBool,
    count: AtomicU32,
    /// When the first response was left, in microseconds of the monotonic clock.
    since_us: AtomicU64,
}

impl Batch {
    /// The application thread leaves the loop, or gets it, and no response waits there.
    pub(crate) fn open(&self) {
        self.count.store(0, Ordering::Relaxed);
        self.open.store(true, Ordering::SeqCst);
    }

    /// Another thread runs the loop: it writes what was left, and a response that is
    /// left from now on would have to wake it.
    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
    }

    /// Whether responses may be left.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    /// Counts a response.
    pub(crate) fn add(&self) {
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            self.since_us.store(clock::monotonic_us(), Ordering::Relaxed);
        }
    }

    /// Whether responses wait for the application thread to run the loop.
    pub(crate) fn waits(&self) -> bool {
        self.is_open() && self.count.load(Ordering::Relaxed) > 0
    }

    /// Whether they must be written before the next request is begun.
    pub(crate) fn is_due(&self) -> bool {
        self.waits()
            && (self.count.load(Ordering::Relaxed) >= MOST || self.lasts_us() >= LONGEST_US)
    }

    /// How long the first response has waited. Another thread may leave one at the same
    /// time.
    fn lasts_us(&self) -> u64 {
        clock::monotonic_us().saturating_sub(self.since_us.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_due_when_it_is_full() {
        let batch = Batch::default();
        batch.open();
        assert!(!batch.is_due());
        (0..MOST).for_each(|_| batch.add());
        assert!(batch.is_due());
        batch.open();
        assert!(!batch.waits());
    }

    #[test]
    fn a_batch_is_due_when_its_first_response_has_waited() {
        let batch = Batch::default();
        batch.open();
        batch.add();
        assert!(batch.waits());
        while clock::monotonic_us() - batch.since_us.load(Ordering::Relaxed) < LONGEST_US {
            std::hint::spin_loop();
        }
        assert!(batch.is_due());
    }

    #[test]
    fn responses_that_another_thread_writes_do_not_wait() {
        let batch = Batch::default();
        batch.open();
        (0..MOST).for_each(|_| batch.add());
        batch.close();
        assert!(!batch.waits() && !batch.is_due());
    }
}
