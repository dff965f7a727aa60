//! How long a request may wait for the application (`queue-timeout`). Pure.
//!
//! The time begins when the request has arrived: in the kernel, where the kernel reports that
//! (`tcpi_last_data_recv`). A request whose time is over is refused, and never reaches the
//! application: its client has probably given up, and later requests would wait for it.

use std::time::Duration;

/// The limit, in microseconds; `None` without one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimit(Option<u64>);

impl QueueLimit {
    /// A limit of this length; `Duration::MAX` is none.
    pub(crate) fn new(length: Duration) -> Self {
        let limited = length != Duration::MAX;
        Self(limited.then(|| u64::try_from(length.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Whether there is a limit.
    pub(crate) fn is_set(self) -> bool {
        self.0.is_some()
    }

    /// Whether the time of a request that was ready at `ready_us` is over at `now_us`.
    pub(crate) fn is_over(self, ready_us: u64, now_us: u64) -> bool {
        self.left_us(ready_us, now_us) == Some(0)
    }

    /// How long such a request may still wait, in microseconds; `None` without a limit.
    pub(crate) fn left_us(self, ready_us: u64, now_us: u64) -> Option<u64> {
        Some(ready_us.saturating_add(self.0?).saturating_sub(now_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_request_is_over_when_it_has_waited_for_the_limit() {
        let limit = QueueLimit::new(Duration::from_micros(100));
        assert!(limit.is_set() && !limit.is_over(7, 106) && limit.is_over(7, 107));
        assert_eq!((limit.left_us(7, 107), limit.left_us(7, 97)), (Some(0), Some(10)));
        assert_eq!(limit.left_us(u64::MAX, 0), Some(u64::MAX));
    }

    #[test]
    fn without_a_limit_no_time_is_over() {
        let limit = QueueLimit::new(Duration::MAX);
        assert!(!limit.is_set() && !limit.is_over(0, u64::MAX));
        assert_eq!(limit.left_us(0, 1), None);
    }
}
