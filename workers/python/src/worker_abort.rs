//! The hook `worker_abort`: what a worker does when the master ends it because it hangs.

use pyo3::prelude::*;

use crate::{end, hooks, stacks};

/// From now on SIGABRT, by which the master ends a worker that hangs, runs the hook, if there is
/// one and the main thread still runs Python. The stacks are written before.
pub(crate) fn watch(py: Python) -> PyResult<()> {
    let Some(hooks) = hooks::of_worker(py) else { return Ok(()) };
    if !hooks.call_method0(py, "has_worker_abort")?.extract(py)? {
        return Ok(());
    }
    let end = wrap_pyfunction!(end_aborted, py)?;
    stacks::put_before_crashes(py, || hooks.call_method1(py, "watch_abort", (end,)).map(drop))
}

#[pyfunction]
fn end_aborted() {
    end::at_once(1)
}
