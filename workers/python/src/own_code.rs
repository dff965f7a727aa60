//! Runs the bridge's own Python code.

use std::ffi::CString;

use pyo3::prelude::*;

/// The name under which the bridge's own Python code appears in tracebacks.
pub(crate) const OWN_FILE: &str = "<monoceros>";

/// Runs the bridge's own Python code as a new module. A module that is shared by
/// threads might be incomplete: another thread may still run it.
pub(crate) fn own_module<'py>(
    py: Python<'py>,
    source: &str,
    name: &str,
) -> PyResult<Bound<'py, PyModule>> {
    let (source, file) = (CString::new(source)?, CString::new(OWN_FILE)?);
    PyModule::from_code(py, &source, &file, &CString::new(name)?)
}
