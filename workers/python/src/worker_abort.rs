//! The hook `worker_abort`: what a worker does when the master ends it because it hangs, or when a
//! request has run for longer than `timeout`.

use std::sync::atomic::{AtomicBool, Ordering};

use monoceros_sys::signal;
use monoceros_wire::stacks as stacks_file;
use pyo3::prelude::*;

use crate::{end, hooks, stacks};

/// The signal that the worker sends itself when a request has run for longer than `timeout`: it
/// interrupts what the main thread waits for. A real-time signal, for the same reasons as the one
/// beside it.
const EXPIRY: i32 = stacks_file::SIGNAL + 1;

/// Set while the signal runs the hook, which it does once.
static IS_WATCHED: AtomicBool = AtomicBool::new(false);

/// From now on two signals run the hook, if there is one and the main thread still runs Python:
/// SIGABRT, by which the master ends a worker that hangs, and the signal of [`note_expiry`]. For
/// SIGABRT the stacks are written before.
pub(crate) fn watch(py: Python) -> PyResult<()> {
    let Some(hooks) = hooks::of_worker(py) else { return Ok(()) };
    if !hooks.call_method0(py, "has_worker_abort")?.extract(py)? {
        return Ok(());
    }
    let end = wrap_pyfunction!(end_aborted, py)?;
    stacks::put_before_crashes(py, || hooks.call_method1(py, "watch_abort", (end,)).map(drop))?;
    hooks.call_method1(py, "watch_expiry", (EXPIRY,))?;
    IS_WATCHED.store(true, Ordering::SeqCst);
    Ok(())
}

/// A request has run for longer than `timeout`: runs the hook once, on the main thread. The worker
/// goes on, until its other requests have ended.
pub(crate) fn note_expiry() {
    if IS_WATCHED.swap(false, Ordering::SeqCst) {
        signal::raise(EXPIRY);
    }
}

#[pyfunction]
fn end_aborted() {
    end::at_once(1)
}
