//! When the next report is made: however many clients ask, and however often, making reports takes
//! a fifth of the master's time at most. All requests that have arrived by then get the same
//! report, so it is never older than a request for it. Owned and called by the metrics server.

use std::time::{Duration, Instant};

/// So many times as long as a report has taken the master does other things.
const SHARE: u32 = 4;
/// But not longer, also if the machine has given the master no processor meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The time of the next report.
#[derive(Debug, Default)]
pub(super) struct ReportPace {
    next: Option<Instant>,
}

impl ReportPace {
    /// When the next report may be made; `None` for now.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Whether a report may be made.
    pub(super) fn allows(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    /// A report was made, with all responses that need it.
    pub(super) fn note(&mut self, began: Instant, ended: Instant) {
        let took = ended.saturating_duration_since(began);
        self.next = Some(ended + (took * SHARE).min(LONGEST_PAUSE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_take_a_fifth_of_the_time() {
        let (mut pace, now) = (ReportPace::default(), Instant::now());
        assert!(pace.allows(now));
        let at = |ms| now + Duration::from_millis(ms);
        pace.note(now, at(5));
        assert!(!pace.allows(at(24)) && pace.allows(at(25)));
        pace.note(at(25), at(2000));
        assert_eq!(pace.next(), Some(at(2100)));
    }
}
