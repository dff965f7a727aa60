//! The working directory of workers.

use std::path::{Path, PathBuf};

use crate::table::Settings;

impl Settings {
    /// The working directory of the workers, if the server was started in `start`.
    #[must_use]
    pub fn directory(&self, start: &Path) -> PathBuf {
        self.chdir.as_ref().map_or_else(|| start.to_owned(), |chdir| start.join(chdir))
    }
}
