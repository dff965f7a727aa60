//! Reports errors of the application in a request to the error log.

use monoceros_engine::Request;
use pyo3::prelude::*;

use crate::end;
use crate::traceback::describe;

/// Writes an exception of the application to the error log, with the request. A
/// process that ends at once writes none: it has ended what the application uses.
pub(crate) fn report(py: Python, request: &Request, what: &str, error: &PyErr) {
    if end::has_begun() {
        return;
    }
    let head = &request.head;
    log::error!(
        "{} {} (request {}): {what}\n{}",
        head.method().escape_ascii(),
        head.path().escape_ascii(),
        request.id(),
        describe(py, error),
    );
}

/// Writes an error in a response to the error log, with the request.
pub(crate) fn complain(request: &Request, what: &str) {
    let head = &request.head;
    log::error!(
        "{} {} (request {}): {what}",
        head.method().escape_ascii(),
        head.path().escape_ascii(),
        request.id(),
    );
}
