//! The media ranges that a client accepts (RFC 9110 section 12.5.1).

use crate::accept_encoding::{FULL, weight};
use crate::class::trim;
use crate::list::elements;

/// An element of Accept: a media range with its parameters and its weight.
///
/// ```
/// use monoceros_http::MediaRange;
///
/// let accept = [&b"text/plain;version=\"0.0.4\";q=0.5, */*;q=0.1"[..]];
/// let first = MediaRange::all_of(accept).next().unwrap();
/// assert!(first.is(b"text/plain"));
/// assert_eq!(first.parameter(b"version"), Some(&b"0.0.4"[..]));
/// assert_eq!(first.quality(), 500);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaRange<'a> {
    name: &'a [u8],
    /// What follows the first semicolon.
    parameters: &'a [u8],
    quality: u16,
}

impl<'a> MediaRange<'a> {
    /// The elements of these Accept fields, in order. An element with a malformed weight is left
    /// out. A comma or a semicolon in a quoted string ends a part too.
    pub fn all_of(
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> impl Iterator<Item = MediaRange<'a>> {
        values.into_iter().flat_map(elements).filter_map(MediaRange::new)
    }

    fn new(element: &'a [u8]) -> Option<Self> {
        let (name, parameters) = match element.iter().position(|&byte| byte == b';') {
            Some(at) => (trim(&element[..at]), &element[at + 1..]),
            None => (element, &[][..]),
        };
        let range = MediaRange { name, parameters, quality: FULL };
        let is_weight = |part: &&[u8]| matches!(part, [b'q' | b'Q', b'=', ..]);
        match range.parts().find(is_weight).map(weight) {
            Some(quality) => Some(MediaRange { quality: quality?, ..range }),
            None => (!name.is_empty()).then_some(range),
        }
    }

    fn parts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.parameters.split(|&byte| byte == b';').map(trim)
    }

    /// Whether it is this one, which is written in lower case.
    #[must_use]
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value of a parameter, by its name in lower case, without quotes.
    #[must_use]
    pub fn parameter(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.parts().find_map(|part| {
            let at = part.iter().position(|&byte| byte == b'=')?;
            let value = &part[at + 1..];
            let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
            part[..at].eq_ignore_ascii_case(name).then_some(bare.unwrap_or(value))
        })
    }

    /// Its weight in thousandths; 0 if the client does not accept it.
    #[must_use]
    pub fn quality(&self) -> u16 {
        self.quality
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_has_a_name_parameters_and_a_weight() {
        let value = b" text/HTML ; level=1;Q=0.25 ,, a/b;q=2, */* , ;q=1x".as_slice();
        let ranges: Vec<_> = MediaRange::all_of([value]).collect();
        assert_eq!(ranges.len(), 2, "{ranges:?}");
        let [first, second] = ranges[..] else { panic!() };
        assert!(first.is(b"text/html") && !first.is(b"text"));
        assert_eq!((first.quality(), first.parameter(b"level")), (250, Some(&b"1"[..])));
        assert_eq!(first.parameter(b"version"), None);
        assert!(second.is(b"*/*"));
        assert_eq!(second.quality(), 1000);
    }
}
