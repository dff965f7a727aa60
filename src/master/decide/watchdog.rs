//! Owns when the init system must be notified that the server works
//! (`sd_watchdog_enabled(3)`).
//! Called by the master only.

use std::time::{Duration, Instant};

/// The interval of the watchdog, if the init system has set one.
#[derive(Debug)]
pub(crate) struct Watchdog {
    interval: Option<Duration>,
    next: Option<Instant>,
}

impl Watchdog {
    /// With the time after which the init system takes the server for hung.
    pub(crate) fn new(limit: Option<Duration>, now: Instant) -> Self {
        // `sd_watchdog_enabled(3)` advises to notify at half of the limit.
        let interval = limit.map(|limit| limit / 2);
        Self { interval, next: interval.map(|interval| now + interval) }
    }

    /// The init system watches this server.
    pub(crate) fn is_set(&self) -> bool {
        self.interval.is_some()
    }

    /// The next time at which it must be notified.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Whether it must be notified now; sets the next time if so.
    pub(crate) fn take_due(&mut self, now: Instant) -> bool {
        let due = self.next.is_some_and(|at| at <= now);
        if due {
            self.next = self.interval.map(|interval| now + interval);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_due_twice_in_its_limit() {
        let now = Instant::now();
        let mut watchdog = Watchdog::new(Some(4 * SECOND), now);
        assert!(watchdog.is_set() && !watchdog.take_due(now + SECOND));
        assert!(watchdog.take_due(now + 3 * SECOND));
        assert_eq!(watchdog.deadline(), Some(now + 5 * SECOND));
    }

    #[test]
    fn without_a_limit_it_is_never_due() {
        let now = Instant::now();
        let mut watchdog = Watchdog::new(None, now);
        assert!(!watchdog.is_set() && watchdog.deadline().is_none());
        assert!(!watchdog.take_due(now + 1_000 * SECOND));
    }
}
