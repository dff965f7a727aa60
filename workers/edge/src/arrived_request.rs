//! A request at the end of its head, with what several parts of the decision need to know.

use std::cell::OnceCell;
use std::net::IpAddr;

use monoceros_engine::{Address, Arrival, Decision};
use monoceros_http::{PathPrefix, PathSpellings, percent_decoded};

/// A part of the decision on a request. The parts and their order are in `lib.rs`.
pub(crate) trait DecisionPart: Send + Sync {
    /// Decides on a request that no part before this one has decided on; [`Decision::Pass`]
    /// leaves it to the next part. It runs on the I/O thread, so it must not wait.
    fn decide(&self, request: &ArrivedRequest) -> Decision;
}

/// A request whose head has arrived.
pub(crate) struct ArrivedRequest<'a> {
    /// What the engine knows about it.
    pub(crate) arrival: &'a Arrival<'a>,
    /// The prefix of every path, unless a trusted proxy reports another one.
    prefix: &'a PathPrefix,
    paths: OnceCell<PathSpellings<'a>>,
}

impl<'a> ArrivedRequest<'a> {
    /// A request to an application below this prefix.
    pub(crate) fn new(arrival: &'a Arrival<'a>, prefix: &'a PathPrefix) -> Self {
        let prefix = arrival.prefix.unwrap_or(prefix);
        Self { arrival, prefix, paths: OnceCell::new() }
    }

    /// Its path in each spelling that the application may act on.
    pub(crate) fn paths(&self) -> &PathSpellings<'a> {
        let path = self.arrival.head.path();
        self.paths.get_or_init(|| PathSpellings::new(self.prefix, path))
    }

    /// Whether its path is this one, decoded.
    pub(crate) fn is_at(&self, path: &[u8]) -> bool {
        *percent_decoded(self.arrival.head.path()) == *path
    }

    /// The address of its client; `None` for the client of a unix socket.
    pub(crate) fn client_ip(&self) -> Option<IpAddr> {
        match self.arrival.peer {
            Address::Internet { ip, .. } => Some(*ip),
            Address::Unix(_) => None,
        }
    }
}
