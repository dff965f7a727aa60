//! The answer: checks of what an application gives, and the parts of an answer as bytes.
//!
//! An application's status and fields go out as they are, so a line end in one of them would let
//! whoever controls it write an answer of their own (response splitting). Nothing may be written
//! that was not checked.

use std::fmt;

use crate::class::{is_control, is_token};
pub use crate::status::reason;

/// The line after the data of a chunk (RFC 9112 7.1).
pub const CHUNK_END: &[u8] = b"\r\n";

/// The end of a chunked body: the last chunk and no trailers (RFC 9112 7.1).
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What asks a client to send the body that it announced (RFC 9110 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A part of an answer that an application must not give, and why: `invalid character in a field
/// value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadReply(&'static str);

impl fmt::Display for BadReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadReply {}

/// Checks an application's status, `200 OK`, and returns its number.
///
/// # Errors
/// Unless it is three digits, not below 100, and then nothing or a space and a reason phrase
/// without control characters other than HTAB (RFC 9112 4, PEP 3333).
pub fn check_status(status: &[u8]) -> Result<u16, BadReply> {
    let [first @ b'1'..=b'9', second @ b'0'..=b'9', third @ b'0'..=b'9', rest @ ..] = status else {
        return Err(BadReply("status does not begin with a number of three digits"));
    };
    match rest {
        [] => {}
        [b' ', reason @ ..] if !reason.iter().any(|&byte| is_control(byte)) => {}
        [b' ', ..] => return Err(BadReply("control character in the reason phrase")),
        _ => return Err(BadReply("no space after the number of the status")),
    }
    let digit = |byte: &u8| u16::from(byte - b'0');
    Ok(100 * digit(first) + 10 * digit(second) + digit(third))
}

/// Checks a field of an application's answer.
///
/// # Errors
/// If the name is not a token (RFC 9110 5.1) or the value has a control character other than HTAB
/// (5.5).
pub fn check_field(name: &[u8], value: &[u8]) -> Result<(), BadReply> {
    if !is_token(name) {
        return Err(BadReply("field name is not a token"));
    }
    if crate::class::find_control(value, 0) < value.len() {
        return Err(BadReply("control character in a field value"));
    }
    Ok(())
}

/// Whether a field belongs to this connection and not to the answer (RFC 9110 7.6.1), so that an
/// application must not set it (PEP 3333).
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    let (one, other): (&[u8], &[u8]) = match name.len() {
        2 => (b"te", b"te"),
        7 => (b"trailer", b"upgrade"),
        8 => (b"trailers", b"trailers"),
        10 => (b"connection", b"keep-alive"),
        16 => (b"proxy-connection", b"proxy-connection"),
        17 => (b"transfer-encoding", b"transfer-encoding"),
        18 => (b"proxy-authenticate", b"proxy-authenticate"),
        19 => (b"proxy-authorization", b"proxy-authorization"),
        _ => return false,
    };
    name.eq_ignore_ascii_case(one) || name.eq_ignore_ascii_case(other)
}

/// Whether an answer with this status never has a body, to whatever method (RFC 9112 6.3, rule 1).
pub fn has_no_body(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// Appends the status line; `status` was checked with [`check_status`]. The version is ours and not
/// the request's, which RFC 9110 6.2 wants; the space stands there even if there is no reason
/// phrase (RFC 9112 4).
pub fn push_status_line(out: &mut Vec<u8>, status: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status);
    out.extend_from_slice(if status.len() == 3 { b" \r\n" } else { b"\r\n" });
}

/// Appends a field line; name and value were checked with [`check_field`].
pub fn push_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends the line before the `len` bytes of a chunk. `len` must not be 0: that would be the last
/// chunk.
pub fn push_chunk_head(out: &mut Vec<u8>, len: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut shift = len.checked_ilog2().unwrap_or(0) / 4 * 4;
    loop {
        out.push(DIGITS[len >> shift & 0xf]);
        if shift == 0 {
            break;
        }
        shift -= 4;
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal, as Content-Length has it.
pub fn push_decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a whole answer of the server itself, after which the connection is closed: the status in
/// plain text and nothing that tells more about the server; with 503, that another try may be
/// answered soon (RFC 9110 10.2.3). `date` is what [`crate::date::imf_fixdate`] gives.
pub fn refusal(status: u16, out: &mut Vec<u8>, date: &(impl AsRef<[u8]> + ?Sized)) {
    let mut line = Vec::with_capacity(48);
    push_decimal(&mut line, status.into());
    line.push(b' ');
    line.extend_from_slice(reason(status).as_bytes());
    push_status_line(out, &line);
    push_field(out, b"Server", b"monoceros");
    push_field(out, b"Date", date.as_ref());
    push_field(out, b"Connection", b"close");
    if status == 503 {
        push_field(out, b"Retry-After", b"1");
    }
    push_field(out, b"Content-Type", b"text/plain; charset=utf-8");
    line.push(b'\n');
    out.extend_from_slice(b"Content-Length: ");
    push_decimal(out, line.len() as u64);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(&line);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_status_is_three_digits_and_a_reason() {
        for (status, number) in [
            (&b"200 OK"[..], 200),
            (b"200", 200),
            (b"200 ", 200),
            (b"100 Continue", 100),
            (b"999 caf\xe9\t!", 999),
        ] {
            assert_eq!(check_status(status), Ok(number), "{status:?}");
        }
        for status in [
            &b""[..],
            b"20",
            b"099 x",
            b"000",
            b"2000",
            b"200OK",
            b"OK",
            b" 200 OK",
            b"+20 OK",
            b"200\tOK",
            b"200 OK\r\nX: y",
            b"200 OK\n",
            b"200 O\0K",
            b"200 O\x7fK",
            "２００ OK".as_bytes(),
        ] {
            assert!(check_status(status).is_err(), "{status:?}");
        }
    }

    #[test]
    fn a_field_cannot_end_its_line() {
        for (name, value) in
            [(&b"X-A"[..], &b"b"[..]), (b"x", b""), (b"a_b", b" \t\xe9 "), (b"x", b"a, b; c=\"d\"")]
        {
            assert_eq!(check_field(name, value), Ok(()), "{name:?}");
        }
        for (name, value) in [
            (&b""[..], &b"b"[..]),
            (b"a b", b"c"),
            (b"a:", b"b"),
            (b"a\r\nb", b"c"),
            (b"\xe9", b"a"),
            (b"a", b"b\r\nc: d"),
            (b"a", b"b\n"),
            (b"a", b"\r"),
            (b"a", b"\0"),
            (b"a", b"0123456789\x1f"),
            (b"a", b"\x7f"),
        ] {
            assert!(check_field(name, value).is_err(), "{name:?}: {value:?}");
        }
    }

    #[test]
    fn fields_of_the_connection_are_known() {
        for name in [
            "connection",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "trailer",
            "trailers",
            "transfer-encoding",
            "upgrade",
        ] {
            assert!(is_hop_by_hop(name.as_bytes()), "{name}");
            assert!(is_hop_by_hop(name.to_uppercase().as_bytes()), "{name}");
        }
        for name in ["", "content-length", "content-type", "tf", "date", "trailed", "location"] {
            assert!(!is_hop_by_hop(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn some_answers_have_no_body() {
        let without: Vec<u16> = (0..1000).filter(|&status| has_no_body(status)).collect();
        assert_eq!(without, (100..200).chain([204, 304]).collect::<Vec<_>>());
    }

    #[test]
    fn a_chunk_head_is_hexadecimal() {
        for (len, head) in [
            (1, "1\r\n"),
            (15, "f\r\n"),
            (16, "10\r\n"),
            (0xabcde, "abcde\r\n"),
            (65536, "10000\r\n"),
            (u32::MAX as usize, "ffffffff\r\n"),
        ] {
            assert_eq!(written(|out| push_chunk_head(out, len)), head);
        }
    }

    #[test]
    fn decimals() {
        for number in [0, 7, 10, 1234567890, u64::MAX] {
            assert_eq!(written(|out| push_decimal(out, number)), number.to_string());
        }
    }

    #[test]
    fn a_status_line_has_both_its_spaces() {
        assert_eq!(written(|out| push_status_line(out, b"200 OK")), "HTTP/1.1 200 OK\r\n");
        assert_eq!(written(|out| push_status_line(out, b"299")), "HTTP/1.1 299 \r\n");
    }

    #[test]
    fn a_refusal_is_a_whole_answer() {
        let date = crate::date::imf_fixdate(784_111_777);
        assert_eq!(
            written(|out| refusal(431, out, &date)),
            "HTTP/1.1 431 Request Header Fields Too Large\r\n\
             Server: monoceros\r\n\
             Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Connection: close\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 36\r\n\
             \r\n\
             431 Request Header Fields Too Large\n"
        );
    }

    #[test]
    fn who_is_not_served_now_is_told_to_come_back() {
        let refused = |status| written(|out| refusal(status, out, "now"));
        assert!(refused(503).contains("\r\nRetry-After: 1\r\n"));
        assert!(!refused(504).contains("Retry-After"));
    }

    #[test]
    fn every_status_that_we_answer_has_a_reason() {
        for status in [400, 403, 408, 413, 414, 417, 431, 500, 501, 503, 505] {
            assert_ne!(reason(status), "", "{status}");
        }
        assert_eq!(reason(299), "");
    }
}
