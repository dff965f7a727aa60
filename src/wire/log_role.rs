//! What the logs are for whose descriptors the master passes on.

use serde::{Deserialize, Serialize};

/// What a log is for. The master opens the logs, and passes their descriptors on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogRole {
    /// The error log.
    Error,
    /// The access log.
    Access,
}
