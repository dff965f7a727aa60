//! A path with everything beneath it, for rules about paths.

use crate::path_prefix::PathPrefix;
use crate::percent::percent_decoded;
use crate::spelling::{Spelling, respell};

/// A path and all paths beneath it, by whole segments: `/admin` has `/admin/x`, and not
/// `/administrator`. `/` has every path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtree(PathPrefix);

impl Subtree {
    /// The one at this path, which is read as the path of a URL: percent escapes are decoded,
    /// repeated slashes count as one, dots are resolved, and slashes at the end have no meaning.
    ///
    /// ```
    /// let admin = monoceros_http::Subtree::at(b"/admin/");
    /// assert!(admin.contains(b"/admin") && admin.contains(b"/admin/users"));
    /// assert!(!admin.contains(b"/administrator"));
    /// ```
    pub fn at(path: &[u8]) -> Self {
        Self(PathPrefix::new(&respell(&percent_decoded(path), Spelling::CANONICAL)))
    }

    /// Whether every path is in it.
    pub fn has_every_path(&self) -> bool {
        self.0.as_bytes().is_empty()
    }

    /// Whether a decoded path is in it, as it is spelled.
    pub fn contains(&self, path: &[u8]) -> bool {
        self.has_every_path() || self.0.strip(path).is_some()
    }

    /// Its path; empty if it has every path.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subtree_has_whole_segments() {
        for (at, path, is_in) in [
            ("/admin", "/admin", true),
            ("/admin", "/admin/", true),
            ("/admin", "/admin//x", true),
            ("/admin", "/admin/../x", true),
            ("/admin", "/administrator", false),
            ("/admin", "/admin;x", false),
            ("/admin", "/x/admin", false),
            ("/admin", "//admin", false),
            ("/admin", "/Admin", false),
            ("/admin", "/", false),
            ("/admin", "", false),
            ("/a/b", "/a", false),
            ("/a/b", "/a/b/c", true),
            ("/", "", true),
            ("/", "/", true),
            ("/", "//x", true),
        ] {
            assert_eq!(Subtree::at(at.as_bytes()).contains(path.as_bytes()), is_in, "{at} {path}");
        }
    }

    #[test]
    fn its_path_is_read_as_that_of_a_url() {
        for (text, path) in [
            ("/admin/", "/admin"),
            ("//admin//", "/admin"),
            ("admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("/caf%C3%A9", "/café"),
            ("/x/../admin/./y", "/admin/y"),
            ("/100%", "/100%"),
            ("/", ""),
            ("", ""),
            ("/..", ""),
        ] {
            assert_eq!(Subtree::at(text.as_bytes()).as_bytes(), path.as_bytes(), "{text}");
        }
        assert!(Subtree::at(b"/").has_every_path() && !Subtree::at(b"/a").has_every_path());
    }
}
