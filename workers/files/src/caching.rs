//! How long clients may keep a file: Cache-Control (RFC 9111 section 5.2.2).

use regex::bytes::Regex;

use crate::manifest::Manifest;

/// The value for a name whose content never changes (RFC 8246). A year is long enough, and larger
/// numbers are not understood everywhere.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// The length of the hash that Django puts into names.
const HASH: usize = 12;

/// The rules for Cache-Control.
#[derive(Clone, Debug)]
pub struct CacheRules {
    /// Searched in the part of a path below its prefix: such a file never changes.
    immutable: Option<Regex>,
    /// The seconds for which others may be kept.
    max_age: u32,
}

impl CacheRules {
    /// A regular expression for the parts of paths below their prefix whose files never change,
    /// and the seconds for which others may be kept. An expression that is not valid matches
    /// nothing.
    #[must_use]
    pub fn new(immutable: Option<&str>, max_age: u32) -> Self {
        Self { immutable: immutable.and_then(|pattern| Regex::new(pattern).ok()), max_age }
    }

    /// The value for a file, by the part of its path below the prefix.
    pub(crate) fn value(&self, relative: &[u8], manifest: &Manifest) -> String {
        let is_immutable = has_hash(relative)
            || manifest.names(relative)
            || self.immutable.as_ref().is_some_and(|pattern| pattern.is_match(relative));
        if is_immutable {
            IMMUTABLE.to_owned()
        } else {
            format!("public, max-age={}", self.max_age)
        }
    }
}

/// Whether a name has a hash of its content in it, as Django's `ManifestStaticFilesStorage` makes
/// them: `name.HHHHHHHHHHHH.ending` with 12 hexadecimal digits in lower case. 12 decimal digits are
/// a date and a time more often than a hash.
fn has_hash(name: &[u8]) -> bool {
    let file = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let mut parts = file.rsplitn(3, |&byte| byte == b'.');
    let (Some(ending), Some(hash), Some(stem)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    !ending.is_empty()
        && !stem.is_empty()
        && hash.len() == HASH
        && hash.iter().all(is_digit)
        && !hash.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_hash_never_changes() {
        for name in ["a.0123456789ab.css", "d/a.b.aaaaaaaaaaaa.js", "a.55e7cbb9ba48.map"] {
            assert!(has_hash(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "a.css",
            "0123456789ab.css",
            ".0123456789ab.css",
            "a.0123456789ab",
            "a.0123456789ab.",
            "a.0123456789AB.css",
            "a.0123456789abc.css",
            "a.0123456789a.css",
            "a.012345678901.css",
            "a.0123456789ag.css",
            "a-0123456789ab.css",
            "a.0123456789ab.min.css",
            "a.0123456789ab.d/b.css",
            "a/.0123456789ab.css",
        ] {
            assert!(!has_hash(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn the_rules_in_their_order() {
        let manifest = Manifest::parse(br#"{"paths": {"a.css": "a.abc.css"}}"#).unwrap();
        let rules = CacheRules::new(Some("^assets/.*-[0-9a-f]{8}[.]js$"), 60);
        for (relative, is_immutable) in [
            ("a.0123456789ab.css", true),
            ("a.abc.css", true),
            ("a.css", false),
            ("assets/index-01234567.js", true),
            ("assets/index-01234567.css", false),
        ] {
            let value = rules.value(relative.as_bytes(), &manifest);
            let expected = if is_immutable { IMMUTABLE } else { "public, max-age=60" };
            assert_eq!(value, expected, "{relative}");
        }
    }
}
