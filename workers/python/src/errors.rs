//! The error log as Python has it: the bytes below `wsgi.errors`, and the lines of
//! the loggers that gunicorn has.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::Level;
use monoceros_log::LogFile;
use pyo3::prelude::*;

use crate::own_code;

/// A line that is longer goes out in pieces.
const LINE_LIMIT: usize = 8 * 1024;

/// Gathers lines, so that those of several threads and processes do not mix, and
/// writes them to the error log.
#[pyclass(frozen, module = "monoceros")]
pub(crate) struct ErrorLog {
    log: Arc<LogFile>,
    /// A line without its end.
    begun: Mutex<Vec<u8>>,
    /// There is one.
    has_begun: AtomicBool,
}

impl ErrorLog {
    /// The bytes, and the text stream above them.
    pub(crate) fn open(py: Python, log: Arc<LogFile>) -> PyResult<(Py<Self>, Bound<PyAny>)> {
        let bytes = Self { log, begun: Mutex::default(), has_begun: AtomicBool::new(false) };
        let bytes = Bound::new(py, bytes)?;
        let module = own_code::own_module(py, include_str!("errors.py"), "monoceros.errors")?;
        let stream = module.getattr("ErrorStream")?.call1((&bytes,))?;
        Ok((bytes.unbind(), stream))
    }

    /// Writes out the line that has been begun, if there is one.
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
    /// Takes bytes, all of them: whole lines are written at once.
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

    /// Writes out the line that has been begun.
    fn flush(&self) {
        let mut begun = self.begun();
        if !begun.is_empty() {
            self.log.write(&begun);
            begun.clear();
        }
        self.has_begun.store(false, Ordering::Relaxed);
    }

    /// What the application says, as a line of the server's; `level` is a number of
    /// `logging`.
    fn line(&self, level: i64, text: &str) -> String {
        let level = match level {
            40.. => Level::Error,
            30.. => Level::Warn,
            20.. => Level::Info,
            _ => Level::Debug,
        };
        monoceros_log::own_line(&self.log, level, text)
    }

    /// The descriptor, which stays the same when the log is reopened.
    fn fileno(&self) -> i32 {
        self.log.as_fd().as_raw_fd()
    }
}

/// Makes the loggers that gunicorn has, for applications that hand their own log
/// to them; `level` is the name of the least severe record that is logged.
pub(crate) fn make_loggers(py: Python, log: Arc<LogFile>, level: &str) -> PyResult<()> {
    let (bytes, stream) = ErrorLog::open(py, log)?;
    let module = own_code::own_module(py, include_str!("loggers.py"), "monoceros.loggers")?;
    let arguments = (stream, bytes.getattr(py, "line")?, level);
    module.getattr("prepare")?.call1(arguments).map(drop)
}
