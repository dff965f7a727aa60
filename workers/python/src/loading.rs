//! Loads the application.

use std::path::PathBuf;
use std::sync::Arc;

use monoceros_config::WorkerSettings;
use monoceros_config::raw::bytes_of;
use monoceros_log::RecordWriter;
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::message::BootFailure;
use pyo3::prelude::*;

use crate::boot_failure::give_up;
use crate::own_code::own_module;
use crate::project::{self, ProjectFacts};
use crate::python_logging::LoggingSource;
use crate::{application_metrics, errors, forked, hooks, output, python_logging, traceback};

/// The application that was loaded.
pub(crate) struct LoadedApplication {
    /// What is called for each request.
    pub(crate) callable: Py<PyAny>,
    /// The name by which it was found.
    pub(crate) name: String,
    /// What it has shown of itself.
    pub(crate) facts: ProjectFacts,
}

/// Loads the application. Ends this process if that fails.
pub(crate) fn load(
    py: Python,
    channel: &WorkerEnd,
    app: Option<&str>,
    settings: &WorkerSettings,
    log: &Arc<RecordWriter>,
) -> LoadedApplication {
    let loaded = try_to_load(py, app, settings, log);
    forked::leave(py, &loaded);
    let (callable, name) = loaded.unwrap_or_else(|error| {
        let (failure, text) = explain(py, &error);
        output::flush(py);
        give_up(channel, failure, &text)
    });
    let facts = project::ask(py, callable.bind(py), settings);
    LoadedApplication { callable, name, facts }
}

fn try_to_load(
    py: Python,
    app: Option<&str>,
    settings: &WorkerSettings,
    log: &Arc<RecordWriter>,
) -> PyResult<(Py<PyAny>, String)> {
    let mut paths = vec![std::env::current_dir()?];
    paths.extend(settings.pythonpath().0.iter().cloned());
    // Names that are not UTF-8 keep their bytes (PEP 383).
    let paths: Vec<_> = paths.into_iter().map(PathBuf::into_os_string).collect();
    let loader = own_module(py, include_str!("loader.py"), "monoceros.loader")?;
    loader.getattr("search")?.call1((paths,))?;
    prepare_logging(py, settings, log, LoggingSource::Own(app))?;
    application_metrics::prepare(py)?;
    match hooks::load_application(py)? {
        Some(loaded) => Ok(loaded),
        None => {
            let pairs = settings.paste_global().iter();
            let pairs: Vec<_> =
                pairs.map(|it| bytes_of(&format!("{}={}", it.name, it.value))).collect();
            loader.getattr("load")?.call1((app.map(bytes_of), pairs))?.extract()
        }
    }
}

/// Makes the loggers that Python code may use, and captures its output. Where Python's logging is
/// configured, its configuration does so.
pub(crate) fn prepare_logging(
    py: Python,
    settings: &WorkerSettings,
    log: &Arc<RecordWriter>,
    source: LoggingSource,
) -> PyResult<()> {
    if python_logging::set_up(py, log, settings, source)? {
        return Ok(());
    }
    if *settings.capture_output() {
        errors::capture_streams(py, log)?;
    }
    let level = settings.log_level().to_string().to_ascii_uppercase();
    errors::make_loggers(py, Arc::clone(log), &level)
}

/// The reason why the application was not loaded, as a kind and as a text.
fn explain(py: Python, error: &PyErr) -> (BootFailure, String) {
    let kind = error.get_type(py);
    let is_known = kind.name().is_ok_and(|name| name == "ApplicationError")
        && kind.module().is_ok_and(|module| module == "monoceros.loader");
    if is_known {
        (BootFailure::Application, error.value(py).to_string())
    } else {
        (BootFailure::Boot, traceback::describe(py, error))
    }
}
