//! The request line (RFC 9112 section 3): `method SP request-target SP HTTP-version`, with exactly
//! one space each.

use crate::class::{METHOD, all};
use crate::reject::Reject;
use crate::span::Span;
use crate::target::{self, Target};

/// The versions of HTTP that are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// `HTTP/1.0`.
    Http10,
    /// `HTTP/1.1`.
    #[default]
    Http11,
}

impl Version {
    /// The text in the request line: `HTTP/1.1`.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }
}

/// The parts of a request line; spans are positions in the head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestLine {
    pub(crate) method: Span,
    pub(crate) target: Target,
    pub(crate) version: Version,
}

/// Splits `line`, which begins at `at` in the head.
///
/// # Errors
/// 400 for a line that has not three valid parts; 505 for another version of HTTP (RFC 9110 section
/// 15.6.6); 501 for CONNECT.
pub(crate) fn parse(line: &[u8], at: usize) -> Result<RequestLine, Reject> {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let (Some(method), Some(target), Some(version)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(Reject::bad("request line without three parts"));
    };
    // gunicorn's bounds for the length; every registered method is within them.
    if !(3..=20).contains(&method.len()) || !all(method, &METHOD) {
        return Err(Reject::bad("invalid method"));
    }
    Ok(RequestLine {
        method: Span::new(at, method.len()),
        target: target::parse(target, at + method.len() + 1, method)?,
        version: parse_version(version)?,
    })
}

/// `"HTTP" "/" DIGIT "." DIGIT`, case-sensitive (RFC 9112 section 2.3).
fn parse_version(version: &[u8]) -> Result<Version, Reject> {
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Err(Reject::new(505, "unsupported HTTP version"))
        }
        _ => Err(Reject::bad("invalid HTTP version")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_has_three_parts() {
        let line = b"PATCH /a?b HTTP/1.0";
        let parsed = parse(line, 0).unwrap();
        assert_eq!(parsed.method.of(line), b"PATCH");
        assert_eq!(parsed.target.whole.of(line), b"/a?b");
        assert_eq!(parsed.version, Version::Http10);
        assert_eq!(parsed.version.as_str(), "HTTP/1.0");
    }
}
