//! The content codings that a client accepts (RFC 9110 section 12.5.3).

use crate::class::trim;
use crate::head::Head;
use crate::list::elements;

/// The name of the field.
const NAME: &[u8] = b"accept-encoding";

/// The weight of an element that names none, in thousandths (RFC 9110 section 12.4.2).
pub(crate) const FULL: u16 = 1000;

/// A content coding that the server can send (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
    /// Gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// Every coding.
    pub const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    /// Its name in Accept-Encoding and Content-Encoding.
    pub fn token(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// The coding of this name, in any case. `x-gzip` is an old name of gzip (RFC 9110 section
    /// 8.4.1.3).
    fn named(token: &[u8]) -> Option<Coding> {
        if token.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Coding::Gzip);
        }
        Coding::ALL.into_iter().find(|it| token.eq_ignore_ascii_case(it.token().as_bytes()))
    }
}

/// The codings that a client accepts, with their weights.
///
/// A coding that no field names is not accepted: a client without the field accepts every coding by
/// RFC 9110, but few such clients can decode one. An element with a malformed weight is ignored. Of
/// several elements for one coding the largest weight counts.
///
/// ```
/// use monoceros_http::{AcceptedCodings, Coding};
///
/// let accepted = AcceptedCodings::of_values([&b"gzip;q=0.5, br, *;q=0"[..]]);
/// assert_eq!(accepted.quality(Coding::Gzip), 500);
/// assert_eq!(accepted.preferred(&[Coding::Zstd, Coding::Gzip]), Some(Coding::Gzip));
/// assert!(!accepted.identity_is_acceptable());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptedCodings {
    /// The weights of [`Coding::ALL`], as far as elements name them.
    named: [Option<u16>; Coding::ALL.len()],
    identity: Option<u16>,
    /// The weight of `*`: all codings that no element names.
    others: Option<u16>,
}

impl AcceptedCodings {
    /// What a request accepts: the elements of all its Accept-Encoding fields.
    pub fn of(head: &Head) -> AcceptedCodings {
        if head.name_lengths() & Head::name_length(NAME.len()) == 0 {
            return AcceptedCodings::default();
        }
        let fields = head.fields().filter(|(name, _)| name.eq_ignore_ascii_case(NAME));
        AcceptedCodings::of_values(fields.map(|(_, value)| value))
    }

    /// What these values of Accept-Encoding fields accept.
    pub fn of_values<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> AcceptedCodings {
        let mut accepted = AcceptedCodings::default();
        for element in values.into_iter().flat_map(elements) {
            let (token, weight) = match element.iter().position(|&byte| byte == b';') {
                Some(at) => (trim(&element[..at]), weight(trim(&element[at + 1..]))),
                None => (element, Some(FULL)),
            };
            if let (Some(weight), Some(place)) = (weight, accepted.place(token)) {
                *place = (*place).max(Some(weight));
            }
        }
        accepted
    }

    /// The place of a coding's weight; `None` for codings that the server does not know.
    fn place(&mut self, token: &[u8]) -> Option<&mut Option<u16>> {
        match Coding::named(token) {
            Some(coding) => Some(&mut self.named[coding as usize]),
            None if token == b"*" => Some(&mut self.others),
            None if token.eq_ignore_ascii_case(b"identity") => Some(&mut self.identity),
            None => None,
        }
    }

    /// The weight of a coding in thousandths; 0 if it is not accepted.
    pub fn quality(&self, coding: Coding) -> u16 {
        self.named[coding as usize].or(self.others).unwrap_or(0)
    }

    /// Whether a response without a coding is acceptable: it is, unless the client excludes it.
    pub fn identity_is_acceptable(&self) -> bool {
        self.identity.or(self.others.filter(|&weight| weight == 0)) != Some(0)
    }

    /// The coding to send, of those that are available: the one with the largest weight, and of
    /// several such the first one. `None` if the client accepts none of them, or gives a larger
    /// weight to a response without a coding.
    pub fn preferred(&self, available: &[Coding]) -> Option<Coding> {
        let mut best = None;
        let mut best_quality = 0;
        for &coding in available {
            let quality = self.quality(coding);
            if quality > best_quality {
                (best, best_quality) = (Some(coding), quality);
            }
        }
        best.filter(|_| self.identity.is_none_or(|identity| identity <= best_quality))
    }
}

