//! The layer between the bytes of a protocol and a socket.

use std::fmt;
use std::io;
use std::sync::Arc;

use monoceros_tls::Session;

use crate::transport::socket::Socket;

/// A layer over a socket, such as encryption. Its methods never wait: `WouldBlock`
/// means that the socket has nothing to read or no room, and that the call has to be
/// repeated after an event of the socket. They are called under the connection's lock,
/// one at a time.
pub trait Layer: Send + fmt::Debug {
    /// Whether a client whose first byte is this one uses the layer. A client that does
    /// not gets an error without it.
    fn admits(&self, _first: u8) -> bool {
        true
    }

    /// Continues what precedes the first byte of the protocol, such as a handshake.
    ///
    /// # Errors
    /// `WouldBlock` until it is complete; others end the connection.
    fn open(&mut self, socket: &Socket) -> io::Result<()>;

    /// Reads bytes of the protocol; 0 when the client has ended its side. Keeps none
    /// back: where bytes are left because `into` is full, the next call returns them,
    /// and before `WouldBlock` none are left.
    ///
    /// # Errors
    /// `WouldBlock`, or the reason why the connection cannot continue.
    fn read(&mut self, socket: &Socket, into: &mut [u8]) -> io::Result<usize>;

    /// Whether more can be read without an event of the socket: the last call has left
    /// bytes in the layer or in the socket, or the client has ended its side.
    fn has_more(&self) -> bool;

    /// Takes bytes of the protocol. Returns how many. They may be held until
    /// [`Layer::flush`], so that several calls of this method become one system call.
    ///
    /// # Errors
    /// `WouldBlock` when no more can be held, or the reason why the connection cannot
    /// continue.
    fn write(&mut self, socket: &Socket, bytes: &[u8]) -> io::Result<usize>;

    /// Sends the held bytes.
    ///
    /// # Errors
    /// `WouldBlock` while some are still held, or the reason why the connection cannot
    /// continue.
    fn flush(&mut self, socket: &Socket) -> io::Result<()>;

    /// Whether bytes are held.
    fn holds(&self) -> bool;

    /// Announces that nothing more follows, before our side of the socket is ended.
    /// Repeated calls announce it once.
    ///
    /// # Errors
    /// `WouldBlock` while the socket has no room for the announcement, or those of
    /// sending it.
    fn end_writing(&mut self, socket: &Socket) -> io::Result<()>;

    /// Facts of the encryption, when the connection is open and has one.
    fn session(&self) -> Option<&Arc<Session>> {
        None
    }
}

/// Makes the layer of a new connection.
#[derive(Clone)]
pub struct LayerFactory(Arc<dyn Fn() -> Box<dyn Layer> + Send + Sync>);

impl LayerFactory {
    /// A factory that calls `make` for each connection.
    pub fn new(make: impl Fn() -> Box<dyn Layer> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    pub(crate) fn make(&self) -> Box<dyn Layer> {
        (self.0)()
    }
}

impl fmt::Debug for LayerFactory {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("LayerFactory")
    }
}
