//! Listening sockets, and when the worker accepts from them.

pub(crate) mod accept;
pub(crate) mod admission;
pub(crate) mod gate;
pub(crate) mod turns;
