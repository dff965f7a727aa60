//! Logs through Python's `logging`, if the settings or the configuration file ask for it: records
//! go to the logger `gunicorn.error`, requests to `gunicorn.access`.
//!
//! The I/O thread never calls Python. Records, and responses of the server itself, wait in a queue
//! (`record_queue.rs`) that a thread of its own reads. A request of the application is logged on
//! the thread that has called the application, when the response has gone: so the logger finds what
//! the application keeps for the thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use log::LevelFilter;
use monoceros_config::WorkerSettings;
use monoceros_engine::{AccessFacts, AccessLog, Exchange};
use monoceros_http::{Fields, Head, percent_decode};
use monoceros_log::{DetachedRecord, LogRecord, RecordSink, RecordWriter, Severity};
use monoceros_wire::record::MasterRecord;
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use crate::own_code::own_module;
use crate::record_queue::{Queued, QueuedAccess, QueuedBatch, RecordQueue, logging};
use crate::request_hooks::HookedRequest;
use crate::{application_error, errors, ffi, threads, traceback};

/// How long the end of a worker waits for what has not been logged yet.
const LOG_LIMIT: Duration = Duration::from_secs(1);

/// Where the settings of the logger come from.
#[derive(Clone, Copy)]
pub(crate) enum LoggingSource<'a, 'py> {
    /// From the settings of a worker or mold that serves this application.
    Own(Option<&'a str>),
    /// From a configuration file in Python, an object of `config_file.py`.
    File(&'a Bound<'py, PyAny>),
}

/// Python's logging in this process.
pub(crate) struct PythonLogging {
    /// The object of `python_logging.py`.
    object: Py<PyAny>,
    /// It is configured; a configuration file that is read again may configure it no more.
    is_on: AtomicBool,
    /// The server's own error log, for failures of Python's.
    errors: Arc<RecordWriter>,
}

static QUEUE: OnceLock<Arc<RecordQueue>> = OnceLock::new();
static OURS: OnceLock<PythonLogging> = OnceLock::new();

/// Python's logging, if it is configured in this process or was in the mold that has forked it.
pub(crate) fn current() -> Option<&'static PythonLogging> {
    OURS.get().filter(|logging| logging.is_on.load(Ordering::Relaxed))
}

/// Sets up Python's logging if the settings, or the configuration file, ask for it; a file may be
/// read again. Must be called when modules of the application can be imported, before it is loaded.
/// Returns whether it is configured.
///
/// # Errors
/// What the configuration or the logger's class raises.
pub(crate) fn set_up(
    py: Python,
    errors: &Arc<RecordWriter>,
    settings: &WorkerSettings,
    source: LoggingSource,
) -> PyResult<bool> {
    let is_asked_for = match source {
        // The mold has set it up.
        LoggingSource::Own(_) if current().is_some() => return Ok(true),
        LoggingSource::Own(_) => settings.logs_through_python(),
        LoggingSource::File(file) => file.call_method0("logs_in_python")?.extract()?,
    };
    if !is_asked_for {
        if let Some(logging) = OURS.get() {
            logging.is_on.store(false, Ordering::Relaxed);
            queue().close(Duration::ZERO);
            logging.write_batch(py, queue().take());
        }
        return Ok(false);
    }
    let logging = match OURS.get() {
        Some(logging) => {
            if let LoggingSource::File(file) = source {
                logging.object.call_method1(py, "set_up", (file.getattr("cfg")?,))?;
            }
            logging
        }
        None => make(py, errors, settings, source)?,
    };
    logging.is_on.store(true, Ordering::Relaxed);
    application_error::log_by(write_exception);
    queue().open();
    let level = logging.object.call_method0(py, "level")?.extract(py)?;
    monoceros_log::set_level(filter(level));
    errors::follow_by(logging.object.bind(py).getattr("set_level")?.as_any());
    Ok(true)
}

fn make(
    py: Python,
    errors: &Arc<RecordWriter>,
    settings: &WorkerSettings,
    source: LoggingSource,
) -> PyResult<&'static PythonLogging> {
    let module = own_module(py, include_str!("python_logging.py"), "monoceros.python_logging")?;
    let cfg = match source {
        LoggingSource::Own(app) => {
            module.getattr("make_config")?.call1((settings.gunicorn_values(), app))?
        }
        LoggingSource::File(file) => file.getattr("cfg")?,
    };
    let object = module.getattr("PythonLog")?.call1((cfg,))?.unbind();
    errors.divert(Arc::clone(queue()) as Arc<dyn RecordSink>);
    let (is_on, errors) = (AtomicBool::new(false), Arc::clone(errors));
    Ok(OURS.get_or_init(|| PythonLogging { object, is_on, errors }))
}

