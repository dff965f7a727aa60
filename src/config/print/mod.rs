//! The pages that are printed from the table. `cargo run -p monoceros-config --example
//! print` writes them and the shells' completions. Its test fails while one is stale.

mod command_line;
mod completions;
mod manual;
mod migration;
mod operation;
mod prose;
mod reference;

pub use completions::completions;

use crate::shell_name::ShellName;

/// The completions, with the names by which the shells find them.
const COMPLETIONS: [(ShellName, &str); 3] = [
    (ShellName::Bash, "packaging/completions/monoceros.bash"),
    (ShellName::Fish, "packaging/completions/monoceros.fish"),
    (ShellName::Zsh, "packaging/completions/_monoceros"),
];

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
pub fn pages() -> Vec<Page> {
    let completions = COMPLETIONS.map(|(shell, path)| Page { path, text: completions(shell) });
    let pages = [
        Page { path: "docs/settings.md", text: reference::text() },
        Page { path: "docs/from-gunicorn.md", text: migration::text() },
        Page { path: "docs/signals.md", text: operation::text() },
        Page { path: "docs/man/monoceros.1", text: manual::text() },
    ];
    pages.into_iter().chain(completions).collect()
}
