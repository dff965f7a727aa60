//! The pages that are printed from the table. `cargo run -p monoceros-config
//! --example print` writes them; a test fails while one is stale.

mod manual;
mod migration;
mod operation;
mod prose;
mod reference;

/// One printed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where it is, from the root of the repository.
    pub path: &'static str,
    /// What is in it.
    pub text: String,
}

/// Every printed file.
#[must_use]
pub fn pages() -> [Page; 4] {
    [
        Page { path: "docs/settings.md", text: reference::text() },
        Page { path: "docs/from-gunicorn.md", text: migration::text() },
        Page { path: "docs/signals.md", text: operation::text() },
        Page { path: "docs/man/monoceros.1", text: manual::text() },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_files_are_fresh() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for page in pages() {
            let there = std::fs::read_to_string(root.join(page.path)).unwrap_or_default();
            assert!(
                there == page.text,
                "{} is stale: cargo run -p monoceros-config --example print",
                page.path
            );
        }
    }
}
