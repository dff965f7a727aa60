//! Requests as bytes, and how each must be answered: delivered in one piece and
//! byte by byte, with a good request behind that must never be served if the
//! first was bad.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::support::client::Connection;
use crate::support::server::Server;
use crate::support::setup::Setup;

/// What stands behind each vector. If it is answered, a request was smuggled.
const BEHIND: &[u8] = b"GET /behind HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A client that was silent for longer while it sends what nobody wants, because the
/// machine has not run it, may be reset.
const LINGERS: Duration = Duration::from_secs(1);

/// Longer vectors are not worth delivering byte by byte.
const SHORT: usize = 2048;

type Vector = (&'static str, Vec<u8>, &'static [u16]);

/// Delivers `bytes` in pieces of `size`; a server may close before the end.
fn deliver(server: &Server, bytes: &[u8], size: usize) -> Connection {
    let mut connection = server.connect();
    for piece in bytes.chunks(size) {
        if connection.send_if_taken(piece).is_err() {
            break;
        }
    }
    connection
}

fn assert_rejected(server: &Server, (name, bytes, statuses): &Vector) {
    let whole: Vec<_> = bytes.iter().chain(BEHIND).copied().collect();
    let piece = if whole.len() < SHORT { 1 } else { 4096 };
    for size in [whole.len(), piece] {
        let begun = Instant::now();
        let mut connection = deliver(server, &whole, size);
        let is_slow = begun.elapsed() > LINGERS;
        let response = connection
            .try_response("GET")
            .unwrap_or_else(|error| panic!("{name}, {size} at a time: no answer: {error}"));
        let status = response.status;
        assert!(statuses.contains(&status), "{name}, {size} at a time: {status}, not {statuses:?}");
        assert!(response.closes(), "{name}: {response:?}");
        let rest = match connection.rest() {
            Err(error) if is_slow && error.kind() == ErrorKind::ConnectionReset => Vec::new(),
            rest => rest.unwrap_or_else(|error| panic!("{name}: {error}")),
        };
        assert_eq!(String::from_utf8_lossy(&rest), "", "{name}: nothing follows");
    }
}

fn assert_all_rejected(vectors: Vec<Vector>) {
    let server = Setup::of("environ:echo").workers(2).start();
    for vector in &vectors {
        assert_rejected(&server, vector);
    }
}

/// A request whose first line is given.
fn first(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// A GET with a line more in its head.
fn field(line: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n").into_bytes()
}

/// A POST with lines that frame a body of five bytes.
fn framed(lines: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\nhello").into_bytes()
}

/// A POST with a chunked body.
fn chunked(body: &str) -> Vec<u8> {
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    format!("{head}{body}").into_bytes()
}

/// The character of a byte beyond ASCII becomes that byte.
fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()
}

#[test]
fn request_lines_that_are_none_are_rejected() {
    let vectors = [
        ("two leading line ends", "\r\n\r\nGET / HTTP/1.1", &[400][..]),
        ("leading line feed", "\nGET / HTTP/1.1", &[400]),
        ("leading space", " GET / HTTP/1.1", &[400]),
        ("no version", "GET /", &[400]),
        ("no target", "GET  HTTP/1.1", &[400]),
        ("two spaces", "GET  / HTTP/1.1", &[400]),
        ("two spaces before the version", "GET /  HTTP/1.1", &[400]),
        ("a tab", "GET\t/ HTTP/1.1", &[400]),
        ("trailing space", "GET / HTTP/1.1 ", &[400]),
        ("four parts", "GET / more HTTP/1.1", &[400]),
        ("lower-case method", "get / HTTP/1.1", &[400, 501]),
        ("no token as method", "G{T / HTTP/1.1", &[400]),
        ("lower-case protocol", "GET / http/1.1", &[400]),
        ("version 2.0", "GET / HTTP/2.0", &[505]),
        ("version 0.9", "GET / HTTP/0.9", &[400, 505]),
        ("version 1.01", "GET / HTTP/1.01", &[400]),
        ("version 1", "GET / HTTP/1", &[400]),
        ("version 1.1x", "GET / HTTP/1.1x", &[400]),
        ("preface of HTTP/2", "PRI * HTTP/2.0", &[400, 505]),
        ("relative target", "GET index HTTP/1.1", &[400]),
        ("fragment", "GET /#top HTTP/1.1", &[400]),
        ("NUL in the target", "GET /\0 HTTP/1.1", &[400]),
        ("control in the target", "GET /\x01 HTTP/1.1", &[400]),
        ("DEL in the target", "GET /\x7f HTTP/1.1", &[400]),
        ("asterisk with GET", "GET * HTTP/1.1", &[400]),
        ("authority with GET", "GET localhost:80 HTTP/1.1", &[400]),
        ("absolute form without host", "GET http:///path HTTP/1.1", &[400]),
        ("CONNECT", "CONNECT localhost:80 HTTP/1.1", &[400, 405, 501]),
    ];
    let vectors = vectors.map(|(name, line, statuses)| (name, first(line), statuses));
    assert_all_rejected(vectors.to_vec());
}

