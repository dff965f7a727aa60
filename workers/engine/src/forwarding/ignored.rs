//! The log line about header fields that are ignored because their sender is not trusted: a
//! proxy whose address is missing in the settings looks the same as a client that forges them.

use std::sync::{Mutex, PoisonError};

use monoceros_sys::clock;

use crate::connection::address::Address;

/// The time between two lines, in milliseconds.
const INTERVAL_MS: u64 = 60_000;

/// The requests with ignored fields since the last line.
#[derive(Debug, Default)]
pub(crate) struct IgnoredFields(Mutex<Interval>);

#[derive(Debug, Default)]
struct Interval {
    /// When the last line was written, in milliseconds of the monotonic clock.
    since_ms: Option<u64>,
    /// Requests without a line of their own since then.
    omitted: u64,
}

impl IgnoredFields {
    /// A request of this peer has this field. Writes a line, at most one in a minute.
    pub(crate) fn note(&self, name: &[u8], peer: &Address) {
        let mut interval = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(omitted) = interval.take(clock::monotonic_ms()) else { return };
        let name = name.escape_ascii();
        let address = match peer {
            Address::Internet { host, .. } => host.as_str(),
            Address::Unix(_) => "unix",
        };
        log::info!(
            "ignored the header {name} of {peer}: --forwarded-allow-ips does not have {address}; \
             {omitted} other requests with such headers since the last line"
        );
    }
}

impl Interval {
    /// Counts a request. Returns how many requests the line about this one has to add, if a
    /// line is due.
    fn take(&mut self, now_ms: u64) -> Option<u64> {
        if self.since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) < INTERVAL_MS) {
            self.omitted += 1;
            return None;
        }
        self.since_ms = Some(now_ms);
        Some(std::mem::take(&mut self.omitted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_due_in_a_minute_and_counts_the_others() {
        let mut interval = Interval::default();
        assert_eq!(interval.take(5), Some(0));
        assert_eq!(interval.take(6), None);
        assert_eq!(interval.take(5 + INTERVAL_MS - 1), None);
        assert_eq!(interval.take(5 + INTERVAL_MS), Some(2));
        assert_eq!(interval.take(6 + INTERVAL_MS), None);
        assert_eq!(interval.take(9 + 3 * INTERVAL_MS), Some(1));
    }
}
