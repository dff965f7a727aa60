//! One connection: a request out, an answer in.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};

use crate::answer::{Answer, Outcome, Progress};

pub struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    answer: Answer,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self { address, stream: connect(address)?, answer: Answer::default() })
    }

    /// Sends a request, over a new connection if the server has closed this idle one meanwhile.
    pub fn send(&mut self, request: &[u8]) -> Result<()> {
        self.answer.clear();
        if !self.is_open() {
            self.reopen()?;
        }
        match self.stream.write_all(request) {
            Ok(()) => Ok(()),
            Err(_) => {
                self.reopen()?;
                self.stream.write_all(request)
            }
        }
    }

    /// Reads what has come; `None` while the answer is incomplete.
    pub fn receive(&mut self) -> Option<Outcome> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => {
                let _ = self.reopen();
                Some(self.answer.finish())
            }
            Ok(count) => match self.answer.take(&chunk[..count]) {
                Progress::Partial => None,
                Progress::Complete { outcome, keep } => {
                    if !keep {
                        // A failure shows again, and is counted, when the connection is used next.
                        let _ = self.reopen();
                    }
                    Some(outcome)
                }
            },
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => {
                let _ = self.reopen();
                Some(Outcome::Broken)
            }
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    fn reopen(&mut self) -> Result<()> {
        self.stream = connect(self.address)?;
        Ok(())
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
