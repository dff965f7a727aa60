//! Settings that were read, with the origin of each value.

use std::path::PathBuf;

use crate::error::ValueOrigin;
use crate::foreign_value::ForeignValue;
use crate::python_file::PythonSource;
use crate::table::{ROWS, Row, Settings};

/// Settings with the origin of each value.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Every value.
    pub settings: Settings,
    /// The application as written in `settings.app`, or `config:` and the file of PasteDeploy.
    pub app: Option<String>,
    /// The file in YAML that was read.
    pub config_file: Option<PathBuf>,
    /// The file in Python that is to be run, or was.
    pub python_source: Option<PythonSource>,
    /// Warnings: texts for the operator about settings that are valid.
    pub warnings: Vec<String>,
    /// Texts for the log at debug level, about settings that have no effect.
    pub notes: Vec<String>,
    /// Questions about names in the file in Python that are nearly settings, for a check.
    pub(crate) slips: Vec<String>,
    pub(crate) has_gunicorn_source: bool,
    pub(crate) is_partial: bool,
    /// The file in Python sets a default for `name`.
    pub(crate) has_default_name: bool,
    /// The origin of each value, in the order of [`ROWS`].
    pub(crate) sources: Vec<ValueOrigin>,
    /// The words as they were typed in gunicorn's sources, in the order of [`ROWS`].
    pub(crate) typed: Vec<Option<Vec<String>>>,
    /// The values of gunicorn's settings that have no row.
    pub(crate) foreign: Vec<ForeignValue>,
}

impl Loaded {
    /// The origin of a setting's value.
    #[must_use]
    pub fn source(&self, row: &Row) -> &ValueOrigin {
        let index = ROWS.iter().position(|known| known.name == row.name);
        index.and_then(|index| self.sources.get(index)).unwrap_or(&ValueOrigin::Default)
    }

    /// Whether `GUNICORN_CMD_ARGS` or a file in Python is among the sources.
    #[must_use]
    pub fn has_gunicorn_source(&self) -> bool {
        self.has_gunicorn_source
    }

    /// Whether the values of the file in Python are still missing. What is loaded then serves to
    /// run the file.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// The same with what a check shows beside the warnings.
    pub(crate) fn for_check(mut self) -> Self {
        self.warnings.append(&mut self.slips);
        self
    }
}
