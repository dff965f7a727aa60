//! The rule that decides at accept whether a client's connection is served at all.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A connection that was accepted, and of which no byte has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedPeer {
    /// The address of the other end of the socket, which may be a proxy's; an IPv4 address also
    /// where the connection came over IPv6. `None` at a unix socket.
    pub ip: Option<IpAddr>,
    /// Its listener: the position in [`EngineParts::listeners`](crate::EngineParts::listeners).
    pub listener: usize,
}

/// Decides which connections are closed as soon as they are accepted. It runs on the I/O
/// thread, so it must not wait.
#[derive(Clone)]
pub struct AcceptDecision(Arc<dyn Fn(&AcceptedPeer) -> bool + Send + Sync>);

impl AcceptDecision {
    /// Calls `admits` for each accepted connection; `false` closes it.
    pub fn new(admits: impl Fn(&AcceptedPeer) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(admits))
    }

    pub(crate) fn admits(&self, peer: &AcceptedPeer) -> bool {
        (self.0)(peer)
    }
}

impl fmt::Debug for AcceptDecision {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("AcceptDecision")
    }
}
