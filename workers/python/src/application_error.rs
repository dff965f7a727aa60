//! Reports errors of the application in a request to the error log.

use std::fmt;
use std::sync::OnceLock;

use log::Level;
use monoceros_engine::Request;
use monoceros_log::{LogRecord, Severity, write_with};
use pyo3::prelude::*;

use crate::ending;
use crate::traceback::describe;

/// Logs an exception in another way than to the error log. Returns whether that worked.
pub(crate) type ExceptionLogger = fn(Python, &LogRecord, &PyErr) -> bool;

/// What logs exceptions first, if there is such a thing.
static LOGGER: OnceLock<ExceptionLogger> = OnceLock::new();

/// From now on exceptions of the application go to this function first.
pub(crate) fn log_by(logger: ExceptionLogger) {
    LOGGER.set(logger).ok();
}

/// Writes an exception of the application to the error log, with the request. A
/// process that ends at once writes none: it has ended what the application uses.
pub(crate) fn report(py: Python, request: &Request, what: &str, error: &PyErr) {
    if ending::has_begun() || is_logged(py, request, what, error) {
        return;
    }
    write(request, format_args!("{what}\n{}", describe(py, error)));
}

/// Logs an exception in the other way, if there is one: on this thread, with the exception itself.
/// Returns whether it was logged.
fn is_logged(py: Python, request: &Request, what: &str, error: &PyErr) -> bool {
    let Some(logger) = LOGGER.get() else { return false };
    let text = format!("{}: {what}", subject(request));
    let mut record = LogRecord::own(Severity::Error, &text);
    record.traceback = Some("".into());
    let (facts, mut fields) = (request.facts(), Vec::new());
    for (name, value) in facts.pairs() {
        fields.push((name.into(), value.to_owned()));
    }
    record.fields = fields;
    logger(py, &record, error)
}

/// Writes an error in a response to the error log, with the request.
pub(crate) fn complain(request: &Request, what: &str) {
    write(request, format_args!("{what}"));
}

/// Writes an error with the identifiers of the request, and of its trace if it has one.
fn write(request: &Request, what: fmt::Arguments) {
    let facts = request.facts().pairs();
    write_with(Level::Error, &facts, format_args!("{}: {what}", subject(request)));
}

/// The request in the text of a record.
fn subject(request: &Request) -> String {
    let (head, id) = (&request.head, request.id());
    let (method, path) = (head.method().escape_ascii(), head.path().escape_ascii());
    format!("{method} {path} (request {id})")
}
