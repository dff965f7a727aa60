//! A connection, plain or with TLS, that never waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use rustls::{ClientConnection, HandshakeKind};

/// A connection of a client.
pub struct Stream {
    pub socket: TcpStream,
    session: Option<ClientConnection>,
}

impl Stream {
    /// Begins to connect.
    pub fn connect(address: SocketAddr, session: Option<ClientConnection>) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, session })
    }

    /// Whether what a read gives is all that the socket had, if it gives less than it could.
    pub fn reads_all(&self) -> bool {
        self.session.is_none()
    }

    /// The kind of the handshake, once it is over.
    pub fn handshake(&self) -> Option<HandshakeKind> {
        self.session.as_ref()?.handshake_kind()
    }

    /// Takes a request. With TLS it goes out as soon as the handshake allows it.
    pub fn send(&mut self, request: &[u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else {
            return self.socket.write(request);
        };
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        // An error as long as it is not connected: the request is taken later.
        self.socket.peer_addr()?;
        let count = session.writer().write(request)?;
        self.flush()?;
        Ok(count)
    }

    /// Sends records that wait, as far as the socket takes them.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        while session.wants_write() {
            match session.write_tls(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                other => other?,
            };
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(session) = &mut self.session else {
                return self.socket.read(buffer);
            };
            match session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => (),
                // The socket has ended without close_notify.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            session.read_tls(&mut self.socket)?;
            session.process_new_packets().map_err(io::Error::other)?;
            self.flush()?;
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(session) = &mut self.session {
            session.send_close_notify();
            // The socket may be closed already.
            let _ = self.flush();
        }
    }
}
