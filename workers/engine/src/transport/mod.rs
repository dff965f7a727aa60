//! The way of a connection's bytes to its socket, and the bytes that wait for room
//! there.

pub(crate) mod file_range;
pub(crate) mod layer;
pub(crate) mod outgoing;
pub(crate) mod payload;
pub(crate) mod pledge;
pub(crate) mod room;
pub(crate) mod socket;
pub(crate) mod tls;
pub(crate) mod tls_material;

use std::io;
use std::sync::Arc;

use monoceros_tls::Session;

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

    /// Whether a client whose first byte is this one uses the layer.
    pub(crate) fn admits(&self, first: u8) -> bool {
        match self {
            Self::Plain => true,
            Self::Layered(layer) => layer.admits(first),
        }
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

    /// Reads bytes of the protocol. Returns how many, and whether more may be available
    /// without an event of the socket.
    pub(crate) fn read(&mut self, socket: &Socket, into: &mut [u8]) -> io::Result<(usize, bool)> {
        match self {
            Self::Plain => {
                let count = socket.receive(into)?;
                Ok((count, count == into.len()))
            }
            Self::Layered(layer) => {
                let count = layer.read(socket, into)?;
                Ok((count, layer.has_more()))
            }
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

    /// Announces the end of our side, which the socket does not do by itself.
    ///
    /// # Errors
    /// Those of the layer.
    pub(crate) fn announce_end(&mut self, socket: &Socket) -> io::Result<()> {
        match self {
            Self::Plain => Ok(()),
            Self::Layered(layer) => layer.end_writing(socket),
        }
    }

    /// Facts of the encryption, when the connection is open and has one.
    pub(crate) fn session(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Plain => None,
            Self::Layered(layer) => layer.session(),
        }
    }

    /// Ends our side.
    ///
    /// # Errors
    /// Those of `shutdown(2)` and of the layer; `WouldBlock` while the layer has to
    /// announce the end first.
    pub(crate) fn end_writing(&mut self, socket: &Socket) -> io::Result<()> {
        self.announce_end(socket)?;
        socket.end_writing()
    }
}
