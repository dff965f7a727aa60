//! `wsgi.input`: Python's own objects, so that every way of reading is theirs.

use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

use monoceros_engine::{Body, Desk, Spool};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyModule};

use crate::ffi;
use crate::trouble;

/// The file of a body; open as long as somebody can read from it.
#[pyclass(frozen, module = "monoceros")]
pub(crate) struct SpoolFile {
    file: Mutex<Option<Spool>>,
}

/// Makes the objects.
pub(crate) struct Inputs {
    bytes_io: Py<PyAny>,
    buffered: Py<PyAny>,
    spooled: Py<PyAny>,
}

/// A body in a file, to be given back after the request.
pub(crate) struct Spooled {
    input: Py<PyAny>,
    raw: Py<PyAny>,
    owner: Py<SpoolFile>,
    length: u64,
}

impl Inputs {
    pub(crate) fn new(py: Python) -> PyResult<Self> {
        let io = py.import("io")?;
        Ok(Self {
            bytes_io: io.getattr("BytesIO")?.unbind(),
            buffered: io.getattr("BufferedReader")?.unbind(),
            spooled: spooled_class(py)?.unbind(),
        })
    }

    /// The object to read a body from.
    pub(crate) fn make<'py>(
        &self,
        py: Python<'py>,
        body: Body,
    ) -> PyResult<(Bound<'py, PyAny>, Option<Spooled>)> {
        match body {
            Body::Empty => Ok((self.bytes_io.bind(py).call0()?, None)),
            Body::Memory(bytes) => {
                Ok((self.bytes_io.bind(py).call1((PyBytes::new(py, &bytes),))?, None))
            }
            Body::File { file, length } => self.open(py, file, length),
        }
    }

    fn open<'py>(
        &self,
        py: Python<'py>,
        file: Spool,
        length: u64,
    ) -> PyResult<(Bound<'py, PyAny>, Option<Spooled>)> {
        let number = file.as_raw_fd();
        let owner = Bound::new(py, SpoolFile { file: Mutex::new(Some(file)) })?;
        let raw = self.spooled.bind(py).call1((&owner, number, length))?;
        let input = self.buffered.bind(py).call1((&raw,))?;
        let spooled = Spooled {
            input: input.clone().unbind(),
            raw: raw.unbind(),
            owner: owner.unbind(),
            length,
        };
        Ok((input, Some(spooled)))
    }
}

impl Spooled {
    /// Gives the file back, unless the application has kept the means to read
    /// it.
    pub(crate) fn give_back(self, py: Python, desk: &Desk) {
        // Ours, and for the raw object the reader's.
        let is_ours_alone = ffi::references(self.input.bind(py)) == 1
            && self.input.bind(py).getattr("raw").is_ok_and(|raw| raw.is(&self.raw))
            && ffi::references(self.raw.bind(py)) == 2;
        if is_ours_alone {
            let file = self.owner.get().file.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(file) = file {
                desk.give_back(file, self.length);
            }
        }
    }
}

fn spooled_class(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let file = std::ffi::CString::new(trouble::OWN_FILE)?;
    let source = std::ffi::CString::new(include_str!("spooled.py"))?;
    PyModule::from_code(py, &source, &file, c"monoceros.spooled")?.getattr("SpooledBody")
}
