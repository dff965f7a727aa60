//! One field line: a name, a colon, a value. Heads and trailer sections have the same lines.

use crate::class::{TOKEN, trim};
use crate::reject::Reject;

/// The parts of a field line. `value_at` is the position of the value in the line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) value_at: usize,
}

/// Splits a line, which has no control character but HTAB: the search for its end has checked that.
///
/// # Errors
/// 400 for a folded line (RFC 9112 section 5.2), for white space before the first field (section
/// 2.2) or before the colon (section 5.1), for a line without a colon, and for a name that is not a
/// token (section 5.1).
pub(crate) fn split(line: &[u8]) -> Result<Field<'_>, Reject> {
    let end = line.iter().position(|&byte| !TOKEN[usize::from(byte)]).unwrap_or(line.len());
    match (end, line.get(end)) {
        (0, Some(b' ' | b'\t')) => return Err(Reject::bad("folded field line")),
        (0, Some(b':')) => return Err(Reject::bad("field without a name")),
        (_, Some(b':')) => {}
        (_, Some(b' ' | b'\t')) => return Err(Reject::bad("white space in a field name")),
        (_, Some(_)) => return Err(Reject::bad("invalid field name")),
        (_, None) => return Err(Reject::bad("field line without a colon")),
    }
    let (name, rest) = line.split_at(end);
    let blank = rest[1..].iter().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
    Ok(Field { name, value: trim(&rest[1 + blank..]), value_at: end + 1 + blank })
}

/// The fields that this crate acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Host,
    Expect,
    Connection,
    ContentType,
    ContentLength,
    TransferEncoding,
}

impl Known {
    /// The known field with this name, if there is one. The length excludes nearly all others.
    pub(crate) fn of(name: &[u8]) -> Option<Known> {
        let (spelled, known): (&[u8], _) = match name.len() {
            4 => (b"host", Known::Host),
            6 => (b"expect", Known::Expect),
            10 => (b"connection", Known::Connection),
            12 => (b"content-type", Known::ContentType),
            14 => (b"content-length", Known::ContentLength),
            17 => (b"transfer-encoding", Known::TransferEncoding),
            _ => return None,
        };
        name.eq_ignore_ascii_case(spelled).then_some(known)
    }
}

/// Whether a trailer section with this field is refused. These fields decide on framing, routing,
/// authentication or the connection, before the trailers are read: only an attack has one of them
/// there. RFC 9110 section 6.5.1 forbids more fields to senders. The others do no harm, since
/// trailers are discarded.
pub(crate) fn is_forbidden_trailer(name: &[u8]) -> bool {
    const NAMES: [&str; 15] = [
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "max-forwards",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    NAMES.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_line_is_a_name_and_a_trimmed_value() {
        for (line, name, value) in [
            ("Host: a", "Host", "a"),
            ("Host:a", "Host", "a"),
            ("Host:", "Host", ""),
            ("Host: \t ", "Host", ""),
            ("x-a:\t a b\t ", "x-a", "a b"),
            ("a_b: c:d", "a_b", "c:d"),
            ("!#$%&'*+-.^_`|~9: x", "!#$%&'*+-.^_`|~9", "x"),
        ] {
            let field = split(line.as_bytes()).unwrap();
            assert_eq!((field.name, field.value), (name.as_bytes(), value.as_bytes()), "{line:?}");
            assert!(line.as_bytes()[field.value_at..].starts_with(field.value));
        }
    }

    #[test]
    fn the_reason_of_a_refusal_is_the_first_fault_of_the_line() {
        for (line, reason) in [
            (" Host: a", "folded field line"),
            (" ", "folded field line"),
            (":", "field without a name"),
            ("Host : a", "white space in a field name"),
            ("Ho st: a", "white space in a field name"),
            ("Ho(st: a", "invalid field name"),
            ("Host", "field line without a colon"),
        ] {
            assert_eq!(split(line.as_bytes()), Err(Reject::bad(reason)), "{line:?}");
        }
    }

    #[test]
    fn known_fields_are_known_in_any_case() {
        assert_eq!(Known::of(b"HOST"), Some(Known::Host));
        assert_eq!(Known::of(b"Transfer-Encoding"), Some(Known::TransferEncoding));
        assert_eq!(Known::of(b"content_length"), None);
        assert_eq!(Known::of(b"X-Request-ID"), None);
        assert_eq!(Known::of(b"Content-Type"), Some(Known::ContentType));
        assert_eq!(Known::of(b"hosts"), None);
        assert_eq!(Known::of(b"post"), None);
    }
}
