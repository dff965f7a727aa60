//! One client with one connection and one request outstanding.

use std::io::{ErrorKind, Read, Result};
use std::net::SocketAddr;

use mio::event::Event;
use mio::{Interest, Registry, Token};
use rustls::{ClientConnection, HandshakeKind};

use super::record::{Ending, Exchange};
use crate::answer::{Answer, Outcome, Progress};
use crate::stream::Stream;

pub struct Client {
    stream: Stream,
    exchange: Exchange,
    answer: Answer,
    /// Whether the connection has carried a request.
    established: bool,
    /// Whether the request is out.
    sent: bool,
    /// Whether the exchange is the connection's first.
    is_first: bool,
}

/// What an event has led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Wait,
    Ended {
        ending: Ending,
        /// Whether the connection can take another request.
        keep: bool,
    },
}

const UNCONNECTED: Step = Step::Ended { ending: Ending::Unconnected, keep: false };
const BROKEN: Step = Step::Ended { ending: Ending::Exchanged(Outcome::Broken), keep: false };

impl Client {
    /// Begins to connect.
    pub fn connect(
        registry: &Registry,
        token: Token,
        address: SocketAddr,
        session: Option<ClientConnection>,
        exchange: Exchange,
    ) -> Result<Self> {
        let mut stream = Stream::connect(address, session)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream.socket, token, interest)?;
        Ok(Self {
            stream,
            exchange,
            answer: Answer::default(),
            established: false,
            sent: false,
            is_first: true,
        })
    }

    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The kind of the TLS handshake, for the connection's first exchange.
    pub fn handshake(&self) -> Option<HandshakeKind> {
        self.stream.handshake().filter(|_| self.is_first)
    }

    /// Another exchange begins over the same connection.
    pub fn renew(&mut self, exchange: Exchange) {
        self.exchange = exchange;
        self.answer.clear();
        self.sent = false;
        self.is_first = false;
    }

    /// Sends the request if the connection is established. A request is short: it goes out whole or not at all.
    pub fn send(&mut self, request: &[u8]) -> Step {
        match self.stream.send(request) {
            Ok(count) if count == request.len() => {
                self.established = true;
                self.sent = true;
                Step::Wait
            }
            Ok(_) => BROKEN,
            Err(error) if is_early(&error) => Step::Wait,
            Err(_) if self.established => BROKEN,
            Err(_) => UNCONNECTED,
        }
    }

    /// Does what the event makes possible.
    pub fn ready(&mut self, event: &Event, request: &[u8], buffer: &mut [u8]) -> Step {
        if !self.sent {
            let step = self.send(request);
            if step != Step::Wait || !self.sent {
                return step;
            }
        } else if self.stream.flush().is_err() {
            return BROKEN;
        }
        if !event.is_readable() && !event.is_error() && !event.is_read_closed() {
            return Step::Wait;
        }
        self.receive(event.is_read_closed(), buffer)
    }

    /// Reads what has come. `closing`: the server sends nothing after it.
    fn receive(&mut self, closing: bool, buffer: &mut [u8]) -> Step {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => {
                    let ending = Ending::Exchanged(self.answer.finish());
                    return Step::Ended { ending, keep: false };
                }
                Ok(count) => count,
                Err(error) if is_early(&error) => return Step::Wait,
                Err(_) => return BROKEN,
            };
            if let Progress::Complete { outcome, keep } = self.answer.take(&buffer[..count]) {
                return Step::Ended { ending: Ending::Exchanged(outcome), keep: keep && !closing };
            }
            if self.stream.reads_all() && count < buffer.len() && !closing {
                // All is read, and the next bytes are an event of their own.
                return Step::Wait;
            }
        }
    }
}

/// Nothing can be done yet. Linux answers EAGAIN while a connection is being established.
fn is_early(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}
