//! The request target (RFC 9112 section 3.2): origin-form, absolute-form, and `*` of OPTIONS.

use crate::class::{TARGET, all};
use crate::host::{self, Host};
use crate::reject::Reject;
use crate::span::Span;

/// The parts of a target; spans are positions in the head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Target {
    pub(crate) whole: Span,
    /// Empty in absolute-form if only the authority was given.
    pub(crate) path: Span,
    pub(crate) query: Span,
    /// Host and port of an absolute-form target.
    pub(crate) authority: Option<Span>,
}

/// Splits the target `bytes`, which begins at `at` in the head.
///
/// # Errors
/// 400 for a character that no URI has and for a fragment (RFC 9112 section 3.2), for a form that
/// the method does not allow (sections 3.2.3 and 3.2.4), and for an absolute-form that is not
/// `http` or `https` with a valid host. 501 for CONNECT, which an application server does not
/// support (RFC 9110 section 9.3.6).
pub(crate) fn parse(bytes: &[u8], at: usize, method: &[u8]) -> Result<Target, Reject> {
    if bytes.is_empty() {
        return Err(Reject::bad("no request target"));
    }
    if !all(bytes, &TARGET) {
        return Err(Reject::bad("invalid character in the request target"));
    }
    if method == b"CONNECT" {
        return Err(Reject::new(501, "CONNECT"));
    }
    let whole = Span::new(at, bytes.len());
    match bytes {
        [b'/', ..] => Ok(split_query(bytes, at, whole, None)),
        b"*" if method == b"OPTIONS" => Ok(Target { whole, path: whole, ..Target::default() }),
        b"*" => Err(Reject::bad("request target * without OPTIONS")),
        _ => absolute(bytes, at),
    }
}

/// Splits `scheme "://" authority path-abempty [ "?" query ]` (RFC 9112 section 3.2.2, RFC 9110
/// section 4.2). User information in the authority makes it invalid (RFC 9110 section 4.2.4).
fn absolute(bytes: &[u8], at: usize) -> Result<Target, Reject> {
    let scheme_len = match bytes.iter().position(|&byte| byte == b':') {
        Some(4) if bytes[..4].eq_ignore_ascii_case(b"http") => 4,
        Some(5) if bytes[..5].eq_ignore_ascii_case(b"https") => 5,
        _ => return Err(Reject::bad("invalid form of the request target")),
    };
    let Some(rest) = bytes[scheme_len..].strip_prefix(b"://") else {
        return Err(Reject::bad("invalid form of the request target"));
    };
    let len = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    if !matches!(host::split(&rest[..len]), Some(Host { name: [_, ..], .. })) {
        return Err(Reject::bad("invalid host in the request target"));
    }
    let host_at = at + scheme_len + 3;
    let authority = Span::new(host_at, len);
    Ok(split_query(&rest[len..], host_at + len, Span::new(at, bytes.len()), Some(authority)))
}

/// Splits the target, without an authority, at the first question mark.
fn split_query(bytes: &[u8], at: usize, whole: Span, authority: Option<Span>) -> Target {
    let path = bytes.iter().position(|&byte| byte == b'?').unwrap_or(bytes.len());
    let query = (path + 1).min(bytes.len());
    Target {
        whole,
        path: Span::new(at, path),
        query: Span::new(at + query, bytes.len() - query),
        authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_taken_apart() {
        for (method, bytes, path, query, host) in [
            ("GET", "/", "/", "", None),
            ("GET", "/a/b?c=d?e", "/a/b", "c=d?e", None),
            ("GET", "/?", "/", "", None),
            ("GET", "//a/b", "//a/b", "", None),
            ("GET", "/a://b", "/a://b", "", None),
            ("GET", "/%00%0d%0a%2f..;/", "/%00%0d%0a%2f..;/", "", None),
            ("GET", "/\\|\"<>{}^`", "/\\|\"<>{}^`", "", None),
            ("OPTIONS", "*", "*", "", None),
            ("GET", "http://a.example", "", "", Some("a.example")),
            ("GET", "http://a?b", "", "b", Some("a")),
            ("GET", "HTTPS://a:1/b?c", "/b", "c", Some("a:1")),
            ("GET", "http://[::1]:80/b", "/b", "", Some("[::1]:80")),
        ] {
            let target = parse(bytes.as_bytes(), 0, method.as_bytes()).unwrap();
            let of = |span: Span| std::str::from_utf8(span.of(bytes.as_bytes())).unwrap();
            assert_eq!((of(target.whole), of(target.path), of(target.query)), (bytes, path, query));
            assert_eq!(target.authority.map(of), host, "{bytes}");
        }
    }
}
