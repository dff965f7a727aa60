//! A process that the application has forked. It has a copy of everything, the
//! connection and the queue included; the worker's part is let go of in
//! `sys/fork.rs`, and Python's part here. When it comes back from the application
//! it ends, and answers no client.

use monoceros_sys::{fork, process, title};
use monoceros_wire::stacks;
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::{boot, signals, traceback};

/// Has every process that is forked from this one leave the server; to be
/// called before the application is loaded, so that its own functions of
/// `os.register_at_fork` find what a plain interpreter has.
pub(crate) fn watch(py: Python) -> PyResult<()> {
    fork::watch();
    let arguments = PyDict::new(py);
    arguments.set_item("after_in_child", wrap_pyfunction!(become_plain, py)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&arguments)).map(drop)
}

/// Called in each process that is forked by way of Python, the mold's workers
/// among them, which stay what they are.
#[pyfunction]
fn become_plain(py: Python) -> PyResult<()> {
    if !fork::is_forked() {
        return Ok(());
    }
    title::set(&format!("monoceros: forked by the application{}", name()));
    // The file is the worker's; what shows there would be taken for the worker's.
    let faulthandler = py.import("faulthandler")?;
    faulthandler.call_method1("unregister", (stacks::SIGNAL,))?;
    boot::hide_crashes(&faulthandler)?;
    signals::give_back(py)
}

/// The name in brackets that the title of this process ends in, as `ps` shows it.
fn name() -> String {
    let title = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let start = title.iter().position(|byte| *byte == b'[').unwrap_or(title.len());
    let end = title.iter().rposition(|byte| *byte == b']').unwrap_or(start);
    let name = title.get(start..=end).unwrap_or_default();
    if name.is_empty() { String::new() } else { format!(" {}", String::from_utf8_lossy(name)) }
}

/// Ends such a process, by what it came back with from the application.
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
