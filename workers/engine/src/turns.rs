//! Which connections a worker takes while its threads are all busy. Pure.
//!
//! The requests that wait in a worker and the connections that wait at its
//! listeners are one line, served in the order of arrival. So for each request
//! that is over the worker takes one connection: those outside come in as fast
//! as requests are served, and have their place by when they arrived. The first
//! time it takes one more for each thread, so that no thread goes on with what
//! came later while these are fetched. While nothing is over it takes none:
//! another worker may be free first.

/// Connections that are taken at a time, at most.
const MOST: u32 = 64;

/// How long connections must have been waiting, at least and at most, before a
/// worker that shares its listeners takes one, in microseconds. If another worker
/// were free, it would have taken them.
const CROWDED_US: (u64, u64) = (1_000, 50_000);

/// The part of the time that requests wait in the worker that connections must
/// have been waiting outside: the worker with the shorter queue takes them first.
const PART: u64 = 8;

/// What has been taken in turn.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// The requests that were over when connections were last looked for.
    settled: Option<u32>,
    /// Connections have been taken.
    has_begun: bool,
    /// Since when connections have been seen waiting.
    crowded_us: Option<u64>,
}

impl Turns {
    /// The worker waits for connections like every other: no turn is counted.
    pub(crate) fn rest(&mut self) {
        *self = Self::default();
    }

    /// How many connections are due when so many requests are over. The counter
    /// wraps.
    pub(crate) fn due(&mut self, finished: u32, threads: u32) -> u32 {
        let over = finished.wrapping_sub(*self.settled.get_or_insert(finished));
        let ahead = if over > 0 && !self.has_begun { threads } else { 0 };
        over.saturating_add(ahead).min(MOST)
    }

    /// Connections were seen waiting, or not, by a worker that shares them with
    /// other workers: whether all of these are busy, too, and likely to be busier. A
    /// new request would wait in this worker for `wait_us`.
    pub(crate) fn is_crowded(&mut self, waiting: bool, wait_us: u64, now_us: u64) -> bool {
        if !waiting {
            self.crowded_us = None;
            return false;
        }
        let least_us = (wait_us / PART).clamp(CROWDED_US.0, CROWDED_US.1);
        now_us.saturating_sub(*self.crowded_us.get_or_insert(now_us)) >= least_us
    }

    /// What was due has been taken, as far as there was something to take.
    pub(crate) fn settle(&mut self, finished: u32) {
        (self.settled, self.has_begun) = (Some(finished), true);
        // What still waits is for the worker with the shorter queue.
        self.crowded_us = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_due_for_each_request_that_is_over() {
        let mut turns = Turns::default();
        assert_eq!(turns.due(7, 4), 0, "counting begins now");
        assert_eq!(turns.due(9, 4), 2 + 4, "one more for each thread to begin with");
        turns.settle(9);
        assert_eq!((turns.due(9, 4), turns.due(10, 4)), (0, 1));
        turns.rest();
        assert_eq!(turns.due(50, 4), 0);
    }

    #[test]
    fn the_counter_may_wrap_and_a_turn_has_a_limit() {
        let mut turns = Turns::default();
        turns.settle(u32::MAX - 1);
        assert_eq!(turns.due(2, 1), 4);
        turns.settle(2);
        assert_eq!(turns.due(1000, 1), MOST);
    }

    #[test]
    fn a_worker_that_shares_takes_only_what_no_other_worker_takes() {
        let mut turns = Turns::default();
        let (least, most) = CROWDED_US;
        assert!(!turns.is_crowded(true, 0, 10));
        assert!(!turns.is_crowded(true, 0, 10 + least - 1));
        assert!(turns.is_crowded(true, 0, 10 + least));
        assert!(!turns.is_crowded(true, 80_000, 10 + least), "another has the shorter queue");
        assert!(turns.is_crowded(true, 80_000, 10 + 80_000 / PART));
        assert!(turns.is_crowded(true, u64::MAX, 10 + most));
        assert!(!turns.is_crowded(false, 0, 20 + most));
        assert!(!turns.is_crowded(true, 0, 30 + most));
    }
}
