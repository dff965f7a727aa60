//! Lowers the limit of descriptors while the application starts a program. The program
//! gets the limit that the server was started with; the worker's own limit is higher.
//!
//! In a forked process `sys/fork.rs` sets the limit back. A process that is started
//! without `fork(3)`, as by `subprocess`, runs no code of the server before the program:
//! so the limit is lowered in the worker for that time.

use monoceros_sys::limit::Lowered;
use pyo3::prelude::*;
use pyo3::types::{PyModule, PyTuple};

use crate::own_code;

/// A context manager: the limit is lowered inside of the `with` statement.
#[pyclass(module = "monoceros")]
pub(crate) struct FormerLimit(Option<Lowered>);

#[pymethods]
impl FormerLimit {
    #[new]
    fn new() -> Self {
        Self(None)
    }

    fn __enter__(mut this: PyRefMut<Self>) {
        this.0 = Some(Lowered::begin());
    }

    #[pyo3(signature = (*_args))]
    fn __exit__(&mut self, _args: &Bound<PyTuple>) {
        self.0 = None;
    }
}

/// Wraps Python's functions that start a program, so that they lower the limit. Must be
/// called before the application is loaded.
pub(crate) fn give_limit_back(py: Python) -> PyResult<()> {
    let file = std::ffi::CString::new(own_code::OWN_FILE)?;
    let source = std::ffi::CString::new(include_str!("programs.py"))?;
    let module = PyModule::from_code(py, &source, &file, c"monoceros.programs")?;
    module.getattr("give_limit_back")?.call1((py.get_type::<FormerLimit>(),)).map(drop)
}
