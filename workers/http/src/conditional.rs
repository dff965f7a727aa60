//! Conditional requests (RFC 9110 section 13): what the current representation of a resource is
//! compared with before a response is sent.

use crate::date;
use crate::entity_tag::{EntityTag, tags};
use crate::head::Head;

/// The validators of the current representation (RFC 9110 section 8.8).
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The entity tag, as the ETag field has it: `"abc"` or `W/"abc"`.
    pub entity_tag: &'a [u8],
    /// The time of Last-Modified, in seconds since 1970.
    pub modified: u64,
}

/// The result of a request's preconditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The method is performed.
    Met,
    /// 304: the client has the representation.
    NotModified,
    /// 412.
    Failed,
}

/// The lengths of the names of all fields that have conditions, as bits.
const LENGTHS: u64 = 1 << b"if-match".len()
    | 1 << b"if-none-match".len()
    | 1 << b"if-modified-since".len()
    | 1 << b"if-unmodified-since".len();

/// Evaluates the preconditions of a request in the order of RFC 9110 section 13.2.2, for a resource
/// that has a representation. `now` is the time in seconds since 1970. `If-Range` is a part of
/// [`wanted_range`](crate::wanted_range).
pub fn evaluate_preconditions(head: &Head, current: Validators, now: u64) -> Precondition {
    if head.name_lengths() & LENGTHS == 0 {
        return Precondition::Met;
    }
    let own = EntityTag::of(current.entity_tag);
    let matches = |name, is_strong: bool| {
        let own = own?;
        let is_equal = |tag: EntityTag| {
            if is_strong { tag.is_strongly_equal(own) } else { tag.is_weakly_equal(own) }
        };
        matches_one(head, name, is_equal)
    };
    let is_read = matches!(head.method(), b"GET" | b"HEAD");
    match matches(b"if-match", true) {
        Some(false) => return Precondition::Failed,
        Some(true) => {}
        None => {
            let limit = date_of(head, b"if-unmodified-since", now);
            if limit.is_some_and(|limit| current.modified > limit) {
                return Precondition::Failed;
            }
        }
    }
    match matches(b"if-none-match", false) {
        Some(true) if is_read => Precondition::NotModified,
        Some(true) => Precondition::Failed,
        Some(false) => Precondition::Met,
        None if is_read => match date_of(head, b"if-modified-since", now) {
            Some(limit) if current.modified <= limit => Precondition::NotModified,
            Some(_) | None => Precondition::Met,
        },
        None => Precondition::Met,
    }
}

/// Whether one of the tags in all fields of a name is accepted, or the value is `*`; `None` without
/// such a field. An element that is not an entity tag equals none.
fn matches_one(head: &Head, name: &[u8], accepts: impl Fn(EntityTag) -> bool) -> Option<bool> {
    let mut is_there = false;
    for (_, value) in head.fields().filter(|(other, _)| other.eq_ignore_ascii_case(name)) {
        is_there = true;
        if value == b"*" || tags(value).any(&accepts) {
            return Some(true);
        }
    }
    is_there.then_some(false)
}

/// The date of a field. A value that is not a date, or several fields, are ignored (RFC 9110
/// sections 13.1.3 and 13.1.4).
fn date_of(head: &Head, name: &[u8], now: u64) -> Option<u64> {
    date::parse(single(head, name)?, now)
}

