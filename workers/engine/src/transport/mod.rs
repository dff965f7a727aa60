//! The way of a connection's bytes to its socket, and the bytes that wait for room
//! there.

pub(crate) mod file_range;
pub(crate) mod layer;
pub(crate) mod outgoing;
pub(crate) mod payload;
pub(crate) mod pledge;
pub(crate) mod room;
pub(crate) mod socket;

use std::io;

use crate::transport::layer::Layer;
use crate::transport::socket::Socket;

/// The way of the protocol's bytes to the socket of a connection.
#[derive(Debug, Default)]
pub(crate) enum Transport {
    /// Unchanged.
    #[default]
    Plain,
    /// Through a layer.
    Layered(Box<dyn Layer>),
}

impl Transport {
    /// Whether the bytes of the protocol are those of the socket.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }

    /// Continues opening the connection. Returns whether that is complete.
    ///
    /// # Errors
    /// The reason why the connection cannot continue.
    pub(crate) fn open(&mut self, socket: &Socket) -> io::Result<bool> {
        let Self::Layered(layer) = self else { return Ok(true) };
        match layer.open(socket) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn read(&mut self, socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain => socket.receive(into),
            Self::Layered(layer) => layer.read(socket, into),
        }
    }

    pub(crate) fn write(&mut self, socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain => socket.send(bytes, false),
            Self::Layered(layer) => layer.write(socket, bytes),
        }
    }

    /// Sends the bytes that the transport holds itself.
    ///
    /// # Errors
    /// `WouldBlock` while some are held, or the reason why the connection cannot
    /// continue.
    pub(crate) fn flush(&mut self, socket: &Socket) -> io::Result<()> {
        match self {
            Self::Plain => Ok(()),
            Self::Layered(layer) => layer.flush(socket),
        }
    }

    /// Whether the transport itself holds bytes that have been written.
    pub(crate) fn holds(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Layered(layer) => layer.holds(),
        }
    }

    /// Ends our side.
    ///
    /// # Errors
    /// Those of `shutdown(2)` and of the layer.
    pub(crate) fn end_writing(&mut self, socket: &Socket) -> io::Result<()> {
        if let Self::Layered(layer) = self {
            layer.end_writing(socket)?;
        }
        socket.end_writing()
    }
}
