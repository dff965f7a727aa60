//! The socket of a connection. Every system call on a connection is made here.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use monoceros_sys::fork::Private;
use monoceros_sys::socket;
use socket2::SockRef;

/// How much of an unbuffered response the kernel holds, in bytes.
const UNSENT_LIMIT: u32 = 16 * 1024;

/// A connected socket that does not block. Errors are those of the system calls, among
/// them `WouldBlock` where the call would have to wait. It counts the bytes that pass: one
/// thread at a time reads, and one at a time sends, so a load and a store are enough.
#[derive(Debug)]
pub struct Socket {
    fd: Private,
    received: AtomicU64,
    sent: AtomicU64,
}

/// How many bytes a connection has received and sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Socket {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd: fd.into(), received: AtomicU64::new(0), sent: AtomicU64::new(0) }
    }

    /// How many bytes have passed so far.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic { received: self.received.load(Relaxed), sent: self.sent.load(Relaxed) }
    }

    /// Counts bytes that the kernel has sent from a file.
    pub(crate) fn note_sent(&self, count: usize) {
        count_bytes(&self.sent, count);
    }

    /// Receives bytes; 0 when the client has ended its side (`recv(2)`).
    ///
    /// # Errors
    /// Those of `recv(2)`.
    pub fn receive(&self, into: &mut [u8]) -> io::Result<usize> {
        let count = socket::receive(self.fd.as_fd(), into)?;
        count_bytes(&self.received, count);
        Ok(count)
    }

    /// Sends bytes, as far as the socket has room; `more` is set when others follow at
    /// once (`MSG_MORE`, `send(2)`).
    ///
    /// # Errors
    /// Those of `send(2)`.
    pub fn send(&self, bytes: &[u8], more: bool) -> io::Result<usize> {
        let count = socket::send(self.fd.as_fd(), bytes, more)?;
        count_bytes(&self.sent, count);
        Ok(count)
    }

    /// As above, with several parts.
    pub(crate) fn send_parts(&self, parts: &[IoSlice]) -> io::Result<usize> {
        let count = socket::send_parts(self.fd.as_fd(), parts, false)?;
        count_bytes(&self.sent, count);
        Ok(count)
    }

    /// Receives into two places, one after the other.
    pub(crate) fn receive_parts(&self, parts: [&mut [u8]; 2]) -> io::Result<usize> {
        let count = socket::receive_parts(self.fd.as_fd(), parts)?;
        count_bytes(&self.received, count);
        Ok(count)
    }

    /// Reads bytes and leaves them in the socket.
    pub(crate) fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        socket::peek(self.fd.as_fd(), into)
    }

    /// Whether bytes, or an end, have arrived that were not read.
    pub(crate) fn has_arrived(&self) -> bool {
        let looked = self.peek(&mut [0]);
        !matches!(looked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether the client has ended its side or has gone.
    pub(crate) fn has_ended(&self) -> bool {
        socket::has_ended(self.fd.as_fd())
    }

    /// Whether the connection is broken, or the client has closed all of it.
    pub(crate) fn is_broken(&self) -> bool {
        socket::is_broken(self.fd.as_fd())
    }

    /// Bytes that the client's system has not acknowledged.
    pub(crate) fn undelivered(&self) -> usize {
        socket::undelivered(self.fd.as_fd())
    }

    /// Bytes that have not left this machine.
    pub(crate) fn untransmitted(&self) -> usize {
        socket::untransmitted(self.fd.as_fd())
    }

    /// Ends our side (`shutdown(2)`): the client gets an end after what was sent.
    pub(crate) fn end_writing(&self) -> io::Result<()> {
        socket::shutdown_write(self.fd.as_fd())
    }

    /// Ends the client's side: every holder of the descriptor reads an end behind what has
    /// arrived.
    pub(crate) fn end_reading(&self) {
        // A connection that has ended reads as one.
        SockRef::from(&self.fd).shutdown(Shutdown::Read).ok();
    }

    /// Ends both sides, for every process that holds the descriptor.
    pub(crate) fn end(&self) {
        // A connection that has ended needs no reset.
        socket::shutdown(self.fd.as_fd()).ok();
    }

    /// Resets the connection, for every process that holds the descriptor.
    pub(crate) fn reset(&self) {
        // A connection that has ended needs no reset.
        socket::reset(self.fd.as_fd()).ok();
    }

    /// Sets whether closing the last copy of the descriptor resets the connection
    /// (`SO_LINGER`, `socket(7)`). Returns whether that is possible: a unix socket has
    /// no reset.
    pub(crate) fn reset_on_close(&self, resets: bool) -> bool {
        SockRef::from(&self.fd).set_linger(resets.then_some(Duration::ZERO)).is_ok()
    }

    /// Lets the kernel hold little that has not left this machine (`TCP_NOTSENT_LOWAT`,
    /// `tcp(7)`), or as much as the system's settings allow. A unix socket has a small
    /// buffer in any case.
    pub(crate) fn hold_little(&self, is_little: bool) {
        let limit = if is_little { UNSENT_LIMIT } else { 0 };
        SockRef::from(&self.fd).set_tcp_notsent_lowat(limit).ok();
    }
}

fn count_bytes(sum: &AtomicU64, count: usize) {
    sum.store(sum.load(Relaxed).wrapping_add(count as u64), Relaxed);
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
