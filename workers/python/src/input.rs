//! `wsgi.input`: the body as an object of Python's own types, which have every method.

use monoceros_engine::{Body, RequestSource, Spool};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::ffi;
use crate::own_code;
use crate::spooled::SpooledFile;

/// Makes the objects for `wsgi.input`.
pub(crate) struct Inputs {
    bytes_io: Py<PyAny>,
    spooled: Py<PyAny>,
}

/// A body in a file, to be given back after the request.
pub(crate) struct Spooled {
    input: Py<PyAny>,
    file: Py<SpooledFile>,
}

impl Inputs {
    pub(crate) fn new(py: Python) -> PyResult<Self> {
        let io = py.import("io")?;
        Ok(Self { bytes_io: io.getattr("BytesIO")?.unbind(), spooled: spooled_class(py)?.unbind() })
    }

    /// Makes the object from which the application reads a body.
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
        let file = Bound::new(py, SpooledFile::new(file, length))?;
        let input = self.spooled.bind(py).call1((&file,))?;
        let spooled = Spooled { input: input.clone().unbind(), file: file.unbind() };
        Ok((input, Some(spooled)))
    }
}

impl Spooled {
    /// Gives the file back for the next body, unless the application has kept a
    /// reference to the object that reads it.
    pub(crate) fn give_back(self, py: Python, requests: &RequestSource) {
        // One reference is ours, and one to the file is the input's.
        let is_ours_alone =
            ffi::references(self.input.bind(py)) == 1 && ffi::references(self.file.bind(py)) == 2;
        if is_ours_alone && let Some((file, length)) = self.file.get().take() {
            requests.give_back(file, length);
        }
    }
}

fn spooled_class(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    own_code::own_module(py, include_str!("spooled.py"), "monoceros.spooled")?
        .getattr("SpooledBody")
}