#[test]
fn bytes_that_are_no_http_are_rejected() {
    let hello = b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03\r\n\r\n".to_vec();
    assert_all_rejected(vec![
        ("handshake of TLS", hello, &[400]),
        ("line feeds alone", b"GET / HTTP/1.1\nHost: localhost\n\n".to_vec(), &[400]),
        ("carriage returns alone", b"GET / HTTP/1.1\rHost: localhost\r\r\n".to_vec(), &[400]),
        ("NUL bytes", vec![0; 64], &[400]),
        (
            "byte beyond ASCII in the target",
            latin("GET /\u{ff} HTTP/1.1\r\nHost: a\r\n\r\n"),
            &[400],
        ),
    ]);
}

#[test]
fn fields_that_are_none_are_rejected() {
    let vectors = [
        ("no colon", "X-A"),
        ("empty name", ": value"),
        ("space before the colon", "X-A : value"),
        ("tab before the colon", "X-A\t: value"),
        ("space in the name", "X A: value"),
        ("bracket in the name", "X(A: value"),
        ("NUL in the name", "X\0A: value"),
        ("NUL in the value", "X-A: a\0b"),
        ("control in the value", "X-A: a\x01b"),
        ("DEL in the value", "X-A: a\x7fb"),
        ("line feed in the value", "X-A: a\nX-B: b"),
        ("carriage return in the value", "X-A: a\rX-B: b"),
        ("carriage return before the line end", "X-A: a\r"),
        ("folded value", "X-A: a\r\n b"),
        ("folded with a tab", "X-A: a\r\n\tb"),
        ("line of white space", " \t"),
        ("two types", "Content-Type: text/plain\r\nContent-Type: text/html"),
    ];
    let mut vectors: Vec<Vector> =
        vectors.map(|(name, line)| (name, field(line), &[400][..])).to_vec();
    let folded = b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n".to_vec();
    vectors.push(("folded first field", folded, &[400]));
    let name = latin("GET / HTTP/1.1\r\nHost: localhost\r\nX-\u{df}: a\r\n\r\n");
    vectors.push(("name beyond ASCII", name, &[400]));
    assert_all_rejected(vectors);
}

#[test]
fn hosts_that_are_none_are_rejected() {
    let vectors = [
        ("no host", ""),
        ("two hosts", "Host: a\r\nHost: b\r\n"),
        ("the same host twice", "Host: a\r\nHost: a\r\n"),
        ("list of hosts", "Host: a,b\r\n"),
        ("space in the host", "Host: a b\r\n"),
        ("user in the host", "Host: a@b\r\n"),
        ("slash in the host", "Host: a/b\r\n"),
        ("question mark in the host", "Host: a?b\r\n"),
        ("port too large", "Host: a:999999\r\n"),
        ("port that is no number", "Host: a:b\r\n"),
        ("bracket without end", "Host: [::1\r\n"),
        ("no address in brackets", "Host: [a]\r\n"),
    ];
    let head = |line: &str| format!("GET / HTTP/1.1\r\n{line}\r\n").into_bytes();
    assert_all_rejected(vectors.map(|(name, line)| (name, head(line), &[400][..])).to_vec());
}

#[test]
fn ambiguous_lengths_are_rejected() {
    let lengths = [
        "+5",
        "-5",
        "-0",
        "0x5",
        "0o5",
        "5 5",
        "5,5",
        "5, 5",
        "5,6",
        "1_0",
        "",
        "5.0",
        "5;x",
        "\"5\"",
        "five",
        "18446744073709551621",
        "99999999999999999999999999",
    ];
    let mut vectors: Vec<Vector> = lengths
        .iter()
        .map(|value| (*value, framed(&format!("Content-Length: {value}")), &[400, 413][..]))
        .collect();
    for (name, lines) in [
        ("two lengths", "Content-Length: 5\r\nContent-Length: 6"),
        ("the same length twice", "Content-Length: 5\r\nContent-Length: 5"),
        ("folded length", "Content-Length:\r\n 5"),
        ("space before the colon", "Content-Length : 5"),
        ("length and chunked", "Content-Length: 5\r\nTransfer-Encoding: chunked"),
        ("chunked and length", "Transfer-Encoding: chunked\r\nContent-Length: 5"),
    ] {
        vectors.push((name, framed(lines), &[400]));
    }
    vectors.push(("superscript", latin_framed("Content-Length: \u{b2}"), &[400]));
    vectors.push(("no-break space", latin_framed("Content-Length: 5\u{a0}"), &[400]));
    assert_all_rejected(vectors);
}

