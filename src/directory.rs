//! The working directory, as settings, commands and workers are to know it.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The working directory by the name that the shell has for it in `PWD`, if that
/// leads there: a link in the name leads to the next release when it is changed,
/// and a process that starts from it finds that one. `PWD` counts too when the directory
/// itself was removed meanwhile.
///
/// # Errors
/// Those of `getcwd(2)`.
pub(crate) fn working_directory(env: &[(OsString, OsString)]) -> io::Result<PathBuf> {
    let identity = |path: &Path| path.metadata().ok().map(|it| (it.dev(), it.ino()));
    let named = env.iter().find(|(name, _)| name == "PWD").map(|(_, value)| PathBuf::from(value));
    let named = named.filter(|named| named.is_absolute() && named.is_dir());
    match (std::env::current_dir(), named) {
        (Ok(real), Some(named)) if identity(&named) == identity(&real) => Ok(named),
        (Err(error), Some(named)) if error.kind() == io::ErrorKind::NotFound => Ok(named),
        (real, _) => real,
    }
}
