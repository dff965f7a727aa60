//! Handing bytes of a response to the engine, and what ends that early.

use monoceros_engine::{COPY_LIMIT, ClientDisconnected, Exchange, Payload};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::ffi::SentBytes;

/// Why an answer ended before its end.
pub(crate) enum ResponseError {
    /// The client is gone.
    ClientDisconnected,
    /// The application raised, or broke the protocol.
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

/// Sends bytes, or has them wait for the client.
pub(crate) fn put(
    exchange: &mut Exchange,
    bytes: &Bound<PyBytes>,
    whole: Option<u64>,
) -> Result<(), ClientDisconnected> {
    let slice = bytes.as_bytes();
    let owner =
        (slice.len() > COPY_LIMIT).then(|| Box::new(SentBytes::new(bytes)) as Box<dyn Payload>);
    exchange.write(slice, owner, whole)
}

/// Waits while too much waits for the client. Python's signal handlers run
/// meanwhile, and what they raise ends the wait.
pub(crate) fn await_room(py: Python, exchange: &mut Exchange) -> Result<(), ResponseError> {
    while exchange.is_crowded() {
        py.detach(|| exchange.wait_for_room())?;
        py.check_signals()?;
    }
    Ok(())
}
