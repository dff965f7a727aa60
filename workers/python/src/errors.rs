//! The error log for Python code: the file below `wsgi.errors`, and the loggers with
//! the names of gunicorn's.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::Level;
use monoceros_log::LogFile;
use pyo3::prelude::*;

use crate::own_code;

/// The maximum length of a line, in bytes; a longer one is written in pieces.
const LINE_LIMIT: usize = 8 * 1024;

/// Writes to the error log in whole lines, so that lines of several threads and
/// processes do not mix.
#[pyclass(frozen, module = "monoceros")]
pub(crate) struct ErrorLog {
    log: Arc<LogFile>,
    /// The line that has no end yet.
    begun: Mutex<Vec<u8>>,
    /// Whether there is such a line.
    has_begun: AtomicBool,
}

impl ErrorLog {
    /// Makes the byte stream and the text stream above it.
    pub(crate) fn open(py: Python, log: Arc<LogFile>) -> PyResult<(Py<Self>, Bound<PyAny>)> {
        let bytes = Self { log, begun: Mutex::default(), has_begun: AtomicBool::new(false) };
        let bytes = Bound::new(py, bytes)?;
        let module = own_code::own_module(py, include_str!("errors.py"), "monoceros.errors")?;
        let stream = module.getattr("ErrorStream")?.call1((&bytes,))?;
        Ok((bytes.unbind(), stream))
    }

    /// Writes the line that has no end yet, if there is one.
    pub(crate) fn end_line(&self) {
        if self.has_begun.load(Ordering::Relaxed) {
            self.flush();
        }
    }

    fn begun(&self) -> MutexGuard<'_, Vec<u8>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl ErrorLog {
    /// Takes all bytes, and writes the whole lines among them.
    fn write(&self, bytes: &[u8]) -> usize {
        let mut begun = self.begun();
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (whole, rest) = bytes.split_at(end);
        if begun.is_empty() && !whole.is_empty() {
            self.log.write(whole);
        } else if !whole.is_empty() {
            begun.extend_from_slice(whole);
            self.log.write(&begun);
            begun.clear();
        }
        begun.extend_from_slice(rest);
        if begun.len() > LINE_LIMIT {
            self.log.write(&begun);
            begun.clear();
        }
        self.has_begun.store(!begun.is_empty(), Ordering::Relaxed);
        bytes.len()
    }

    /// Writes the line that has no end yet.
    fn flush(&self) {
        let mut begun = self.begun();
        if !begun.is_empty() {
            self.log.write(&begun);
            begun.clear();
        }
        self.has_begun.store(false, Ordering::Relaxed);
    }

    /// Makes a line of the error log from a message of the application; `level` is a
    /// number of `logging`.
    fn line(&self, level: i64, text: &str) -> String {
        let level = match level {
            40.. => Level::Error,
            30.. => Level::Warn,
            20.. => Level::Info,
            _ => Level::Debug,
        };
        monoceros_log::own_line(&self.log, level, text)
    }

    /// The descriptor. It stays the same when the log is reopened.
    fn fileno(&self) -> i32 {
        self.log.as_fd().as_raw_fd()
    }
}

/// Makes the loggers `gunicorn.error` and `gunicorn.access`, for applications that log
/// through them; `level` is the name of the lowest level that is logged.
pub(crate) fn make_loggers(py: Python, log: Arc<LogFile>, level: &str) -> PyResult<()> {
    let (bytes, stream) = ErrorLog::open(py, log)?;
    let module = own_code::own_module(py, include_str!("loggers.py"), "monoceros.loggers")?;
    let arguments = (stream, bytes.getattr(py, "line")?, level);
    module.getattr("prepare")?.call1(arguments).map(drop)
}
