//! One request and its response: as data, and while an application thread has them.

pub(crate) mod body;
pub(crate) mod claim;
pub(crate) mod content;
pub(crate) mod encoding;
pub(crate) mod end;
pub(crate) mod exchange;
pub(crate) mod inbound;
pub(crate) mod label;
pub(crate) mod local;
pub(crate) mod request;
pub(crate) mod request_ids;
pub(crate) mod response;
pub(crate) mod shared_stream;
