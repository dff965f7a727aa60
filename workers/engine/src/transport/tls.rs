//! TLS between HTTP and a socket.
//!
//! rustls makes and reads the records; every system call is made here. What it has
//! made is sent with one system call, when a response has been written or when much has
//! come together.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use monoceros_tls::{ClientVerifier, Session, TlsServer, explain};
use rustls::{ProtocolVersion, ServerConnection};

use crate::transport::layer::{Layer, LayerFactory};
use crate::transport::socket::Socket;

/// Bytes that are received at once, for all connections of a factory.
const SCRATCH: usize = 64 * 1024;

/// Bytes of a response that are encrypted before they are sent: a body of 64 KiB and
/// its head are sent with one system call.
const HELD: usize = 80 * 1024;

/// rustls reads at most so many bytes at once, and keeps memory for them.
const STEP: usize = 4096;

/// TLS between HTTP and a socket.
#[derive(Debug)]
pub struct TlsLayer {
    connection: ServerConnection,
    /// Verifies the client; `None` if it is not asked for a certificate.
    verifier: Option<Arc<ClientVerifier>>,
    session: Option<Arc<Session>>,
    scratch: Scratch,
    /// Received bytes that rustls has not read: its memory for plain text was full.
    ahead: Vec<u8>,
    /// The socket has been read to its end.
    is_drained: bool,
    /// Plain text may be left in rustls.
    has_plain: bool,
    /// The client has ended its side.
    has_ended: bool,
    /// Why reading cannot continue, after the bytes before it.
    failure: Option<io::Error>,
    /// Written bytes are held.
    is_holding: bool,
    /// The socket had no room.
    is_blocked: bool,
    /// The end of our side was announced.
    is_announced: bool,
}

/// Where bytes are received before they are decrypted. The connections of a worker are
/// read by one thread, one after the other.
#[derive(Clone, Debug)]
struct Scratch(Arc<Mutex<Box<[u8]>>>);

impl TlsLayer {
    /// A factory of layers that serve with `server` and offer these protocols (ALPN).
    pub fn factory(server: TlsServer, alpn: Vec<Vec<u8>>) -> LayerFactory {
        let scratch = Scratch(Arc::new(Mutex::new(vec![0; SCRATCH].into())));
        LayerFactory::new(move || Box::new(Self::new(&server, &alpn, scratch.clone())))
    }

    fn new(server: &TlsServer, alpn: &[Vec<u8>], scratch: Scratch) -> Self {
        let (mut connection, verifier) = server.connection(alpn);
        connection.set_buffer_limit(Some(HELD));
        Self {
            connection,
            verifier,
            session: None,
            scratch,
            ahead: Vec::new(),
            is_drained: false,
            has_plain: false,
            has_ended: false,
            failure: None,
            is_holding: false,
            is_blocked: false,
            is_announced: false,
        }
    }

