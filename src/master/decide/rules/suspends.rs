//! When the master did not run, because it was stopped or the machine was
//! suspended or busy: what it watches may have been stopped with it. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many are remembered: what began before the first of them is taken to have
/// begun at its end.
const MOST: usize = 64;

/// The pauses of this process, the oldest first; no two overlap.
#[derive(Debug)]
pub(crate) struct Suspends {
    /// Nothing is known of the time before.
    since: Instant,
    /// When each ended, and how long it was.
    known: VecDeque<(Instant, Duration)>,
}

impl Suspends {
    /// Of a process that begins.
    pub(crate) fn since(now: Instant) -> Self {
        Self { since: now, known: VecDeque::new() }
    }

    /// Notes a pause that ends now.
    pub(crate) fn add(&mut self, length: Duration, now: Instant) {
        if self.known.len() == MOST
            && let Some((end, _)) = self.known.pop_front()
        {
            self.since = end;
        }
        self.known.push_back((now, length));
    }

    /// For how much of the last `length` this process has run.
    pub(crate) fn awake(&self, length: Duration, now: Instant) -> Duration {
        let length = length.min(now.saturating_duration_since(self.since));
        let slept = self.known.iter().map(|&(end, pause)| {
            // The part of it that is not older than that.
            pause.min(length.saturating_sub(now.saturating_duration_since(end)))
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
}
