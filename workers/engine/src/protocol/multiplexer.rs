//! Protocols that carry several streams on one connection, such as HTTP/2. An
//! implementation has bytes on one side, and heads and data on the other, and does no
//! I/O.

use std::fmt;
use std::sync::Arc;

use monoceros_http::{Head, Reject, ResponseHead};

/// An event of the protocol. Streams are named by the protocol's numbers.
#[derive(Debug)]
pub enum ProtocolEvent {
    /// A request begins.
    Head {
        /// Its stream.
        stream: u32,
        /// Request line and header fields.
        head: Box<Head>,
        /// The request has no body.
        ends: bool,
    },
    /// A part of a request's body.
    Data {
        /// Its stream.
        stream: u32,
        /// The bytes.
        bytes: Vec<u8>,
        /// The part is the last one.
        ends: bool,
    },
    /// The client gives up a stream.
    Reset {
        /// The stream.
        stream: u32,
    },
}

/// Such a protocol on one connection. It is called under the connection's lock, so that
/// its bytes are sent in the order in which it made them.
pub trait Multiplexer: Send + fmt::Debug {
    /// Reads bytes of the client. Returns how many were used; the others are passed
    /// again with those that follow.
    ///
    /// # Errors
    /// The bytes are malformed: the connection ends. The text is the reason.
    fn read(&mut self, bytes: &[u8], events: &mut Vec<ProtocolEvent>) -> Result<usize, Reject>;

    /// Appends the head of a response; `ends` is set for one without a body.
    fn push_head(&mut self, stream: u32, head: &ResponseHead, ends: bool, out: &mut Vec<u8>);

    /// Appends a part of the body of a response; `ends` is set for the last part, which
    /// may be empty.
    fn push_data(&mut self, stream: u32, bytes: &[u8], ends: bool, out: &mut Vec<u8>);

    /// Appends the protocol's error that ends a stream before its response is complete.
    fn push_reset(&mut self, stream: u32, out: &mut Vec<u8>);

    /// Appends the protocol's announcement that no further stream is taken: the worker
    /// drains.
    fn push_drain(&mut self, out: &mut Vec<u8>);
}

/// Makes the protocol of a new connection.
#[derive(Clone)]
pub struct MultiplexerFactory(Arc<dyn Fn() -> Box<dyn Multiplexer> + Send + Sync>);

impl MultiplexerFactory {
    /// A factory that calls `make` for each connection.
    pub fn new(make: impl Fn() -> Box<dyn Multiplexer> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    pub(crate) fn make(&self) -> Box<dyn Multiplexer> {
        (self.0)()
    }
}

impl fmt::Debug for MultiplexerFactory {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("MultiplexerFactory")
    }
}
