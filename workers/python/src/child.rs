//! A process that the application has forked in a request. It has a copy of
//! everything, the connection and the queue included; when it comes back from
//! the application it ends, and answers nobody.

use std::sync::atomic::{AtomicBool, Ordering};

use monoceros_sys::process;
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;

use crate::{boot, trouble};

/// This process was forked by an application that serves in another.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Takes note that this is such a process.
pub(crate) fn note() {
    IS_CHILD.store(true, Ordering::Relaxed);
}

/// Ends such a process, by what it came back with from the application.
pub(crate) fn leave<T>(py: Python, result: &PyResult<T>) {
    if !IS_CHILD.load(Ordering::Relaxed) {
        return;
    }
    let code = match result {
        Ok(_) => {
            log::warn!(
                "a process that the application has forked came back from the request and ends \
                 here; it should call os._exit()"
            );
            0
        }
        Err(error) if error.is_instance_of::<PySystemExit>(py) => exit_code(error.value(py)),
        Err(error) => {
            let text = trouble::describe(py, error);
            log::error!("a process that the application has forked failed\n{text}");
            1
        }
    };
    boot::flush_output(py);
    process::exit_now(code)
}

/// The code that Python would exit with: 0 for `None`, 1 for what is no number.
fn exit_code(exit: &Bound<PyAny>) -> i32 {
    match exit.getattr("code") {
        Ok(code) if code.is_none() => 0,
        Ok(code) => code.extract().unwrap_or(1),
        Err(_) => 1,
    }
}
