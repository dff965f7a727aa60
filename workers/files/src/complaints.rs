//! Log lines about files that are not sent, one in a minute.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use monoceros_sys::{clock, reason};

/// The time between two lines, in milliseconds.
const INTERVAL_MS: u64 = 60_000;

/// When a line may be logged next.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    /// In milliseconds of the monotonic clock.
    next_ms: AtomicU64,
}

impl Complaints {
    /// A file is there and is not sent.
    pub(crate) fn denied(&self, name: &[u8], error: &io::Error) {
        if self.may_log() {
            let (name, reason) = (name.escape_ascii(), reason(error));
            log::warn!("does not send the file {name}: {reason}; answered 404");
        }
    }

    /// A request is not served because of an error of the system.
    pub(crate) fn failed(&self, path: &[u8], error: &io::Error) {
        if self.may_log() {
            let (path, reason) = (path.escape_ascii(), reason(error));
            log::error!("cannot send the file for {path}: {reason}; answered 503");
        }
    }

    /// A response of the application names a file that is not sent.
    pub(crate) fn withheld(&self, field: &str, value: &[u8], reason: &str) {
        if self.may_log() {
            let value = value.escape_ascii();
            log::warn!("cannot send the file of {field}: {value}: {reason}; answered 404");
        }
    }

    fn may_log(&self) -> bool {
        let now_ms = clock::monotonic_ms();
        let next_ms = self.next_ms.load(Ordering::Relaxed);
        let then_ms = now_ms + INTERVAL_MS;
        let order = Ordering::Relaxed;
        next_ms <= now_ms && self.next_ms.compare_exchange(next_ms, then_ms, order, order).is_ok()
    }
}
