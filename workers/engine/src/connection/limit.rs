//! Counting connections by client, so that one client does not have too many. The engine
//! reports the beginning and the end of each connection; what is counted, and where, is the
//! counter's.

use std::fmt;
use std::sync::Arc;

use monoceros_http::Reject;

use crate::connection::address::Address;

/// The first request of a connection beyond the limit.
pub(crate) const TOO_MANY_CONNECTIONS: Reject =
    Reject { status: 429, reason: "its client has more connections than --limit-connections" };

/// Counts the connections of each client. Its methods run on the I/O thread, so they must
/// not wait.
pub trait ConnectionCounter: Send + Sync {
    /// A connection begins, and its client is known: the peer of the socket, or the client that
    /// the PROXY protocol names. Header fields do not change it. `listener` is its position in
    /// [`EngineParts::listeners`](crate::EngineParts::listeners).
    fn begin(&self, client: &Address, listener: usize) -> CountedConnection;

    /// The connection ends. Called once for each connection that has begun, unless the process
    /// ends before.
    fn end(&self, client: &Address, connection: CountedConnection);
}

/// What the counter returns at the beginning of a connection, and gets back at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedConnection {
    /// What the counter needs to find its entry again.
    pub ticket: u64,
    /// The client has too many connections: the first request of this one gets 429, and the
    /// connection is closed.
    pub is_too_many: bool,
}

/// The limit of connections of a client.
#[derive(Clone)]
pub struct ConnectionLimit(Arc<dyn ConnectionCounter>);

impl ConnectionLimit {
    /// The limit that this counter applies.
    pub fn new(counter: impl ConnectionCounter + 'static) -> Self {
        Self(Arc::new(counter))
    }

    pub(crate) fn begin(&self, client: &Address, listener: usize) -> CountedConnection {
        self.0.begin(client, listener)
    }

    pub(crate) fn end(&self, client: &Address, connection: CountedConnection) {
        self.0.end(client, connection);
    }
}

impl fmt::Debug for ConnectionLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("ConnectionLimit")
    }
}
