//! The field `traceparent`, by which a caller names the trace that a request belongs to (W3C Trace
//! Context Level 1, section 3.2).

use crate::head::Head;

const NAME: &[u8] = b"traceparent";

/// The length of a value of version 00: version, trace, span and flags, with their hyphens.
const LENGTH: usize = 55;

/// The identifiers of a valid field: lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent<'a> {
    /// The trace: 32 digits.
    pub trace_id: &'a str,
    /// The span of the caller: 16 digits.
    pub span_id: &'a str,
}

impl<'a> TraceParent<'a> {
    /// That of a request; `None` without a valid one, or with more than one.
    pub fn of(head: &'a Head) -> Option<Self> {
        if head.name_lengths() & Head::name_length(NAME.len()) == 0 {
            return None;
        }
        let mut given = head.fields().filter(|(name, _)| name.eq_ignore_ascii_case(NAME));
        let (_, value) = given.next()?;
        if given.next().is_some() { None } else { Self::parse(value) }
    }

    /// Reads the value of the field. A higher version than 00 begins as 00 does, and may have more
    /// behind another hyphen (section 3.2.4); ff is no version (section 3.2.2.1), and an identifier
    /// of zeros is invalid (sections 3.2.2.3 and 3.2.2.4).
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH)?;
        let known = std::str::from_utf8(known).ok()?;
        let mut parts = known.split('-');
        let mut part = |length| parts.next().filter(|part| is_hex(part, length));
        let (version, trace_id, span_id, _flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let is_whole = rest.is_empty() || version != "00" && rest.starts_with(b"-");
        let is_some = |id: &str| id.bytes().any(|digit| digit != b'0');
        let is_valid = is_whole && version != "ff" && is_some(trace_id) && is_some(span_id);
        is_valid.then_some(Self { trace_id, span_id })
    }
}

/// Whether a text is so many lower-case hexadecimal digits.
fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn parse(value: &str) -> Option<(String, String)> {
        let parsed = TraceParent::parse(value.as_bytes())?;
        Some((parsed.trace_id.to_owned(), parsed.span_id.to_owned()))
    }

    #[test]
    fn a_valid_value_has_a_trace_and_a_span() {
        let both = Some((TRACE.to_owned(), SPAN.to_owned()));
        assert_eq!(parse(&format!("00-{TRACE}-{SPAN}-01")), both);
        assert_eq!(parse(&format!("00-{TRACE}-{SPAN}-00")), both);
        assert_eq!(parse(&format!("cc-{TRACE}-{SPAN}-01")), both);
        assert_eq!(parse(&format!("cc-{TRACE}-{SPAN}-01-what the future brings")), both);
    }

    #[test]
    fn every_other_value_is_invalid() {
        let upper = TRACE.to_uppercase();
        for value in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-0"),
            format!("00-{TRACE}-{SPAN}-011"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("cc-{TRACE}-{SPAN}-01more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("0x-{TRACE}-{SPAN}-01"),
            format!("00-{upper}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0G"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{TRACE}-{}\u{e9}-01", &SPAN[2..]),
            format!(" 00-{TRACE}-{SPAN}-01"),
        ] {
            assert_eq!(parse(&value), None, "{value}");
        }
    }

    #[test]
    fn a_request_has_at_most_one() {
        let limits = Limits { request_line: 4094, fields: 100, field_size: 8190 };
        let value = format!("00-{TRACE}-{SPAN}-01");
        for (count, expected) in [(0, false), (1, true), (2, false)] {
            let mut head = Head::new();
            let fields = format!("Traceparent: {value}\r\n").repeat(count);
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            head.read(text.as_bytes(), &limits).unwrap().unwrap();
            assert_eq!(TraceParent::of(&head).is_some(), expected, "{count}");
        }
    }
}
