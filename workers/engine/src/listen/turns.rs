//! Which connections a worker accepts while its threads are all busy. Pure.
//!
//! The waiting requests of a worker and the waiting connections at its listeners are
//! one queue, served in the order of arrival. So the worker accepts one connection for
//! each request that ends: connections are accepted as fast as requests are served, and
//! their place depends on when they arrived. The first time it accepts one more for
//! each thread, so that no thread begins a later request while these are fetched. While
//! no request ends it accepts none: another worker may be free first.

/// Connections that are accepted at a time, at most.
const MOST: u32 = 64;

/// How long connections must have been waiting before a worker that shares its
/// listeners accepts one, in microseconds. If another worker were free, it would have
/// accepted them.
const CROWDED_US: u64 = 1_000;

/// How long no request of a worker has ended when it uses its reserve, in microseconds.
/// Requests that end earlier make room in turn.
const STUCK_US: u64 = 100_000;

/// The connections that were accepted in turn.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// How many requests had ended at the last check for connections.
    settled: Option<u32>,
    /// Connections have been accepted.
    has_begun: bool,
    /// Since when connections wait, as far as the worker has seen.
    crowded_us: Option<u64>,
    /// When the connection arrived that was accepted last.
    arrived_us: u64,
    /// How many requests had ended at the last check, and since when.
    ended: Option<(u32, u64)>,
}

impl Turns {
    /// The worker waits for connections as every other worker: no turn is counted.
    pub(crate) fn rest(&mut self) {
        *self = Self::default();
    }

    /// How many connections are due when so many requests have ended. The counter
    /// wraps.
    pub(crate) fn due(&mut self, finished: u32, threads: u32) -> u32 {
        let over = finished.wrapping_sub(*self.settled.get_or_insert(finished));
        let ahead = if over > 0 && !self.has_begun { threads } else { 0 };
        over.saturating_add(ahead).min(MOST)
    }

    /// Notes whether a worker that shares its listeners has seen connections waiting.
    /// Returns whether all other workers are busy, too.
    pub(crate) fn is_crowded(&mut self, waiting: bool, now_us: u64) -> bool {
        if !waiting {
            self.crowded_us = None;
            return false;
        }
        now_us.saturating_sub(*self.crowded_us.get_or_insert(now_us)) >= CROWDED_US
    }

    /// Whether connections were waiting at the last check.
    pub(crate) fn has_crowd(&self) -> bool {
        self.crowded_us.is_some()
    }

    /// Whether no request has ended for a while, when so many have ended now.
    pub(crate) fn is_stuck(&mut self, finished: u32, now_us: u64) -> bool {
        let (before, since_us) = *self.ended.get_or_insert((finished, now_us));
        if before != finished {
            self.ended = Some((finished, now_us));
        }
        before == finished && now_us.saturating_sub(since_us) >= STUCK_US
    }

    /// Whether the next waiting connection may precede the worker's own first request,
    /// which arrived at this time, if there is one. The connection has arrived after
    /// the one that was accepted last.
    pub(crate) fn may_be_first(&self, own_us: Option<u64>) -> bool {
        own_us.is_none_or(|own_us| own_us >= self.arrived_us)
    }

    /// Notes that a connection was accepted that had arrived at this time.
    pub(crate) fn take(&mut self, arrived_us: u64, now_us: u64) {
        self.arrived_us = arrived_us;
        if now_us.saturating_sub(arrived_us) < CROWDED_US {
            // Other workers accept the connections at once.
            self.crowded_us = None;
        }
    }

    /// Notes that the due connections have been accepted, as far as there were any.
    pub(crate) fn settle(&mut self, finished: u32) {
        (self.settled, self.has_begun) = (Some(finished), true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_due_for_each_request_that_has_ended() {
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
    fn a_worker_that_shares_listeners_takes_connections_that_no_other_takes() {
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
    fn a_worker_is_stuck_when_no_request_ends() {
        let mut turns = Turns::default();
        assert!(!turns.is_stuck(7, 10) && !turns.is_stuck(7, 9 + STUCK_US));
        assert!(turns.is_stuck(7, 10 + STUCK_US));
        assert!(!turns.is_stuck(8, 20 + STUCK_US), "one has ended");
        assert!(!turns.is_stuck(8, 19 + 2 * STUCK_US) && turns.is_stuck(8, 20 + 2 * STUCK_US));
        turns.rest();
        assert!(!turns.is_stuck(8, 30 + 2 * STUCK_US));
    }

    #[test]
    fn a_worker_whose_own_requests_arrived_later_takes_the_next_connection() {
        let mut turns = Turns::default();
        assert!(turns.may_be_first(None) && turns.may_be_first(Some(70)));
        turns.take(80, 100);
        assert!(turns.may_be_first(None) && turns.may_be_first(Some(90)));
        assert!(!turns.may_be_first(Some(70)), "what waits came after 80");
    }
}
