//! Records of the worker: the access log, what the server gives up, the texts of a
//! second.

pub(crate) mod access;
pub(crate) mod access_facts;
mod access_json;
pub(crate) mod access_record;
mod access_selection;
pub(crate) mod clock;
pub(crate) mod figures;
pub(crate) mod giving_up;
pub(crate) mod line_window;
pub(crate) mod request_facts;
mod request_line;
pub(crate) mod session_variables;
