//! `wsgi.errors`: the error log as a text stream.

use std::sync::Arc;

use monoceros_log::LogFile;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// A text stream that writes to the error log, unbuffered (PEP 3333, "Input and
/// Error Streams").
#[pyclass(frozen, module = "monoceros")]
pub(crate) struct ErrorStream {
    log: Arc<LogFile>,
}

impl ErrorStream {
    pub(crate) fn new(log: Arc<LogFile>) -> Self {
        Self { log }
    }
}

#[pymethods]
impl ErrorStream {
    /// Writes text; what has no UTF-8 form is escaped. Returns its length in
    /// characters.
    fn write(&self, text: &Bound<PyString>) -> PyResult<usize> {
        match text.to_str() {
            Ok(plain) => self.log.write(plain.as_bytes()),
            Err(_) => {
                let encoded = text.call_method1("encode", ("utf-8", "backslashreplace"))?;
                self.log.write(encoded.extract::<&[u8]>()?);
            }
        }
        text.len()
    }

    /// Writes each text of an iterable.
    fn writelines(&self, lines: &Bound<PyAny>) -> PyResult<()> {
        for line in lines.try_iter()? {
            self.write(line?.cast::<PyString>()?)?;
        }
        Ok(())
    }

    /// Does nothing: nothing is buffered.
    fn flush(&self) {}
}
