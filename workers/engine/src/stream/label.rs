//! The name of a request in log lines: its method and path, and its identifier.

use std::fmt;

use monoceros_wire::request_id::RequestId;
use monoceros_wire::scoreboard::Running;

/// The name of a request in a log line, which ends with the identifier.
#[derive(Clone, Debug)]
pub(crate) struct RequestLabel {
    text: String,
    id: String,
}

impl RequestLabel {
    /// The label of a request with this method and path, which a client has chosen.
    pub(crate) fn new(method: &[u8], path: &[u8], id: &RequestId) -> Self {
        let (method, path) = (method.escape_ascii(), path.escape_ascii());
        Self { text: format!("{method} {path} (request {id})"), id: id.to_string() }
    }

    /// The label of a request that the scoreboard shows.
    pub(crate) fn of_running(running: &Running) -> Self {
        Self { text: running.to_string(), id: running.id.clone() }
    }

    /// The identifier alone.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for RequestLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}
