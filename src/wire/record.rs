//! A record of the master's error log, for a mold in which Python's logging is configured.

use serde::{Deserialize, Serialize};

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterRecord {
    /// The number of its level in Python's `logging`.
    pub level: i64,
    /// The text for people, with the part of the server in front, without a traceback.
    pub message: String,
    /// The traceback, in lines.
    pub traceback: Option<String>,
    /// More facts, by the names that the JSON form has for them.
    pub fields: Vec<(String, String)>,
    /// When it was made, in microseconds since 1970.
    pub time_us: u64,
    /// The pid of the master.
    pub pid: u32,
}
