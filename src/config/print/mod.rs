//! The pages that are printed from the table. `cargo run -p monoceros-config --example
//! print` writes them and the shells' completions. Its test fails while one is stale.

mod command_line;
mod manual;
mod migration;
mod operation;
mod prose;
mod reference;

pub use command_line::command_line;

/// One printed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its path from the root of the repository.
    pub path: &'static str,
    /// Its content.
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
