//! The configuration file in Python: runs it as gunicorn does, and holds its settings in
//! `config_file.py`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use monoceros_config::raw;
use monoceros_wire::gunicorn::{GunicornValues, MoldSettings, PythonFile, ReadConfig};
use pyo3::prelude::*;

use crate::own_code::own_module;
use crate::{output, traceback};

/// What `read` of `config_file.py` returns: values, hooks, names that are no settings with those
/// that are meant, whether Python logs.
type ReadParts = (Vec<(String, Vec<Vec<u8>>)>, Vec<String>, Vec<(String, String)>, bool);

/// The configuration file of this process.
pub(crate) struct PythonConfig(Py<PyAny>);

/// Why the configuration file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigFailure {
    /// The text for the log. Its first line is gunicorn's.
    pub(crate) text: String,
    /// The exit code of a server that begins with the file.
    pub(crate) code: u8,
}

impl PythonConfig {
    /// Of a process that has run none yet. Must be called before a directory of the project can
    /// be searched for modules: a `gunicorn.py` there is not gunicorn.
    pub(crate) fn new(py: Python) -> PyResult<Self> {
        py.import("gunicorn.config")?;
        let module = own_module(py, include_str!("config_file.py"), "monoceros.config_file")?;
        Ok(Self(module.getattr("ConfigFile")?.call0()?.unbind()))
    }

    /// Runs the file, and returns what it sets. The settings that are in use stay.
    pub(crate) fn read(
        &self,
        py: Python,
        config: &ReadConfig,
    ) -> Result<GunicornValues, ConfigFailure> {
        let (path, module) = match &config.source {
            Some(PythonFile::File(path)) => (Some(raw::bytes_of(path)), None),
            Some(PythonFile::Module(name)) => (None, Some(name)),
            None => (None, None),
        };
        let arguments: Vec<_> = config.arguments.iter().map(|it| raw::bytes_of(it)).collect();
        let read = self.0.call_method1(py, "read", (path, module, arguments, config.as_written));
        output::flush(py);
        let read: PyResult<ReadParts> = read.and_then(|read| read.extract(py));
        let (values, hooks, unknown, python_logging) = read.map_err(|error| failure(py, &error))?;
        let text = |word| raw::text_of(&OsString::from_vec(word));
        let words = |words: Vec<_>| words.into_iter().map(text).collect();
        let values = values.into_iter().map(|(name, value)| (name, words(value))).collect();
        let unknown = unknown.into_iter().map(|(name, _)| name).collect();
        Ok(GunicornValues { values, hooks, unknown, python_logging })
    }

    /// Uses the settings that were read, with those of stronger sources in place of the file's.
    pub(crate) fn apply(&self, py: Python, settings: &MoldSettings) -> Result<(), ConfigFailure> {
        let bytes = |words: &Vec<String>| words.iter().map(|it| raw::bytes_of(it)).collect();
        let overrides: Vec<(&String, Vec<OsString>)> =
            settings.overrides.iter().map(|(name, words)| (name, bytes(words))).collect();
        let directory = raw::bytes_of(&settings.directory);
        let generations = (settings.generation.0, settings.serving.0);
        let arguments = (overrides, settings.app.as_deref(), directory, generations);
        let refused = self.0.call_method1(py, "apply", arguments);
        let refused: PyResult<Vec<String>> = refused.and_then(|refused| refused.extract(py));
        for name in refused.map_err(|error| failure(py, &error))? {
            log::debug!("cfg.{name} of hooks has the value of the file: gunicorn's differs");
        }
        Ok(())
    }

    /// Prints all settings as gunicorn does.
    pub(crate) fn show(&self, py: Python) -> PyResult<()> {
        self.0.call_method0(py, "show").map(drop)
    }

    /// Takes the hooks out: the server only checks its settings.
    pub(crate) fn leave_hooks_out(&self, py: Python) -> PyResult<()> {
        self.0.call_method0(py, "leave_hooks_out").map(drop)
    }

    /// The object of `config_file.py`.
    pub(crate) fn object<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.0.bind(py)
    }
}

/// What `ConfigFileError` has, or another error of the file.
fn failure(py: Python, error: &PyErr) -> ConfigFailure {
    let value = error.value(py);
    let code = value.getattr("code").and_then(|code| code.extract::<i64>());
    match code {
        // As exit(3): the lowest byte counts.
        Ok(code) => ConfigFailure { text: value.to_string(), code: (code & 0xff) as u8 },
        Err(_) => ConfigFailure { text: traceback::describe(py, error), code: 1 },
    }
}
