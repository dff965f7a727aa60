//! Listening sockets, and when the worker accepts from them.

pub(crate) mod accept;
pub(crate) mod admission;
pub(crate) mod expected;
pub(crate) mod gate;
pub(crate) mod listening;
pub(crate) mod pause;
pub(crate) mod turns;
