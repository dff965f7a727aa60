//! The policy: each vector is read whole, byte by byte, and cut at every offset, and has the same
//! outcome each time.

#[path = "../../../../tests/fuzz/check.rs"]
mod check;
#[path = "../vectors/mod.rs"]
mod vectors;

mod connection;
mod corpus;
mod reader;

use monoceros_http::Framing;

use vectors::{Outcome, Served, Vector};

/// What becomes of the first request in `input`.
fn outcome(input: &[u8]) -> Outcome {
    let limits = check::USUAL;
    let (parts, len) = match check::head_however_cut(input, &limits) {
        Err(reject) => return Outcome::Refused(reject.status),
        Ok(None) => return Outcome::HeadOpen,
        Ok(Some(read)) => read,
    };
    let rest = &input[len..];
    let (body, len) = match parts.framing {
        Framing::None => (Vec::new(), 0),
        Framing::Length(length) => match rest.get(..length as usize) {
            Some(body) => (body.to_vec(), body.len()),
            None => return Outcome::BodyOpen,
        },
        Framing::Chunked => match check::body_however_cut(rest, &limits) {
            (_, Err(reject)) => return Outcome::Refused(reject.status),
            (_, Ok(None)) => return Outcome::BodyOpen,
            (body, Ok(Some(len))) => (body, len),
        },
    };
    let rest = rest[len..].to_vec().into();
    Outcome::Served(Served { body: body.into(), rest, keep_alive: parts.keep_alive })
}

/// Checks all vectors, and names those with another outcome.
fn check_all(vectors: Vec<Vector>) {
    let mut wrong = Vec::new();
    for vector in vectors {
        let got = outcome(&vector.bytes);
        if got != vector.outcome {
            wrong.push(format!("{}: {got:?}, not {:?}", vector.name, vector.outcome));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn requests_have_the_outcomes_of_the_list() {
    check_all(vectors::requests());
}

#[test]
fn hosts_have_the_outcomes_of_the_list() {
    check_all(vectors::hosts());
}

#[test]
fn fields_have_the_outcomes_of_the_list() {
    check_all(vectors::fields());
}

#[test]
fn bodies_have_the_outcomes_of_the_list() {
    check_all(vectors::bodies());
}

#[test]
fn sizes_have_the_outcomes_of_the_list() {
    check_all(vectors::limits());
}
