//! How requests and responses are laid out on a connection.

pub(crate) mod http1;
pub(crate) mod input;
pub(crate) mod multiplexer;
pub(crate) mod streams;
pub(crate) mod upload;
