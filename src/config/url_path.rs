//! Paths of requests in settings. They are written as in a URL: `%` with two hexadecimal digits
//! stands for a byte.

use crate::raw::is_raw;
use crate::row::Bounds;
use crate::value::Value;

/// The path of a request, written as in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPath(pub String);

impl Value for UrlPath {
    const NONE: &'static [&'static str] = &["none", "off", "false"];

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        check_path(text)?;
        Ok(Self(text.to_owned()))
    }

    fn texts(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

/// Fails if a text is not a path as requests may have it.
pub(crate) fn check_path(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err(format!("{text:?} does not begin with /"));
    }
    if is_raw(text) {
        return Err(format!("{text:?} is not UTF-8; write such a byte as in a URL, such as %FF"));
    }
    let is_foreign = |letter: &char| letter.is_control() || "?#\\".contains(*letter);
    if let Some(letter) = text.chars().find(is_foreign) {
        return Err(format!("{text:?} has {letter:?} in it, which no path of a request has"));
    }
    let is_escape = |rest: &str| {
        let digits = rest.bytes().take(2).filter(u8::is_ascii_hexdigit);
        digits.count() == 2
    };
    if !text.split('%').skip(1).all(is_escape) {
        return Err(format!(
            "{text:?} has a % that begins no escape; write %25 for a percent sign"
        ));
    }
    let mut segments = text.strip_suffix('/').unwrap_or(text).split('/').skip(1);
    match segments.find(|segment| ["", ".", ".."].contains(segment)) {
        Some("") => Err(format!("{text:?} has an empty segment")),
        Some(dots) => Err(format!("{text:?} has the segment {dots}; write the path without it")),
        None => Ok(()),
    }
}

/// Whether two paths are the same, apart from a slash at their end.
pub(crate) fn is_same_path(path: &str, other: &str) -> bool {
    path.trim_end_matches('/') == other.trim_end_matches('/')
}

/// Writes these letters of a path, which have a meaning in the text of a setting, as escapes.
pub(crate) fn escape(path: &str, letters: &str) -> String {
    let mut text = String::new();
    for letter in path.chars() {
        if letter.is_ascii() && letters.contains(letter) {
            text.push_str(&format!("%{:02X}", u32::from(letter)));
        } else {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_that_of_a_request() {
        for text in ["/", "/admin", "/static/", "/a b/c", "/caf%C3%A9", "/café", "/a=b,c;d", "/.x"]
        {
            assert_eq!(check_path(text), Ok(()), "{text}");
        }
        for (text, part) in [
            ("", "does not begin with /"),
            ("admin", "\"admin\" does not begin with /"),
            ("/a?b", "has '?' in it"),
            ("/a#b", "has '#' in it"),
            ("/a\\b", "in it, which no path"),
            ("/a\nb", "has '\\n' in it"),
            ("/100%", "write %25"),
            ("/%4", "write %25"),
            ("/%zz", "write %25"),
            ("/a//b", "has an empty segment"),
            ("//", "has an empty segment"),
            ("/a/../b", "has the segment .."),
            ("/.", "has the segment ."),
            ("/\u{10ffff}", "such as %FF"),
        ] {
            let reason = check_path(text).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }

    #[test]
    fn a_path_can_be_taken_back() {
        let path = |text: &str| Option::<UrlPath>::parse(text, None);
        assert_eq!(path("/healthz"), Ok(Some(UrlPath("/healthz".to_owned()))));
        assert_eq!(path("none"), Ok(None));
        assert_eq!(Option::<UrlPath>::None.texts(), ["none"]);
        assert_eq!(path("healthz").unwrap_err(), "\"healthz\" does not begin with /");
    }

    #[test]
    fn letters_become_escapes() {
        assert_eq!(escape("/a;b&ä%3B", ";&"), "/a%3Bb%26ä%3B");
        assert!(is_same_path("/a/", "/a") && is_same_path("/", "/") && !is_same_path("/a", "/b"));
    }
}
