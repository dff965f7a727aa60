//! The progress of a request's body: a client that makes too little is given up. Pure.

use std::time::Duration;

/// The least progress of a body within `--body-timeout`, in bytes.
const BODY_PROGRESS: u64 = 1024;

/// The current measure of the progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyProgress {
    /// When the measure began, in milliseconds of the monotonic clock.
    pub(crate) since_ms: u64,
    /// Bytes that have arrived since.
    pub(crate) bytes: u64,
}

/// The result of a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgressCheck {
    /// Its time is not over.
    Measuring,
    /// Enough bytes have arrived: the next measure begins.
    Enough,
    /// Too few bytes have arrived.
    TooLittle,
}

impl BodyProgress {
    /// A measure that begins now.
    pub(crate) fn new(now_ms: u64) -> Self {
        Self { since_ms: now_ms, bytes: 0 }
    }

    /// Counts bytes that have arrived.
    pub(crate) fn add(&mut self, count: usize) {
        self.bytes += count as u64;
    }

    /// The client was not slow until now, because nothing was read.
    pub(crate) fn hold(&mut self, now_ms: u64) {
        self.since_ms = now_ms;
    }

    /// Checks the measure against the time that it may take.
    pub(crate) fn check(self, now_ms: u64, limit: Duration) -> ProgressCheck {
        let passed_ms = u128::from(now_ms.saturating_sub(self.since_ms));
        if passed_ms <= limit.as_millis() {
            ProgressCheck::Measuring
        } else if self.bytes < BODY_PROGRESS {
            ProgressCheck::TooLittle
        } else {
            ProgressCheck::Enough
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_has_its_time_and_needs_enough_bytes() {
        let limit = Duration::from_millis(100);
        let mut progress = BodyProgress::new(50);
        assert_eq!(progress.check(150, limit), ProgressCheck::Measuring);
        assert_eq!(progress.check(151, limit), ProgressCheck::TooLittle);
        progress.add(1024);
        assert_eq!(progress.check(151, limit), ProgressCheck::Enough);
        progress.hold(151);
        assert_eq!(progress.check(251, limit), ProgressCheck::Measuring);
        assert_eq!(progress.check(u64::MAX, Duration::MAX), ProgressCheck::Measuring);
    }
}