/// A weight in thousandths, `q=0.5` (RFC 9110 section 12.4.2); `None` if it is malformed.
pub(crate) fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', whole @ (b'0' | b'1'), fraction @ ..] = parameter else { return None };
    let digits = match fraction {
        [] => &[][..],
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut thousandths = u16::from(whole - b'0');
    for at in 0..3 {
        let digit = digits.get(at).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        thousandths = thousandths * 10 + u16::from(digit - b'0');
    }
    (thousandths <= FULL).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::Coding::{Brotli, Gzip, Zstd};
    use super::*;
    use crate::test_heads::head_with_lines;

    fn accepted(value: &str) -> AcceptedCodings {
        AcceptedCodings::of_values([value.as_bytes()])
    }

    fn of_head(lines: &str) -> AcceptedCodings {
        AcceptedCodings::of(&head_with_lines("GET", lines))
    }

    #[test]
    fn codings_have_weights() {
        for (value, brotli, zstd, gzip) in [
            ("", 0, 0, 0),
            ("gzip", 0, 0, 1000),
            ("x-gzip", 0, 0, 1000),
            ("GZip, BR", 1000, 0, 1000),
            ("gzip, deflate, br, zstd", 1000, 1000, 1000),
            ("gzip;q=0.5,br;q=0.001 , zstd ; q=0.25", 1, 250, 500),
            ("gzip;Q=0.8\t;zstd", 0, 0, 0),
            ("*", 1000, 1000, 1000),
            ("*;q=0.3, gzip;q=0", 300, 300, 0),
            ("gzip;q=0, *", 1000, 1000, 0),
            ("identity", 0, 0, 0),
            ("gzip;q=0, x-gzip;q=0.4", 0, 0, 400),
            (",, gzip ,", 0, 0, 1000),
        ] {
            let found = accepted(value);
            let weights = [Brotli, Zstd, Gzip].map(|it| found.quality(it));
            assert_eq!(weights, [brotli, zstd, gzip], "{value:?}");
        }
    }

    #[test]
    fn an_element_with_a_malformed_weight_is_ignored() {
        let parameters = "|q|q=|q=.5|q=2|q=1.001|q=0.1234|q=-1|q=0 5|q =1|q= 1|q=1;a=b|level=9|q=1e0|\
            q=\u{ff11}|q=1.x|q=\"1\"|r=1";
        for parameter in parameters.split('|') {
            let found = accepted(&format!("gzip;{parameter}"));
            assert_eq!(found, AcceptedCodings::default(), "{parameter:?}");
        }
        assert_eq!(accepted("gzip;q=x, *;q=0.2").quality(Gzip), 200);
        assert!(accepted("identity;q=0x").identity_is_acceptable());
        for (value, weight) in [
            ("0", 0),
            ("1", 1000),
            ("0.000", 0),
            ("1.0", 1000),
            ("0.05", 50),
            ("0.", 0),
            ("1.", 1000),
        ] {
            assert_eq!(accepted(&format!("gzip; q={value}")).quality(Gzip), weight, "{value}");
        }
    }

    #[test]
    fn identity_is_acceptable_unless_it_is_excluded() {
        for value in ["", "gzip", "identity", "*", "*;q=0.1", "*;q=0, identity;q=0.001", "gzip;q=0"]
        {
            assert!(accepted(value).identity_is_acceptable(), "{value:?}");
        }
        for value in ["identity;q=0", "*;q=0", "gzip, Identity;q=0.0, *", "gzip;q=1, *;q=0.000"] {
            assert!(!accepted(value).identity_is_acceptable(), "{value:?}");
        }
    }

    #[test]
    fn the_order_of_the_server_decides_between_equal_weights() {
        let ours = [Zstd, Gzip, Brotli];
        for (value, expected) in [
            ("", None),
            ("deflate", None),
            ("gzip, br, zstd", Some(Zstd)),
            ("gzip, br", Some(Gzip)),
            ("gzip;q=0.9, br", Some(Brotli)),
            ("*", Some(Zstd)),
            ("*, zstd;q=0", Some(Gzip)),
            ("*;q=0", None),
            ("identity, gzip", Some(Gzip)),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.4, gzip;q=0.5", Some(Gzip)),
            ("identity;q=0, gzip;q=0.001", Some(Gzip)),
        ] {
            assert_eq!(accepted(value).preferred(&ours), expected, "{value:?}");
        }
        assert_eq!(accepted("*").preferred(&[]), None);
    }

    #[test]
    fn all_fields_of_a_request_are_read() {
        assert_eq!(of_head(""), AcceptedCodings::default());
        assert_eq!(of_head("X-Forwarded-For: gzip\r\n"), AcceptedCodings::default());
        let found =
            of_head("Accept-Encoding: gzip;q=0.5\r\nA: b\r\naccept-encoding: br, *;q=0\r\n");
        let weights = [Brotli, Zstd, Gzip].map(|it| found.quality(it));
        assert_eq!(weights, [1000, 0, 500]);
        assert!(!found.identity_is_acceptable());
    }

    #[test]
    fn each_coding_has_the_place_of_its_number() {
        for (at, coding) in Coding::ALL.into_iter().enumerate() {
            assert_eq!(coding as usize, at);
            assert_eq!(accepted(coding.token()).preferred(&Coding::ALL), Some(coding));
        }
    }
}
