//! Starts the application threads beside the main thread. They are threads of the
//! kernel, also if the application changes the module `threading`: gevent replaces
//! threads by greenlets.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// `_thread.start_new_thread`, as it was before the application was loaded.
static START: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Keeps the function that starts threads. Must be called before the application is
/// loaded.
pub(crate) fn prepare(py: Python) -> PyResult<()> {
    let start = py.import("_thread")?.getattr("start_new_thread")?;
    // This function is called once, so the cell is empty.
    START.set(py, start.unbind()).ok();
    Ok(())
}

/// Starts a thread that calls `function` with `number`.
pub(crate) fn start(function: &Bound<PyAny>, number: u16) -> PyResult<()> {
    let py = function.py();
    let start = START.get(py).map_or_else(
        || py.import("_thread")?.getattr("start_new_thread"),
        |start| Ok(start.bind(py).clone()),
    )?;
    start.call1((function, (number,))).map(drop)
}

/// Registers this thread with `threading`, which has not started it: the thread has a
/// name, threads that it starts are not daemons by default, and the functions that trace
/// and profile all threads are set for it too.
pub(crate) fn introduce(py: Python, name: &str) -> PyResult<()> {
    let threading = py.import("threading")?;
    let current = threading.call_method0("current_thread")?;
    current.setattr("name", name)?;
    // The property `daemon` cannot be set for a running thread.
    current.setattr("_daemonic", false)?;
    let sys = py.import("sys")?;
    for (hook, apply) in [("gettrace", "settrace"), ("getprofile", "setprofile")] {
        let hook = threading.call_method0(hook)?;
        if !hook.is_none() {
            sys.call_method1(apply, (hook,))?;
        }
    }
    Ok(())
}

/// Ends what [`introduce`] began. `threading` has no end for a thread that it has not started, so
/// before Python 3.13 it would count as running until the process ends, and a debugger would wait
/// for it.
pub(crate) fn leave(py: Python) -> PyResult<()> {
    py.import("threading")?.call_method0("current_thread")?.setattr("_daemonic", true)
}
