//! The parts of a head that was accepted, and what they mean for its connection.

use monoceros_http::{Framing, Head, Version};

use super::check::{Parts, USUAL, head_however_cut};

fn parts(input: &str) -> Parts {
    match head_however_cut(input.as_bytes(), &USUAL) {
        Ok(Some((parts, len))) if len == input.len() => parts,
        other => panic!("{input:?} gave {other:?}"),
    }
}

#[test]
fn a_head_is_taken_apart() {
    let parts = parts(
        "\r\nPUT /a%20b?c=d HTTP/1.1\r\nHOST:\t a:1 \r\nx-Empty:\r\nX-List: a\r\nX-List:  b\t\r\n\r\n",
    );
    let fields: [(&[u8], &[u8]); 4] =
        [(b"HOST", b"a:1"), (b"x-Empty", b""), (b"X-List", b"a"), (b"X-List", b"b")];
    assert_eq!(parts.method, b"PUT");
    assert_eq!(parts.target, b"/a%20b?c=d");
    assert_eq!(parts.path, b"/a%20b");
    assert_eq!(parts.query, b"c=d");
    assert_eq!(parts.version, Version::Http11);
    assert_eq!(parts.host.as_deref(), Some(&b"a:1"[..]));
    assert_eq!(parts.framing, Framing::None);
    assert!(parts.fields.iter().map(|(name, value)| (&name[..], &value[..])).eq(fields));
}

#[test]
fn an_absolute_target_names_the_host() {
    let parts = parts("GET http://A.example?b HTTP/1.1\r\nHost: b.example:81\r\n\r\n");
    assert_eq!(parts.target, b"http://A.example?b");
    assert_eq!(parts.path, b"/");
    assert_eq!(parts.query, b"b");
    assert_eq!(parts.host.as_deref(), Some(&b"A.example"[..]));
}

/// RFC 9112 section 9.3.
#[test]
fn a_connection_stays_open_if_both_sides_can() {
    for (version, fields, keep_alive) in [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, CLOSE ,y\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.1", "Connection: close\r\nConnection: x\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.1", "Connection: close, keep-alive\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive\r\nConnection: x\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Keep-Alive: timeout=5\r\n", false),
    ] {
        let parts = parts(&format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(parts.keep_alive, keep_alive, "{version} {fields:?}");
    }
}

/// RFC 9110 section 10.1.1.
#[test]
fn only_a_body_can_be_continued() {
    for (version, fields, expects) in [
        ("1.1", "Content-Length: 1\r\nExpect: 100-continue\r\n", true),
        ("1.1", "Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n", true),
        ("1.1", "Content-Length: 0\r\nExpect: 100-continue\r\n", false),
        ("1.1", "Expect: 100-continue\r\n", false),
        ("1.1", "Content-Length: 1\r\n", false),
        ("1.0", "Content-Length: 1\r\nExpect: 100-continue\r\n", false),
    ] {
        let parts = parts(&format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(parts.expects_continue, expects, "{version} {fields:?}");
    }
}

#[test]
fn the_first_field_of_a_name_counts_and_a_head_can_be_read_again() {
    let input = b"GET / HTTP/1.1\r\nHost: a\r\nX-REQUEST-ID: 1\r\nx-request-id: 2\r\n\r\n";
    let mut head = Head::new();
    head.read(&[input, &b"more"[..]].concat(), &USUAL).unwrap();
    assert_eq!(head.field(b"x-request-id"), Some(&b"1"[..]));
    assert_eq!(head.bytes(), input);
    head.clear();
    head.read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &USUAL).unwrap();
    assert_eq!(head.field(b"x-request-id"), None);
}
