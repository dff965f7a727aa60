//! Connections whose first request is about to arrive: they already count as requests.

/// How long a connection that the kernel cannot hold back counts as a request that is
/// about to arrive, in microseconds.
pub(crate) const FRESH_US: u64 = 2_000;

/// The connections, by token, and until when they count, in microseconds of the monotonic
/// clock.
#[derive(Debug, Default)]
pub(crate) struct Expected(Vec<(usize, u64)>);

impl Expected {
    /// Counts a connection from now on.
    pub(crate) fn expect(&mut self, token: usize, now_us: u64) {
        self.0.push((token, now_us + FRESH_US));
    }

    /// Whether a connection counts.
    pub(crate) fn contains(&self, token: usize, now_us: u64) -> bool {
        self.0.iter().any(|(other, until_us)| *other == token && *until_us > now_us)
    }

    /// How many still count. `waits` returns whether a connection waits for its first
    /// request.
    pub(crate) fn count(
        &mut self,
        now_us: impl FnOnce() -> u64,
        waits: impl Fn(usize) -> bool,
    ) -> usize {
        if !self.0.is_empty() {
            let now_us = now_us();
            self.0.retain(|(token, until_us)| *until_us > now_us && waits(*token));
        }
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
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
        assert_eq!(expected.count(|| 20, |token| token != 2), 1);
        assert_eq!(expected.count(|| FRESH_US, |_| true), 0);
        assert!(expected.is_empty());
    }
}
