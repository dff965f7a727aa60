//! The reader of heads and the decoder of bodies: used again, with other limits, and with input
//! that breaks their contract.

use monoceros_http::{Chunks, Head, Limits};

use super::check::{self, USUAL};
use super::vectors::Outcome;

/// Offsets of files are signed. A server has a bound far below this.
#[test]
fn a_length_is_at_most_2_63_minus_1() {
    let request = |fields: &str, body: &str| {
        super::outcome(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}").as_bytes())
    };
    let length = |number: u64| request(&format!("Content-Length: {number}"), "");
    assert_eq!(length(i64::MAX as u64), Outcome::BodyOpen);
    assert_eq!(length(i64::MAX as u64 + 1), Outcome::Refused(400));
    let chunk =
        |number: u64| request("Transfer-Encoding: chunked", &format!("{number:x}\r\nhello"));
    assert_eq!(chunk(i64::MAX as u64), Outcome::BodyOpen);
    assert_eq!(chunk(i64::MAX as u64 + 1), Outcome::Refused(400));
}

#[test]
fn a_head_has_at_most_1_mib_with_any_limits() {
    let unlimited = Limits { request_line: usize::MAX, fields: usize::MAX, field_size: usize::MAX };
    let read =
        |input: &str| check::read_head(input.as_bytes(), &unlimited, []).map(|read| read.is_some());
    let line = |len: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(len));
    assert_eq!(read(&format!("{}Host: a\r\n\r\n", line(1 << 19))), Ok(true));
    assert_eq!(read(&line(1 << 20)).map_err(|reject| reject.status), Err(414));
    for fields in ["X: y\r\n".repeat(1 << 18), format!("X: {}\r\n", "y".repeat(1 << 20))] {
        assert_eq!(read(&format!("{}{fields}", line(1))).map_err(|reject| reject.status), Err(431));
    }
}

/// A head that was large or refused leaves nothing behind.
#[test]
fn a_cleared_head_is_a_new_one() {
    let limits = USUAL;
    let mut head = Head::new();
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(8000));
    for input in
        [&large, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n", "GET / HTTP/1.1\r\nHost: b"]
    {
        let _ = head.read(input.as_bytes(), &limits);
        head.clear();
        assert_eq!(head.read(b"GET /c HTTP/1.0\r\n\r\n", &limits), Ok(Some(19)));
        assert_eq!((head.target(), head.host(), head.fields().len()), (&b"/c"[..], None, 0));
        assert!(!head.keep_alive() && !head.expects_continue());
        head.clear();
    }
}

#[test]
fn input_that_shrinks_against_the_contract_is_no_head() {
    let mut head = Head::new();
    assert_eq!(head.read(b"GET / HTTP/1.1\r\nHost: a\r\n", &USUAL), Ok(None));
    assert_eq!(head.read(b"GET", &USUAL), Ok(None));
    assert_eq!(head.read(b"", &USUAL), Ok(None));
}

#[test]
fn no_input_gives_no_output() {
    let mut chunks = Chunks::new(&USUAL);
    let decoded = chunks.read(b"", &mut |_| panic!("there is no data"));
    assert!(decoded.is_ok_and(|decoded| decoded.consumed == 0 && !decoded.ended));
}
