//! Entity tags (RFC 9110 section 8.8.3).

use crate::class::trim;

/// An entity tag of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag<'a> {
    /// The part between the quotes.
    opaque: &'a [u8],
    is_weak: bool,
}

impl<'a> EntityTag<'a> {
    /// The tag of a value that is one.
    pub(crate) fn of(value: &'a [u8]) -> Option<Self> {
        let (tag, rest) = split(value)?;
        rest.is_empty().then_some(tag)
    }

    /// The strong comparison: neither tag is weak (RFC 9110 section 8.8.3.2).
    pub(crate) fn is_strongly_equal(self, other: EntityTag) -> bool {
        !self.is_weak && !other.is_weak && self.opaque == other.opaque
    }

    /// The weak comparison.
    pub(crate) fn is_weakly_equal(self, other: EntityTag) -> bool {
        self.opaque == other.opaque
    }
}

/// The tags of a list. An element that is not a tag is skipped, up to the next comma.
pub(crate) fn tags(list: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        loop {
            rest = trim(rest);
            if rest.is_empty() {
                return None;
            }
            let (tag, behind) = split(rest).map_or((None, rest), |(tag, rest)| (Some(tag), rest));
            let comma = behind.iter().position(|&byte| byte == b',');
            let (end, next) = match comma {
                Some(comma) => (&behind[..comma], &behind[comma + 1..]),
                None => (behind, &behind[behind.len()..]),
            };
            rest = next;
            if tag.is_some() && trim(end).is_empty() {
                return tag;
            }
        }
    })
}

/// Splits a tag from the beginning of a value.
fn split(value: &[u8]) -> Option<(EntityTag<'_>, &[u8])> {
    let (is_weak, quoted) = match value.strip_prefix(b"W/") {
        Some(quoted) => (true, quoted),
        None => (false, value),
    };
    let quoted = quoted.strip_prefix(b"\"")?;
    let end = quoted.iter().position(|&byte| byte == b'"')?;
    let opaque = &quoted[..end];
    // etagc: visible characters but the quote, and bytes beyond ASCII.
    let is_tag = opaque.iter().all(|&byte| byte > b' ' && byte != 0x7f);
    is_tag.then_some((EntityTag { opaque, is_weak }, &quoted[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comparisons_of_section_8_8_3_2() {
        for (one, other, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
            ("\"\"", "\"\"", true, true),
        ] {
            let tag = |text: &'static str| EntityTag::of(text.as_bytes()).unwrap();
            let (one, other) = (tag(one), tag(other));
            assert_eq!(one.is_strongly_equal(other), strong, "{one:?} {other:?}");
            assert_eq!(one.is_weakly_equal(other), weak, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_list_has_its_tags_and_skips_what_is_none() {
        for (list, expected) in [
            ("", &[][..]),
            ("\"a\"", &["a"]),
            (" ,\"a\" , W/\"b\",", &["a", "b"]),
            ("\"a,b\", \"c\"", &["a,b", "c"]),
            ("a, \"b\"", &["b"]),
            ("\"a\" b, \"c\"", &["c"]),
            ("\"a\"\"b\", \"c\"", &["c"]),
            ("\"a b\", \"c\"", &["c"]),
            ("\"a", &[]),
            ("*", &[]),
        ] {
            let found: Vec<_> = tags(list.as_bytes()).map(|tag| tag.opaque).collect();
            let expected: Vec<_> = expected.iter().map(|it| it.as_bytes()).collect();
            assert_eq!(found, expected, "{list:?}");
        }
    }
}
