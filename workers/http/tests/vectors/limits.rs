//! Sizes that are just allowed, and those that are one byte or one field too much, with the limits
//! of the default settings.

use super::Outcome::{HeadOpen, Refused};
use super::{Outcome, Served, Vector, served};

/// Bytes of the extensions that one body may have.
const EXTENSIONS: usize = 16 << 10;

fn request(name: &str, line: &str, fields: &str, outcome: &Outcome) -> Vector {
    Vector::new(name, format!("{line}\r\nHost: a\r\n{fields}\r\n"), outcome)
}

/// A request line of this many bytes, without its line end.
fn line(len: usize) -> String {
    format!("GET /{} HTTP/1.1", "a".repeat(len - "GET / HTTP/1.1".len()))
}

/// A field line of this many bytes, with its line end.
fn field(len: usize) -> String {
    format!("X: {}\r\n", "a".repeat(len - "X: \r\n".len()))
}

fn heads() -> Vec<Vector> {
    let get = "GET / HTTP/1.1";
    let fields = |count: usize| "X: y\r\n".repeat(count);
    let name = format!("{}: x\r\n", "a".repeat(64 << 10));
    let open = |len: usize| format!("{get}\r\n{}", "a".repeat(len));
    vec![
        request("line of 4094 bytes", &line(4094), "", &served("")),
        request("line of 4095 bytes", &line(4095), "", &Refused(414)),
        request("line of 1 MiB", &line(1 << 20), "", &Refused(414)),
        Vector::new("line without an end, 4094 bytes", &line(4094).as_bytes()[..4094], &HeadOpen),
        Vector::new("line without an end, 4095 bytes", "A".repeat(4095), &Refused(414)),
        request("field of 8190 bytes", get, &field(8190), &served("")),
        request("field of 8191 bytes", get, &field(8191), &Refused(431)),
        request("field of 64 KiB", get, &field(64 << 10), &Refused(431)),
        request("name of 64 KiB", get, &name, &Refused(431)),
        Vector::new("field without an end, 8188 bytes", open(8188), &HeadOpen),
        Vector::new("field without an end, 8189 bytes", open(8189), &Refused(431)),
        // Host is one of the fields.
        request("100 fields", get, &fields(99), &served("")),
        request("101 fields", get, &fields(100), &Refused(431)),
        request("10001 fields", get, &fields(10_000), &Refused(431)),
        request("1 MiB of fields", get, &field(8000).repeat(131), &Refused(431)),
    ]
}

fn chunked(name: &str, body: &str, outcome: &Outcome) -> Vector {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    Vector::new(name, format!("{head}{body}"), outcome)
}

/// Served with a body of this many bytes.
fn served_bytes(count: usize) -> Outcome {
    let body = vec![b'a'; count].into();
    Outcome::Served(Served { body, rest: Vec::new().into(), keep_alive: true })
}

fn extensions() -> Vec<Vector> {
    let one = |len: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(len - 1));
    let extension = ";x=123";
    let many = |count, extension: &str| {
        format!("{}0\r\n\r\n", format!("1{extension}\r\na\r\n").repeat(count))
    };
    let allowed = EXTENSIONS / extension.len();
    let beyond = allowed + 1;
    vec![
        chunked("extension of 1 KiB", &one(1024), &served("a")),
        chunked("extension of 1 KiB and a byte", &one(1025), &Refused(400)),
        chunked("extension of 64 KiB", &one(64 << 10), &Refused(400)),
        chunked("extensions of 16 KiB", &many(allowed, extension), &served_bytes(allowed)),
        chunked("extensions beyond 16 KiB", &many(beyond, extension), &Refused(400)),
        chunked("64 Ki chunks", &many(1 << 16, ""), &served_bytes(1 << 16)),
    ]
}

/// Trailers are limited as fields are, and to 16 KiB.
fn trailers() -> Vec<Vector> {
    let trailers = |name: usize, count: usize| {
        format!("0\r\n{}\r\n", format!("{}:\r\n", "x".repeat(name)).repeat(count))
    };
    let endless = format!("0\r\n{}", "x".repeat(100 << 10));
    vec![
        chunked("100 trailers", &trailers(1, 100), &served("")),
        chunked("101 trailers", &trailers(1, 101), &Refused(431)),
        chunked("trailer of 8190 bytes", &trailers(8187, 1), &served("")),
        chunked("trailer of 8191 bytes", &trailers(8188, 1), &Refused(431)),
        chunked("3 trailers of 8190 bytes", &trailers(8187, 3), &Refused(431)),
        chunked("100 trailers of 1003 bytes", &trailers(1000, 100), &Refused(431)),
        chunked("trailer without an end", &endless, &Refused(431)),
    ]
}

pub(crate) fn limits() -> Vec<Vector> {
    heads().into_iter().chain(extensions()).chain(trailers()).collect()
}
