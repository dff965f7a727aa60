//! Which paths of requests lead to which files.

use std::path::{Path, PathBuf};

use crate::directory::ServedDirectory;

/// A path of requests, and what is served for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMapping {
    /// The path, decoded.
    pub prefix: Vec<u8>,
    /// A file or a directory; several directories are searched in their order. A relative path
    /// counts from the working directory.
    pub paths: Vec<PathBuf>,
}

/// A mapping in use.
#[derive(Debug)]
pub(crate) struct ServedMapping {
    /// The decoded prefix. That of directories ends with a slash.
    prefix: Vec<u8>,
    pub(crate) origin: MappingOrigin,
}

/// What a mapping leads to.
#[derive(Debug)]
pub(crate) enum MappingOrigin {
    /// A file, for the prefix itself.
    File(PathBuf),
    /// Directories, for the paths below the prefix.
    Directories(Vec<ServedDirectory>),
}

impl ServedMapping {
    /// Begins to use a mapping. One that leads to a regular file is for the path itself; a missing
    /// file is meant if neither its name nor the prefix end like that of a directory.
    pub(crate) fn new(mapping: &FileMapping, follows_links: bool) -> Self {
        let prefix = mapping.prefix.strip_suffix(b"/").unwrap_or(&mapping.prefix);
        let is_below = prefix.len() < mapping.prefix.len();
        if let [path] = &mapping.paths[..]
            && is_file(path, is_below)
        {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            return Self { prefix: mapping.prefix.clone(), origin: MappingOrigin::File(path) };
        }
        let directories = mapping.paths.iter().map(|it| ServedDirectory::new(it, follows_links));
        let origin = MappingOrigin::Directories(directories.collect());
        Self { prefix: [prefix, b"/"].concat(), origin }
    }

    /// The part of a decoded path below the prefix, if it leads here; the name of a file itself has
    /// no such part.
    pub(crate) fn strip<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let below = path.strip_prefix(&self.prefix[..])?;
        match self.origin {
            MappingOrigin::File(_) => below.is_empty().then_some(below),
            MappingOrigin::Directories(_) => Some(below),
        }
    }

    /// The prefix.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }
}

/// Whether a path is that of a file, also if it is missing.
fn is_file(path: &Path, is_below: bool) -> bool {
    path.metadata().map_or(!is_below && path.extension().is_some(), |found| !found.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(prefix: &str, path: &str) -> ServedMapping {
        let mapping = FileMapping { prefix: prefix.into(), paths: vec![path.into()] };
        ServedMapping::new(&mapping, false)
    }

    #[test]
    fn paths_lead_to_directories_and_files() {
        for (prefix, path, request, below) in [
            ("/static/", "/usr", "/static/a/b", Some("a/b")),
            ("/static", "/usr", "/static/a", Some("a")),
            ("/static/", "/usr", "/static/", Some("")),
            ("/static/", "/usr", "/static", None),
            ("/static/", "/usr", "/statics/a", None),
            ("/static/", "/usr", "/Static/a", None),
            ("/static/", "/usr", "//static/a", None),
            ("/static/", "/missing/", "/static/a", Some("a")),
            ("/", "/usr", "/a", Some("a")),
            ("/", "/usr", "/", Some("")),
            ("/a.ico", "/etc/passwd", "/a.ico", Some("")),
            ("/a.ico", "/etc/passwd", "/a.ico/", None),
            ("/a.ico", "/etc/passwd", "/a.icon", None),
            ("/a.ico", "/missing/a.ico", "/a.ico", Some("")),
            ("/a", "/missing/a", "/a/b", Some("b")),
        ] {
            let found = mapping(prefix, path);
            let found = found.strip(request.as_bytes());
            assert_eq!(found, below.map(str::as_bytes), "{prefix}={path} {request}");
        }
    }
}
