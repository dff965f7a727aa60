//! The stacks of all threads, written by the interpreter for the master and when it
//! crashes.

use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use monoceros_sys::fork::{Mark, SignalActions};
use monoceros_sys::signal;
use monoceros_wire::stacks::{self, Stacks};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};

/// It was this module that has enabled the handler of crashes.
static CRASHES_SHOWN: AtomicBool = AtomicBool::new(false);

/// Has the interpreter write the stacks of all its threads when the master asks
/// for them, and when it crashes: in the handler of the signal, which needs no
/// lock, so that it works while something holds the interpreter's. The handler
/// restarts what it interrupts, as far as the kernel can (`SA_RESTART`,
/// `signal(7)`).
pub(crate) fn show(py: Python, stacks: Stacks) -> PyResult<()> {
    let arguments = PyDict::new(py);
    // The file is the interpreter's from now on, to its end.
    std::mem::forget(Mark::new(stacks.as_fd()));
    arguments.set_item("file", OwnedFd::from(stacks).into_raw_fd())?;
    arguments.set_item("all_threads", true)?;
    let signals = [&signal::CRASHES[..], &[stacks::SIGNAL]].concat();
    SignalActions::enter(&signals, || register(py, &arguments)).1
}

fn register(py: Python, arguments: &Bound<PyDict>) -> PyResult<()> {
    let faulthandler = py.import("faulthandler")?;
    // If it is enabled already (`PYTHONFAULTHANDLER`), its file stays; but
    // a worker from a mold has it as the mold, from here.
    let is_enabled: bool = faulthandler.call_method0("is_enabled")?.extract()?;
    if !is_enabled || CRASHES_SHOWN.swap(false, Ordering::Relaxed) {
        faulthandler.call_method("enable", (), Some(arguments))?;
        CRASHES_SHOWN.store(true, Ordering::Relaxed);
    }
    arguments.set_item("chain", false)?;
    faulthandler.call_method("register", (stacks::SIGNAL,), Some(arguments)).map(drop)
}

/// Has the interpreter show crashes no longer, if it does so from here.
pub(crate) fn hide_crashes(faulthandler: &Bound<PyModule>) -> PyResult<()> {
    if CRASHES_SHOWN.swap(false, Ordering::Relaxed) {
        faulthandler.call_method0("disable")?;
    }
    Ok(())
}
