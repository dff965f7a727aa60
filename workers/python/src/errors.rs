//! The error log for Python code: the file below `wsgi.errors`, and the loggers with
//! the names of gunicorn's.

use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::LevelFilter;
use monoceros_engine::Engine;
use monoceros_log::{LogRecord, RecordWriter, Severity};
use monoceros_wire::trace_ids::TraceIds;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::{own_code, signals};

/// The maximum length of a line, in bytes; a longer one is written in pieces.
const LINE_LIMIT: usize = 8 * 1024;

/// Writes what the application writes to the error log: whole lines, as records of their own.
/// So lines of several threads and processes do not mix, and no text can look like a record of
/// the server.
#[pyclass(frozen, module = "monoceros")]
pub(crate) struct ErrorLog {
    log: Arc<RecordWriter>,
    /// The name of the stream, as a record has it.
    name: &'static str,
    begun: Mutex<BegunLine>,
    /// Whether there is such a line.
    has_begun: AtomicBool,
}

/// The line that has no end yet.
#[derive(Default)]
struct BegunLine {
    /// The bytes that are not in the log yet.
    bytes: Vec<u8>,
    /// Whether its beginning is a record already. Its end alone makes no other one.
    is_written: bool,
}

impl BegunLine {
    fn add(&mut self, bytes: &[u8]) {
        let is_end = self.is_written && bytes.starts_with(b"\n");
        self.is_written &= bytes.is_empty();
        self.bytes.extend_from_slice(&bytes[usize::from(is_end)..]);
    }

    /// Takes the lines that have their ends, or else one that is too long to wait for it.
    fn take_lines(&mut self) -> Option<Vec<u8>> {
        match self.bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => {
                let rest = self.bytes.split_off(at + 1);
                Some(mem::replace(&mut self.bytes, rest))
            }
            None if self.bytes.len() > LINE_LIMIT => self.take(),
            None => None,
        }
    }

    /// Takes the bytes that are not in the log yet.
    fn take(&mut self) -> Option<Vec<u8>> {
        let bytes = mem::take(&mut self.bytes);
        self.is_written |= !bytes.is_empty();
        (!bytes.is_empty()).then_some(bytes)
    }
}

impl ErrorLog {
    /// Makes the byte stream and the text stream above it.
    pub(crate) fn open<'py>(
        py: Python<'py>,
        log: Arc<RecordWriter>,
        name: &'static str,
    ) -> PyResult<(Py<Self>, Bound<'py, PyAny>)> {
        let bytes = Self { log, name, begun: Mutex::default(), has_begun: AtomicBool::new(false) };
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

    /// Writes whole lines as one record.
    fn write_lines(&self, lines: &[u8]) {
        let text = String::from_utf8_lossy(lines);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        self.write_record(LogRecord::of_application(Severity::Info, self.name, text));
    }

    /// Writes a record, with the identifiers of the request in which it was made.
    fn write_record(&self, mut record: LogRecord) {
        if let Some(request) = signals::worker().and_then(Engine::request_of_this_thread) {
            let trace = request.trace.map(TraceIds::facts).into_iter().flatten();
            let facts = [("request_id", request.id)].into_iter().chain(trace);
            record.fields.extend(facts.map(|(name, value)| (name.into(), value)));
        }
        self.log.write(&record);
    }

    fn begun(&self) -> MutexGuard<'_, BegunLine> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl ErrorLog {
    /// Takes all bytes, and writes the whole lines among them.
    fn write(&self, bytes: &[u8]) -> usize {
        let mut begun = self.begun();
        begun.add(bytes);
        while let Some(lines) = begun.take_lines() {
            self.write_lines(&lines);
        }
        self.has_begun.store(!begun.bytes.is_empty(), Ordering::Relaxed);
        bytes.len()
    }

    /// Writes the line that has no end yet.
    fn flush(&self) {
        if let Some(line) = self.begun().take() {
            self.write_lines(&line);
        }
        self.has_begun.store(false, Ordering::Relaxed);
    }

    /// Writes a record of the application's loggers; `level` is a number of `logging`.
    fn record(&self, level: i64, logger: &str, message: &str, traceback: Option<&str>) {
        let severity = Severity::of_python(level);
        let mut record = LogRecord::of_application(severity, logger, message);
        record.traceback = traceback.map(Into::into);
        self.write_record(record);
    }

    /// The descriptor. It stays the same when the log is reopened.
    fn fileno(&self) -> i32 {
        self.log.file().as_fd().as_raw_fd()
    }
}

/// The level of this process's records that the loggers have.
static LEVEL: AtomicUsize = AtomicUsize::new(0);

/// Sets the level of the loggers.
static SET_LEVEL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Makes the loggers `gunicorn.error` and `gunicorn.access`, for applications that log
/// through them; `level` is the name of the lowest level that is logged.
///
/// In a worker whose mold has made them only the level is set.
pub(crate) fn make_loggers(py: Python, log: Arc<RecordWriter>, level: &str) -> PyResult<()> {
    if let Some(set_level) = SET_LEVEL.get(py) {
        set_level.call1(py, (level,))?;
        LEVEL.store(log::max_level() as usize, Ordering::Relaxed);
        return Ok(());
    }
    let (bytes, stream) = ErrorLog::open(py, log, "gunicorn.error")?;
    let module = own_code::own_module(py, include_str!("loggers.py"), "monoceros.loggers")?;
    let arguments = (stream, bytes.getattr(py, "record")?, level);
    follow_by(&module.getattr("prepare")?.call1(arguments)?);
    Ok(())
}

/// Has the level that an operator sets given to loggers by this function. A function that was set
/// before stays: both have the same loggers.
pub(crate) fn follow_by(set_level: &Bound<PyAny>) {
    SET_LEVEL.set(set_level.py(), set_level.clone().unbind()).ok();
    LEVEL.store(log::max_level() as usize, Ordering::Relaxed);
}

/// Gives the loggers the level that an operator has set while the worker serves. To be called
/// before a request: what changes the level, the I/O thread, cannot call Python.
pub(crate) fn follow_level(py: Python) {
    let level = log::max_level();
    if LEVEL.load(Ordering::Relaxed) == level as usize {
        return;
    }
    LEVEL.store(level as usize, Ordering::Relaxed);
    let name = match level {
        LevelFilter::Off | LevelFilter::Error => "ERROR",
        LevelFilter::Warn => "WARNING",
        LevelFilter::Info => "INFO",
        LevelFilter::Debug | LevelFilter::Trace => "DEBUG",
    };
    if let Some(set_level) = SET_LEVEL.get(py)
        && let Err(error) = set_level.call1(py, (name,))
    {
        log::warn!("cannot set the level of the loggers of gunicorn: {error}");
    }
}

/// Has Python's standard output and standard error written to the error log, each line as a
/// record.
pub(crate) fn capture_streams(py: Python, log: &Arc<RecordWriter>) -> PyResult<()> {
    let sys = py.import("sys")?;
    for name in ["stdout", "stderr"] {
        let (_, stream) = ErrorLog::open(py, Arc::clone(log), name)?;
        sys.setattr(name, stream)?;
    }
    Ok(())
}
