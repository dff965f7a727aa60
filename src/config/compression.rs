//! Types of settings: how the application's responses are compressed.

use crate::choice::choice;
use crate::field::is_token;
use crate::row::{Arity, Bounds};
use crate::value::Value;

choice! {
    /// A content coding (RFC 9110, section 8.4.1).
    CodingName, takes Arity::One, none "none" | "off" | "false";
    Zstd = "zstd", "Zstandard (RFC 8878)";
    Gzip = "gzip", "gzip (RFC 1952)";
    Brotli = "br" | "brotli", "Brotli (RFC 7932)";
}

/// A media type such as `application/json`, or all of a kind: `text/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPattern(String);

/// The types that are compressed by default: text, and formats that are made of text.
const COMPRESSIBLE: [&str; 10] = [
    "text/*",
    "application/javascript",
    "application/json",
    "application/ld+json",
    "application/manifest+json",
    "application/rss+xml",
    "application/wasm",
    "application/xhtml+xml",
    "application/xml",
    "image/svg+xml",
];

impl MediaPattern {
    /// The default of `compress-types`.
    pub(crate) fn compressible() -> Vec<Self> {
        COMPRESSIBLE.map(|text| Self(text.to_owned())).to_vec()
    }

    /// Whether a media type is meant, which has no parameters.
    #[must_use]
    pub fn matches(&self, media_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some("*/") => true,
            Some(kind) => {
                let start = media_type.get(..kind.len());
                start.is_some_and(|start| start.eq_ignore_ascii_case(kind))
            }
            None => media_type.eq_ignore_ascii_case(&self.0),
        }
    }

    /// The pattern as text, in lower case.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl Value for MediaPattern {
    const SPLIT: bool = true;

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        let is_pattern = text.split_once('/').is_some_and(|(kind, of)| {
            let is_word = |word: &str| is_token(word) && !word.contains('*');
            match (kind, of) {
                ("*", "*") => true,
                (kind, "*") => is_word(kind),
                (kind, of) => is_word(kind) && is_word(of),
            }
        });
        if is_pattern {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(format!("{text:?} is not a media type; examples: application/json, text/*, */*"))
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

/// How much time compression may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressLevel {
    /// As fast as possible.
    Fast,
    /// What each coding's library has as its default for responses.
    Default,
    /// As small as possible.
    Best,
    /// This level of the coding, or its highest one.
    Number(u8),
}

/// The words for the level, with their meanings.
pub(crate) const LEVELS: [(&str, &str); 3] = [
    ("fast", "little time"),
    ("default", "a level of each coding that suits responses"),
    ("best", "few bytes"),
];

/// The highest level of any coding that is not meant for files of their own.
const HIGHEST: u64 = 19;

impl Value for CompressLevel {
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "fast" => Ok(Self::Fast),
            "default" => Ok(Self::Default),
            "best" => Ok(Self::Best),
            _ => {
                let number = u16::parse(text, Some((1, HIGHEST)));
                let number = number.map(|number| u8::try_from(number).unwrap_or(u8::MAX));
                number
                    .map(Self::Number)
                    .map_err(|reason| format!("{reason}, or fast, default or best"))
            }
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![match self {
            Self::Fast => LEVELS[0].0.to_owned(),
            Self::Default => LEVELS[1].0.to_owned(),
            Self::Best => LEVELS[2].0.to_owned(),
            Self::Number(number) => number.to_string(),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_a_list_of_words() {
        let read = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            Vec::<CodingName>::read(&words, None)
        };
        let expected = vec![CodingName::Zstd, CodingName::Gzip, CodingName::Brotli];
        for words in [&["zstd, gzip,br"][..], &["zstd", "GZIP", "brotli"]] {
            let codings = read(words).unwrap();
            assert_eq!(codings, expected);
            assert_eq!(codings.texts(), ["zstd", "gzip", "br"]);
        }
        for word in ["none", "off", "false"] {
            assert_eq!(read(&[word]).unwrap().texts(), ["none"], "{word}");
        }
        for (words, error) in [
            (&["deflate"][..], "\"deflate\" is not one of zstd, gzip, br"),
            (&["gzip,gzip"], "gzip is in it twice"),
            (&["gzip", "none"], "none cannot stand beside other values"),
            (&["gzip,none"], "none cannot stand beside other values"),
            (&[""], "must not be empty"),
        ] {
            assert_eq!(read(words).unwrap_err(), error, "{words:?}");
        }
    }

    #[test]
    fn a_pattern_covers_a_media_type_or_a_kind() {
        for (pattern, media_type, expected) in [
            ("text/*", "text/html", true),
            ("text/*", "TEXT/css", true),
            ("text/*", "textual/a", false),
            ("Application/JSON", "application/json", true),
            ("application/json", "application/json5", false),
            ("*/*", "image/png", true),
        ] {
            let pattern = MediaPattern::parse(pattern, None).unwrap();
            assert_eq!(pattern.matches(media_type), expected, "{pattern:?} {media_type}");
        }
        for text in ["", "text", "text/", "/html", "*/html", "text/h*", "text/html; charset=utf-8"]
        {
            assert!(MediaPattern::parse(text, None).is_err(), "{text}");
        }
        let default = MediaPattern::compressible();
        assert_eq!(Vec::read(&default.texts(), None), Ok(default));
    }

    #[test]
    fn a_level_is_a_word_or_a_number() {
        for (text, level) in [
            ("fast", CompressLevel::Fast),
            ("Default", CompressLevel::Default),
            ("best", CompressLevel::Best),
            ("6", CompressLevel::Number(6)),
        ] {
            let read = CompressLevel::parse(text, None).unwrap();
            assert_eq!(read, level);
            assert_eq!(CompressLevel::parse(&read.texts()[0], None), Ok(read));
        }
        let reason = CompressLevel::parse("20", None).unwrap_err();
        assert_eq!(reason, "20 is not between 1 and 19, or fast, default or best");
        assert!(CompressLevel::parse("high", None).unwrap_err().contains("whole number, or fast"));
    }
}
