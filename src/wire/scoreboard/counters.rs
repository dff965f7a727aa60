//! The counters of a worker, in words that have one writer each.

use super::static_result::{RESULTS, StaticResult};
use super::statuses::StatusCounts;

/// The counts of a worker since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that the application has finished.
    pub requests: u64,
    /// Responses by status; those of the server itself are among them.
    pub statuses: StatusCounts,
    /// Bytes of the bodies of the application's responses.
    pub bytes: u64,
    /// Requests that took longer than `timeout`.
    pub timeouts: u64,
    /// Bytes that connections have received, as of a moment ago.
    pub received: u64,
    /// Bytes that connections have sent, as of a moment ago.
    pub sent: u64,
    /// TLS handshakes that were complete.
    pub full_handshakes: u64,
    /// TLS handshakes that have resumed an earlier session.
    pub resumed_handshakes: u64,
    /// Responses from static files, in the order of [`StaticResult::ALL`].
    pub static_files: [u64; RESULTS],
}

impl Counters {
    /// Responses from static files, by their result.
    pub fn static_results(&self) -> impl Iterator<Item = (StaticResult, u64)> {
        StaticResult::ALL.into_iter().zip(self.static_files)
    }
}
