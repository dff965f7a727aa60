//! Responses of the server itself, in plain text.

use monoceros_engine::{Decision, LocalResponse};
use monoceros_http::Head;

/// How many bytes of a request's body are dropped, so that its connection can continue: 64 KiB.
const DISCARD: u64 = 64 << 10;

/// The decision to send this response, if there is one.
pub(crate) fn respond(response: Option<LocalResponse>) -> Decision {
    match response {
        Some(response) => Decision::Respond { response, discard: DISCARD },
        None => Decision::Pass,
    }
}

/// Whether a request only reads.
pub(crate) fn is_read(head: &Head) -> bool {
    matches!(head.method(), b"GET" | b"HEAD")
}

/// The response to a request that does not only read.
pub(crate) fn only_read() -> LocalResponse {
    with_field(plain(405, "Method Not Allowed"), b"Allow", b"GET, HEAD")
}

/// The response to a request whose preconditions are not met.
pub(crate) fn precondition_failed() -> LocalResponse {
    plain(412, "Precondition Failed")
}

/// The response to a request for a range behind the end, with the length (RFC 9110 section
/// 15.5.17).
pub(crate) fn unsatisfiable(length: u64) -> LocalResponse {
    let range = format!("bytes */{length}");
    with_field(plain(416, "Range Not Satisfiable"), b"Content-Range", range.as_bytes())
}

/// A response of plain text, which is its status.
pub(crate) fn plain(status: u16, text: &str) -> LocalResponse {
    let response = LocalResponse::new(status).body(format!("{status} {text}\n").into_bytes());
    with_field(response, b"Content-Type", b"text/plain; charset=utf-8")
}

/// Adds a field that is well-formed.
pub(crate) fn with_field(mut response: LocalResponse, name: &[u8], value: &[u8]) -> LocalResponse {
    let added = response.field(name, value);
    debug_assert!(added.is_ok(), "{}: {added:?}", name.escape_ascii());
    response
}
