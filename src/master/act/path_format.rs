//! Paths in the messages between two masters. A path may consist of any bytes, and JSON
//! of characters only: `monoceros_config::raw` maps one to the other.

/// Serialises a path.
pub(crate) mod raw_path {
    use std::path::{Path, PathBuf};

    use monoceros_config::raw::{bytes_of, text_of};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&text_of(path.as_os_str()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        String::deserialize(from).map(|text| PathBuf::from(bytes_of(&text)))
    }
}

/// As [`raw_path`], for a path that may be missing.
pub(crate) mod optional_path {
    use std::path::PathBuf;

    use monoceros_config::raw::{bytes_of, text_of};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        path.as_ref().map(|path| text_of(path.as_os_str())).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        Ok(text.map(|text| PathBuf::from(bytes_of(&text))))
    }
}
