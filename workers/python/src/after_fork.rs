//! What is undone in a process that the application forks: it has a copy of
//! everything, the connection and the queue included. The worker's part is let go
//! of in `sys/fork.rs`, and Python's part here.

use monoceros_sys::{fork, title};
use monoceros_wire::stacks as wire_stacks;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::{signals, stacks};

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
    faulthandler.call_method1("unregister", (wire_stacks::SIGNAL,))?;
    stacks::hide_crashes(&faulthandler)?;
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
