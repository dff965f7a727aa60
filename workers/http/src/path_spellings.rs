//! The path of a request in each spelling that an application may act on, for rules about paths.
//!
//! An application gets the path decoded and otherwise as the client has written it. It may merge
//! repeated slashes and resolve dots, or neither, and it may look at `PATH_INFO` alone or at
//! `SCRIPT_NAME` and `PATH_INFO` together. A rule that looked at one spelling only could be passed
//! by with another one.

use std::borrow::Cow;

use crate::path_prefix::PathPrefix;
use crate::percent::percent_decoded;
use crate::spelling::{Spelling, respell};
use crate::subtree::Subtree;

/// The path of one request in all its spellings.
///
/// ```
/// use monoceros_http::{PathPrefix, PathSpellings, Subtree};
///
/// let path = PathSpellings::new(&PathPrefix::default(), b"/x/%2e%2e//admin");
/// let admin = Subtree::at(b"/admin");
/// assert!(path.any_in(&admin) && !path.all_in(&admin));
/// ```
#[derive(Debug)]
pub struct PathSpellings<'a> {
    /// `SCRIPT_NAME` and `PATH_INFO`, as the application gets them.
    whole: Cow<'a, [u8]>,
    /// Where `PATH_INFO` begins in it.
    below_at: usize,
    /// The spellings with slashes merged, with dots resolved, and with both. Most paths have
    /// nothing to merge or to resolve, and no other spelling.
    others: Vec<Vec<u8>>,
}

impl<'a> PathSpellings<'a> {
    /// The spellings of a request's path, which may have percent escapes, for an application below
    /// this prefix. If the path is not below the prefix, no application gets it; then the whole
    /// path takes the place of `PATH_INFO`.
    pub fn new(prefix: &PathPrefix, path: &'a [u8]) -> Self {
        let whole = match path {
            // The application gets `/` for the `*` of OPTIONS.
            b"*" if prefix.as_bytes().is_empty() => Cow::Borrowed(&b"/"[..]),
            b"*" => Cow::Owned([prefix.as_bytes(), b"/"].concat()),
            path => percent_decoded(path),
        };
        let below = prefix.strip(&whole).unwrap_or(&whole);
        let below_at = whole.len() - below.len();
        let mut others = Vec::new();
        if may_have_others(&whole) {
            let ends = [0, below_at];
            let bases = if below_at == 0 { &ends[..1] } else { &ends[..] };
            for base in bases.iter().map(|at| &whole[*at..]) {
                others.extend(Spelling::CHANGED.map(|spelling| respell(base, spelling)));
            }
        }
        Self { whole, below_at, others }
    }

    /// Whether the path is in the subtree in one of its spellings: for rules that refuse.
    pub fn any_in(&self, subtree: &Subtree) -> bool {
        self.iter().any(|path| subtree.contains(path))
    }

    /// Whether the path is in the subtree in each of its spellings: for rules that allow.
    pub fn all_in(&self, subtree: &Subtree) -> bool {
        self.iter().all(|path| subtree.contains(path))
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let whole = &self.whole[..];
        let below = (self.below_at > 0).then(|| &whole[self.below_at..]);
        std::iter::once(whole).chain(below).chain(self.others.iter().map(Vec::as_slice))
    }
}

