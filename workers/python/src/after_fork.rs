//! Python's part of the cleanup in a process that the application forks: the
//! process has copies of the server's Python objects. Descriptors, signals and
//! memory are released in `sys/fork.rs`.

use monoceros_sys::{fork, title};
use monoceros_wire::stacks as wire_stacks;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::{signals, stacks};

/// Registers the cleanup for every process that is forked from this one. Must be
/// called before the application is loaded: then the application's own functions
/// of `os.register_at_fork` run in a plain interpreter.
pub(crate) fn watch(py: Python) -> PyResult<()> {
    fork::watch();
    let arguments = PyDict::new(py);
    arguments.set_item("after_in_child", wrap_pyfunction!(become_plain, py)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&arguments)).map(drop)
}

/// Called in each process that Python forks. The workers of a mold are among
/// them, and are not changed.
#[pyfunction]
fn become_plain(py: Python) -> PyResult<()> {
    if !fork::is_forked() {
        return Ok(());
    }
    title::set(&format!("monoceros: forked by the application{}", name()));
    // The file is the worker's: the master would read a traceback there as the worker's.
    let faulthandler = py.import("faulthandler")?;
    faulthandler.call_method1("unregister", (wire_stacks::SIGNAL,))?;
    stacks::hide_crashes(&faulthandler)?;
    signals::give_back(py)
}

/// The name in brackets at the end of this process's title, as `ps` shows it.
fn name() -> String {
    let title = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let start = title.iter().position(|byte| *byte == b'[').unwrap_or(title.len());
    let end = title.iter().rposition(|byte| *byte == b']').unwrap_or(start);
    let name = title.get(start..=end).unwrap_or_default();
    if name.is_empty() { String::new() } else { format!(" {}", String::from_utf8_lossy(name)) }
}
