//! Types of settings: the files that the server sends, and the names that never change.

use std::path::PathBuf;

use crate::raw::{bytes_of, text_of};
use crate::row::Bounds;
use crate::url_path::{check_path, is_same_path};
use crate::value::{Value, not_empty};

/// A path of requests, and the directory or file that is sent for it. As text:
/// `/static/=DIRECTORY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticMapping {
    /// The path, written as in a URL.
    pub prefix: String,
    /// The directory or file.
    pub path: PathBuf,
}

/// Files that the server sends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaticSetting {
    /// Those of the loaded Django project.
    Auto,
    /// Those of a directory, or one file.
    Mapping(StaticMapping),
}

const AUTO: &str = "auto";

/// The words for an empty list.
const NONE: &[&str] = &["none", "off", "false"];

/// The words, with their meanings.
pub(crate) const CHOICES: [(&str, &str); 2] =
    [(NONE[0], "no files"), (AUTO, "those of the loaded Django project")];

impl StaticSetting {
    /// The mapping; `None` for `auto`.
    #[must_use]
    pub fn mapping(&self) -> Option<&StaticMapping> {
        match self {
            Self::Auto => None,
            Self::Mapping(mapping) => Some(mapping),
        }
    }
}

impl Value for StaticMapping {
    const RAW: bool = true;
    const NONE: &'static [&'static str] = NONE;

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        let (prefix, path) = text.split_once('=').ok_or_else(|| {
            format!("cannot read {text:?} as PREFIX=PATH; example: /static/=/srv/shop/static")
        })?;
        check_path(prefix)?;
        not_empty(path).map_err(|reason| format!("the path behind {prefix}= {reason}"))?;
        if path.contains('\0') {
            return Err(format!("the path behind {prefix}= has a NUL in it"));
        }
        Ok(Self { prefix: prefix.to_owned(), path: PathBuf::from(bytes_of(path)) })
    }

    fn texts(&self) -> Vec<String> {
        vec![format!("{}={}", self.prefix, text_of(self.path.as_os_str()))]
    }

    fn check_list(mappings: &[Self]) -> Result<(), String> {
        check_prefixes(mappings.iter())
    }
}

impl Value for StaticSetting {
    const RAW: bool = true;
    const NONE: &'static [&'static str] = NONE;

    fn parse(text: &str, range: Bounds) -> Result<Self, String> {
        if text == AUTO {
            return Ok(Self::Auto);
        }
        StaticMapping::parse(text, range).map(Self::Mapping).map_err(|reason| {
            if text.contains('=') { reason } else { format!("{reason}, or auto") }
        })
    }

    fn texts(&self) -> Vec<String> {
        self.mapping().map_or_else(|| vec![AUTO.to_owned()], Value::texts)
    }

    fn check_list(settings: &[Self]) -> Result<(), String> {
        if settings.iter().filter(|it| **it == Self::Auto).count() > 1 {
            return Err("auto is in it twice".to_owned());
        }
        check_prefixes(settings.iter().filter_map(Self::mapping))
    }
}

/// Fails if a prefix is there twice.
fn check_prefixes<'a>(mappings: impl Iterator<Item = &'a StaticMapping>) -> Result<(), String> {
    let mut known: Vec<&str> = Vec::new();
    for mapping in mappings {
        if known.iter().any(|it| is_same_path(it, &mapping.prefix)) {
            return Err(format!("{} is in it twice", mapping.prefix));
        }
        known.push(&mapping.prefix);
    }
    Ok(())
}

/// A regular expression of the crate `regex`, which is valid for bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(pub String);

impl Value for PathPattern {
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        not_empty(text)?;
        match regex::bytes::Regex::new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("{text:?} is not a regular expression: {}", cause(&error))),
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

/// The cause in the text of an error, of which the other lines show the place.
fn cause(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Vec<StaticSetting>, String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        Vec::read(&words, None)
    }

    #[test]
    fn a_mapping_has_a_prefix_and_a_path() {
        let settings = read(&["auto", "/static/=/srv/a=b", "/favicon.ico=f.ico"]).unwrap();
        let mappings: Vec<_> = settings.iter().filter_map(StaticSetting::mapping).collect();
        assert_eq!(settings[0], StaticSetting::Auto);
        assert_eq!(mappings[0].prefix, "/static/");
        assert_eq!(mappings[0].path, PathBuf::from("/srv/a=b"));
        assert_eq!(mappings[1].path, PathBuf::from("f.ico"));
        assert_eq!(settings.texts(), ["auto", "/static/=/srv/a=b", "/favicon.ico=f.ico"]);
        assert_eq!(read(&["none"]).unwrap().texts(), ["none"]);
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        for (words, error) in [
            (
                &["/static/"][..],
                "cannot read \"/static/\" as PREFIX=PATH; example: /static/=/srv/shop/static, \
                 or auto",
            ),
            (&["static=a"], "\"static\" does not begin with /"),
            (&["/static/="], "the path behind /static/= must not be empty"),
            (&["/a/../b=c"], "\"/a/../b\" has the segment ..; write the path without it"),
            (&["/a=b\0"], "the path behind /a= has a NUL in it"),
            (&["/a/=b", "/a=c"], "/a is in it twice"),
            (&["auto", "auto"], "auto is in it twice"),
            (&["auto", "none"], "none cannot stand beside other values"),
        ] {
            assert_eq!(read(words).unwrap_err(), error, "{words:?}");
        }
        let accel = Vec::<StaticMapping>::parse("auto", None).unwrap_err();
        assert_eq!(
            accel,
            "cannot read \"auto\" as PREFIX=PATH; example: /static/=/srv/shop/static"
        );
    }

    #[test]
    fn a_pattern_that_does_not_compile_has_a_reason_of_one_line() {
        assert!(PathPattern::parse(r"[.-][0-9a-f]{8}\.(js|css)$", None).is_ok());
        for (text, cause) in [
            ("(a", "\"(a\" is not a regular expression: unclosed group"),
            ("*", "\"*\" is not a regular expression: repetition operator missing expression"),
            (
                "a{99999}{99999}",
                "\"a{99999}{99999}\" is not a regular expression: Compiled regex exceeds size",
            ),
        ] {
            let reason = PathPattern::parse(text, None).unwrap_err();
            assert!(reason.starts_with(cause) && reason.lines().count() == 1, "{reason}");
        }
        assert_eq!(PathPattern::parse("", None).unwrap_err(), "must not be empty");
    }
}
