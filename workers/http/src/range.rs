//! Range requests (RFC 9110 section 14): the part of a representation that a client wants.

use std::fmt;

use crate::class::trim;
use crate::conditional::{Validators, single};
use crate::date;
use crate::entity_tag::EntityTag;
use crate::head::Head;
use crate::list::elements;

/// The part of a representation that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedRange {
    /// All of it (200).
    Whole,
    /// One part (206).
    Part(ByteRange),
    /// The range begins behind the end (416).
    Unsatisfiable,
}

/// A range of bytes, of a whole with this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The position of the first byte.
    pub first: u64,
    /// The number of bytes; never 0.
    pub length: u64,
    /// The length of the representation.
    pub of: u64,
}

/// The value of Content-Range: `bytes 0-1/10`.
impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}-{}/{}", self.first, self.first + self.length - 1, self.of)
    }
}

/// The range that a request asks for, of a representation with this length. The preconditions have
/// been evaluated before; `now` is the time in seconds since 1970.
///
/// A range is defined for GET only (section 14.2). A field that is malformed, has another unit than
/// bytes, or has several ranges is ignored, which section 14.2 permits: no client needs several, and
/// many small ones would cost more than the whole.
pub fn wanted_range(head: &Head, length: u64, current: Validators, now: u64) -> WantedRange {
    if head.name_lengths() & Head::name_length(b"range".len()) == 0 || head.method() != b"GET" {
        return WantedRange::Whole;
    }
    let Some(range) = single(head, b"range").and_then(parse) else { return WantedRange::Whole };
    if !if_range_holds(head, current, now) {
        return WantedRange::Whole;
    }
    let (first, end) = match range {
        RangeSpec::From { first, last } => (first, last.saturating_add(1).min(length)),
        RangeSpec::Suffix(0) => return WantedRange::Unsatisfiable,
        // Content-Range cannot describe the only range of an empty representation.
        RangeSpec::Suffix(_) if length == 0 => return WantedRange::Whole,
        RangeSpec::Suffix(wanted) => (length.saturating_sub(wanted), length),
    };
    if first >= length {
        return WantedRange::Unsatisfiable;
    }
    WantedRange::Part(ByteRange { first, length: end - first, of: length })
}

/// Whether If-Range allows the range: there is none, or the client has a part of the current
/// representation (section 13.1.5). Only strong validators count. A date is one if the second of the
/// last change is over.
fn if_range_holds(head: &Head, current: Validators, now: u64) -> bool {
    const NAME: &[u8] = b"if-range";
    if head.name_lengths() & Head::name_length(NAME.len()) == 0 || head.field(NAME).is_none() {
        return true;
    }
    let Some(value) = single(head, NAME) else { return false };
    if let Some(tag) = EntityTag::of(value) {
        return EntityTag::of(current.entity_tag).is_some_and(|own| own.is_strongly_equal(tag));
    }
    date::parse(value, now) == Some(current.modified) && now > current.modified + 1
}

/// A range as a request has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RangeSpec {
    /// From a byte to another one, or to the end.
    From { first: u64, last: u64 },
    /// So many bytes at the end.
    Suffix(u64),
}

/// The only range of a Range field.
fn parse(value: &[u8]) -> Option<RangeSpec> {
    let equals = value.iter().position(|&byte| byte == b'=')?;
    let (unit, set) = (&value[..equals], &value[equals + 1..]);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut ranges = elements(set).filter(|element| !element.is_empty());
    let (range, None) = (ranges.next()?, ranges.next()) else { return None };
    let dash = range.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (trim(&range[..dash]), trim(&range[dash + 1..]));
    if first.len() + last.len() + 1 != range.len() {
        return None;
    }
    match (first, last) {
        (b"", last) => Some(RangeSpec::Suffix(number(last)?)),
        (first, b"") => Some(RangeSpec::From { first: number(first)?, last: u64::MAX }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(RangeSpec::From { first, last })
        }
    }
}

