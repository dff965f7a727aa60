//! Settings that were read, with the origin of each value.

use std::path::PathBuf;

use crate::error::ValueOrigin;
use crate::table::{ROWS, Row, Settings};

/// Settings with the origin of each value.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Every value.
    pub settings: Settings,
    /// The application as written in `settings.app`.
    pub app: Option<String>,
    /// The file that was read.
    pub config_file: Option<PathBuf>,
    /// Warnings: texts for the operator about settings that are valid.
    pub warnings: Vec<String>,
    /// The origin of each value, in the order of [`ROWS`].
    pub(crate) sources: Vec<ValueOrigin>,
}

impl Loaded {
    /// The origin of a setting's value.
    #[must_use]
    pub fn source(&self, row: &Row) -> &ValueOrigin {
        let index = ROWS.iter().position(|known| known.name == row.name);
        index.and_then(|index| self.sources.get(index)).unwrap_or(&ValueOrigin::Default)
    }
}
