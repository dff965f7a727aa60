//! Python code of the bridge's own.

use std::ffi::CString;

use pyo3::prelude::*;

/// The name under which the bridge's own Python code appears in tracebacks.
pub(crate) const OWN_FILE: &str = "<monoceros>";

/// Runs Python code of the bridge's own as a module, anew each time: one that
/// another thread has begun to run has not all of its names yet.
pub(crate) fn own_module<'py>(
    py: Python<'py>,
    source: &str,
    name: &str,
) -> PyResult<Bound<'py, PyModule>> {
    let (source, file) = (CString::new(source)?, CString::new(OWN_FILE)?);
    PyModule::from_code(py, &source, &file, &CString::new(name)?)
}
