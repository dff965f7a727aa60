//! The reason for which a request is refused.

use std::fmt;

/// A request that is refused: the server responds with `status` and closes the connection.
///
/// The fault is always the client's. `reason` is for the error log; the client gets only the
/// status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The status of the response: 400, 414, 417, 431, 501 or 505.
    pub status: u16,
    /// What is wrong, in a few words: `two Host fields`.
    pub reason: &'static str,
}

impl Reject {
    pub(crate) const fn new(status: u16, reason: &'static str) -> Reject {
        Reject { status, reason }
    }

    /// 400, as most are.
    pub(crate) const fn bad(reason: &'static str) -> Reject {
        Reject::new(400, reason)
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)
    }
}

impl std::error::Error for Reject {}
