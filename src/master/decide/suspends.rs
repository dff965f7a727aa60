//! Owns when the master did not run: it was stopped by a signal, or the machine was
//! suspended or too busy. The workers may have been stopped with it, so that time does
//! not count against them. Called by the master; `monitoring.rs` reads it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use log::Level;

/// The most suspends that are remembered. What began before the first of them is taken to
/// have begun at its end.
const MAX_REMEMBERED: usize = 64;
/// The master was suspended if it wakes up this much later than it meant to; less if
/// `timeout` is as short, so that no worker is blamed for a suspend of the master.
const LEAST_SUSPEND: Duration = Duration::from_secs(2);

/// The suspends of this process, the oldest first; no two overlap.
#[derive(Debug)]
pub(crate) struct Suspends {
    /// Nothing is known of the time before.
    since: Instant,
    /// When each ended, and how long it was.
    known: VecDeque<(Instant, Duration)>,
    /// When the master meant to wake up.
    expected: Option<Instant>,
}

impl Suspends {
    /// For a process that starts now.
    pub(crate) fn since(now: Instant) -> Self {
        Self { since: now, known: VecDeque::new(), expected: None }
    }

    /// The master is about to sleep until this deadline. One that has passed already does
    /// not count as a suspend in the next step, so it is taken as `now`.
    pub(crate) fn expect(&mut self, deadline: Option<Instant>, now: Instant) {
        self.expected = deadline.map(|at| at.max(now));
    }

    /// The master is awake again. Returns the length of a suspend that has just ended.
    pub(crate) fn detect(&mut self, timeout: Duration, now: Instant) -> Option<Duration> {
        let late = now.saturating_duration_since(self.expected?);
        let least = if timeout.is_zero() { LEAST_SUSPEND } else { LEAST_SUSPEND.min(timeout / 2) };
        if late <= least {
            return None;
        }
        self.add(late, now);
        Some(late)
    }

    /// The level of the log line about a suspend: a long one concerns the operator.
    pub(crate) fn level(length: Duration) -> Level {
        if length > LEAST_SUSPEND { Level::Warn } else { Level::Debug }
    }

    fn add(&mut self, length: Duration, now: Instant) {
        if self.known.len() == MAX_REMEMBERED
            && let Some((end, _)) = self.known.pop_front()
        {
            self.since = end;
        }
        self.known.push_back((now, length));
    }

    /// For how much of the last `length` this process has run.
    pub(crate) fn awake(&self, length: Duration, now: Instant) -> Duration {
        let length = length.min(now.saturating_duration_since(self.since));
        let slept = self.known.iter().map(|&(end, suspend)| {
            // Only the part that is not older than `length`.
            suspend.min(length.saturating_sub(now.saturating_duration_since(end)))
        });
        length.saturating_sub(slept.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_pause_does_not_count() {
        let begin = Instant::now();
        let mut suspends = Suspends::since(begin);
        let now = begin + 100 * SECOND;
        assert_eq!(suspends.awake(30 * SECOND, now), 30 * SECOND);
        suspends.add(5 * SECOND, begin + 60 * SECOND);
        suspends.add(10 * SECOND, begin + 90 * SECOND);
        assert_eq!(suspends.awake(Duration::ZERO, now), Duration::ZERO);
        assert_eq!(suspends.awake(9 * SECOND, now), 9 * SECOND, "it began after both");
        assert_eq!(suspends.awake(13 * SECOND, now), 10 * SECOND, "it began in the second");
        assert_eq!(suspends.awake(30 * SECOND, now), 20 * SECOND, "it began before that");
        assert_eq!(suspends.awake(60 * SECOND, now), 45 * SECOND, "it began before both");
    }

    #[test]
    fn however_often_it_pauses_time_goes_on() {
        let begin = Instant::now();
        let mut suspends = Suspends::since(begin);
        for second in 1..=20 {
            suspends.add(SECOND / 2, begin + second * SECOND);
        }
        assert_eq!(suspends.awake(20 * SECOND, begin + 20 * SECOND), 10 * SECOND);
    }

    #[test]
    fn nothing_is_older_than_what_is_remembered() {
        let begin = Instant::now();
        let mut suspends = Suspends::since(begin);
        assert_eq!(suspends.awake(Duration::MAX, begin + SECOND), SECOND);
        for second in 1..=100 {
            suspends.add(SECOND / 2, begin + second * SECOND);
        }
        // The first of those that are remembered ended in the 37th second.
        assert_eq!(suspends.awake(Duration::MAX, begin + 100 * SECOND), 32 * SECOND);
    }

    #[test]
    fn it_was_suspended_if_it_wakes_up_much_later_than_it_meant_to() {
        let begin = Instant::now();
        let mut suspends = Suspends::since(begin);
        assert_eq!(suspends.detect(Duration::ZERO, begin + 9 * SECOND), None, "nothing expected");
        suspends.expect(Some(begin + SECOND), begin);
        assert_eq!(suspends.detect(Duration::ZERO, begin + 3 * SECOND), None);
        assert_eq!(suspends.detect(SECOND, begin + 3 * SECOND), Some(2 * SECOND));
        suspends.expect(Some(begin), begin + 9 * SECOND);
        assert_eq!(suspends.detect(SECOND, begin + 9 * SECOND), None, "it was overdue before");
    }
}
