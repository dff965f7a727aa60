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

/// How long connections must have been waiting before a worker that shares its
/// listeners takes one, in microseconds. If another worker were free, it would have
/// taken them.
const CROWDED_US: u64 = 1_000;

/// What has been taken in turn.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// The requests that were over when connections were last looked for.
    settled: Option<u32>,
    /// Connections have been taken.
    has_begun: bool,
    /// Since when connections have been seen waiting.
    crowded_us: Option<u64>,
    /// When the one that was taken last had arrived.
    arrived_us: u64,
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
    /// other workers: whether all of these are busy, too.
    pub(crate) fn is_crowded(&mut self, waiting: bool, now_us: u64) -> bool {
        if !waiting {
            self.crowded_us = None;
            return false;
        }
        now_us.saturating_sub(*self.crowded_us.get_or_insert(now_us)) >= CROWDED_US
    }

    /// Whether the connection that waits next may be before the worker's own first
    /// request, which arrived at this time, if there is one. It has arrived after
    /// the one that was taken last.
    pub(crate) fn may_be_first(&self, own_us: Option<u64>) -> bool {
        own_us.is_none_or(|own_us| own_us >= self.arrived_us)
    }

    /// A connection was taken that had arrived at this time.
    pub(crate) fn take(&mut self, arrived_us: u64, now_us: u64) {
        self.arrived_us = arrived_us;
        if now_us.saturating_sub(arrived_us) < CROWDED_US {
            // Others are there to take them at once.
            self.crowded_us = None;
        }
    }

    /// What was due has been taken, as far as there was something to take.
    pub(crate) fn settle(&mut self, finished: u32) {
        (self.settled, self.has_begun) = (Some(finished), true);
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
        assert!(!turns.is_crowded(true, 10));
        assert!(!turns.is_crowded(true, 10 + CROWDED_US - 1));
        assert!(turns.is_crowded(true, 10 + CROWDED_US));
        turns.take(10, 10 + CROWDED_US);
        assert!(turns.is_crowded(true, 11 + CROWDED_US), "others wait as long");
        turns.take(11 + CROWDED_US, 11 + CROWDED_US);
        assert!(!turns.is_crowded(true, 12 + CROWDED_US), "this one did not");
        assert!(!turns.is_crowded(false, 100 * CROWDED_US));
        assert!(!turns.is_crowded(true, 101 * CROWDED_US));
    }

    #[test]
    fn the_worker_whose_own_requests_came_later_takes_the_next() {
        let mut turns = Turns::default();
        assert!(turns.may_be_first(None) && turns.may_be_first(Some(70)));
        turns.take(80, 100);
        assert!(turns.may_be_first(None) && turns.may_be_first(Some(90)));
        assert!(!turns.may_be_first(Some(70)), "what waits came after 80");
    }
}