/// Logs an exception of the application. Returns whether that worked.
fn write_exception(py: Python, record: &LogRecord, error: &PyErr) -> bool {
    current().is_some_and(|logging| logging.write_exception(py, record, error))
}

/// Starts the thread that logs what waits.
///
/// # Errors
/// What Python raises when a thread cannot be started.
pub(crate) fn begin(py: Python) -> PyResult<()> {
    match current() {
        Some(_) => threads::start(wrap_pyfunction!(log_queued, py)?.as_any(), 0),
        None => Ok(()),
    }
}

/// Logs what waits, on a thread of its own, until the worker ends.
#[pyfunction]
fn log_queued(py: Python, _number: u16) {
    let Some(logging) = current() else { return };
    if let Err(error) = logging.object.call_method0(py, "introduce_thread") {
        logging.complain(py, &error);
    }
    while let Some(batch) = py.detach(|| queue().wait()) {
        logging.write_batch(py, batch);
    }
}

/// Waits until everything has been logged, within a limit. Later records go to the server's own
/// error log.
pub(crate) fn end(py: Python) {
    if current().is_some() {
        py.detach(|| queue().close(LOG_LIMIT));
    }
}

/// Logs on this thread what waits, in a process that ends at once.
pub(crate) fn end_at_once(py: Python) {
    if current().is_some() {
        queue().close(Duration::ZERO);
        write_queued(py);
    }
}

/// Logs on this thread what waits: in a mold, which has no other one.
pub(crate) fn write_queued(py: Python) {
    if let Some(logging) = current() {
        logging.write_batch(py, queue().take());
    }
}

/// Logs a record of the master, in a mold.
pub(crate) fn write_of_master(py: Python, record: MasterRecord) {
    let Some(logging) = current() else { return };
    let MasterRecord { level, message, traceback, fields, time_us, pid } = record;
    let severity = Severity::of_python(level);
    let (worker, generation) = (None, None);
    let record =
        DetachedRecord { severity, message, traceback, worker, generation, fields, time_us };
    if let Err(error) = logging.write_record(py, &record, Some(pid)) {
        logging.complain(py, &error);
    }
}

/// Has the files of handlers opened again.
pub(crate) fn reopen() {
    if current().is_some() {
        queue().add(Queued::Reopen);
    }
}

fn queue() -> &'static Arc<RecordQueue> {
    QUEUE.get_or_init(Arc::default)
}

/// The records that are made when a logger writes those from this level up.
fn filter(level: i64) -> LevelFilter {
    match level {
        ..=10 => LevelFilter::Debug,
        11..=20 => LevelFilter::Info,
        21..=30 => LevelFilter::Warn,
        31.. => LevelFilter::Error,
    }
}

impl PythonLogging {
    /// The access log of the engine: requests come back to the logger.
    pub(crate) fn access_log(&self, py: Python, settings: &WorkerSettings) -> Option<AccessLog> {
        let has_access = self.object.getattr(py, "has_access").and_then(|it| it.extract(py));
        has_access.unwrap_or(true).then(|| {
            AccessLog::for_sink(Box::new(QueuedAccess(queue())))
                .leaving_out(settings.access_log_exclude(), *settings.access_log_sample())
        })
    }

