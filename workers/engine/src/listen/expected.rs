//! Connections whose first request is about to arrive: they already count as requests.
//!
//! A connection that was accepted without a request counts for a moment: its client has
//! connected, and sends. A connection that has to be opened (a TLS handshake, a header of the
//! PROXY protocol) needs a round trip or two before its request, to another continent 100 ms
//! each. It counts for longer, so that a worker leaves further connections to the workers
//! that have none. A client that stalls in the handshake must not shut the gate of a worker:
//! after the moment, openings count only while another worker accepts the connections that
//! arrive. As soon as connections have to wait at a listener, they do not count any more
//! ([`Listening::admit_in_turn`](super::listening::Listening::admit_in_turn)).

/// How long a connection that the kernel cannot hold back counts as a request that is
/// about to arrive, in microseconds.
pub(crate) const FRESH_US: u64 = 2_000;

/// How long a connection counts that has to be opened first, in microseconds.
const OPENING_US: u64 = 200_000;

/// The connections that count.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    connections: Vec<ExpectedRequest>,
    /// Some counted as fresh at the last count.
    has_fresh: bool,
}

/// A connection, and until when it counts, in microseconds of the monotonic clock.
#[derive(Debug)]
struct ExpectedRequest {
    token: usize,
    fresh_until_us: u64,
    until_us: u64,
}

/// How many connections count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExpectedCount {
    /// In any case.
    pub(crate) fresh: usize,
    /// While another worker accepts the connections that arrive.
    pub(crate) opening: usize,
}

impl Expected {
    /// Counts a connection from now on.
    pub(crate) fn expect(&mut self, token: usize, now_us: u64) {
        self.add(token, now_us, FRESH_US);
    }

    /// Counts a connection from now on that has to be opened first.
    pub(crate) fn expect_opening(&mut self, token: usize, now_us: u64) {
        self.add(token, now_us, OPENING_US);
    }

    fn add(&mut self, token: usize, now_us: u64, length_us: u64) {
        let (fresh_until_us, until_us) = (now_us + FRESH_US, now_us + length_us);
        self.connections.push(ExpectedRequest { token, fresh_until_us, until_us });
        self.has_fresh = true;
    }

    /// Whether a connection counts.
    pub(crate) fn contains(&self, token: usize, now_us: u64) -> bool {
        self.connections.iter().any(|it| it.token == token && it.until_us > now_us)
    }

    /// How many still count. `waits` returns whether a connection waits for its first
    /// request.
    pub(crate) fn count(
        &mut self,
        now_us: impl FnOnce() -> u64,
        waits: impl Fn(usize) -> bool,
    ) -> ExpectedCount {
        let mut count = ExpectedCount::default();
        if !self.connections.is_empty() {
            let now_us = now_us();
            self.connections.retain(|it| it.until_us > now_us && waits(it.token));
            count.fresh = self.connections.iter().filter(|it| it.fresh_until_us > now_us).count();
            count.opening = self.connections.len() - count.fresh;
        }
        self.has_fresh = count.fresh > 0;
        count
    }

    /// Whether some counted as fresh at the last count, or were added since.
    pub(crate) fn has_fresh(&self) -> bool {
        self.has_fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_until_its_request_arrives_or_its_time_is_over() {
        let mut expected = Expected::default();
        expected.expect(1, 0);
        expected.expect(2, 10);
        assert!(expected.contains(1, FRESH_US - 1) && !expected.contains(1, FRESH_US));
        let one = ExpectedCount { fresh: 1, opening: 0 };
        assert_eq!(expected.count(|| 20, |token| token != 2), one);
        assert!(expected.has_fresh());
        assert_eq!(expected.count(|| FRESH_US, |_| true), ExpectedCount::default());
        assert!(!expected.has_fresh());
    }

    #[test]
    fn a_connection_that_has_to_be_opened_counts_for_longer() {
        let mut expected = Expected::default();
        expected.expect_opening(1, 0);
        let count = |expected: &mut Expected, at| expected.count(|| at, |_| true);
        assert_eq!(count(&mut expected, 0), ExpectedCount { fresh: 1, opening: 0 });
        assert_eq!(count(&mut expected, FRESH_US), ExpectedCount { fresh: 0, opening: 1 });
        assert!(!expected.has_fresh() && expected.contains(1, OPENING_US - 1));
        assert_eq!(count(&mut expected, OPENING_US), ExpectedCount::default());
    }
}
