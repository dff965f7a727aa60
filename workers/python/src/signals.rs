//! Python's own handlers of signals, in a worker.

use std::sync::atomic::{AtomicBool, Ordering};

use monoceros_sys::signal;
use pyo3::prelude::*;

/// The worker has taken Python's own handler of SIGINT away.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Takes away what Python does about SIGINT by default: it would raise
/// `KeyboardInterrupt` in a request of a worker that stops.
pub(crate) fn take_over(py: Python) -> PyResult<()> {
    let module = py.import("_signal")?;
    let current = module.call_method1("getsignal", (signal::INT,))?;
    if current.is(&module.getattr("default_int_handler")?) {
        module.call_method1("signal", (signal::INT, module.getattr("SIG_DFL")?))?;
        IS_QUIET.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// Undoes it, in a process that the application has forked, unless the
/// application has a handler of its own by now.
pub(crate) fn give_back(py: Python) -> PyResult<()> {
    if !IS_QUIET.swap(false, Ordering::Relaxed) {
        return Ok(());
    }
    let module = py.import("_signal")?;
    let current = module.call_method1("getsignal", (signal::INT,))?;
    if current.eq(module.getattr("SIG_DFL")?)? {
        module.call_method1("signal", (signal::INT, module.getattr("default_int_handler")?))?;
    }
    Ok(())
}