    /// The function that hooks get their `log` by.
    pub(crate) fn make_log<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.object.bind(py).getattr("make_log")
    }

    /// Logs a request of the application. To be called on its thread, when the response is
    /// complete or given up.
    pub(crate) fn write_exchange(
        &self,
        exchange: &mut Exchange,
        environ: &Bound<PyDict>,
        hooked: Option<&HookedRequest>,
    ) {
        let Some(facts) = exchange.take_access_facts() else { return };
        let py = environ.py();
        let written = hooked
            .map(HookedRequest::request)
            .transpose()
            .and_then(|hooked| self.write_request(py, &facts, Some(environ), hooked));
        if let Err(error) = written {
            let what = "the request cannot be logged";
            application_error::report(py, exchange.request(), what, &error);
        }
    }

    /// Logs an exception of the application, with its traceback as Python has it. Returns whether
    /// that worked.
    fn write_exception(&self, py: Python, record: &LogRecord, error: &PyErr) -> bool {
        monoceros_log::count(record);
        let record = DetachedRecord::of(record);
        let write = || {
            let facts = facts(py, &record)?;
            self.object.call_method1(
                py,
                "write_exception",
                (&record.message, error.value(py), facts),
            )
        };
        write().map_err(|failure| self.complain(py, &failure)).is_ok()
    }

    fn call<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        arguments: impl PyCallArgs<'py>,
    ) -> PyResult<()> {
        logging(|| self.object.call_method1(py, name, arguments)).map(drop)
    }

    fn write_batch(&self, py: Python, batch: QueuedBatch) {
        let QueuedBatch { waited, lost } = batch;
        let results = waited.into_iter().map(|queued| match queued {
            Queued::Record(record) => self.write_record(py, &record, None),
            Queued::Request(facts) => self.write_request(py, &facts, None, None),
            Queued::Reopen => self.call(py, "reopen", ()),
        });
        for error in results.filter_map(Result::err) {
            self.complain(py, &error);
        }
        if lost > 0 {
            let text = format!("log: {lost} records and requests were lost: Python is too slow");
            let record = DetachedRecord::of(&LogRecord::own(Severity::Warning, &text));
            if let Err(error) = self.write_record(py, &record, None) {
                self.complain(py, &error);
            }
        }
    }

    /// Logs a record of this process, or of the process `pid`.
    fn write_record(&self, py: Python, record: &DetachedRecord, pid: Option<u32>) -> PyResult<()> {
        let seconds = record.time_us as f64 / 1e6;
        let arguments = (
            record.severity.python_level(),
            &record.message,
            record.traceback.as_deref(),
            seconds,
            facts(py, record)?,
            pid,
        );
        self.call(py, "write", arguments)
    }

    /// Logs a request; `environ` is that of the application, if it has got the request, and
    /// `hooked` the object that hooks get.
    fn write_request(
        &self,
        py: Python,
        facts: &AccessFacts,
        environ: Option<&Bound<PyDict>>,
        hooked: Option<Bound<PyAny>>,
    ) -> PyResult<()> {
        let status = ffi::latin1(py, facts.response.status_text())?;
        let response = (status, response_fields(py, &facts.response.fields)?, facts.body_bytes);
        let scheme = facts.scheme.as_str();
        let request = match &facts.head {
            Some(head) => request(py, head, scheme)?,
            None => unread(py, scheme)?,
        };
        let variables = PyDict::new(py);
        for (name, value) in &facts.variables {
            variables.set_item(name, value)?;
        }
        let client = facts.client.as_deref();
        let arguments = (response, request, environ, client, variables, facts.took_us, hooked);
        self.call(py, "write_request", arguments)
    }

    /// Writes an exception of Python's logging to the server's own error log.
    fn complain(&self, py: Python, error: &PyErr) {
        let text = format!("cannot log through Python\n{}", traceback::describe(py, error));
        self.errors.write_here(&LogRecord::own(Severity::Error, &text));
    }
}

/// The attributes that a record in Python has beside its own.
fn facts<'py>(py: Python<'py>, record: &DetachedRecord) -> PyResult<Bound<'py, PyDict>> {
    let facts = PyDict::new(py);
    if let Some(worker) = record.worker {
        facts.set_item("worker", worker)?;
    }
    if let Some(generation) = record.generation {
        facts.set_item("generation", generation)?;
    }
    for (name, value) in &record.fields {
        facts.set_item(name, value)?;
    }
    Ok(facts)
}

/// A request as `python_logging.py` takes it: method, target, path, decoded path, query, protocol,
/// fields, scheme.
type RequestParts<'py> = (
    Bound<'py, PyString>,
    Bound<'py, PyString>,
    Bound<'py, PyString>,
    Bound<'py, PyString>,
    Bound<'py, PyString>,
    &'static str,
    Bound<'py, PyList>,
    &'static str,
);

fn request<'py>(py: Python<'py>, head: &Head, scheme: &'static str) -> PyResult<RequestParts<'py>> {
    let mut decoded = Vec::new();
    percent_decode(head.path(), &mut decoded);
    let fields = PyList::empty(py);
    for (name, value) in head.fields() {
        let name = ffi::latin1(py, &name.to_ascii_uppercase())?;
        fields.append((name, ffi::latin1(py, value)?))?;
    }
    Ok((
        ffi::latin1(py, head.method())?,
        ffi::latin1(py, head.target())?,
        ffi::latin1(py, head.path())?,
        ffi::latin1(py, &decoded)?,
        ffi::latin1(py, head.query())?,
        head.version().as_str(),
        fields,
        scheme,
    ))
}

/// A request that could not be read.
fn unread<'py>(py: Python<'py>, scheme: &'static str) -> PyResult<RequestParts<'py>> {
    let dash = || PyString::intern(py, "-");
    Ok((dash(), dash(), dash(), dash(), dash(), "-", PyList::empty(py), scheme))
}

fn response_fields<'py>(py: Python<'py>, fields: &Fields) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (name, value) in fields.iter() {
        list.append((ffi::latin1(py, name)?, ffi::latin1(py, value.trim_ascii())?))?;
    }
    Ok(list)
}
