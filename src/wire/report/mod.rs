//! What a server reports about itself: the one value that `monoceros status --json`,
//! `monoceros top`, the status page and the metrics are made of, so that their figures are equal.
//!
//! Its JSON has the names of the fields here. A moment is in seconds since 1970, a length in
//! seconds, a size in bytes. Texts have no control characters; they are not escaped for HTML.

mod requests;
mod totals;

use serde::{Deserialize, Serialize};

pub use crate::scoreboard::{ConnectionCounts, Histogram};
pub use requests::{RequestPlace, RequestReport};
pub use totals::Totals;

/// The state of a server at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The moment.
    pub at: f64,
    /// The version of the master.
    pub version: String,
    /// The name of the server, as the titles of its processes have it.
    pub name: Option<String>,
    /// What is served: the application as its workers found it, or the program.
    pub application: Option<String>,
    /// The state of the master: `starting`, `serving`, `withdrawn`, `delaying`, `draining` or
    /// `stopping`.
    pub state: String,
    /// At least one worker serves, and the server is not about to end.
    pub is_ready: bool,
    /// The state in one line for people.
    pub summary: String,
    /// The generation that serves.
    pub generation: u32,
    /// The number of workers that the server is to have.
    pub wanted_workers: u16,
    /// The generation that replaces it, while a reload is under way.
    pub rolling_to: Option<u32>,
    /// A new master is getting ready.
    pub is_upgrading: bool,
    /// The master's process.
    pub master: ProcessReport,
    /// When this master was started.
    pub started: f64,
    /// The pid of the master from which this one has taken over, or is about to.
    pub predecessor: Option<i32>,
    /// Every worker and mold, also those that drain.
    pub workers: Vec<WorkerReport>,
    /// The listeners of the generation that serves.
    pub listeners: Vec<ListenerReport>,
    /// The certificates of that generation.
    pub certificates: Vec<CertificateReport>,
    /// What the server has counted, over all its masters and workers.
    pub totals: Totals,
    /// The last reloads and upgrades, the newest first; at most [`CHANGES`].
    pub changes: Vec<ChangeReport>,
    /// What the operator should correct.
    pub concerns: Vec<String>,
}

/// How many changes a report has.
pub const CHANGES: usize = 10;

/// A process, as the kernel shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessReport {
    /// Its pid; 0 until there is a process.
    pub pid: i32,
    /// The processor time that it has used.
    pub cpu_seconds: f64,
    /// Its resident memory; `None` if the kernel does not report it.
    pub rss: Option<u64>,
    /// Its proportional set size; `None` if it was not measured.
    pub pss: Option<u64>,
}

/// A worker or a mold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerReport {
    /// Its slot; a mold has none.
    pub slot: Option<u16>,
    /// The generation of its settings and code.
    pub generation: u32,
    /// Its state: `booting`, `ready`, `draining`, `stopping`, `hung` or `killed`.
    pub state: String,
    /// `worker`, `mold`, or `program` for a worker of class exec, of which less is known.
    pub kind: String,
    /// Its process.
    pub process: ProcessReport,
    /// When it was started.
    pub since: f64,
    /// When it became ready.
    pub ready_since: Option<f64>,
    /// Requests that its application has finished.
    pub requests: u64,
    /// Responses with a status from 500 to 599.
    pub errors: u64,
    /// Open connections.
    pub connections: u64,
    /// Application threads.
    pub threads: u16,
    /// Requests that its application has.
    pub in_progress: u32,
    /// Requests in its queue.
    pub waiting: u32,
    /// How long ago its event loop began a turn; `None` before the first turn, and for a process
    /// without a scoreboard.
    pub beat_age_seconds: Option<f64>,
    /// The requests that run, the longest first.
    pub running: Vec<RequestReport>,
}

/// A listening socket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerReport {
    /// Its address, as the log has it.
    pub address: String,
    /// The scheme of its clients' URLs.
    pub scheme: String,
    /// Connections that wait to be accepted; `None` if the kernel does not report them.
    pub queue: Option<u32>,
    /// The most connections that may wait.
    pub queue_limit: Option<u32>,
    /// Its open connections.
    pub connections: ConnectionCounts,
    /// Connections that were accepted.
    pub accepted: u64,
}

/// A certificate of the server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CertificateReport {
    /// The names that it is for.
    pub names: Vec<String>,
    /// When it expires.
    pub not_after: f64,
}

/// A reload or an upgrade that is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeReport {
    /// `reload` or `upgrade`.
    pub kind: String,
    /// `done`, `failed`, or `superseded` by a later one.
    pub outcome: String,
    /// When it was asked for.
    pub began: f64,
    /// How long it took.
    pub took_seconds: f64,
    /// The generation that it was for.
    pub generation: u32,
    /// Why it has failed: the reason, or the last lines of a traceback.
    pub text: Option<String>,
}

impl Report {
    /// The report as JSON.
    ///
    /// # Errors
    /// None that a report can have.
    pub fn to_json(&self) -> std::io::Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}

#[cfg(test)]
mod tests;
