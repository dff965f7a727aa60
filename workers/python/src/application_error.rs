//! What an application did wrong with a request, for the error log.

use monoceros_engine::Request;
use pyo3::prelude::*;

use crate::end;
use crate::traceback::describe;

/// Writes an exception of the application to the error log, with the request. In
/// a process that ends at once, which has ended what the application uses, it is
/// no news.
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

/// Writes what is wrong with an answer to the error log, with the request.
pub(crate) fn complain(request: &Request, what: &str) {
    let head = &request.head;
    log::error!(
        "{} {} (request {}): {what}",
        head.method().escape_ascii(),
        head.path().escape_ascii(),
        request.id(),
    );
}
