//! Settings that were read, with where each value comes from.

use std::path::PathBuf;

use crate::error::ValueOrigin;
use crate::table::{ROWS, Row, Settings};

/// Settings with where they come from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Every value.
    pub settings: Settings,
    /// The application as said, `settings.app`.
    pub app: Option<String>,
    /// The file that was read.
    pub config_file: Option<PathBuf>,
    /// What the user should know although nothing is wrong, one text each.
    pub warnings: Vec<String>,
    /// Where each value was said, in the order of [`ROWS`].
    pub(crate) sources: Vec<ValueOrigin>,
}

impl Loaded {
    /// Where the value of a setting was said.
    #[must_use]
    pub fn source(&self, row: &Row) -> &ValueOrigin {
        let index = ROWS.iter().position(|known| known.name == row.name);
        index.and_then(|index| self.sources.get(index)).unwrap_or(&ValueOrigin::Default)
    }
}
