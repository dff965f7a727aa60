//! How long a slot waits after a failure: longer each time, up to a limit, so that a worker
//! that dies at once costs little processor time. Pure.

use std::time::{Duration, Instant};

use crate::master::decide::rules::random::Random;

/// The wait after the first failure.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);
/// A worker that was ready for this long ends a series of failures.
const HEALTHY: Duration = Duration::from_secs(60);
/// The first wait times 1.5 to this power is more than the longest wait.
const MAX_EXPONENT: u32 = 16;
/// One part in this many of a wait is random: where one cause makes the workers of many
/// servers fail, they must not all start again at the same moment.
const JITTER: u32 = 4;

/// The failures in one slot, and when the next spawn may happen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// Notes a failure of a process that had been ready for `lived`; returns
    /// the wait.
    pub(crate) fn fail(&mut self, lived: Duration, now: Instant, random: &mut Random) -> Duration {
        if lived >= HEALTHY {
            self.failures = 0;
        }
        let wait =
            FIRST.mul_f64(1.5f64.powi(self.failures.min(MAX_EXPONENT).cast_signed())).min(LONGEST);
        let wait = wait - random.length(wait / JITTER);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + wait);
        wait
    }

    /// Notes an end that is no failure. The shortest wait bounds how often that can happen.
    pub(crate) fn pause(&mut self, now: Instant) {
        self.until = Some(now + FIRST);
    }

    /// The time before which no worker may be spawned, if it is in the future.
    pub(crate) fn wait(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// Moves the end of the wait by a suspend of the master.
    pub(crate) fn shift(&mut self, by: Duration) {
        self.until = self.until.map(|until| until + by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_a_healthy_minute_resets_them() {
        let (mut backoff, mut now) = (Backoff::default(), Instant::now());
        let mut random = Random(1);
        assert_eq!(backoff.wait(now), None);
        let mut waits = Vec::new();
        for _ in 0..20 {
            let wait = backoff.fail(Duration::ZERO, now, &mut random);
            let until = backoff.wait(now).unwrap();
            assert_eq!(until - now, wait);
            waits.push(wait);
            now = until;
            assert_eq!(backoff.wait(now), None);
        }
        let near = |wait: Duration, full: Duration| wait <= full && wait >= full * 3 / 4;
        assert!(near(waits[0], FIRST) && near(waits[1], FIRST * 3 / 2), "{waits:?}");
        assert!(near(waits[18], LONGEST) && near(waits[19], LONGEST), "{waits:?}");
        assert_ne!(waits[18], waits[19]);
        assert!(near(backoff.fail(HEALTHY, now, &mut random), FIRST));
    }
}
