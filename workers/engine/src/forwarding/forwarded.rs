//! What trusted proxies have reported about the client of one request.

use std::sync::Arc;

use monoceros_http::PathPrefix;
use monoceros_wire::listener::Scheme;

use crate::connection::address::Address;

/// What trusted proxies have reported about the client of a request. It is small, since
/// each request has one and mostly nothing was reported.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forwarded {
    /// The client's address, in place of the connection's peer.
    pub(crate) client: Option<Arc<Address>>,
    /// The scheme of the client's URL, in place of the listener's.
    pub(crate) scheme: Option<Scheme>,
    /// The prefix of the application's paths, in place of the worker's variable.
    pub(crate) prefix: Option<Arc<PathPrefix>>,
    /// The connection is that of a trusted proxy.
    pub(crate) is_from_trusted: bool,
}
