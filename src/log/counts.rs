//! How many records of the server's own a process has written, by severity. Records of the
//! application's loggers are not among them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::record::LogRecord;
use crate::severity::Severity;

static CRITICAL: AtomicU64 = AtomicU64::new(0);
static ERROR: AtomicU64 = AtomicU64::new(0);
static EXCEPTION: AtomicU64 = AtomicU64::new(0);
static WARNING: AtomicU64 = AtomicU64::new(0);

/// The counts since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounts {
    /// Records of this severity.
    pub critical: u64,
    /// Errors without a traceback.
    pub error: u64,
    /// Errors with a traceback.
    pub exception: u64,
    /// Warnings.
    pub warning: u64,
}

impl LogCounts {
    /// The counts of this process now.
    #[must_use]
    pub fn now() -> Self {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Self {
            critical: get(&CRITICAL),
            error: get(&ERROR),
            exception: get(&EXCEPTION),
            warning: get(&WARNING),
        }
    }

    /// What was added since earlier counts, with gunicorn's name of each.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> [(&'static str, u64); 4] {
        [
            ("critical", self.critical - earlier.critical),
            ("error", self.error - earlier.error),
            ("exception", self.exception - earlier.exception),
            ("warning", self.warning - earlier.warning),
        ]
    }
}

/// Counts a record that another logger writes.
pub fn count(record: &LogRecord) {
    if record.logger.is_some() {
        return;
    }
    let count = match record.severity {
        Severity::Debug | Severity::Info => return,
        Severity::Warning => &WARNING,
        Severity::Error if record.traceback.is_some() => &EXCEPTION,
        Severity::Error => &ERROR,
        Severity::Critical => &CRITICAL,
    };
    count.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_the_server_are_counted_by_severity() {
        let before = LogCounts::now();
        for (severity, text) in [
            (Severity::Info, "a"),
            (Severity::Warning, "a"),
            (Severity::Warning, "a\nb"),
            (Severity::Error, "a"),
            (Severity::Error, "a\nTraceback"),
            (Severity::Critical, "a"),
        ] {
            count(&LogRecord::own(severity, text));
        }
        count(&LogRecord::of_application(Severity::Error, "shop", "a"));
        let since = LogCounts::now().since(&before).map(|(_, count)| count);
        // Other tests of this process may write records too.
        assert!(
            since.into_iter().zip([1, 1, 1, 2]).all(|(found, least)| found >= least),
            "{since:?}"
        );
    }
}