fn latin_framed(line: &str) -> Vec<u8> {
    latin(&format!("POST / HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\nhello"))
}

#[test]
fn transfer_codings_that_hide_the_length_are_rejected() {
    let codings = [
        "xchunked",
        "chunked, chunked",
        "chunked, identity",
        "identity, chunked",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked;q=1",
        "\"chunked\"",
        "chunked\x0b",
        "\x0cchunked",
        "",
        "chunked chunked",
        "cow",
    ];
    let mut vectors: Vec<Vector> = codings
        .iter()
        .map(|value| (*value, framed(&format!("Transfer-Encoding: {value}")), &[400, 501][..]))
        .collect();
    for (name, lines) in [
        ("two fields", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        (
            "a second coding in a second field",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
        ),
        ("empty, with a length", "Transfer-Encoding:\r\nContent-Length: 5"),
        ("folded", "Transfer-Encoding:\r\n chunked"),
        ("space before the colon", "Transfer-Encoding : chunked"),
        ("leading space", " Transfer-Encoding: chunked"),
        ("behind a line feed", "X-A: a\nTransfer-Encoding: chunked"),
        ("behind a carriage return", "X-A: a\rTransfer-Encoding: chunked"),
    ] {
        vectors.push((name, framed(lines), &[400, 501]));
    }
    vectors.push((
        "byte beyond ASCII",
        latin_framed("Transfer-Encoding: \u{ff}chunked"),
        &[400, 501],
    ));
    assert_all_rejected(vectors);
}

#[test]
fn chunked_is_rejected_in_http_1_0() {
    let head = "POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n";
    let body = "\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_all_rejected(vec![
        ("chunked", format!("{head}{body}").into_bytes(), &[400]),
        ("with a length", format!("{head}Content-Length: 5\r\n{body}").into_bytes(), &[400]),
    ]);
}

