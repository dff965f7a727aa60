//! Writes the files that are printed from the settings table: pages, and completions for
//! shells.

use std::io;
use std::path::PathBuf;

use clap_complete::{Shell, generate};
use monoceros_config::print::{command_line, pages};

/// The completions, with the names by which the shells find them.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "packaging/completions/monoceros.bash"),
    (Shell::Fish, "packaging/completions/monoceros.fish"),
    (Shell::Zsh, "packaging/completions/_monoceros"),
];

fn main() -> io::Result<()> {
    for (path, text) in files() {
        let place = root().join(path);
        if let Some(directory) = place.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(&place, text)?;
        println!("{path}");
    }
    Ok(())
}

/// Every printed file, with its path in the repository.
fn files() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let completions = COMPLETIONS.map(|(shell, path)| {
        let mut text = Vec::new();
        generate(shell, &mut command_line(), "monoceros", &mut text);
        (path, text)
    });
    pages().map(|page| (page.path, page.text.into_bytes())).into_iter().chain(completions)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn printed_files_are_fresh() {
    for (path, text) in files() {
        let there = std::fs::read(root().join(path)).unwrap_or_default();
        assert!(there == text, "{path} is stale: cargo run -p monoceros-config --example print");
    }
}
