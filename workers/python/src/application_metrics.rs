//! The metrics that the application counts with `prometheus_client`: in files that a reader
//! adds up over all workers. The server gives a directory for them, and has each process count
//! in a place there that its successor takes over.

use std::ffi::OsString;
use std::sync::OnceLock;

use monoceros_config::variable;
use pyo3::prelude::*;

use crate::own_code::own_module;

/// The directory that the master has made, if there is one.
static DIRECTORY: OnceLock<OsString> = OnceLock::new();

/// Reads the directory from the environment. Must be called once, before its variable is
/// removed there.
pub(crate) fn keep_directory() {
    if let Some(directory) = std::env::var_os(variable::APPLICATION_METRICS) {
        DIRECTORY.set(directory).ok();
    }
}

/// Uses this directory, which the master has made after the start of this process.
pub(crate) fn use_directory(directory: OsString) {
    DIRECTORY.set(directory).ok();
}

/// Sets the variable for `prometheus_client` if the application can import that, and prepares
/// for the import. Must be called when Python's search path is complete, and before the
/// application is loaded.
pub(crate) fn prepare(py: Python) -> PyResult<()> {
    own_module(py, include_str!("application_metrics.py"), "monoceros.application_metrics")?
        .getattr("watch")?
        .call1((DIRECTORY.get(),))
        .map(drop)
}
