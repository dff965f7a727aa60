//! The prefix of the paths below which an application is mounted: `SCRIPT_NAME` of CGI and WSGI
//! (RFC 3875 section 4.1.13).

use crate::percent::percent_decoded;

/// A prefix of decoded paths: empty, or with a slash at its beginning and none at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathPrefix(Vec<u8>);

impl PathPrefix {
    /// The prefix with these bytes; slashes at their ends have no meaning.
    pub fn new(bytes: &[u8]) -> Self {
        let is_slash = |byte: &u8| *byte == b'/';
        let start = bytes.iter().take_while(|byte| is_slash(byte)).count();
        let end = bytes.len() - bytes.iter().rev().take_while(|byte| is_slash(byte)).count();
        match bytes.get(start..end) {
            Some(inner @ [_, ..]) => Self([b"/", inner].concat()),
            Some([]) | None => Self::default(),
        }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The rest of a decoded path below the prefix: empty, or with a slash at its beginning.
    /// `None` if the path does not begin with the prefix, or the prefix ends inside a segment of
    /// the path. The `*` of `OPTIONS *` is below every prefix.
    ///
    /// ```
    /// let prefix = monoceros_http::PathPrefix::new(b"/shop/");
    /// assert_eq!(prefix.strip(b"/shop/cart"), Some(&b"/cart"[..]));
    /// assert_eq!(prefix.strip(b"/shopping"), None);
    /// ```
    pub fn strip<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        if path == b"*" {
            return Some(path);
        }
        let below = path.strip_prefix(self.as_bytes())?;
        (below.is_empty() || below.starts_with(b"/")).then_some(below)
    }

    /// Whether a path with percent escapes begins with the prefix.
    pub fn contains(&self, path: &[u8]) -> bool {
        self.strip(&percent_decoded(path)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_ends_have_no_meaning() {
        for (bytes, prefix) in [
            ("", ""),
            ("/", ""),
            ("///", ""),
            ("a", "/a"),
            ("/a", "/a"),
            ("//a//", "/a"),
            ("/a/b/", "/a/b"),
            ("/a//b", "/a//b"),
        ] {
            assert_eq!(PathPrefix::new(bytes.as_bytes()).as_bytes(), prefix.as_bytes(), "{bytes}");
        }
    }

    #[test]
    fn a_prefix_ends_at_the_end_of_a_segment() {
        for (prefix, path, below) in [
            ("/a", "/a", Some("")),
            ("/a", "/a/", Some("/")),
            ("/a", "/a/b", Some("/b")),
            ("/a", "/a//b", Some("//b")),
            ("/a", "/ab", None),
            ("/a", "/", None),
            ("/a", "/b/a", None),
            ("/a", "//a", None),
            ("/a/b", "/a", None),
            ("", "/a", Some("/a")),
            ("/a", "*", Some("*")),
        ] {
            let below = below.map(str::as_bytes);
            let prefix = PathPrefix::new(prefix.as_bytes());
            assert_eq!(prefix.strip(path.as_bytes()), below, "{path}");
        }
        assert!(PathPrefix::new("/é".as_bytes()).contains(b"/%c3%a9/a"));
        let prefix = PathPrefix::new(b"/a");
        assert!(prefix.contains(b"/%61/b") && prefix.contains(b"/a%2Fb") && prefix.contains(b"*"));
        assert!(!prefix.contains(b"/a%62"));
    }
}
