//! The callables `start_response` and `write`, by which the application makes its
//! response (PEP 3333, "The start_response() Callable").

use std::sync::{Mutex, MutexGuard, PoisonError};

use monoceros_engine::Exchange;
use monoceros_sys::fork;
use pyo3::exceptions::{PyAssertionError, PyBrokenPipeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PySequence, PyString, PyTuple};

use crate::ffi;
use crate::sending::{self, ResponseError};

/// The error for an application that uses a request in two places at a time.
const IN_USE: &str = "the request is over, or in use elsewhere";

/// Holds the exchange while the application may use it. It serves one request after
/// the other, unless the application keeps a reference.
#[pyclass(frozen, module = "monoceros")]
#[derive(Default)]
pub(crate) struct Conversation {
    turn: Mutex<CurrentRequest>,
    write: Mutex<Option<Py<PyAny>>>,
}

/// The request of a conversation.
#[derive(Default)]
struct CurrentRequest {
    /// `None` while a thread uses it, and between two requests.
    exchange: Option<Exchange>,
    /// The application has finished the request: a thread that still uses the
    /// exchange drops it afterwards.
    is_over: bool,
}

/// A conversation, and its two callables, which refer to it.
pub(crate) struct Callables {
    pub(crate) conversation: Py<Conversation>,
    pub(crate) start_response: Py<PyAny>,
}

impl Callables {
    pub(crate) fn new(py: Python) -> PyResult<Self> {
        let conversation = Bound::new(py, Conversation::default())?;
        let write = conversation.getattr("write")?.unbind();
        *lock(&conversation.get().write) = Some(write);
        let start_response = conversation.getattr("start_response")?.unbind();
        Ok(Self { conversation: conversation.unbind(), start_response })
    }

    /// Whether the application has kept no reference.
    pub(crate) fn is_ours_alone(&self, py: Python) -> bool {
        let write = lock(&self.conversation.get().write);
        let kept = write.as_ref().is_none_or(|write| ffi::references(write.bind(py)) > 1);
        !kept && ffi::references(self.start_response.bind(py)) == 1
    }
}

impl Drop for Callables {
    fn drop(&mut self) {
        // The conversation and `write` refer to each other.
        lock(&self.conversation.get().write).take();
    }
}

impl Conversation {
    /// Gives an exchange to the application.
    pub(crate) fn begin(&self, exchange: Exchange) {
        *lock(&self.turn) = CurrentRequest { exchange: Some(exchange), is_over: false };
    }

    /// Takes the exchange from the application at the end of the request; `None` if
    /// one of its threads still uses it.
    pub(crate) fn end(&self) -> Option<Exchange> {
        let mut turn = lock(&self.turn);
        turn.is_over = true;
        turn.exchange.take()
    }

    /// Takes the exchange, to use it.
    fn take(&self) -> Option<Exchange> {
        lock(&self.turn).exchange.take()
    }

    /// Puts the exchange back. If the request has ended meanwhile, the exchange is
    /// dropped, and the connection is broken: how much the client has received is not
    /// known.
    fn put(&self, exchange: Exchange) {
        let mut turn = lock(&self.turn);
        if !turn.is_over {
            turn.exchange = Some(exchange);
        }
    }

    /// Runs an action on the exchange. Meanwhile other threads of the application, and
    /// what the action itself calls, get an error with this text.
    pub(crate) fn with_exchange<T, E: From<PyErr>>(
        &self,
        in_use: &'static str,
        action: impl FnOnce(&mut Exchange) -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(mut exchange) = self.take() else {
            return Err(PyAssertionError::new_err(in_use).into());
        };
        let result = action(&mut exchange);
        self.put(exchange);
        result
    }
}

#[pymethods]
impl Conversation {
    /// Begins the response; returns the callable `write(body)`. Nothing is sent on a connection
    /// that the application has taken over.
    #[pyo3(signature = (status, headers, exc_info = None))]
    fn start_response(
        &self,
        py: Python,
        status: &Bound<PyAny>,
        headers: &Bound<PyAny>,
        exc_info: Option<&Bound<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        self.with_exchange(IN_USE, |exchange| {
            if exchange.is_switched() {
                return Ok(());
            }
            match exc_info.filter(|info| !info.is_none()) {
                Some(info) if exchange.is_committed() => return Err(exception_of(info)),
                None if exchange.has_begun() => {
                    let text = "start_response was called before; \
                        calling it again takes exc_info";
                    return Err(PyAssertionError::new_err(text));
                }
                Some(_) | None => {}
            }
            let begun = begin(exchange, status, headers);
            if begun.is_err() {
                exchange.reset();
            }
            begun
        })?;
        let write = lock(&self.write);
        write
            .as_ref()
            .map(|write| write.clone_ref(py))
            .ok_or_else(|| PyAssertionError::new_err("the request is over"))
    }

