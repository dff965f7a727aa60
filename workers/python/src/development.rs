//! What only a developer's server does (`development`). `development.py` does so.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use monoceros_wire::channel::WorkerEnd;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

use crate::own_code::own_module;
use crate::{concern, project, traceback};

/// The functions of `development.py`.
fn module(py: Python) -> PyResult<Bound<PyModule>> {
    own_module(py, include_str!("development.py"), "monoceros.development")
}

/// Does what the command of the application's framework does before it loads the application.
pub(crate) fn prepare(py: Python) {
    let prepared = module(py).and_then(|module| module.getattr("prepare")?.call0());
    if let Err(error) = prepared {
        let text = traceback::describe(py, &error);
        log::warn!("cannot read the variables of the application\n{text}");
    }
}

/// The application, with the static files of the apps of a Django project in debug mode.
pub(crate) fn with_static_files(py: Python, callable: Py<PyAny>) -> Py<PyAny> {
    let wrapped = || {
        let with_files = module(py)?.getattr("with_static_files")?;
        with_files.call1((project::module(py)?, &callable)).map(Bound::unbind)
    };
    wrapped().unwrap_or_else(|error: PyErr| {
        let text = traceback::describe(py, &error);
        log::warn!("cannot serve the static files of the project's apps\n{text}");
        callable
    })
}

/// Reports what Django's system checks find, and migrations that are not applied: later, and on a
/// thread of its own, so that no request waits for it.
///
/// # Errors
/// For lack of descriptors.
pub(crate) fn examine(py: Python, channel: &WorkerEnd) -> io::Result<()> {
    // One thread uses it, which a closure for Python cannot know.
    let channel = Mutex::new(WorkerEnd::from(channel.as_fd().try_clone_to_owned()?));
    let report = move |args: &Bound<PyTuple>, _: Option<&Bound<PyDict>>| -> PyResult<()> {
        let channel = channel.lock().unwrap_or_else(PoisonError::into_inner);
        concern::report(&channel, args.get_item(0)?.extract()?, false);
        Ok(())
    };
    let begin = || {
        let report = PyCFunction::new_closure(py, None, None, report)?;
        module(py)?.getattr("examine")?.call1((project::module(py)?, report))
    };
    if let Err(error) = begin() {
        log::warn!("cannot check the project\n{}", traceback::describe(py, &error));
    }
    Ok(())
}
