//! Lets the interpreter write the stacks of all threads, on the master's request and
//! when it crashes.

use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use monoceros_sys::fork::{Mark, SignalActions};
use monoceros_sys::signal;
use monoceros_wire::stacks::{self, Stacks};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};

/// Set when this module has enabled the handler of crashes.
static CRASHES_SHOWN: AtomicBool = AtomicBool::new(false);

/// The file that the handlers write to.
static FILE: AtomicI32 = AtomicI32::new(-1);

/// Registers the handlers by which the interpreter writes the stacks of all its threads,
/// for the master's signal and for crashes. A handler takes no lock, so it works also
/// while a thread holds the interpreter's lock. Interrupted system calls are restarted
/// where the kernel can (`SA_RESTART`, `signal(7)`).
pub(crate) fn show(py: Python, stacks: Stacks) -> PyResult<()> {
    let arguments = PyDict::new(py);
    // The interpreter uses the file until the process ends.
    std::mem::forget(Mark::new(stacks.as_fd()));
    let file = OwnedFd::from(stacks).into_raw_fd();
    FILE.store(file, Ordering::Relaxed);
    arguments.set_item("file", file)?;
    arguments.set_item("all_threads", true)?;
    let signals = [&signal::CRASHES[..], &[stacks::SIGNAL]].concat();
    SignalActions::enter(&signals, || register(py, &arguments)).1
}

/// Lets `set_handler` set a handler of Python for a signal of a crash. The interpreter writes the
/// stacks first, and then passes the signal on to it.
pub(crate) fn put_before_crashes(
    py: Python,
    set_handler: impl FnOnce() -> PyResult<()>,
) -> PyResult<()> {
    let faulthandler = py.import("faulthandler")?;
    let is_ours = CRASHES_SHOWN.load(Ordering::Relaxed);
    if is_ours {
        faulthandler.call_method0("disable")?;
    }
    let set = set_handler();
    if is_ours {
        faulthandler.call_method1("enable", (FILE.load(Ordering::Relaxed), true))?;
    }
    set
}

fn register(py: Python, arguments: &Bound<PyDict>) -> PyResult<()> {
    let faulthandler = py.import("faulthandler")?;
    // If the environment has enabled it (`PYTHONFAULTHANDLER`), its file stays. In a
    // worker from a mold this module has enabled it, with the mold's file.
    let is_enabled: bool = faulthandler.call_method0("is_enabled")?.extract()?;
    if !is_enabled || CRASHES_SHOWN.swap(false, Ordering::Relaxed) {
        faulthandler.call_method("enable", (), Some(arguments))?;
        CRASHES_SHOWN.store(true, Ordering::Relaxed);
    }
    arguments.set_item("chain", false)?;
    faulthandler.call_method("register", (stacks::SIGNAL,), Some(arguments)).map(drop)
}

/// Disables the handler of crashes, if this module has enabled it.
pub(crate) fn hide_crashes(faulthandler: &Bound<PyModule>) -> PyResult<()> {
    if CRASHES_SHOWN.swap(false, Ordering::Relaxed) {
        faulthandler.call_method0("disable")?;
    }
    Ok(())
}