    /// Sends a piece of the body at once.
    fn write(&self, py: Python, body: &Bound<PyAny>) -> PyResult<()> {
        let Ok(bytes) = body.cast::<PyBytes>() else {
            return Err(not_bytes(body));
        };
        if fork::is_forked() {
            return Err(PyBrokenPipeError::new_err("another process answers this request"));
        }
        self.with_exchange(IN_USE, |exchange| {
            if !exchange.has_begun() {
                return Err(PyAssertionError::new_err("write was called before start_response"));
            }
            sending::put(exchange, bytes, None).map_err(|gone| raised(gone.into()))?;
            sending::await_room(py, exchange).map_err(raised)
        })
    }
}

fn raised(broken: ResponseError) -> PyErr {
    match broken {
        ResponseError::ClientDisconnected => PyBrokenPipeError::new_err("the client has gone"),
        ResponseError::Application(error) => error,
    }
}

fn begin(exchange: &mut Exchange, status: &Bound<PyAny>, fields: &Bound<PyAny>) -> PyResult<()> {
    let status = text(status, "the status")?;
    exchange.begin(&ffi::latin1_bytes(status)?).map_err(|fault| refused("status", &fault))?;
    if let Ok(list) = fields.cast_exact::<PyList>() {
        for field in list {
            add(exchange, &field)?;
        }
        return Ok(());
    }
    for field in fields.try_iter()? {
        add(exchange, &field?)?;
    }
    Ok(())
}

fn add(exchange: &mut Exchange, field: &Bound<PyAny>) -> PyResult<()> {
    let (name, value) = pair(field)?;
    let (name, value) = (text(&name, "a header name")?, text(&value, "a header value")?);
    exchange
        .field(&ffi::latin1_bytes(name)?, &ffi::latin1_bytes(value)?)
        .map_err(|fault| refused(&format!("header {name:?}"), &fault))
}

/// The two parts of a header. PEP 3333 requires a tuple; lists and other sequences
/// of two items are accepted too, since they are common and have no other meaning. A
/// text of two characters is refused, since it is a mistake.
fn pair<'py>(field: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let no_pair = || PyTypeError::new_err("each header must be a tuple of a name and a value");
    if let Ok(pair) = field.cast::<PyTuple>()
        && pair.len() == 2
    {
        return Ok((pair.get_item(0)?, pair.get_item(1)?));
    }
    let is_text = field.is_instance_of::<PyString>() || field.is_instance_of::<PyBytes>();
    let Ok(sequence) = field.cast::<PySequence>() else { return Err(no_pair()) };
    if is_text || sequence.len()? != 2 {
        return Err(no_pair());
    }
    Ok((sequence.get_item(0)?, sequence.get_item(1)?))
}

fn text<'a, 'py>(object: &'a Bound<'py, PyAny>, what: &str) -> PyResult<&'a Bound<'py, PyString>> {
    object.cast::<PyString>().map_err(|_| {
        let kind =
            object.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
        PyTypeError::new_err(format!("{what} must be a str, not {kind}"))
    })
}

fn refused(what: &str, fault: &monoceros_engine::Fault) -> PyErr {
    PyValueError::new_err(format!("invalid {what}: {fault}"))
}

/// The error for a piece of a body that is not bytes.
pub(crate) fn not_bytes(object: &Bound<PyAny>) -> PyErr {
    let kind = object.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("a piece of the body must be bytes, not {kind}"))
}

/// The exception of an `exc_info` tuple, to be raised again.
fn exception_of(info: &Bound<PyAny>) -> PyErr {
    let value = info.get_item(1).ok().filter(|value| !value.is_none());
    value.map_or_else(
        || PyAssertionError::new_err("the answer has begun, and exc_info has no exception"),
        PyErr::from_value,
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