    /// Sends what rustls has made.
    fn send(&mut self, socket: &Socket) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Sending(socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_blocked = error.kind() == ErrorKind::WouldBlock;
                    return Err(error);
                }
            }
        }
        self.is_holding = false;
        self.is_blocked = false;
        Ok(())
    }

    /// Sends what rustls has made by itself: tickets, and responses to messages of the
    /// protocol. What does not fit is sent before the next response.
    fn send_made(&mut self, socket: &Socket) -> io::Result<()> {
        match self.send(socket) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            other => other,
        }
    }

    /// Has rustls handle what it has read.
    fn process(&mut self, socket: &Socket) -> io::Result<()> {
        match self.connection.process_new_packets() {
            Ok(state) => {
                self.has_plain = state.plaintext_bytes_to_read() > 0;
                self.has_ended |= state.peer_has_closed();
                Ok(())
            }
            Err(error) => {
                // The alert that names the reason to the client, if there is room.
                self.send(socket).ok();
                let text = explain(&error, self.connection.server_name());
                Err(io::Error::new(ErrorKind::InvalidData, format!("TLS: {text}")))
            }
        }
    }

    /// Has rustls read from `bytes`. Returns whether it has read some.
    fn feed(&mut self, socket: &Socket, bytes: &mut &[u8]) -> io::Result<bool> {
        match self.connection.read_tls(bytes) {
            Ok(0) => Ok(false),
            Ok(_) => self.process(socket).map(|()| true),
            // Its memory for plain text is full.
            Err(error) if error.kind() == ErrorKind::Other => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves plain text out of rustls. Returns how many bytes.
    fn take_plain(&mut self, into: &mut [u8]) -> usize {
        if !self.has_plain || into.is_empty() {
            return 0;
        }
        let count = self.connection.reader().read(into).unwrap_or(0);
        self.has_plain = count == into.len();
        count
    }

    /// Decrypts received bytes into `into`, as far as it has room. Received bytes that
    /// are left are kept. Returns how many bytes there are in `into`.
    fn decrypt(&mut self, socket: &Socket, mut bytes: &[u8], into: &mut [u8]) -> usize {
        let mut filled = 0;
        while !bytes.is_empty() && filled < into.len() && !self.has_ended {
            match self.feed(socket, &mut bytes) {
                Ok(has_read) => {
                    let count = self.take_plain(&mut into[filled..]);
                    filled += count;
                    if !has_read && count == 0 {
                        break;
                    }
                }
                Err(error) => {
                    // What precedes the damaged record is valid.
                    self.failure = Some(error);
                    self.has_plain = true;
                    return filled + self.take_plain(&mut into[filled..]);
                }
            }
        }
        if !self.has_ended {
            self.ahead.extend_from_slice(bytes);
        }
        filled
    }

    /// Receives bytes and decrypts them. Returns how many bytes there are in `into`.
    fn receive(&mut self, socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
        let scratch = self.scratch.clone();
        let mut scratch = scratch.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Plain text is shorter than what was received, so it fits in most cases.
        let most = into.len().clamp(STEP, SCRATCH);
        let count = socket.receive(&mut scratch[..most])?;
        self.is_drained = count < most;
        // Many clients end without an announcement.
        self.has_ended |= count == 0;
        let filled = self.decrypt(socket, &scratch[..count], into);
        if count > STEP && self.is_drained {
            self.release_memory();
        }
        Ok(filled)
    }

    /// Has rustls release the memory of large records. It does that before it reads.
    fn release_memory(&mut self) {
        // Nothing is read.
        self.connection.read_tls(&mut Silence).ok();
    }

    /// Continues the handshake with received bytes. Those behind it are kept.
    fn shake_hands(&mut self, socket: &Socket, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() && self.connection.is_handshaking() {
            if !self.feed(socket, &mut bytes)? {
                break;
            }
        }
        self.ahead.extend_from_slice(bytes);
        Ok(())
    }
}

impl Layer for TlsLayer {
    fn admits(&self, first: u8) -> bool {
        // A letter is no type of a record (RFC 8446 section 5.1): it begins a method of HTTP.
        !first.is_ascii_alphabetic()
    }

    fn open(&mut self, socket: &Socket) -> io::Result<()> {
        while self.connection.is_handshaking() {
            self.send(socket)?;
            let scratch = self.scratch.clone();
            let mut scratch = scratch.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = socket.receive(&mut scratch)?;
            self.is_drained = count < SCRATCH;
            if count == 0 || self.has_ended {
                let text = "TLS: the client has ended the connection during the handshake";
                return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
            }
            self.shake_hands(socket, &scratch[..count])?;
        }
        // With TLS 1.3 only tickets are left. They are sent with the first response, or
        // when the client's request is waited for: one system call less.
        if self.connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            self.send(socket)?;
        }
        if self.session.is_none() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            let session = Session::new(&self.connection, self.verifier.as_deref(), now);
            let refusal = |why| io::Error::new(ErrorKind::PermissionDenied, format!("TLS: {why}"));
            self.session = Some(Arc::new(session.map_err(refusal)?));
        }
        Ok(())
    }

    fn read(&mut self, socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
        let mut count = self.take_plain(into);
        while count == 0 && !into.is_empty() {
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            count = if self.has_ended {
                return Ok(0);
            } else if self.ahead.is_empty() {
                match self.receive(socket, into) {
                    Ok(count) => count,
                    Err(error) => {
                        if error.kind() == ErrorKind::WouldBlock && !self.is_blocked {
                            self.send_made(socket)?;
                        }
                        return Err(error);
                    }
                }
            } else {
                let ahead = std::mem::take(&mut self.ahead);
                self.decrypt(socket, &ahead, into)
            };
        }
        Ok(count)
    }

    fn has_more(&self) -> bool {
        let has_arrived = self.has_plain || !self.ahead.is_empty() || !self.is_drained;
        has_arrived || self.has_ended || self.failure.is_some()
    }

    fn write(&mut self, socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
        if self.is_blocked {
            self.send(socket)?;
        }
        let mut count = self.connection.writer().write(bytes)?;
        if count == 0 && !bytes.is_empty() {
            self.send(socket)?;
            count = self.connection.writer().write(bytes)?;
            if count == 0 {
                let text = "TLS: the keys of the connection are used up";
                return Err(io::Error::other(text));
            }
        }
        self.is_holding = true;
        Ok(count)
    }

    fn flush(&mut self, socket: &Socket) -> io::Result<()> {
        self.send(socket)
    }

    fn holds(&self) -> bool {
        self.is_holding
    }

    fn end_writing(&mut self, socket: &Socket) -> io::Result<()> {
        if !std::mem::replace(&mut self.is_announced, true) {
            self.connection.send_close_notify();
            self.is_holding = true;
        }
        self.send(socket)
    }

    fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }
}

/// The socket, as rustls writes to it.
struct Sending<'a>(&'a Socket);

impl Write for Sending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes, false)
    }

    fn write_vectored(&mut self, parts: &[IoSlice]) -> io::Result<usize> {
        match parts {
            [part] => self.0.send(part, false),
            parts => self.0.send_parts(parts),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A source that has nothing now.
struct Silence;

impl Read for Silence {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

#[cfg(test)]
mod tests;
