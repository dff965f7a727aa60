//! The start of a worker: from a bare interpreter to serving.

use std::sync::Arc;

use monoceros_config::{SIGNALS, SignalCommand};
use monoceros_log::Identity;
use monoceros_sys::{limit, signal};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::loading::load;
use crate::logs::{GivenLogs, WorkerLogs};
use crate::parameters::{BootResources, BootRole, hide_variables, read_settings, receive};
use crate::project::ProjectFacts;
use crate::start::{PreparedWorker, begins_early, run, serve, show_title};
use crate::{after_fork, application_metrics, mold, programs, stacks, threads};

/// Serves until the master or a signal ends the worker. The worker's program calls
/// it once. A worker that cannot serve ends the process here.
#[pyfunction]
pub(crate) fn run_worker(py: Python) -> PyResult<()> {
    disregard_masters();
    let (role, for_stacks, given) = receive().map_err(|error| {
        let text = format!("cannot start as a worker: {error}; is this run by monoceros?");
        PyRuntimeError::new_err(text)
    })?;
    application_metrics::keep_directory();
    stacks::show(py, for_stacks)?;
    hide_variables(py)?;
    after_fork::watch(py)?;
    threads::prepare(py)?;
    // Without a higher limit the worker serves with the present one.
    limit::raise().ok();
    programs::give_limit_back(py)?;
    match role {
        BootRole::Worker(resources) => {
            resources.scoreboard.show_stacks();
            work(py, *resources, given)
        }
        BootRole::Mold { channel, listeners, start } => {
            mold::run(py, channel, listeners, &start, given)
        }
    }
}

/// Loads the application in this process, and serves.
fn work(py: Python, resources: BootResources, given: GivenLogs) -> PyResult<()> {
    let BootResources { channel, start, .. } = &resources;
    let settings = read_settings(channel, &start.settings);
    let identity = Identity::Worker { slot: start.slot.0, generation: start.generation.0 };
    let logs = WorkerLogs::open(channel, given, &settings, start.app.as_deref(), &identity);
    let log = Arc::clone(&logs.errors);
    show_title(start, &settings, None);
    if begins_early(start, &settings) {
        let app = start.app.clone();
        let prepared =
            PreparedWorker::new(py, resources, &settings, &logs, &ProjectFacts::default())?;
        prepared.begin();
        let application = load(py, &prepared.speaker, app.as_deref(), &settings, &log);
        return run(py, prepared, &settings, log, application);
    }
    let application = load(py, channel, start.app.as_deref(), &settings, &log);
    serve(py, resources, &settings, &logs, application)
}

/// Ignores the signals that only a master acts on. By default most of them would
/// end or stop the worker, if they are sent to all processes with the same name.
fn disregard_masters() {
    let masters = SIGNALS
        .iter()
        .filter(|it| !matches!(it.command, SignalCommand::Drain | SignalCommand::Stop));
    signal::disregard(masters.map(|it| it.name));
}
