//! The page at the metrics address: its files, and the history that its charts show. Pure:
//! the server of the metrics address sends what is made here.

pub(crate) mod history;

/// What the page may load and do (Content Security Policy, level 3). It loads its own files
/// only, is part of no other page, and no text becomes markup: without a policy for trusted
/// types, each attempt fails. Paths of requests, which clients have made, are on the page.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageFile {
    /// The path of its address.
    pub(crate) path: &'static str,
    /// Its Content-Type.
    pub(crate) content_type: &'static str,
    /// Its content.
    pub(crate) content: &'static str,
}

/// Every file of the page. They refer to each other and to the reports by relative addresses,
/// so that the page also works behind a proxy that puts it below a prefix.
const FILES: [PageFile; 7] = [
    file("/", "text/html; charset=utf-8", include_str!("index.html")),
    file("/page.css", "text/css; charset=utf-8", include_str!("page.css")),
    file("/page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
    file("/charts.js", "text/javascript; charset=utf-8", include_str!("charts.js")),
    file("/table.js", "text/javascript; charset=utf-8", include_str!("table.js")),
    file("/text.js", "text/javascript; charset=utf-8", include_str!("text.js")),
    file("/icon.svg", "image/svg+xml", include_str!("icon.svg")),
];

const fn file(path: &'static str, content_type: &'static str, content: &'static str) -> PageFile {
    PageFile { path, content_type, content }
}

impl PageFile {
    /// The file at this path.
    pub(crate) fn at(path: &[u8]) -> Option<Self> {
        FILES.into_iter().find(|file| file.path.as_bytes() == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses in the files that are relative to the page.
    fn references(text: &str) -> impl Iterator<Item = &str> {
        ["src=\"", "href=\"", "from \"./", "read(\""]
            .into_iter()
            .flat_map(|before| text.split(before).skip(1))
            .filter_map(|rest| rest.split('"').next())
            .filter(|address| !address.starts_with('#'))
    }

    #[test]
    fn every_address_in_a_file_is_that_of_a_file_or_a_report() {
        let reports = ["/status.json", "/requests.json", "/history.json", "/metrics"];
        let mut count = 0;
        for file in FILES {
            for address in references(file.content) {
                let path = format!("/{address}");
                let is_known = PageFile::at(path.as_bytes()).is_some() || reports.contains(&&*path);
                assert!(is_known, "{address} in {}", file.path);
                count += 1;
            }
        }
        assert!(count > 12, "{count}");
        assert_eq!(PageFile::at(b"/page.rs"), None);
    }

    /// What the policy of the page forbids would fail in the browser only.
    #[test]
    fn no_file_has_what_the_policy_forbids() {
        for file in FILES {
            let forbidden =
                ["style=", "<style", " onload", " onclick", "innerHTML", "eval(", "javascript:"];
            for text in forbidden {
                assert!(!file.content.contains(text), "{text} in {}", file.path);
            }
            let is_namespace = |rest: &str| rest.starts_with("www.w3.org/");
            let mut foreign = file.content.split("http://").skip(1);
            assert!(foreign.all(is_namespace) && !file.content.contains("https://"));
        }
    }

    #[test]
    fn the_page_is_small() {
        let size: usize = FILES.iter().map(|file| file.content.len()).sum();
        assert!(size < 64 * 1024, "{size} bytes");
    }
}
