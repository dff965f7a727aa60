//! Installs the server's package `gunicorn` into an environment, for the command
//! `install-gunicorn-shim`.

use pyo3::prelude::*;

use crate::gunicorn_finder::MODULES;
use crate::own_code::own_module;

/// Installs the package and the program `gunicorn`, which runs `program`, in the environment
/// of this interpreter. `replaces`: also if another gunicorn is there. Returns what has been
/// done.
#[pyfunction]
pub(crate) fn install_gunicorn_shim(py: Python, program: &str, replaces: bool) -> PyResult<String> {
    let module = own_module(py, include_str!("gunicorn_shim.py"), "monoceros.gunicorn_shim")?;
    module.getattr("install")?.call1((MODULES.to_vec(), program, replaces))?.extract()
}
