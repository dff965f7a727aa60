//! The names that a project lists as never changing: Django's `staticfiles.json`.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

/// The names of the files in a manifest.
#[derive(Debug, Default)]
pub(crate) struct Manifest(HashSet<Box<[u8]>>);

/// The part of the file that is read: from the names in the project to those with a hash.
#[derive(Deserialize)]
struct ManifestFile {
    paths: HashMap<String, String>,
}

impl Manifest {
    /// The name of the file in a served directory.
    pub(crate) const NAME: &'static [u8] = b"staticfiles.json";

    /// The largest file that is read, in bytes: 16 MiB.
    pub(crate) const LARGEST: u64 = 16 << 20;

    /// Reads the content of a manifest. A name that has no hash in it is left out: it is the same
    /// in both columns, and its content can change.
    ///
    /// # Errors
    /// When it is not one.
    pub(crate) fn parse(content: &[u8]) -> Result<Self, serde_json::Error> {
        let file: ManifestFile = serde_json::from_slice(content)?;
        let hashed = file.paths.into_iter().filter(|(name, hashed)| name != hashed);
        Ok(Self(hashed.map(|(_, hashed)| hashed.into_bytes().into_boxed_slice()).collect()))
    }

    /// Whether a name is in it.
    pub(crate) fn names(&self, relative: &[u8]) -> bool {
        self.0.contains(relative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_has_the_names_with_a_hash() {
        let manifest = Manifest::parse(
            br#"{"paths": {"a/b.css": "a/b.0a.css", "c": "c"}, "version": "1.1", "hash": "x"}"#,
        )
        .unwrap();
        assert!(manifest.names(b"a/b.0a.css"));
        assert!(!manifest.names(b"a/b.css") && !manifest.names(b"c") && !manifest.names(b""));
        for content in ["", "[]", "{}", "{\"paths\": [1]}", "{\"paths\": {\"a\": 1}}"] {
            assert!(Manifest::parse(content.as_bytes()).is_err(), "{content}");
        }
    }
}
