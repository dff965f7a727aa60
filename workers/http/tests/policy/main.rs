//! The policy as vectors: bytes that a client may send, and what becomes of them. Each is delivered
//! whole, byte by byte, and cut at every offset, and the result must be the same.

#[path = "../../../../tests/fuzz/check.rs"]
mod check;

mod bodies;
mod connection;
mod corpus;
mod heads;
mod lengths;

use std::borrow::Cow;

use monoceros_http::Framing;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// Answered with this status, and the connection closed.
    Refused(u16),
    /// More is waited for; if the client is gone, the request is never served.
    Open,
    /// Served with this body; the next request begins after it.
    Served(Cow<'static, [u8]>),
}

use Outcome::{Open, Refused};

const fn served(body: &'static str) -> Outcome {
    Outcome::Served(Cow::Borrowed(body.as_bytes()))
}

/// What becomes of the first request in `input`.
fn outcome(input: &[u8]) -> Outcome {
    let limits = check::USUAL;
    let (parts, len) = match check::head_however_cut(input, &limits) {
        Err(reject) => return Refused(reject.status),
        Ok(None) => return Open,
        Ok(Some(read)) => read,
    };
    let rest = &input[len..];
    match parts.framing {
        Framing::None => served(""),
        Framing::Length(length) => match rest.get(..length as usize) {
            Some(body) => Outcome::Served(body.to_vec().into()),
            None => Open,
        },
        Framing::Chunked => match check::body_however_cut(rest, &limits) {
            (_, Err(reject)) => Refused(reject.status),
            (_, Ok(None)) => Open,
            (body, Ok(Some(_))) => Outcome::Served(body.into()),
        },
    }
}

/// Checks all vectors, and says of all that differ what they gave.
fn check_all(vectors: impl Iterator<Item = (&'static str, Vec<u8>, &'static Outcome)>) {
    let mut wrong = Vec::new();
    for (name, input, want) in vectors {
        let got = outcome(&input);
        if got != *want {
            wrong.push(format!("{name}: {got:?}, not {want:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
