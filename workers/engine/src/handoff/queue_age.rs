//! Since when no waiting request has been taken although a thread is free. Pure. For an
//! application that takes events this is the measure of its health: the age of its
//! events, and not of a request.
//!
//! A thread can be free and take nothing when another part of the process holds what
//! the thread needs, such as Python's interpreter lock. No request runs then, and the
//! I/O thread works: only the queue shows the problem.

/// The queue of the application at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueSnapshot {
    /// Requests or events that wait to be taken.
    pub(crate) queued: u32,
    /// How many were taken so far; wraps.
    pub(crate) taken: u32,
    /// The application has a free thread, or takes everything at once.
    pub(crate) has_free: bool,
}

/// The values of the last check.
#[derive(Debug, Default)]
pub(crate) struct QueueAge {
    taken: u32,
    since_ms: Option<u64>,
}

impl QueueAge {
    /// Checks the queue. Returns since when nothing was taken. Where every thread runs
    /// a request, the requests behind only wait for their turn.
    pub(crate) fn look(&mut self, sight: QueueSnapshot, now_ms: u64) -> Option<u64> {
        let waits = sight.queued > 0 && sight.has_free;
        let has_moved = sight.taken != self.taken;
        self.taken = sight.taken;
        self.since_ms = match self.since_ms {
            Some(since_ms) if waits && !has_moved => Some(since_ms),
            _ => waits.then_some(now_ms),
        };
        self.since_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(queued: u32, running: u32, finished: u32) -> QueueSnapshot {
        QueueSnapshot { queued, taken: finished.wrapping_add(running), has_free: running < 2 }
    }

    #[test]
    fn the_age_of_a_queue_grows_while_nothing_is_taken() {
        let mut age = QueueAge::default();
        assert_eq!(age.look(sight(0, 0, 7), 10), None);
        assert_eq!(age.look(sight(1, 0, 7), 20), Some(20));
        assert_eq!(age.look(sight(3, 0, 7), 30), Some(20));
        assert_eq!(age.look(sight(0, 0, 10), 40), None);
    }

    #[test]
    fn taking_from_a_queue_resets_its_age() {
        let mut age = QueueAge::default();
        assert_eq!(age.look(sight(5, 1, 0), 10), Some(10));
        assert_eq!(age.look(sight(5, 1, 1), 20), Some(20));
        assert_eq!(age.look(sight(9, 0, 2), 30), Some(20), "an end alone moves nothing");
        assert_eq!(age.look(sight(8, 1, 2), 40), Some(40));
    }

    #[test]
    fn waiting_behind_requests_on_every_thread_is_no_fault() {
        let mut age = QueueAge::default();
        assert_eq!(age.look(sight(1, 1, 0), 10), Some(10));
        assert_eq!(age.look(sight(1, 2, 0), 20), None);
        assert_eq!(age.look(sight(1, 2, 0), 30), None);
        assert_eq!(age.look(sight(1, 1, 1), 40), Some(40), "one is over, nothing taken yet");
    }

    #[test]
    fn the_counters_may_wrap() {
        let mut age = QueueAge::default();
        assert_eq!(age.look(sight(2, 1, u32::MAX), 10), Some(10));
        assert_eq!(age.look(sight(2, 1, u32::MAX), 20), Some(10));
    }
}
