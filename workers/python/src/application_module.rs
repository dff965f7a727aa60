//! The functions of the module `monoceros` that are for applications.

use monoceros_log::Identity;
use monoceros_sys::fork;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::{drain_callbacks, signals};

/// Has a callable called, without arguments, when this worker begins to drain; returns it, so
/// that this is a decorator as well.
#[pyfunction]
#[pyo3(text_signature = "(callback, /)")]
pub(crate) fn on_drain<'py>(callback: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if !callback.is_callable() {
        let kind = callback.get_type().name()?;
        return Err(PyTypeError::new_err(format!("on_drain takes a callable, not {kind}")));
    }
    if !fork::is_forked() {
        drain_callbacks::register(callback.clone().unbind());
    }
    Ok(callback)
}

/// Whether this worker drains.
#[pyfunction]
pub(crate) fn draining() -> bool {
    !fork::is_forked() && drain_callbacks::has_begun()
}

/// The number of this worker's slot, from 0; None in a process that is no worker.
#[pyfunction]
pub(crate) fn slot() -> Option<u16> {
    own_identity().and_then(Identity::slot)
}

/// The number of the generation of this worker or mold; None in another process.
#[pyfunction]
pub(crate) fn generation() -> Option<u32> {
    own_identity().and_then(Identity::generation)
}

/// The identifier of the request that this thread runs, as the logs have it; None if it runs
/// none.
#[pyfunction]
pub(crate) fn request_id() -> Option<String> {
    Some(signals::worker()?.request_of_this_thread()?.id)
}

/// The identity of this process, unless the application has forked it.
fn own_identity() -> Option<Identity> {
    (!fork::is_forked()).then(Identity::own)
}
