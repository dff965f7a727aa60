//! The protocols of a connection: the bytes of requests and responses.

pub(crate) mod http1;
pub(crate) mod input;
pub(crate) mod multiplexer;
pub(crate) mod progress;
pub(crate) mod proxy_header;
pub(crate) mod streams;
pub(crate) mod upload;
