//! Connections that the application takes over, as for WebSockets: `gunicorn.socket` and
//! `werkzeug.socket` in the environ.

use std::os::fd::IntoRawFd;

use monoceros_engine::{Address, Exchange};
use monoceros_sys::fork;
use monoceros_wire::listener::UnixAddress;
use pyo3::exceptions::{PyConnectionError, PyOSError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

use crate::conversation::Conversation;
use crate::own_code::own_module;
use crate::sending::ResponseError;
use crate::{application_error, ffi};

/// The variables, by the names that libraries look for.
const VARIABLES: [&str; 2] = ["gunicorn.socket", "werkzeug.socket"];

/// The references to the socket that are the server's: one for each variable, and its own.
const OWN_REFERENCES: isize = VARIABLES.len() as isize + 1;

/// The error for a socket whose request is over, or that is used elsewhere.
const IN_USE: &str = "the request of this connection is over, or in use elsewhere";

/// The classes in Python, once a request has needed them.
static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

/// The connection of one request, as long as that runs.
#[pyclass(frozen, module = "monoceros")]
struct ConnectionOffer {
    conversation: Py<Conversation>,
    /// The request's number: the conversation has others later.
    number: u64,
}

#[pymethods]
impl ConnectionOffer {
    /// Takes over the connection. Returns a descriptor, and the addresses of both ends if the
    /// descriptor does not have them.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<(i32, Option<[Bound<'py, PyAny>; 2]>)> {
        if fork::is_forked() {
            return Err(PyOSError::new_err("another process has the connection"));
        }
        let switched = self.with_exchange(|exchange| Ok(exchange.switch()?))?;
        let names = switched
            .names
            .map(|(client, server)| Ok::<_, PyErr>([name(py, &client)?, name(py, &server)?]));
        Ok((switched.fd.into_raw_fd(), names.transpose()?))
    }

    /// The application has closed the socket.
    fn end(&self) {
        // When the request is over, the server ends the connection by itself.
        let end = |exchange: &mut Exchange| {
            exchange.end_switched();
            Ok(())
        };
        if !fork::is_forked() {
            self.with_exchange(end).ok();
        }
    }
}

impl ConnectionOffer {
    fn with_exchange<T>(&self, action: impl FnOnce(&mut Exchange) -> PyResult<T>) -> PyResult<T> {
        self.conversation.get().with_exchange(IN_USE, |exchange| {
            if exchange.request().number() != self.number {
                return Err(PyOSError::new_err(IN_USE));
            }
            action(exchange)
        })
    }
}

/// An address as Python's sockets have it.
fn name<'py>(py: Python<'py>, address: &Address) -> PyResult<Bound<'py, PyAny>> {
    Ok(match address {
        Address::Internet { ip, host, port } if ip.is_ipv4() => {
            (host, port).into_pyobject(py)?.into_any()
        }
        Address::Internet { host, port, .. } => (host, port, 0, 0).into_pyobject(py)?.into_any(),
        Address::Unix(UnixAddress::Path(path)) => path.as_os_str().into_pyobject(py)?.into_any(),
        Address::Unix(_) => PyString::new(py, "").into_any(),
    })
}

/// Offers the connection of a request to the application, if the client asks for another
/// protocol. Returns the socket in the environ.
pub(crate) fn offer<'py>(
    py: Python<'py>,
    exchange: &Exchange,
    environ: &Bound<'py, PyDict>,
    conversation: &Py<Conversation>,
) -> Option<Bound<'py, PyAny>> {
    if !exchange.may_switch() {
        return None;
    }
    let number = exchange.request().number();
    let offer = ConnectionOffer { conversation: conversation.clone_ref(py), number };
    match set_variables(environ, offer) {
        Ok(socket) => Some(socket),
        Err(error) => {
            let text = "cannot offer its connection";
            application_error::report(py, exchange.request(), text, &error);
            None
        }
    }
}

fn set_variables<'py>(
    environ: &Bound<'py, PyDict>,
    offer: ConnectionOffer,
) -> PyResult<Bound<'py, PyAny>> {
    let py = environ.py();
    let socket = module(py)?.getattr("OfferedSocket")?.call1((offer,))?;
    for name in VARIABLES {
        environ.set_item(name, &socket)?;
    }
    Ok(socket)
}

fn module<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyModule>> {
    let make = || {
        let source = include_str!("handed_socket.py");
        own_module(py, source, "monoceros.handed_socket").map(Bound::unbind)
    };
    MODULE.get_or_try_init(py, make).map(|module| module.bind(py))
}

/// Ends the request of a connection that the application has taken over, by what its call has
/// returned or raised. The client gets nothing more.
pub(crate) fn end(
    py: Python,
    exchange: &Exchange,
    socket: Option<Bound<PyAny>>,
    result: Result<(), ResponseError>,
) {
    if let Err(ResponseError::Application(error)) = &result
        && !is_end(py, error)
    {
        application_error::report(py, exchange.request(), "the application failed", error);
    }
    // A traceback refers to what the application had.
    drop(result);
    let Some(socket) = socket else { return };
    let is_used = ffi::references(&socket) > OWN_REFERENCES;
    if let Err(error) = module(py).and_then(|it| it.getattr("end")?.call1((socket, is_used))) {
        application_error::report(py, exchange.request(), "cannot close its socket", &error);
    }
}

/// Whether an exception is how an application leaves such a request: libraries raise
/// `StopIteration` for gunicorn, and a client may have gone.
fn is_end(py: Python, error: &PyErr) -> bool {
    error.is_instance_of::<PyStopIteration>(py) || error.is_instance_of::<PyConnectionError>(py)
}
