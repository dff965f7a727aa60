//! Records of the worker: the access log, what the server gives up, the texts of a
//! second.

pub(crate) mod access;
pub(crate) mod clock;
pub(crate) mod giving_up;
pub(crate) mod line_window;
pub(crate) mod session_variables;
