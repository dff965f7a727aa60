//! One client with one connection and one request outstanding.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::SocketAddr;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::record::{Ending, Exchange};
use crate::answer::{Answer, Outcome, Progress};

pub struct Client {
    stream: TcpStream,
    exchange: Exchange,
    answer: Answer,
    /// Whether the connection has carried a request.
    established: bool,
    /// Whether the request is out.
    sent: bool,
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
        exchange: Exchange,
    ) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, exchange, answer: Answer::default(), established: false, sent: false })
    }

    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Another exchange begins over the same connection.
    pub fn renew(&mut self, exchange: Exchange) {
        self.exchange = exchange;
        self.answer.clear();
        self.sent = false;
    }

    /// Sends the request if the connection is established. A request is short: it goes out whole or not at all.
    pub fn send(&mut self, request: &[u8]) -> Step {
        match self.stream.write(request) {
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
            if count < buffer.len() && !closing {
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
