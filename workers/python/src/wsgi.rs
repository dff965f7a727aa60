//! Serves one request with a WSGI application (PEP 3333).

use std::borrow::Cow;

use monoceros_edge::ErrorPages;
use monoceros_engine::{Exchange, RequestSource};
use pyo3::exceptions::PyAssertionError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::conversation::{Callables, Conversation, not_bytes};
use crate::environ::{Environ, EnvironError};
use crate::errors::ErrorLog;
use crate::request_hooks::{HookedRequest, RequestHooks, SentPart};
use crate::sending::{ResponseError, await_room, put};
use crate::traceback::describe;
use crate::{application_error, ffi, file_wrapper, forked, handed_socket, python_logging};

/// The error for an application that uses a request while one of its threads writes to
/// it.
const IN_USE: &str = "another thread of the application is using this request's write()";

/// The status of the response when the application has failed.
const FAILED: &str = "500 Internal Server Error";

/// The objects that an application thread uses for its requests.
pub(crate) struct ThreadContext {
    pub(crate) application: Py<PyAny>,
    pub(crate) environ: Environ,
    pub(crate) callables: Callables,
    pub(crate) errors: Py<ErrorLog>,
    pub(crate) requests: RequestSource,
    pub(crate) hooks: Option<RequestHooks>,
    /// What a developer's browser gets when the application raises an exception.
    pub(crate) pages: Option<ErrorPages>,
}

impl ThreadContext {
    /// Serves a request.
    pub(crate) fn answer(&mut self, py: Python, mut exchange: Exchange) {
        let (environ, spooled) =
            match self.environ.make(py, &mut exchange, self.requests.is_shared()) {
                Ok(made) => made,
                Err(error) => return cannot_begin(py, exchange, error),
            };
        let start_response = self.callables.start_response.bind(py);
        match &self.hooks {
            None => self.serve(exchange, &environ, start_response, None),
            Some(hooks) => self.serve_hooked(hooks, exchange, &environ, start_response),
        }
        drop(environ);
        self.errors.get().end_line();
        if let Some(spooled) = spooled {
            spooled.give_back(py, &self.requests);
        }
        if !self.callables.is_ours_alone(py) {
            match Callables::new(py) {
                Ok(callables) => self.callables = callables,
                Err(error) => log::error!("cannot make start_response: {error}"),
            }
        }
    }

    /// Serves a request between its two hooks. If the first one raises, the application does not
    /// get the request, and the second one gets an empty environment and no response.
    fn serve_hooked(
        &self,
        hooks: &RequestHooks,
        mut exchange: Exchange,
        environ: &Bound<PyDict>,
        start_response: &Bound<PyAny>,
    ) {
        let py = environ.py();
        let hooked = match hooks.open(&exchange, environ) {
            Ok(hooked) => hooked,
            Err(error) => return cannot_begin(py, exchange, error.into()),
        };
        match hooks.begin(&hooked, environ, start_response) {
            Ok(start_response) => self.serve(exchange, environ, &start_response, Some(&hooked)),
            Err(error) => {
                application_error::report(py, exchange.request(), "pre_request failed", &error);
                hooked.end(Some(exchange.request()), SentPart::default());
                fail(&mut exchange, FAILED);
                exchange.finish(&|name| variable(environ, name));
            }
        }
    }

    fn serve(
        &self,
        exchange: Exchange,
        environ: &Bound<PyDict>,
        start_response: &Bound<PyAny>,
        hooked: Option<&HookedRequest>,
    ) {
        let py = environ.py();
        let conversation = self.callables.conversation.clone_ref(py);
        let socket = handed_socket::offer(py, &exchange, environ, &conversation);
        let conversation = conversation.get();
        conversation.begin(exchange);
        let result = self.respond(environ, start_response, conversation);
        match conversation.end() {
            Some(exchange) if exchange.is_switched() => {
                handed_socket::end(py, &exchange, socket, result);
                if let Some(hooked) = hooked {
                    hooked.end(Some(exchange.request()), SentPart::default());
                }
                exchange.finish(&|name| variable(environ, name));
            }
            Some(exchange) => self.end(exchange, environ, result, hooked),
            None => {
                if let Some(hooked) = hooked {
                    hooked.end(None, SentPart::default());
                }
            }
        }
    }

    fn respond(
        &self,
        environ: &Bound<PyDict>,
        start_response: &Bound<PyAny>,
        conversation: &Conversation,
    ) -> Result<(), ResponseError> {
        let py = environ.py();
        let body = self.application.bind(py).call1((environ, start_response));
        forked::leave(py, &body);
        let body = body?;
        let sent = send_body(py, &body, conversation);
        let closed = close(&body);
        forked::leave(py, &closed);
        sent?;
        closed.map_err(ResponseError::Application)
    }

