//! Writes the pages that are printed from the settings table into the tree.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for page in monoceros_config::print::pages() {
        let path = root.join(page.path);
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(&path, page.text)?;
        println!("{}", page.path);
    }
    Ok(())
}
