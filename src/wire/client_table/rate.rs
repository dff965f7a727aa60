//! How many requests a client may send: a bucket that holds a burst, and gets one request more
//! at regular intervals (the generic cell rate algorithm). Pure: the time is an argument.

use std::time::Duration;

/// A limit of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time after which one more request is allowed, in microseconds.
    interval_us: u64,
    /// How many requests are allowed at once.
    burst: u32,
}

impl Rate {
    /// `count` requests in each `period`, and `burst` of them at once.
    #[must_use]
    pub fn new(count: u32, period: Duration, burst: u32) -> Self {
        let period_us = u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
        let interval_us = period_us.div_ceil(u64::from(count.max(1))).max(1);
        Self { interval_us, burst: burst.max(1) }
    }

    /// A request at this time, from a client whose bucket is full at `full_at_us`. Returns when
    /// it is full after this request.
    ///
    /// # Errors
    /// How long the client must wait before its next request is allowed, in microseconds.
    pub(super) fn take(&self, full_at_us: u64, now_us: u64) -> Result<u64, u64> {
        let whole_us = self.interval_us.saturating_mul(self.burst.into());
        // No request makes it later than that. If it is, it is not of this limit.
        let full_at_us = full_at_us.clamp(now_us, now_us.saturating_add(whole_us));
        let next_us = full_at_us.saturating_add(self.interval_us);
        match next_us.saturating_sub(now_us).checked_sub(whole_us) {
            None | Some(0) => Ok(next_us),
            Some(wait_us) => Err(wait_us),
        }
    }

    /// When the bucket is full if a request that was taken is given back.
    pub(super) fn give_back(&self, full_at_us: u64) -> u64 {
        full_at_us.saturating_sub(self.interval_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    /// Sends a request at each of these times. Returns those that are allowed.
    fn allowed(rate: Rate, times: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut full_at = 0;
        let mut allowed = Vec::new();
        for now in times {
            if let Ok(next) = rate.take(full_at, now) {
                full_at = next;
                allowed.push(now);
            }
        }
        allowed
    }

    #[test]
    fn a_burst_is_allowed_at_once_and_then_one_at_each_interval() {
        let rate = Rate::new(20, Duration::from_secs(1), 40);
        let start = 5 * SECOND;
        let times = (0..100).map(|_| start).chain((1..=200).map(|it| start + it * 10_000));
        let allowed = allowed(rate, times);
        assert_eq!(allowed.iter().filter(|it| **it == start).count(), 40);
        let later = &allowed[40..];
        assert_eq!(later.len(), 40, "20 in each of two seconds");
        assert!(later.windows(2).all(|pair| pair[1] - pair[0] == 50_000), "{later:?}");
    }

    #[test]
    fn a_client_that_waits_as_long_as_it_is_asked_to_is_served() {
        let rate = Rate::new(5, Duration::from_secs(60), 5);
        let mut full_at = 0;
        for _ in 0..5 {
            full_at = rate.take(full_at, SECOND).unwrap();
        }
        assert_eq!(rate.take(full_at, SECOND), Err(12 * SECOND));
        assert_eq!(rate.take(full_at, 10 * SECOND), Err(3 * SECOND));
        assert_eq!(rate.take(full_at, 13 * SECOND - 1), Err(1));
        assert!(rate.take(full_at, 13 * SECOND).is_ok());
    }

    #[test]
    fn a_bucket_holds_no_more_than_a_burst() {
        let rate = Rate::new(1, Duration::from_secs(1), 3);
        let times = [1, 1, 1, 1, 9000, 9000, 9000, 9000].map(|it| it * SECOND);
        assert_eq!(allowed(rate, times).len(), 6);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let rate = Rate::new(1, Duration::from_secs(3600), 1);
        let taken = rate.take(0, SECOND).unwrap();
        assert!(rate.take(taken, SECOND).is_err());
        assert!(rate.take(rate.give_back(taken), SECOND).is_ok());
    }

    #[test]
    fn an_impossible_time_delays_a_client_by_one_interval() {
        let rate = Rate::new(5, Duration::from_secs(60), 5);
        assert_eq!(rate.take(u64::MAX >> 13, SECOND), Err(12 * SECOND));
    }

    #[test]
    fn extreme_limits_have_no_overflow() {
        let now = 7 * SECOND;
        let rate = Rate::new(u32::MAX, Duration::from_secs(1), u32::MAX);
        assert_eq!(rate.take(0, now), Ok(now + 1));
        let rate = Rate::new(1, Duration::MAX, u32::MAX);
        assert!(rate.take(0, now).is_ok());
        let rate = Rate::new(0, Duration::ZERO, 0);
        assert_eq!(rate.take(0, now), Ok(now + 1));
        assert_eq!(rate.take(now + 1, now), Err(1));
    }
}
