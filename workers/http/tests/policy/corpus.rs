//! The corpus of the fuzz targets, through the same checks, without a fuzzer.

use std::path::Path;

use crate::check;

fn each(target: &str, check: fn(&[u8])) {
    let directory =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
    let mut files = 0;
    for entry in directory.read_dir().expect("the corpus is part of the source tree") {
        let path = entry.expect("a directory that opened can be read").path();
        println!("{}", path.display());
        check(&std::fs::read(&path).expect("a file of the corpus can be read"));
        files += 1;
    }
    assert!(files > 0, "{} is empty", directory.display());
}

#[test]
fn heads() {
    each("head", check::head);
}

#[test]
fn chunked_bodies() {
    each("chunks", check::chunks);
}

#[test]
fn single_values() {
    each("values", check::values);
}
