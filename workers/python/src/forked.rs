//! The end of a process that the application has forked: when it returns from the
//! application, it ends without a response to a client.

use monoceros_sys::{fork, process};
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;

use crate::{output, traceback};

/// Ends this process if the application has forked it, with an exit code by what the
/// application returned or raised.
pub(crate) fn leave<T>(py: Python, result: &PyResult<T>) {
    if !fork::is_forked() {
        return;
    }
    let code = match result {
        Ok(_) => {
            log::warn!(
                "a process that the application has forked came back from it and ends here; it \
                 should call os._exit()"
            );
            0
        }
        Err(error) if error.is_instance_of::<PySystemExit>(py) => exit_code(error.value(py)),
        Err(error) => {
            let text = traceback::describe(py, error);
            log::error!("a process that the application has forked failed\n{text}");
            1
        }
    };
    output::flush(py);
    process::exit_now(code)
}

/// The exit code that Python would use: 0 for `None`, 1 for anything but a number.
fn exit_code(exit: &Bound<PyAny>) -> i32 {
    match exit.getattr("code") {
        Ok(code) if code.is_none() => 0,
        Ok(code) => code.extract().unwrap_or(1),
        Err(_) => 1,
    }
}
