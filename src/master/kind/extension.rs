//! The extension module of Python workers, as the file that the master has open.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use monoceros_sys::reason;

use crate::master::kind::interpreter::find_extension;

/// The extension module that workers load.
#[derive(Debug)]
pub(crate) struct ExtensionFile {
    path: PathBuf,
    file: File,
}

impl ExtensionFile {
    /// Opens the module that belongs to this program, whose paths are given.
    pub(crate) fn open(programs: &[PathBuf]) -> Result<Self, String> {
        let path = find_extension(programs)?;
        let file = File::open(&path)
            .map_err(|error| format!("cannot open {}: {}", path.display(), reason(&error)))?;
        Ok(Self { path, file })
    }

    /// The path that it was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for ExtensionFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
