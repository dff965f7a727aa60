//! One connection: a request out, an answer in. Knows just enough HTTP to find the end of an answer.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};

/// How one exchange ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A complete answer with a status of 2xx.
    Answered,
    /// A complete answer with any other status.
    Refused,
    /// The connection ended first.
    Broken,
}

/// What has come so far.
enum Progress {
    Partial,
    /// Complete; whether the server keeps the connection.
    Complete {
        keep: bool,
    },
}

pub struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    input: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self { address, stream: connect(address)?, input: Vec::with_capacity(4096) })
    }

    /// Sends a request, over a new connection if the server has closed this idle one meanwhile.
    pub fn send(&mut self, request: &[u8]) -> Result<()> {
        self.input.clear();
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
            Ok(0) => Some(self.finish_at_end()),
            Ok(count) => {
                self.input.extend_from_slice(&chunk[..count]);
                match progress(&self.input) {
                    Progress::Partial => None,
                    Progress::Complete { keep } => Some(self.finish(keep)),
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => {
                let _ = self.reopen();
                Some(Outcome::Broken)
            }
        }
    }

    fn finish(&mut self, keep: bool) -> Outcome {
        if !keep {
            // A failure shows again, and is counted, when the connection is used next.
            let _ = self.reopen();
        }
        outcome(&self.input)
    }

    /// An answer without a length ends with the connection (RFC 9112 section 6.3).
    fn finish_at_end(&mut self) -> Outcome {
        let _ = self.reopen();
        let complete = head_end(&self.input).is_some_and(|end| {
            let head = &self.input[..end];
            header(head, "content-length").is_none() && header(head, "transfer-encoding").is_none()
        });
        if complete { outcome(&self.input) } else { Outcome::Broken }
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

fn outcome(input: &[u8]) -> Outcome {
    // "HTTP/1.1 200": the status class is the tenth byte.
    if input.get(9) == Some(&b'2') { Outcome::Answered } else { Outcome::Refused }
}

/// Where the body starts.
fn head_end(input: &[u8]) -> Option<usize> {
    input.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// The value of a header, by its lower-case name.
fn header(head: &[u8], name: &str) -> Option<String> {
    String::from_utf8_lossy(head).lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_ascii_lowercase())
    })
}

fn progress(input: &[u8]) -> Progress {
    let Some(end) = head_end(input) else {
        return Progress::Partial;
    };
    let (head, body) = input.split_at(end);
    let length = header(head, "content-length").and_then(|value| value.parse::<usize>().ok());
    let complete = match length {
        Some(length) => body.len() >= length,
        None if header(head, "transfer-encoding").is_some() => body.ends_with(b"0\r\n\r\n"),
        None => false,
    };
    if !complete {
        return Progress::Partial;
    }
    let connection = header(head, "connection").unwrap_or_default();
    let keep =
        connection != "close" && (head.starts_with(b"HTTP/1.1") || connection == "keep-alive");
    Progress::Complete { keep }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeps(input: &str) -> Option<bool> {
        match progress(input.as_bytes()) {
            Progress::Partial => None,
            Progress::Complete { keep } => Some(keep),
        }
    }

    #[test]
    fn a_length_says_where_the_answer_ends() {
        assert_eq!(keeps("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na"), None);
        assert_eq!(keeps("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab"), Some(true));
    }

    #[test]
    fn the_last_chunk_ends_a_chunked_answer() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(keeps(&format!("{head}1\r\na\r\n")), None);
        assert_eq!(keeps(&format!("{head}1\r\na\r\n0\r\n\r\n")), Some(true));
    }

    #[test]
    fn a_server_that_closes_is_believed() {
        assert_eq!(
            keeps("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n"),
            Some(false)
        );
        assert_eq!(keeps("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"), Some(false));
    }

    #[test]
    fn only_2xx_is_an_answer() {
        assert_eq!(outcome(b"HTTP/1.1 204 No Content\r\n\r\n"), Outcome::Answered);
        assert_eq!(outcome(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), Outcome::Refused);
    }
}
