//! Passes the bytes of a response to the engine, with the errors that end it early.

use monoceros_engine::{COPY_LIMIT, ClientDisconnected, Exchange, Payload};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::ffi::SentBytes;

/// The reason why a response ended early.
pub(crate) enum ResponseError {
    /// The client has disconnected.
    ClientDisconnected,
    /// The application raised an exception, or violated PEP 3333.
    Application(PyErr),
}

impl From<PyErr> for ResponseError {
    fn from(error: PyErr) -> Self {
        Self::Application(error)
    }
}

impl From<ClientDisconnected> for ResponseError {
    fn from(_: ClientDisconnected) -> Self {
        Self::ClientDisconnected
    }
}

/// Sends bytes, or queues them for the client.
pub(crate) fn put(
    exchange: &mut Exchange,
    bytes: &Bound<PyBytes>,
    whole: Option<u64>,
) -> Result<(), ClientDisconnected> {
    let slice = bytes.as_bytes();
    let owner =
        (slice.len() > COPY_LIMIT).then(|| Box::new(SentBytes::new(bytes)) as Box<dyn Payload>);
    if exchange.takes_long(slice.len()) {
        return bytes.py().detach(|| exchange.write(slice, owner, whole));
    }
    exchange.write(slice, owner, whole)
}

/// Waits while too many bytes are queued for the client. Python's signal handlers run
/// meanwhile, and an exception of theirs ends the wait.
pub(crate) fn await_room(py: Python, exchange: &mut Exchange) -> Result<(), ResponseError> {
    while exchange.is_crowded() {
        py.detach(|| exchange.wait_for_room())?;
        py.check_signals()?;
    }
    Ok(())
}