/// Whether a path may have an empty segment, or one of dots. A slash at the end makes no other
/// spelling.
fn may_have_others(path: &[u8]) -> bool {
    path.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The spellings of a path, each once, in no order.
    fn spellings(prefix: &str, path: &str) -> Vec<String> {
        let prefix = PathPrefix::new(prefix.as_bytes());
        let path = PathSpellings::new(&prefix, path.as_bytes());
        let mut all: Vec<_> =
            path.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect();
        all.sort();
        all.dedup();
        all
    }

    #[test]
    fn a_plain_path_has_one_spelling() {
        for path in ["/", "/a", "/a/b/", "/a.b/c", "/a../b", "/café"] {
            assert_eq!(spellings("", path), [path]);
        }
        assert_eq!(spellings("", "/%61%2Fb"), ["/a/b"]);
        assert_eq!(spellings("", "/%2561"), ["/%61"]);
        assert_eq!(spellings("", "*"), ["/"]);
    }

    #[test]
    fn slashes_are_merged_and_dots_resolved_alone_and_together() {
        for (path, all) in [
            ("//a", &["//a", "/a"][..]),
            ("/a//b/", &["/a//b/", "/a/b"]),
            ("/a/./b", &["/a/./b", "/a/b"]),
            ("/a/../b", &["/a/../b", "/b"]),
            ("/a/b/..", &["/a", "/a/b/.."]),
            ("/../../a", &["/../../a", "/a"]),
            ("/a/.", &["/a", "/a/."]),
            ("/a//../b", &["/a/../b", "/a//../b", "/a/b", "/b"]),
            ("/...", &["/..."]),
            ("/.well-known/a", &["/.well-known/a"]),
            ("/%2e%2E/a", &["/../a", "/a"]),
            ("/a%2f%2Fb", &["/a//b", "/a/b"]),
            ("/..", &["", "/.."]),
        ] {
            assert_eq!(spellings("", path), all, "{path}");
        }
    }

    #[test]
    fn a_path_below_a_prefix_has_the_spellings_with_and_without_it() {
        for (path, all) in [
            ("/shop/a", &["/a", "/shop/a"][..]),
            ("/shop", &["", "/shop"]),
            ("/shop//a", &["//a", "/a", "/shop//a", "/shop/a"]),
            ("/shop/../a", &["/../a", "/a", "/shop/../a"]),
            ("*", &["/", "/shop/"]),
            // The application does not get these.
            ("/shopping", &["/shopping"]),
            ("//shop/a", &["//shop/a", "/shop/a"]),
        ] {
            assert_eq!(spellings("/shop", path), all, "{path}");
        }
    }

    #[test]
    fn a_rule_that_refuses_needs_one_spelling_and_one_that_allows_needs_all() {
        let admin = Subtree::at(b"/admin");
        for (path, any, all) in [
            ("/admin", true, true),
            ("/admin/", true, true),
            ("/admin/x", true, true),
            ("/admin//x", true, true),
            ("/%61dmin/x", true, true),
            ("/admin%2fx", true, true),
            ("//admin", true, false),
            ("/./admin", true, false),
            ("/x/../admin", true, false),
            ("/admin/../x", true, false),
            ("//admin/../x", true, false),
            ("/%2e%2e/admin", true, false),
            ("/admin/../admin/x", true, true),
            ("/administrator", false, false),
            ("/Admin", false, false),
            ("/x/admin", false, false),
            ("/", false, false),
            ("/%2561dmin", false, false),
        ] {
            let spelled = PathSpellings::new(&PathPrefix::default(), path.as_bytes());
            assert_eq!((spelled.any_in(&admin), spelled.all_in(&admin)), (any, all), "{path}");
        }
        let shop = PathPrefix::new(b"/shop");
        for at in ["/admin", "/shop/admin"] {
            let spelled = PathSpellings::new(&shop, b"/shop/admin/x");
            assert!(spelled.any_in(&Subtree::at(at.as_bytes())), "{at}");
            assert!(!spelled.all_in(&Subtree::at(at.as_bytes())), "{at}");
        }
        assert!(PathSpellings::new(&shop, b"/shop/a").all_in(&Subtree::at(b"/")));
    }

    /// However a path is written: if one of its readings is in the subtree, a rule finds that.
    #[test]
    fn no_order_of_segments_passes_by_a_rule() {
        let admin = Subtree::at(b"/admin");
        let pieces = ["/", "/.", "/..", "/admin", "/x", "/%2e%2e", "%2f"];
        let mut paths = vec![String::new()];
        for _ in 0..5 {
            let more: Vec<_> =
                paths.iter().flat_map(|path| pieces.map(|it| path.clone() + it)).collect();
            paths = more;
            for path in &paths {
                let spelled = PathSpellings::new(&PathPrefix::default(), path.as_bytes());
                let decoded = percent_decoded(path.as_bytes());
                let canonical = respell(&decoded, Spelling::CANONICAL);
                let (raw, resolved) = (admin.contains(&decoded), admin.contains(&canonical));
                assert!(spelled.any_in(&admin) || !raw && !resolved, "{path}");
                assert!(!spelled.all_in(&admin) || raw && resolved, "{path}");
            }
        }
    }
}
