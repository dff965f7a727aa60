//! Writes the files that are printed from the settings table: pages, and completions for
//! shells.

use std::io;
use std::path::PathBuf;

use monoceros_config::print::pages;

fn main() -> io::Result<()> {
    for page in pages() {
        let place = root().join(page.path);
        if let Some(directory) = place.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(&place, page.text)?;
        println!("{}", page.path);
    }
    Ok(())
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn printed_files_are_fresh() {
    for page in pages() {
        let path = page.path;
        let there = std::fs::read(root().join(path)).unwrap_or_default();
        let is_fresh = there == page.text.into_bytes();
        assert!(is_fresh, "{path} is stale: cargo run -p monoceros-config --example print");
    }
}