#[test]
fn chunks_that_break_the_grammar_are_rejected() {
    let vectors = [
        ("prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("plus", "+5\r\nhello\r\n0\r\n\r\n"),
        ("minus", "-5\r\nhello\r\n0\r\n\r\n"),
        ("underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
        ("space before the size", " 5\r\nhello\r\n0\r\n\r\n"),
        ("space after the size", "5 \r\nhello\r\n0\r\n\r\n"),
        ("tab after the size", "5\t\r\nhello\r\n0\r\n\r\n"),
        ("no size", "\r\nhello\r\n0\r\n\r\n"),
        ("no hexadecimal", "g\r\nhello\r\n0\r\n\r\n"),
        ("17 digits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("largest size", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("line feed after the size", "5\nhello\r\n0\r\n\r\n"),
        ("line feed after the data", "5\r\nhello\n0\r\n\r\n"),
        ("carriage return after the size", "5\rhello\r\n0\r\n\r\n"),
        ("two carriage returns", "5\r\r\nhello\r\n0\r\n\r\n"),
        ("data longer than its size", "3\r\nhello\r\n0\r\n\r\n"),
        ("no line end after the data", "5\r\nhello0\r\n\r\n"),
        ("semicolon alone", "5;\r\nhello\r\n0\r\n\r\n"),
        ("line feed in the extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("carriage return in the extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
        ("NUL in the extension", "5;a=\0\r\nhello\r\n0\r\n\r\n"),
        ("line feeds at the end", "5\r\nhello\r\n0\n\n"),
        ("line feed at the very end", "5\r\nhello\r\n0\r\n\n"),
        ("trailer without colon", "5\r\nhello\r\n0\r\nX-A\r\n\r\n"),
        ("trailer with space before the colon", "5\r\nhello\r\n0\r\nX-A : a\r\n\r\n"),
        ("trailer with carriage return", "5\r\nhello\r\n0\r\nX-A: a\rb\r\n\r\n"),
        ("request as trailer", "0\r\nX:POST / HTTP/1.1\r\nHost: a\nb\r\n\r\n"),
    ];
    let mut vectors: Vec<Vector> =
        vectors.map(|(name, body)| (name, chunked(body), &[400, 413][..])).to_vec();
    let extension = format!("5;a={}\r\nhello\r\n0\r\n\r\n", "b".repeat(65536));
    vectors.push(("extension of 64 KiB", chunked(&extension), &[400, 413, 431]));
    let trailer = format!("5\r\nhello\r\n0\r\nX-A: {}\r\n\r\n", "b".repeat(102_400));
    vectors.push(("trailer of 100 KiB", chunked(&trailer), &[400, 413, 431]));
    assert_all_rejected(vectors);
}

#[test]
fn expectations_that_cannot_be_met_are_rejected() {
    assert_all_rejected(vec![
        ("unknown", field("Expect: wonders"), &[417]),
        ("list", framed("Expect: 100-continue, wonders\r\nContent-Length: 5"), &[417]),
    ]);
}

#[test]
fn heads_beyond_the_limits_are_rejected() {
    let many = |count| vec!["X-A: a"; count].join("\r\n");
    let long = |size| format!("X-A: {}", "a".repeat(size));
    let name = format!("X-{}: a", "a".repeat(65536));
    let megabyte = vec![long(8000); 130].join("\r\n");
    assert_all_rejected(vec![
        ("long target", first(&format!("GET /{} HTTP/1.1", "a".repeat(8192))), &[414]),
        ("endless target", first(&format!("GET /{} HTTP/1.1", "a".repeat(1 << 20))), &[414]),
        ("long value", field(&long(65536)), &[431]),
        ("long name", field(&name), &[431]),
        ("1000 fields", field(&many(1000)), &[431]),
        ("10000 fields", field(&many(10_000)), &[431]),
        ("1 MiB of fields", field(&megabyte), &[431]),
    ]);
}

#[test]
fn limits_are_where_the_settings_put_them() {
    let server = Setup::of("environ")
        .flags(&["--limit-request-line", "100", "--limit-request-fields", "10"])
        .flags(&["--limit-request-field_size", "200"])
        .start();
    let line = |length: usize| first(&format!("GET /{} HTTP/1.1", "a".repeat(length - 14)));
    assert_eq!(server.ask(line(100)).status, 200);
    assert_eq!(server.ask(line(101)).status, 414);
    // Host is one of them.
    let fields = |count: usize| field(&vec!["X-A: a"; count - 1].join("\r\n"));
    assert_eq!(server.ask(fields(10)).status, 200);
    assert_eq!(server.ask(fields(11)).status, 431);
    assert_eq!(server.ask(field(&format!("X-A: {}", "a".repeat(190)))).status, 200);
    assert_eq!(server.ask(field(&format!("X-A: {}", "a".repeat(210)))).status, 431);
}

#[test]
fn bodies_that_end_early_never_reach_the_application() {
    let server = Setup::of("stream:route").start();
    for (name, bytes) in [
        ("short of its length", framed("Content-Length: 50")),
        ("a chunk cut off", chunked("5\r\nhel")),
        ("no last chunk", chunked("5\r\nhello\r\n")),
        ("no final line end", chunked("5\r\nhello\r\n0\r\n")),
    ] {
        for size in [bytes.len(), 1] {
            let mut connection = deliver(&server, &bytes, size);
            connection.finish_sending();
            let answer = connection.rest().unwrap_or_else(|error| panic!("{name}: {error}"));
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{name}: {answer}");
        }
    }
}

/// The good ones, to know that the strict do not reject everything.
#[test]
fn requests_that_are_in_order_are_served() {
    let vectors: [(&str, Vec<u8>, &str); 16] = [
        ("plain", first("GET / HTTP/1.1"), ""),
        ("one leading line end", first("\r\nGET / HTTP/1.1"), ""),
        ("absolute form", first("GET http://localhost/path HTTP/1.1"), ""),
        ("an uncommon method", first("PROPFIND / HTTP/1.1"), ""),
        ("obs-text in a value", latin("GET / HTTP/1.1\r\nHost: a\r\nX-A: caf\u{e9}\r\n\r\n"), ""),
        ("empty value", field("X-A:"), ""),
        ("white space around a value", field("X-A: \t a \t "), ""),
        ("length with zeros", framed("Content-Length: 005"), "hello"),
        ("white space around the length", framed("Content-Length: \t5 "), "hello"),
        ("another case", chunked_as("cHuNkEd"), "hello"),
        ("size with zeros", chunked("0005\r\nhello\r\n0\r\n\r\n"), "hello"),
        (
            "sizes of either case",
            chunked("a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n"),
            "0123456789abcdefghij",
        ),
        ("extension", chunked("5;name=value\r\nhello\r\n0\r\n\r\n"), "hello"),
        ("quoted extension", chunked("5;a=\";\\\"\"\r\nhello\r\n0\r\n\r\n"), "hello"),
        ("trailers", chunked("5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-B: b\r\n\r\n"), "hello"),
        ("no body at all", chunked("0\r\n\r\n"), ""),
    ];
    let server = Setup::of("environ:echo").workers(2).start();
    for (name, bytes, body) in vectors {
        let whole: Vec<_> = bytes.iter().chain(BEHIND).copied().collect();
        for size in [whole.len(), 1, 7] {
            let mut connection = deliver(&server, &whole, size);
            let response = connection.response();
            assert_eq!((response.status, response.text().as_str()), (200, body), "{name}, {size}");
            assert_eq!(connection.response().status, 200, "{name}, {size}: the one behind");
        }
    }
}

fn chunked_as(coding: &str) -> Vec<u8> {
    let body = "5\r\nhello\r\n0\r\n\r\n";
    format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n{body}").into_bytes()
}
