//! Reports errors of the application in a request to the error log.

use std::fmt;

use log::Level;
use monoceros_engine::Request;
use monoceros_log::write_with;
use pyo3::prelude::*;

use crate::end;
use crate::traceback::describe;

/// Writes an exception of the application to the error log, with the request. A
/// process that ends at once writes none: it has ended what the application uses.
pub(crate) fn report(py: Python, request: &Request, what: &str, error: &PyErr) {
    if !end::has_begun() {
        write(request, format_args!("{what}\n{}", describe(py, error)));
    }
}

/// Writes an error in a response to the error log, with the request.
pub(crate) fn complain(request: &Request, what: &str) {
    write(request, format_args!("{what}"));
}

/// Writes an error with the identifiers of the request, and of its trace if it has one.
fn write(request: &Request, what: fmt::Arguments) {
    let (head, id) = (&request.head, request.id());
    let facts = request.facts().pairs();
    let (method, path) = (head.method().escape_ascii(), head.path().escape_ascii());
    write_with(Level::Error, &facts, format_args!("{method} {path} (request {id}): {what}"));
}