    /// Ends the exchange, by the result of the response.
    fn end(
        &self,
        mut exchange: Exchange,
        environ: &Bound<PyDict>,
        result: Result<(), ResponseError>,
        hooked: Option<&HookedRequest>,
    ) {
        let variable = |name: &str| variable(environ, name);
        // What is sent for an application that fails is not its response.
        let by_failed = (hooked.is_some() && result.is_err()).then(|| SentPart::of(&exchange));
        let is_broken = self.judge(environ.py(), &mut exchange, result);
        if let Some(logging) = python_logging::current() {
            if !is_broken {
                exchange.complete();
            }
            logging.write_exchange(&mut exchange, environ, hooked);
        }
        if let Some(hooked) = hooked {
            // The response and its line in the access log do not wait for the hook.
            if !is_broken {
                exchange.conclude(&variable);
            }
            let sent = by_failed.unwrap_or_else(|| SentPart::of(&exchange));
            hooked.end(Some(exchange.request()), sent);
        }
        if is_broken {
            exchange.abort(&variable);
        } else {
            exchange.finish(&variable);
        }
    }

    /// Reports what was wrong with a response, and makes one for an application that has failed
    /// before its own was sent. Returns whether the response is broken: its rest is missing.
    fn judge(
        &self,
        py: Python,
        exchange: &mut Exchange,
        result: Result<(), ResponseError>,
    ) -> bool {
        match result {
            Ok(()) => {
                if exchange.was_cut() {
                    application_error::complain(
                        exchange.request(),
                        "more body than its Content-Length, cut",
                    );
                } else if exchange.is_short() && !exchange.is_gone() {
                    let text = "less body than its Content-Length, connection closed";
                    application_error::complain(exchange.request(), text);
                }
            }
            Err(ResponseError::ClientDisconnected) => {}
            // The application raised because its client has disconnected: nothing to report.
            Err(ResponseError::Application(_)) if exchange.is_gone() => {}
            Err(ResponseError::Application(error)) => {
                application_error::report(py, exchange.request(), "the application failed", &error);
                if exchange.is_complete() || exchange.is_committed() {
                    return !exchange.is_complete();
                }
                match self.pages.as_ref().filter(|it| it.are_for(&exchange.arrival())) {
                    Some(_) => show(exchange, &ErrorPages::page(&describe(py, &error))),
                    None => fail(exchange, FAILED),
                }
            }
        }
        false
    }
}

/// Sends the iterable that the application returned.
fn send_body(
    py: Python,
    body: &Bound<PyAny>,
    conversation: &Conversation,
) -> Result<(), ResponseError> {
    if let Ok(list) = body.cast_exact::<PyList>() {
        send_all(py, || list.iter(), conversation)?;
    } else if let Ok(tuple) = body.cast_exact::<PyTuple>() {
        send_all(py, || tuple.iter(), conversation)?;
    } else if !send_wrapped(py, body, conversation)? {
        for piece in body.try_iter()? {
            forked::leave(py, &piece);
            let more = conversation.with_exchange::<_, ResponseError>(IN_USE, |exchange| {
                put_piece(exchange, &piece?, None)?;
                await_room(py, exchange)?;
                Ok(wants_more(exchange))
            })?;
            if !more {
                break;
            }
        }
    }
    conversation.with_exchange(IN_USE, |exchange| {
        if !exchange.has_begun() {
            return Err(never_begun().into());
        }
        exchange.complete();
        Ok(())
    })
}

/// Whether another piece from the application would be sent.
fn wants_more(exchange: &Exchange) -> bool {
    // Bytes beyond Content-Length (PEP 3333, "Handling the Content-Length Header") and
    // the body of 204 and 304 are not sent; an endless body would occupy the thread.
    !exchange.is_gone() && !exchange.was_cut() && !exchange.is_bodiless()
}

/// Sends the pieces of a list, whose total length is known.
fn send_all<'py, Pieces: Iterator<Item = Bound<'py, PyAny>>>(
    py: Python,
    pieces: impl Fn() -> Pieces,
    conversation: &Conversation,
) -> Result<(), ResponseError> {
    let mut whole = 0;
    for piece in pieces() {
        let bytes = piece.cast::<PyBytes>().map_err(|_| not_bytes(&piece))?;
        whole += bytes.as_bytes().len() as u64;
    }
    conversation.with_exchange(IN_USE, |exchange| {
        for piece in pieces() {
            put_piece(exchange, &piece, Some(whole))?;
            // The whole body is in memory already, but a free thread would make the next one.
            await_room(py, exchange)?;
        }
        Ok(())
    })
}

