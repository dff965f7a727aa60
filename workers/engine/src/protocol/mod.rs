//! How requests and responses are laid out on a connection.

pub(crate) mod http1;
pub(crate) mod input;
pub(crate) mod upload;
