//! Checks of the parts of a response.
//!
//! An application's status and fields are sent to the client as they are. With a line end in one of
//! them an attacker could add fields or a whole response (response splitting). So each one is
//! checked.

use std::fmt;

use crate::class::{is_control, is_token};
pub use crate::status::reason;

/// Why a part of a response cannot be sent: `control character in a field value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidResponse(&'static str);

impl InvalidResponse {
    pub(crate) const TOO_LARGE: Self = Self("the fields are larger than 1 GiB");
}

impl fmt::Display for InvalidResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidResponse {}

/// Checks an application's status, `200 OK`, and returns its number.
///
/// # Errors
/// If the status is not three digits from 100 on, alone or with a space and a reason phrase that
/// has no control characters other than HTAB (RFC 9112 section 4, PEP 3333).
pub fn check_status(status: &[u8]) -> Result<u16, InvalidResponse> {
    let [first @ b'1'..=b'9', second @ b'0'..=b'9', third @ b'0'..=b'9', rest @ ..] = status else {
        return Err(InvalidResponse("status does not begin with a number of three digits"));
    };
    match rest {
        [] => {}
        [b' ', reason @ ..] if !reason.iter().any(|&byte| is_control(byte)) => {}
        [b' ', ..] => return Err(InvalidResponse("control character in the reason phrase")),
        _ => return Err(InvalidResponse("no space after the number of the status")),
    }
    let digit = |byte: &u8| u16::from(byte - b'0');
    Ok(100 * digit(first) + 10 * digit(second) + digit(third))
}

/// Checks a field of a response.
///
/// # Errors
/// If the name is not a token (RFC 9110 section 5.1) or the value has a control character other
/// than HTAB (section 5.5).
pub fn check_field(name: &[u8], value: &[u8]) -> Result<(), InvalidResponse> {
    if !is_token(name) {
        return Err(InvalidResponse("field name is not a token"));
    }
    if crate::class::find_control(value, 0) < value.len() {
        return Err(InvalidResponse("control character in a field value"));
    }
    Ok(())
}

/// Whether a field is about the connection and not about the response (RFC 9110 section 7.6.1). An
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

/// Whether a response with this status has no body, for any method (RFC 9112 section 6.3, rule 1).
pub fn has_no_body(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// The most digits of a number in decimal.
pub const DECIMAL_DIGITS: usize = 20;

/// Appends a number in decimal, for Content-Length.
pub fn push_decimal(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(decimal(number, &mut [0; DECIMAL_DIGITS]));
}

/// The digits of a number in decimal, written into memory of the caller.
pub fn decimal(number: u64, room: &mut [u8; DECIMAL_DIGITS]) -> &[u8] {
    let (mut at, mut rest) = (room.len(), number);
    loop {
        at -= 1;
        room[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &room[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn some_responses_have_no_body() {
        let without: Vec<u16> = (0..1000).filter(|&status| has_no_body(status)).collect();
        assert_eq!(without, (100..200).chain([204, 304]).collect::<Vec<_>>());
    }

    #[test]
    fn every_status_of_the_server_has_a_reason() {
        for status in [400, 403, 408, 413, 414, 417, 431, 500, 501, 503, 505] {
            assert_ne!(reason(status), "", "{status}");
        }
        assert_eq!(reason(299), "");
    }

    #[test]
    fn decimals() {
        for number in [0, 7, 10, 1234567890, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
