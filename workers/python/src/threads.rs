//! Threads that run the application beside the main one. They are real ones,
//! whatever the application makes of the module `threading` (gevent puts
//! greenlets in their place).

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// `_thread.start_new_thread`, as it was before the application was loaded.
static START: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Takes what starts threads; to be called before the application is loaded.
pub(crate) fn prepare(py: Python) -> PyResult<()> {
    let start = py.import("_thread")?.getattr("start_new_thread")?;
    // It is called once.
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

/// Makes this thread, which `threading` has not started, one of its own as far
/// as that matters: it has a name, threads that it starts are no daemons unless
/// they say so, and what traces and profiles all threads does so here as well.
pub(crate) fn introduce(py: Python, number: u16) -> PyResult<()> {
    let threading = py.import("threading")?;
    let current = threading.call_method0("current_thread")?;
    current.setattr("name", format!("monoceros-{number}"))?;
    // The property refuses to be set of a thread that runs.
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
