//! Limits: what is just allowed, and what is one byte or one field too much.

use monoceros_http::{Chunks, Head, Limits};

use super::check::USUAL;
use super::{Open, Outcome, Refused, check, outcome, served};

fn request(line: &str, fields: &str) -> Outcome {
    outcome(format!("{line}\r\nHost: a\r\n{fields}\r\n").as_bytes())
}

fn chunked(body: &str) -> Outcome {
    outcome(
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
            .as_bytes(),
    )
}

#[test]
fn a_request_line_has_4094_bytes() {
    let line = |len: usize| format!("GET /{} HTTP/1.1", "a".repeat(len - "GET / HTTP/1.1".len()));
    assert_eq!(request(&line(4094), ""), served(""));
    assert_eq!(request(&line(4095), ""), Refused(414));
    assert_eq!(outcome(&line(4094).as_bytes()[..4094]), Open);
    assert_eq!(outcome("A".repeat(4095).as_bytes()), Refused(414), "without waiting for its end");
}

/// The ids are those of the limits on fields: H25 to H29.
#[test]
fn a_field_has_8190_bytes_with_its_line_end() {
    let field = |len: usize| format!("X: {}\r\n", "a".repeat(len - 5));
    assert_eq!(request("GET / HTTP/1.1", &field(8190)), served(""));
    assert_eq!(request("GET / HTTP/1.1", &field(8191)), Refused(431));
    assert_eq!(request("GET / HTTP/1.1", &field(64 << 10)), Refused(431));
    assert_eq!(
        request("GET / HTTP/1.1", &format!("{}: x\r\n", "a".repeat(64 << 10))),
        Refused(431)
    );
    assert_eq!(outcome(format!("GET / HTTP/1.1\r\n{}", "a".repeat(8189)).as_bytes()), Refused(431));
    assert_eq!(outcome(format!("GET / HTTP/1.1\r\n{}", "a".repeat(8188)).as_bytes()), Open);
}

#[test]
fn a_head_has_100_fields() {
    let fields = |count: usize| "X: y\r\n".repeat(count);
    assert_eq!(request("GET / HTTP/1.1", &fields(99)), served(""));
    assert_eq!(request("GET / HTTP/1.1", &fields(100)), Refused(431));
    assert_eq!(request("GET / HTTP/1.1", &fields(1000)), Refused(431));
}

#[test]
fn a_head_has_1_mib_whatever_the_limits() {
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

#[test]
fn a_fault_is_answered_before_the_head_is_complete() {
    for (input, status) in [
        ("GET / HTTP/3.0\r\n", 505),
        ("GET / HTTP/1.1\r\nHost: a b\r\n", 400),
        ("GET / HTTP/1.1\r\nX: \0", 400),
        ("GET / HTTP/1.1\r\nExpect: x\r\n", 417),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
        ("\x16", 400),
        ("{", 400),
    ] {
        assert_eq!(outcome(input.as_bytes()), Refused(status), "{input:?}");
    }
}

#[test]
fn a_chunk_has_1_kib_of_extensions() {
    let body = |len: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(len - 1));
    assert_eq!(chunked(&body(1024)), served("a"));
    assert_eq!(chunked(&body(1025)), Refused(400));
    assert_eq!(chunked(&body(64 << 10)), Refused(400));
}

#[test]
fn a_body_has_16_kib_of_extensions() {
    let body = |chunks: usize| format!("{}0\r\n\r\n", "1;x=123\r\na\r\n".repeat(chunks));
    let a = |count: usize| Outcome::Served("a".repeat(count).into_bytes().into());
    let allowed = (16 << 10) / ";x=123".len();
    assert_eq!(chunked(&body(allowed)), a(allowed));
    assert_eq!(chunked(&body(allowed + 1)), Refused(400));
    assert_eq!(chunked(&body(1 << 16).replace(";x=123", "")), a(1 << 16));
}

/// C36 is the last of these.
#[test]
fn trailers_are_limited_as_fields_are_and_to_16_kib() {
    let body = |name: usize, count: usize| {
        format!("0\r\n{}\r\n", format!("{}:\r\n", "x".repeat(name)).repeat(count))
    };
    assert_eq!(chunked(&body(1, 100)), served(""));
    assert_eq!(chunked(&body(1, 101)), Refused(431));
    assert_eq!(chunked(&body(8187, 1)), served(""));
    assert_eq!(chunked(&body(8188, 1)), Refused(431));
    assert_eq!(chunked(&body(8187, 3)), Refused(431));
    assert_eq!(chunked(&body(1000, 100)), Refused(431));
    assert_eq!(chunked(&format!("0\r\n{}", "x".repeat(100 << 10))), Refused(431));
}

/// A head that was large or refused leaves nothing behind, and a small one costs no new memory.
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
fn nothing_in_gives_nothing_out() {
    let mut chunks = Chunks::new(&USUAL);
    let decoded = chunks.read(b"", &mut |_| panic!("there is no data"));
    assert!(decoded.is_ok_and(|decoded| decoded.consumed == 0 && !decoded.ended));
}
