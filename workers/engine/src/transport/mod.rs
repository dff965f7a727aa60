//! How the bytes of a connection reach its socket, and what waits for room there.

pub(crate) mod file_range;
pub(crate) mod outgoing;
pub(crate) mod payload;
pub(crate) mod pledge;
pub(crate) mod room;
