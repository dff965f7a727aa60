//! Loads the application.

use std::path::PathBuf;
use std::sync::Arc;

use monoceros_config::WorkerSettings;
use monoceros_config::raw::bytes_of;
use monoceros_log::RecordWriter;
use monoceros_wire::Generation;
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::message::{BootFailure, Start};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

use crate::boot_failure::{end_of, give_up};
use crate::own_code::own_module;
use crate::project::{self, ProjectFacts};
use crate::python_logging::LoggingSource;
use crate::sources::CodeSources;
use crate::{
    application_metrics, concern, development, errors, forked, hooks, output, python_logging,
    traceback,
};

/// The generation of a new server. In an upgrade the new master begins with a later one.
const FIRST: Generation = Generation(1);
/// How much of a failure that is served is logged, in bytes.
const LOGGED_FAILURE: usize = 3500;

/// The application that was loaded.
pub(crate) struct LoadedApplication {
    /// What is called for each request.
    pub(crate) callable: Py<PyAny>,
    /// The name by which it was found.
    pub(crate) name: String,
    /// What it has shown of itself.
    pub(crate) facts: ProjectFacts,
    /// Why there is none: the callable responds with an error, until a reload has succeeded.
    pub(crate) failure: Option<String>,
}

/// What is to be loaded.
#[derive(Clone, Copy)]
pub(crate) struct LoadTask<'a> {
    pub(crate) channel: &'a WorkerEnd,
    /// The application, as the user named it; `None` to look for one.
    pub(crate) app: Option<&'a str>,
    pub(crate) settings: &'a WorkerSettings,
    pub(crate) log: &'a Arc<RecordWriter>,
    /// With `reload`: the failure is served if there is no application.
    pub(crate) shows_failure: bool,
}

impl<'a> LoadTask<'a> {
    /// For a worker.
    pub(crate) fn of_worker(
        channel: &'a WorkerEnd,
        start: &'a Start,
        settings: &'a WorkerSettings,
        log: &'a Arc<RecordWriter>,
    ) -> Self {
        // A check serves no client.
        let shows_failure = start.shows_failure && start.check.is_none();
        Self { channel, app: start.app.as_deref(), settings, log, shows_failure }
    }

    /// For a mold, whose workers are those of this generation.
    pub(crate) fn of_mold(
        channel: &'a WorkerEnd,
        app: Option<&'a str>,
        settings: &'a WorkerSettings,
        log: &'a Arc<RecordWriter>,
        (generation, is_check): (Generation, bool),
    ) -> Self {
        let shows_failure = generation == FIRST && !is_check;
        Self { channel, app, settings, log, shows_failure }
    }
}

/// Loads the application. If that fails, ends this process, unless the failure is to be served.
pub(crate) fn load(py: Python, task: &LoadTask) -> LoadedApplication {
    let LoadTask { channel, settings, .. } = *task;
    let sources = settings.reload().then(|| CodeSources::watch(py)).flatten();
    let loaded = try_to_load(py, task, sources.as_ref());
    forked::leave(py, &loaded);
    let (callable, name) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return take_failure(py, task, &error, sources.as_ref()),
    };
    let mut facts = project::ask(py, callable.bind(py), settings);
    let mut callable = callable;
    if let Some(sources) = &sources {
        facts.is_debugged = sources.is_debugged(Some(&callable)) || *settings.development();
        sources.report(py, channel, &callable);
    }
    if *settings.development() {
        callable = development::with_static_files(py, callable);
    }
    LoadedApplication { callable, name, facts, failure: None }
}

/// Ends this process, whose application cannot be loaded. If the failure is to be served, and the
/// files are watched, returns an application that shows it until a reload has succeeded.
fn take_failure(
    py: Python,
    task: &LoadTask,
    error: &PyErr,
    sources: Option<&CodeSources>,
) -> LoadedApplication {
    let (failure, text) = explain(py, error);
    output::flush(py);
    let stand_in = sources.and_then(|sources| {
        sources.report_failure(py, task.channel, error);
        let is_shown = task.shows_failure && !error.is_instance_of::<PyKeyboardInterrupt>(py);
        is_shown.then(|| sources.stand_in())?
    });
    let Some(callable) = stand_in else { give_up(task.channel, failure, &text) };
    let facts = ProjectFacts {
        is_debugged: sources.is_some_and(|it| it.is_debugged(None)) || *task.settings.development(),
        ..ProjectFacts::default()
    };
    let shown = end_of(&text, LOGGED_FAILURE);
    let shown = format!("cannot load the application; waiting for a change of its files\n{shown}");
    concern::report(task.channel, shown, true);
    let name = task.app.unwrap_or("?").to_owned();
    LoadedApplication { callable, name, facts, failure: Some(text) }
}

fn try_to_load(
    py: Python,
    task: &LoadTask,
    sources: Option<&CodeSources>,
) -> PyResult<(Py<PyAny>, String)> {
    let loaded = load_by_name(py, task)?;
    if let Some(sources) = sources {
        sources.load_urls()?;
    }
    Ok(loaded)
}

fn load_by_name(py: Python, task: &LoadTask) -> PyResult<(Py<PyAny>, String)> {
    let LoadTask { app, settings, log, .. } = *task;
    let mut paths = vec![std::env::current_dir()?];
    paths.extend(settings.pythonpath().0.iter().cloned());
    // Names that are not UTF-8 keep their bytes (PEP 383).
    let paths: Vec<_> = paths.into_iter().map(PathBuf::into_os_string).collect();
    let loader = own_module(py, include_str!("loader.py"), "monoceros.loader")?;
    loader.getattr("search")?.call1((paths,))?;
    prepare_logging(py, settings, log, LoggingSource::Own(app))?;
    application_metrics::prepare(py)?;
    if *settings.development() {
        development::prepare(py);
    }
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
