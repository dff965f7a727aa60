//! The vectors of the HTTP crate, sent to a server: each in one piece and byte by byte, and in
//! front of a request that must not be served if the first one is refused.

use std::io::{ErrorKind, Result};
use std::time::{Duration, Instant};

use crate::support::client::{Connection, get};
use crate::support::server::Server;
use crate::support::setup::Setup;

#[path = "../workers/http/tests/vectors/mod.rs"]
mod list;

use list::{Outcome, Served, Vector};

/// What stands behind each vector. If it is served after a refusal, a request was smuggled.
const BEHIND: &[u8] = b"GET /behind HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The server may reset the connection of a client that was silent for longer while it
/// sends what is discarded: the machine has not run the client.
const LINGERS: Duration = Duration::from_secs(1);

/// Longer vectors are not delivered byte by byte.
const SHORT: usize = 2048;

/// A vector on its way.
struct Delivery {
    connection: Connection,
    /// The vector, and the size of the pieces that it was sent in.
    name: String,
    is_slow: bool,
}

impl Delivery {
    /// Sends `bytes` in pieces of `size`; a server may close before the end.
    fn begin(server: &Server, vector: &Vector, bytes: &[u8], size: usize) -> Self {
        let begun = Instant::now();
        let mut connection = server.connect();
        for piece in bytes.chunks(size) {
            if connection.send_if_taken(piece).is_err() {
                break;
            }
        }
        let name = format!("{}, {size} bytes at a time", vector.name);
        Self { connection, name, is_slow: begun.elapsed() > LINGERS }
    }

    fn assert_refused(&mut self, status: u16) {
        let Self { connection, name, .. } = self;
        let response = connection.try_response("GET");
        let response = response.unwrap_or_else(|error| panic!("{name}: no response: {error}"));
        assert_eq!((response.status, response.closes()), (status, true), "{name}");
        self.assert_closed();
    }

    fn assert_served(&mut self, served: &Served) {
        let Self { connection, name, .. } = self;
        let response = connection.try_response("GET");
        let response = response.unwrap_or_else(|error| panic!("{name}: no response: {error}"));
        assert_eq!((response.status, response.closes()), (200, !served.keep_alive), "{name}");
        assert!(response.body == *served.body, "{name}: {} bytes", response.body.len());
        if !served.keep_alive {
            self.assert_closed();
        } else if served.rest.is_empty() {
            assert_eq!(connection.response().status, 200, "{name}: the request behind it");
        } else {
            // The rest is no request line.
            self.assert_refused(400);
        }
    }

    /// Nothing follows.
    fn assert_closed(&mut self) {
        let rest = self.rest().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        assert_eq!(String::from_utf8_lossy(&rest), "", "{}", self.name);
    }

    fn rest(&mut self) -> Result<Vec<u8>> {
        match self.connection.rest() {
            Err(error) if self.is_slow && error.kind() == ErrorKind::ConnectionReset => {
                Ok(Vec::new())
            }
            rest => rest,
        }
    }
}

fn check(server: &Server, vector: &Vector) {
    let Vector { bytes, outcome, .. } = vector;
    let whole = [bytes, BEHIND].concat();
    let piece = if whole.len() < SHORT { 1 } else { 4096 };
    for size in [whole.len(), piece] {
        let deliver = |bytes| Delivery::begin(server, vector, bytes, size);
        match outcome {
            Outcome::Refused(status) => deliver(&whole).assert_refused(*status),
            Outcome::Served(served) => deliver(&whole).assert_served(served),
            Outcome::HeadOpen => {
                let mut delivery = deliver(bytes);
                delivery.connection.finish_sending();
                delivery.assert_closed();
            }
            Outcome::BodyOpen => {
                let mut delivery = deliver(bytes);
                delivery.connection.finish_sending();
                delivery.assert_refused(400);
            }
        }
    }
}

fn check_all(vectors: &[Vector]) {
    let server = Setup::of("environ:echo").workers(2).start();
    for vector in vectors {
        check(&server, vector);
    }
}

#[test]
fn requests_have_the_outcomes_of_the_list() {
    check_all(&list::requests());
}

#[test]
fn hosts_have_the_outcomes_of_the_list() {
    check_all(&list::hosts());
}

#[test]
fn fields_have_the_outcomes_of_the_list() {
    check_all(&list::fields());
}

#[test]
fn bodies_have_the_outcomes_of_the_list() {
    check_all(&list::bodies());
}

#[test]
fn sizes_have_the_outcomes_of_the_list() {
    check_all(&list::limits());
}

#[test]
fn limits_are_those_of_the_settings() {
    let server = Setup::of("environ")
        .flags(&["--limit-request-line", "100", "--limit-request-fields", "10"])
        .flags(&["--limit-request-field_size", "200"])
        .start();
    let line = |length: usize| get(&format!("/{}", "a".repeat(length - "GET / HTTP/1.1".len())));
    assert_eq!(server.ask(line(100)).status, 200);
    assert_eq!(server.ask(line(101)).status, 414);
    let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    // Host is one of the fields.
    let fields = |count: usize| with(&"X-A: a\r\n".repeat(count - 1));
    assert_eq!(server.ask(fields(10)).status, 200);
    assert_eq!(server.ask(fields(11)).status, 431);
    let field = |length: usize| with(&format!("X-A: {}\r\n", "a".repeat(length - 7)));
    assert_eq!(server.ask(field(200)).status, 200);
    assert_eq!(server.ask(field(201)).status, 431);
}
