//! The start of a worker: from a bare interpreter to serving.

use monoceros_log::Identity;
use monoceros_sys::limit;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::logs::{GivenLogs, WorkerLogs};
use crate::parameters::{BootResources, BootRole, hide_variables, read_settings, receive};
use crate::start::load_and_serve;
use crate::{
    after_fork, application_metrics, hooked_mold, mold, programs, signals, stacks, threads,
};

/// Serves until the master or a signal ends the worker. The worker's program calls
/// it once. A worker that cannot serve ends the process here.
#[pyfunction]
pub(crate) fn run_worker(py: Python) -> PyResult<()> {
    signals::disregard_masters();
    let (role, for_stacks, given) = receive().map_err(|error| {
        let text = format!("cannot start as a worker: {error}; is this run by monoceros?");
        PyRuntimeError::new_err(text)
    })?;
    application_metrics::keep_directory();
    stacks::show(py, for_stacks)?;
    hide_variables(py)?;
    after_fork::watch(py)?;
    threads::prepare(py)?;
    // Before a directory of the project can be searched.
    crate::gunicorn_finder::install(py)?;
    // Without a higher limit the worker serves with the present one.
    limit::raise().ok();
    programs::give_limit_back(py)?;
    match role {
        BootRole::Worker(resources) => {
            resources.scoreboard.show_stacks();
            work(py, *resources, given)
        }
        BootRole::Mold { channel, listeners, start } => match &start.config {
            Some(config) => hooked_mold::run(py, channel, config, given),
            None => mold::run(py, channel, listeners, &start, given),
        },
    }
}

/// Serves in this process.
fn work(py: Python, resources: BootResources, given: GivenLogs) -> PyResult<()> {
    let BootResources { channel, start, .. } = &resources;
    let settings = read_settings(channel, &start.settings);
    let identity = Identity::Worker { slot: start.slot.0, generation: start.generation.0 };
    let logs = WorkerLogs::open(channel, given, &settings, start.app.as_deref(), &identity);
    load_and_serve(py, resources, &settings, &logs)
}
