//! Types of settings: the requests that the access log leaves out.

use std::fmt;

use crate::row::Bounds;
use crate::url_path::check_path;
use crate::value::{Value, each_once};

/// Requests that the access log leaves out. As text: `/healthz`, `404`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessExclusion {
    /// Those for this path and everything beneath it, written as in a URL.
    Path(String),
    /// Those with a response of this status.
    Status(u16),
}

impl fmt::Display for AccessExclusion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => out.write_str(path),
            Self::Status(status) => status.fmt(out),
        }
    }
}

impl Value for AccessExclusion {
    const NONE: &'static [&'static str] = &["none", "off", "false"];

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        if text.starts_with('/') {
            check_path(text)?;
            return Ok(Self::Path(text.to_owned()));
        }
        let is_status = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let status = text.parse().ok().filter(|status| is_status && (200..=599).contains(status));
        status.map(Self::Status).ok_or_else(|| {
            format!("{text:?} is neither a path nor a status; examples: /healthz, 404")
        })
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }

    fn check_list(exclusions: &[Self]) -> Result<(), String> {
        each_once(exclusions)
    }
}

/// The number of parts in a whole.
const MILLION: u32 = 1_000_000;

/// A part of a whole, from 0 to 1, with at most six decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    /// How many of a million parts.
    pub millionths: u32,
}

impl Fraction {
    /// The whole.
    pub const ONE: Self = Self { millionths: MILLION };
}

impl fmt::Display for Fraction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.millionths / MILLION, self.millionths % MILLION);
        let text = format!("{whole}.{decimals:06}");
        out.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Value for Fraction {
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        let refusal = || format!("cannot read {text:?} as a part of 1; examples: 0.1, 0.025");
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) {
            return Err(refusal());
        }
        if decimals.len() > 6 {
            return Err(format!("{text} has more than six decimals"));
        }
        let parts = format!("{whole}{decimals:0<6}").parse::<u32>();
        match parts.map(|millionths| Self { millionths }) {
            Ok(fraction) if fraction.millionths <= MILLION => Ok(fraction),
            Ok(_) | Err(_) => Err(format!("{text} is not between 0 and 1")),
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Vec<AccessExclusion>, String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        Vec::read(&words, None)
    }

    #[test]
    fn a_path_or_a_status_is_left_out() {
        let path = AccessExclusion::Path("/healthz".to_owned());
        let read_back = read(&["/healthz", "404"]).unwrap();
        assert_eq!(read_back, [path, AccessExclusion::Status(404)]);
        assert_eq!(read_back.texts(), ["/healthz", "404"]);
        assert_eq!(read(&["none"]).unwrap().texts(), ["none"]);
        for text in ["healthz", "", "4xx", "99", "199", "600", "0404", "+40"] {
            let reason = read(&[text]).unwrap_err();
            assert!(reason.ends_with("is neither a path nor a status; examples: /healthz, 404"));
        }
        assert_eq!(read(&["/a", "/a"]).unwrap_err(), "/a is in it twice");
        assert!(read(&["/a/../b"]).unwrap_err().contains("has the segment .."));
    }

    #[test]
    fn a_fraction_has_at_most_six_decimals() {
        for (text, written, millionths) in [
            ("0.1", "0.1", 100_000),
            ("1", "1", MILLION),
            ("1.0", "1", MILLION),
            ("0", "0", 0),
            ("0.000001", "0.000001", 1),
            ("00.50", "0.5", 500_000),
        ] {
            let read = Fraction::parse(text, None).unwrap();
            assert_eq!((read.to_string().as_str(), read.millionths), (written, millionths));
        }
        for (text, reason) in [
            ("1.5", "1.5 is not between 0 and 1"),
            ("99999999999", "99999999999 is not between 0 and 1"),
            ("0.1234567", "0.1234567 has more than six decimals"),
            ("10%", "cannot read \"10%\" as a part of 1; examples: 0.1, 0.025"),
            ("-0.1", "cannot read \"-0.1\" as a part of 1; examples: 0.1, 0.025"),
            (".5", "cannot read \".5\" as a part of 1; examples: 0.1, 0.025"),
            ("1.", "cannot read \"1.\" as a part of 1; examples: 0.1, 0.025"),
        ] {
            assert_eq!(Fraction::parse(text, None).unwrap_err(), reason);
        }
    }
}