fn put_piece(
    exchange: &mut Exchange,
    piece: &Bound<PyAny>,
    whole: Option<u64>,
) -> Result<(), ResponseError> {
    let bytes = piece.cast::<PyBytes>().map_err(|_| not_bytes(piece))?;
    if !exchange.has_begun() {
        return Err(never_begun().into());
    }
    // The head is sent with the first bytes of the body (PEP 3333).
    if !bytes.as_bytes().is_empty() {
        put(exchange, bytes, whole)?;
    }
    Ok(())
}

/// Sends a `wsgi.file_wrapper` without reading it, if it wraps a regular file or a range
/// of one.
fn send_wrapped(
    py: Python,
    body: &Bound<PyAny>,
    conversation: &Conversation,
) -> Result<bool, ResponseError> {
    let Some(extent) = file_wrapper::extent(body) else { return Ok(false) };
    conversation.with_exchange(IN_USE, |exchange| {
        if !exchange.has_begun() {
            return Err(never_begun().into());
        }
        // After write(), or with a Content-Length, the file is one piece of the body.
        if exchange.is_committed() {
            return Ok(false);
        }
        let length = exchange.promised_length().map_or(extent.length, |it| it.min(extent.length));
        py.detach(|| exchange.write_file(&extent.file, extent.offset, length))?;
        Ok(true)
    })
}

fn never_begun() -> PyErr {
    PyAssertionError::new_err("the application gave a body without calling start_response")
}

/// Closes the iterable that the application returned, also after an error.
fn close(body: &Bound<PyAny>) -> PyResult<()> {
    if body.is_exact_instance_of::<PyList>() || body.is_exact_instance_of::<PyTuple>() {
        return Ok(());
    }
    match body.getattr_opt("close")? {
        Some(close) => close.call0().map(drop),
        None => Ok(()),
    }
}

/// The value of a variable, by its name in any case, for the access log. A text has the bytes of
/// its characters (PEP 3333, "Unicode Issues"), or is encoded in UTF-8 if it has others.
fn variable(environ: &Bound<PyDict>, name: &str) -> Option<Vec<u8>> {
    let find = |name: &str| environ.get_item(name).ok().flatten();
    let is_its = |key: &Bound<PyAny>| {
        key.cast::<PyString>().is_ok_and(|key| key.to_string_lossy().eq_ignore_ascii_case(name))
    };
    let value = find(name).or_else(|| find(&name.to_ascii_uppercase())).or_else(|| {
        let mut items = environ.iter();
        items.find(|(key, _)| is_its(key)).map(|(_, value)| value)
    })?;
    let text = value.str().ok()?;
    let bytes = ffi::latin1_bytes(&text).map(Cow::into_owned);
    Some(bytes.unwrap_or_else(|_| text.to_string_lossy().into_owned().into_bytes()))
}

fn cannot_begin(py: Python, mut exchange: Exchange, error: EnvironError) {
    match error {
        EnvironError::Prefix => fail(&mut exchange, "404 Not Found"),
        EnvironError::Python(error) => {
            application_error::report(
                py,
                exchange.request(),
                "cannot make its environment",
                &error,
            );
            fail(&mut exchange, FAILED);
        }
    }
    exchange.finish(&|_| None);
}

/// Responds with this status and a body that shows nothing else.
fn fail(exchange: &mut Exchange, status: &str) {
    let begun = exchange
        .begin(status.as_bytes())
        .and_then(|()| exchange.field(b"Content-Type", b"text/plain; charset=utf-8"));
    debug_assert!(begun.is_ok(), "a status and a field of our own");
    let body = format!("{status}\n");
    // `finish` notices a client that has disconnected.
    exchange.write(body.as_bytes(), None, Some(body.len() as u64)).ok();
}

/// Responds with the page of an exception.
fn show(exchange: &mut Exchange, page: &str) {
    let mut begun = exchange.begin(FAILED.as_bytes());
    for (name, value) in ErrorPages::FIELDS {
        begun = begun.and_then(|()| exchange.field(name, value));
    }
    debug_assert!(begun.is_ok(), "a status and fields of our own");
    // `finish` notices a client that has disconnected.
    exchange.write(page.as_bytes(), None, Some(page.len() as u64)).ok();
}
