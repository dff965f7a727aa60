//! The policy on HTTP/1 requests, as vectors: bytes that a client may send, and the outcome. The
//! tests of this crate read them with every cut, and the black-box tests send them to a server
//! (`tests/vectors.rs`). What refuses a request is a vector here and in no other place.

mod bodies;
mod fields;
mod hosts;
mod limits;
mod requests;

use std::borrow::Cow;

pub(crate) use bodies::bodies;
pub(crate) use fields::fields;
pub(crate) use hosts::hosts;
pub(crate) use limits::limits;
pub(crate) use requests::requests;

/// What becomes of the first request in some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server responds with this status and closes the connection.
    Refused(u16),
    /// The head is not complete. If the client ends here, the server closes without a response.
    HeadOpen,
    /// The body is not complete. If the client ends here, the server responds with 400.
    BodyOpen,
    /// The application gets the request.
    Served(Served),
}

/// A request that the application gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) body: Cow<'static, [u8]>,
    /// The bytes behind the request, with which the next one begins.
    pub(crate) rest: Cow<'static, [u8]>,
    /// Whether the connection stays open.
    pub(crate) keep_alive: bool,
}

pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) outcome: Outcome,
}

impl Vector {
    fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>, outcome: &Outcome) -> Self {
        Self { name: name.into(), bytes: bytes.into(), outcome: outcome.clone() }
    }
}

/// Served with this body; the connection stays open, and nothing follows.
const fn served(body: &'static str) -> Outcome {
    served_before(body, "")
}

/// Served with this body; `rest` is left for the next request.
const fn served_before(body: &'static str, rest: &'static str) -> Outcome {
    Outcome::Served(Served {
        body: Cow::Borrowed(body.as_bytes()),
        rest: Cow::Borrowed(rest.as_bytes()),
        keep_alive: true,
    })
}

/// Served without a body, as the last request of its connection; `rest` is ignored.
const fn served_last(rest: &'static str) -> Outcome {
    Outcome::Served(Served {
        body: Cow::Borrowed(b""),
        rest: Cow::Borrowed(rest.as_bytes()),
        keep_alive: false,
    })
}

/// Some bytes as the name of their vector.
fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