/// The value of the only field of this name; `None` if there are several.
pub(crate) fn single<'a>(head: &'a Head, name: &[u8]) -> Option<&'a [u8]> {
    let mut values = head.fields().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    let (_, value) = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::head_with_fields;
    use Precondition::{Failed, Met, NotModified};

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const EXACT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sunday, 06-Nov-94 08:49:38 GMT";
    const MODIFIED: u64 = 784_111_777;

    fn evaluated(method: &str, fields: &[(&str, &str)]) -> Precondition {
        let head = head_with_fields(method, fields);
        let current = Validators { entity_tag: b"\"a\"", modified: MODIFIED };
        evaluate_preconditions(&head, current, 1_700_000_000)
    }

    #[test]
    fn each_condition_by_itself() {
        for (name, value, expected) in [
            ("If-Match", "\"a\"", Met),
            ("If-Match", "*", Met),
            ("If-Match", "\"b\", \"a\"", Met),
            ("If-Match", "\"b\",,\t\"a\" ,", Met),
            ("If-Match", "\"b\"", Failed),
            ("If-Match", "W/\"a\"", Failed),
            ("If-Match", "a", Failed),
            ("If-Match", "", Failed),
            ("If-Match", "\"b,\"a\"\"", Failed),
            ("If-None-Match", "\"a\"", NotModified),
            ("If-None-Match", "W/\"a\"", NotModified),
            ("If-None-Match", "*", NotModified),
            ("If-None-Match", "\"b\", W/\"a\"", NotModified),
            ("If-None-Match", "\"b, \\\", \"a\"", NotModified),
            ("If-None-Match", "\"b\"", Met),
            ("If-None-Match", "w/\"a\"", Met),
            ("If-None-Match", "a", Met),
            ("If-None-Match", "\"A\"", Met),
            ("If-None-Match", "", Met),
            ("If-Modified-Since", BEFORE, Met),
            ("If-Modified-Since", EXACT, NotModified),
            ("If-Modified-Since", AFTER, NotModified),
            ("If-Modified-Since", "yesterday", Met),
            ("If-Unmodified-Since", BEFORE, Failed),
            ("If-Unmodified-Since", EXACT, Met),
            ("If-Unmodified-Since", AFTER, Met),
            ("If-Unmodified-Since", "yesterday", Met),
            ("If-Range", "\"b\"", Met),
        ] {
            for method in ["GET", "HEAD"] {
                let found = evaluated(method, &[(name, value)]);
                assert_eq!(found, expected, "{method} with {name}: {value}");
            }
        }
    }

    /// The steps of section 13.2.2: (If-Match, If-Unmodified-Since, If-None-Match,
    /// If-Modified-Since) and the result for GET, and for a method that changes something.
    #[test]
    fn the_order_of_the_conditions() {
        let (equal, other) = (Some("\"a\""), Some("\"b\""));
        let (before, exact) = (Some(BEFORE), Some(EXACT));
        for (values, of_get, of_post) in [
            ([None, None, None, None], Met, Met),
            // If-Match decides, and If-Unmodified-Since is ignored beside it.
            ([equal, before, None, None], Met, Met),
            ([other, exact, None, None], Failed, Failed),
            // Then If-None-Match, beside which If-Modified-Since is ignored.
            ([None, None, equal, before], NotModified, Failed),
            ([None, None, other, exact], Met, Met),
            ([None, None, None, exact], NotModified, Met),
            // A condition of the first kind is tried before one of the second kind.
            ([equal, None, equal, None], NotModified, Failed),
            ([equal, None, other, exact], Met, Met),
            ([other, None, equal, None], Failed, Failed),
            ([None, before, equal, exact], Failed, Failed),
            ([None, exact, equal, None], NotModified, Failed),
            ([None, exact, None, exact], NotModified, Met),
            ([None, exact, None, before], Met, Met),
            ([None, before, None, exact], Failed, Failed),
            ([equal, before, None, exact], NotModified, Met),
        ] {
            let names = ["If-Match", "If-Unmodified-Since", "If-None-Match", "If-Modified-Since"];
            let fields = names.into_iter().zip(values);
            let fields: Vec<_> = fields.filter_map(|(name, it)| Some((name, it?))).collect();
            for (method, expected) in [("GET", of_get), ("HEAD", of_get), ("POST", of_post)] {
                assert_eq!(evaluated(method, &fields), expected, "{method} {values:?}");
            }
        }
    }

    #[test]
    fn fields_that_repeat() {
        let lists = [("If-None-Match", "\"b\""), ("If-None-Match", "\"a\"")];
        assert_eq!(evaluated("GET", &lists), NotModified);
        let dates = [("If-Modified-Since", EXACT), ("If-Modified-Since", EXACT)];
        assert_eq!(evaluated("GET", &dates), Met);
    }
}