/// A decimal number. One that is too large for 64 bits becomes the largest one: it is behind every
/// end.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add =
        |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::head_with_fields;
    use WantedRange::{Unsatisfiable, Whole};

    const MODIFIED: u64 = 784_111_777;

    fn wanted(method: &str, length: u64, now: u64, fields: &[(&str, &str)]) -> WantedRange {
        let head = head_with_fields(method, fields);
        let current = Validators { entity_tag: b"\"a\"", modified: MODIFIED };
        wanted_range(&head, length, current, now)
    }

    fn part(first: u64, length: u64, of: u64) -> WantedRange {
        WantedRange::Part(ByteRange { first, length, of })
    }

    #[test]
    fn ranges_of_ten_bytes() {
        for (value, expected) in [
            ("bytes=0-0", part(0, 1, 10)),
            ("bytes=0-9", part(0, 10, 10)),
            ("bytes=2-4", part(2, 3, 10)),
            ("bytes=9-", part(9, 1, 10)),
            ("bytes=0-", part(0, 10, 10)),
            ("bytes=5-100", part(5, 5, 10)),
            ("bytes=5-99999999999999999999999", part(5, 5, 10)),
            ("bytes=-3", part(7, 3, 10)),
            ("bytes=-10", part(0, 10, 10)),
            ("bytes=-100", part(0, 10, 10)),
            ("bytes=-99999999999999999999999", part(0, 10, 10)),
            ("Bytes=1-1", part(1, 1, 10)),
            ("bytes= ,1-1 ,", part(1, 1, 10)),
            ("bytes=001-1", part(1, 1, 10)),
            ("bytes=10-", Unsatisfiable),
            ("bytes=10-20", Unsatisfiable),
            ("bytes=18446744073709551615-", Unsatisfiable),
            ("bytes=99999999999999999999999-", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            // Several ranges, other units, and what is malformed.
            ("bytes=0-0,2-2", Whole),
            ("bytes=0-0, 20-", Whole),
            ("items=0-0", Whole),
            ("bytes", Whole),
            ("bytes=", Whole),
            ("bytes=,", Whole),
            ("bytes=-", Whole),
            ("bytes=4-2", Whole),
            ("bytes=0-1-2", Whole),
            ("bytes=--1", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1 -2", Whole),
            ("bytes=1- 2", Whole),
            ("bytes=a-b", Whole),
            ("bytes=0x1-2", Whole),
            ("bytes =0-1", Whole),
            ("", Whole),
        ] {
            let fields = [("Range", value)];
            assert_eq!(wanted("GET", 10, 0, &fields), expected, "{value}");
            assert_eq!(wanted("HEAD", 10, 0, &fields), Whole, "HEAD {value}");
            assert_eq!(wanted("POST", 10, 0, &fields), Whole, "POST {value}");
        }
        let twice = [("Range", "bytes=0-0"), ("Range", "bytes=0-0")];
        assert_eq!(wanted("GET", 10, 0, &twice), Whole);
    }

    #[test]
    fn ranges_of_nothing() {
        for (value, expected) in [
            ("bytes=0-", Unsatisfiable),
            ("bytes=0-0", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=-1", Whole),
        ] {
            assert_eq!(wanted("GET", 0, 0, &[("Range", value)]), expected, "{value}");
        }
    }

    #[test]
    fn a_range_is_sent_of_the_representation_that_the_client_has() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let later = MODIFIED + 2;
        for (if_range, now, is_part) in [
            ("\"a\"", 0, true),
            ("\"b\"", 0, false),
            ("W/\"a\"", 0, false),
            ("*", 0, false),
            ("\"a\", \"b\"", 0, false),
            ("a", 0, false),
            ("", 0, false),
            (date, later, true),
            ("Sunday, 06-Nov-94 08:49:37 GMT", later, true),
            (date, MODIFIED, false),
            (date, MODIFIED + 1, false),
            ("Sun, 06 Nov 1994 08:49:36 GMT", later, false),
            ("Sun, 06 Nov 1994 08:49:38 GMT", later, false),
        ] {
            let fields = [("Range", "bytes=1-2"), ("If-Range", if_range)];
            let expected = if is_part { part(1, 2, 10) } else { Whole };
            assert_eq!(wanted("GET", 10, now, &fields), expected, "{if_range} {now}");
        }
        // An unsatisfiable range of another representation is no error.
        let fields = [("Range", "bytes=10-"), ("If-Range", "\"b\"")];
        assert_eq!(wanted("GET", 10, 0, &fields), Whole);
    }

    #[test]
    fn a_range_as_text() {
        let text = ByteRange { first: 2, length: 3, of: 10 }.to_string();
        assert_eq!(text, "bytes 2-4/10");
    }
}
