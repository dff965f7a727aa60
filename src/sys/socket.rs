//! Calls on sockets that std does not have.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::descriptor;
use crate::{check, check_len};

/// An accepted connection and the bytes of its peer's address.
#[derive(Debug)]
pub struct Accepted {
    /// The connection, non-blocking and close-on-exec.
    pub fd: OwnedFd,
    /// The peer's address; `None` for a unix socket.
    pub peer: Option<std::net::SocketAddr>,
}

/// Accepts one connection from a listener's queue.
///
/// # Errors
/// Those of `accept4(2)`; `WouldBlock` when the queue is empty.
pub fn accept(listener: BorrowedFd) -> io::Result<Accepted> {
    let mut address = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let address_at = address.as_mut_ptr().cast();
    // SAFETY: the address buffer is valid for `length` bytes.
    let fd =
        check(unsafe { libc::accept4(listener.as_raw_fd(), address_at, &raw mut length, flags) })?;
    // SAFETY: the kernel has just given us this descriptor.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all-zero bytes are a valid storage, and the kernel wrote an address.
    let address = unsafe { address.assume_init() };
    Ok(Accepted { fd, peer: internet_address(&address) })
}

fn internet_address(storage: &libc::sockaddr_storage) -> Option<std::net::SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family names the one of the storage's types that was written.
            let v4 = unsafe { &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            let ip = std::net::Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some((ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let ip = std::net::Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some((ip, u16::from_be(v6.sin6_port)).into())
        }
        _ => None,
    }
}

/// Makes a pair of sockets of sequenced packets, non-blocking and close-on-exec.
///
/// # Errors
/// Those of `socketpair(2)`.
pub fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// Reads bytes that have arrived, without waiting.
///
/// # Errors
/// Those of `recv(2)`; `WouldBlock` when nothing has arrived.
pub fn receive(socket: BorrowedFd, into: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is valid for its length.
    check_len(unsafe {
        libc::recv(socket.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), libc::MSG_DONTWAIT)
    })
}

/// As [`receive`], into two buffers, the first one first.
///
/// # Errors
/// Those of `recvmsg(2)`; `WouldBlock` when nothing has arrived.
pub fn receive_parts(socket: BorrowedFd, parts: [&mut [u8]; 2]) -> io::Result<usize> {
    let mut parts = parts.map(IoSliceMut::new);
    // SAFETY: all-zero bytes are a valid message header.
    let mut message = unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() };
    // `IoSliceMut` has the layout of `iovec`.
    message.msg_iov = parts.as_mut_ptr().cast();
    message.msg_iovlen = parts.len();
    // SAFETY: the header and what it points to live through the call.
    check_len(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) })
}

/// As [`receive`], but the bytes stay in the socket.
///
/// # Errors
/// Those of `recv(2)`; `WouldBlock` when nothing has arrived.
pub fn peek(socket: BorrowedFd, into: &mut [u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_PEEK;
    // SAFETY: the buffer is valid for its length.
    check_len(unsafe {
        libc::recv(socket.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), flags)
    })
}

/// Sends the bytes for which the socket's buffer has room, without waiting, and without
/// SIGPIPE. With `more` further bytes follow at once (`MSG_MORE`).
///
/// # Errors
/// Those of `send(2)`; `WouldBlock` when there is no room.
pub fn send(socket: BorrowedFd, bytes: &[u8], more: bool) -> io::Result<usize> {
    let flags = send_flags(more);
    // SAFETY: the buffer is valid for its length.
    check_len(unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) })
}

/// As [`send`], for several pieces in one call.
///
/// # Errors
/// Those of `sendmsg(2)`; `WouldBlock` when there is no room.
pub fn send_parts(socket: BorrowedFd, parts: &[IoSlice], more: bool) -> io::Result<usize> {
    // SAFETY: all-zero bytes are a valid message header.
    let mut message = unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() };
    // `IoSlice` has the layout of `iovec`; the kernel only reads it.
    message.msg_iov = parts.as_ptr().cast_mut().cast();
    message.msg_iovlen = parts.len();
    // SAFETY: the header and what it points to live through the call.
    check_len(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, send_flags(more)) })
}

fn send_flags(more: bool) -> libc::c_int {
    let more = if more { libc::MSG_MORE } else { 0 };
    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | more
}

/// Closes the sending side of a connection: the peer reads what was sent, and then an end
/// of file (RFC 9112 section 9.6).
///
/// # Errors
/// Those of `shutdown(2)`.
pub fn shutdown_write(socket: BorrowedFd) -> io::Result<()> {
    // SAFETY: the descriptor is open while borrowed.
    check(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) }).map(drop)
}

/// Closes both sides of a connection, also for processes with a copy.
///
/// # Errors
/// Those of `shutdown(2)`.
pub fn shutdown(socket: BorrowedFd) -> io::Result<()> {
    // SAFETY: the descriptor is open while borrowed.
    check(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) }).map(drop)
}

/// Resets a connection, also for processes with a copy: the peer reads what has arrived,
/// and then an error. A unix socket is shut down instead, and the peer reads an end of
/// file: only closing the last copy would give the error.
///
/// # Errors
/// Those of `shutdown(2)`.
pub fn reset(socket: BorrowedFd) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid address.
    let mut nowhere = unsafe { MaybeUninit::<libc::sockaddr>::zeroed().assume_init() };
    nowhere.sa_family = libc::AF_UNSPEC as libc::sa_family_t;
    let length = size_of::<libc::sockaddr>() as libc::socklen_t;
    // connect(2): AF_UNSPEC dissolves the connection; Linux sends the peer a RST.
    // SAFETY: the descriptor is open while borrowed, and the address lives
    // through the call.
    match check(unsafe { libc::connect(socket.as_raw_fd(), &raw const nowhere, length) }) {
        Ok(_) => Ok(()),
        Err(_) => shutdown(socket),
    }
}

/// The number of bytes that were sent and not delivered: a TCP peer has not acknowledged
/// them (`SIOCOUTQ`, `tcp(7)`), a unix peer has not read them. 0 if the kernel does not
/// report it.
#[must_use]
pub fn undelivered(socket: BorrowedFd) -> usize {
    queued(socket, libc::TIOCOUTQ)
}

/// The number of bytes that were sent and are still in this machine's buffer
/// (`SIOCOUTQNSD`). 0 if the kernel does not report it, as for a unix socket, which uses
/// the peer's buffer.
#[must_use]
pub fn untransmitted(socket: BorrowedFd) -> usize {
    /// Linux, `include/uapi/linux/sockios.h`.
    const SIOCOUTQNSD: libc::Ioctl = 0x894B;
    queued(socket, SIOCOUTQNSD)
}

fn queued(socket: BorrowedFd, request: libc::Ioctl) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: both requests write an int, which lives through the call.
    let asked = check(unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut count) });
    asked.map_or(0, |_| usize::try_from(count).unwrap_or(0))
}

/// Whether the peer has closed the connection or its sending side, or the connection is
/// broken (`poll(2)`).
#[must_use]
pub fn has_ended(socket: BorrowedFd) -> bool {
    has_news(socket, libc::POLLRDHUP)
}

/// Whether the connection is broken, or the peer has closed all of it (`poll(2)`). A peer that
/// has only closed its sending side still receives.
#[must_use]
pub fn is_broken(socket: BorrowedFd) -> bool {
    has_news(socket, 0)
}

/// Whether one of these events has occurred, or one that `poll(2)` always reports.
fn has_news(socket: BorrowedFd, events: libc::c_short) -> bool {
    let mut asked = libc::pollfd { fd: socket.as_raw_fd(), events, revents: 0 };
    // SAFETY: `asked` is one valid record, writable, for the time of the call.
    check(unsafe { libc::poll(&raw mut asked, 1, 0) }).is_ok_and(|count| count > 0)
}

/// Whether the kernel holds back connections until bytes have arrived
/// (`TCP_DEFER_ACCEPT`, `tcp(7)`): then an accepted connection can be read at once.
#[must_use]
pub fn is_deferred(listener: BorrowedFd) -> bool {
    integer_option(listener, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT).is_ok_and(|value| value > 0)
}

/// The time for which the kernel holds back a connection without bytes: the shortest time
/// that `TCP_DEFER_ACCEPT` has. Master and workers set the same.
pub const DEFER_SECONDS: i32 = 1;

/// Makes the kernel hold back new connections until bytes have arrived, for at most about
/// `seconds`.
///
/// # Errors
/// Those of `setsockopt(2)`; fails on anything but TCP.
pub fn defer_accept(listener: BorrowedFd, seconds: i32) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    let value = (&raw const seconds).cast();
    // SAFETY: the value is an int, valid for the call.
    check(unsafe {
        let (level, name) = (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT);
        libc::setsockopt(listener.as_raw_fd(), level, name, value, size)
    })
    .map(drop)
}

/// Sets or clears `SO_REUSEPORT` (`socket(7)`): another socket of the same user with this
/// option can listen on the same address.
///
/// # Errors
/// Those of `setsockopt(2)`.
pub fn share_address(listener: BorrowedFd, shared: bool) -> io::Result<()> {
    let shared = libc::c_int::from(shared);
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value is an int, valid for the call.
    check(unsafe {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_REUSEPORT);
        libc::setsockopt(listener.as_raw_fd(), level, name, (&raw const shared).cast(), size)
    })
    .map(drop)
}

/// The number of connections in a TCP listener's queue; `None` for other sockets.
/// `TCP_INFO` of a listening socket has them in `tcpi_unacked`.
#[must_use]
pub fn queue_length(listener: BorrowedFd) -> Option<u32> {
    Some(tcp_info(listener)?.tcpi_unacked)
}

/// The number of connections in a TCP listener's queue, and how many it can have; `None` for
/// other sockets. `TCP_INFO` of a listening socket has the limit in `tcpi_sacked`. The kernel
/// accepts one connection more than the limit.
#[must_use]
pub fn accept_queue(listener: BorrowedFd) -> Option<(u32, u32)> {
    let info = tcp_info(listener)?;
    Some((info.tcpi_unacked, info.tcpi_sacked))
}

fn tcp_info(socket: BorrowedFd) -> Option<libc::tcp_info> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut size = size_of::<libc::tcp_info>() as libc::socklen_t;
    let at = info.as_mut_ptr().cast();
    // SAFETY: the buffer is valid for `size` bytes, and starts as zeros.
    check(unsafe {
        let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
        libc::getsockopt(socket.as_raw_fd(), level, name, at, &raw mut size)
    })
    .ok()?;
    // SAFETY: every bit pattern of a `tcp_info` is valid.
    Some(unsafe { info.assume_init() })
}

/// The time since the last bytes of the peer arrived, in milliseconds, with the resolution
/// of the kernel's tick (`tcpi_last_data_recv` of `TCP_INFO`, `tcp(7)`); `None` for other
/// sockets.
#[must_use]
pub fn silence_ms(connection: BorrowedFd) -> Option<u32> {
    Some(tcp_info(connection)?.tcpi_last_data_recv)
}

/// Whether a descriptor is a listening socket (`SO_ACCEPTCONN`).
#[must_use]
pub fn is_listening(fd: BorrowedFd) -> bool {
    integer_option(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN).is_ok_and(|value| value != 0)
}

/// Takes the inherited listening socket with this number, as
/// [`take_inherited`](crate::descriptor::take_inherited) does. It gets another number, and
/// is made non-blocking and close-on-exec. The former number is closed.
///
/// # Errors
/// `InvalidInput` when the number is not that of a listening socket, and those
/// of [`take_inherited`](crate::descriptor::take_inherited) and `fcntl(2)`.
pub fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    let fd = descriptor::duplicate(number)?;
    if !is_listening(fd.as_fd()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a listening socket"));
    }
    drop(descriptor::take_inherited(number)?);
    // SAFETY: takes numbers only.
    let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: takes numbers only.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
    Ok(fd)
}

pub(crate) fn integer_option(
    fd: BorrowedFd,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<i32> {
    let mut value: libc::c_int = 0;
    let mut size = size_of::<libc::c_int>() as libc::socklen_t;
    let at = (&raw mut value).cast();
    // SAFETY: the value is an int, valid for the call.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, at, &raw mut size) })?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{Readiness, wait};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    /// Waits until bytes have arrived. Also on the loopback, packets can be on their way
    /// when the call that has sent them returns.
    fn wait_for_arrival(socket: BorrowedFd) {
        assert_eq!(wait(&[(socket, Readiness::Readable)], None).unwrap(), [true]);
    }

    #[test]
    fn a_connection_is_counted_accepted_and_used() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(is_listening(listener.as_fd()));
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        wait_for_arrival(listener.as_fd());
        assert_eq!(queue_length(listener.as_fd()), Some(1));
        let (length, limit) = accept_queue(listener.as_fd()).unwrap();
        assert!(length == 1 && limit > 1, "{length} of {limit}");
        let accepted = accept(listener.as_fd()).unwrap();
        assert_eq!(accepted.peer, Some(client.local_addr().unwrap()));
        let mut buffer = [0; 8];
        let empty = receive(accepted.fd.as_fd(), &mut buffer).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        client.write_all(b"ab").unwrap();
        let parts = [IoSlice::new(b"12"), IoSlice::new(b"345")];
        assert_eq!(send_parts(accepted.fd.as_fd(), &parts, false).unwrap(), 5);
        shutdown_write(accepted.fd.as_fd()).unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"12345");
        wait_for_arrival(accepted.fd.as_fd());
        assert_eq!(receive(accepted.fd.as_fd(), &mut buffer).unwrap(), 2);
    }

    #[test]
    fn a_connection_that_is_broken_ends_for_every_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (one, _) = listener.accept().unwrap();
        let two = one.try_clone().unwrap();
        send(one.as_fd(), b"half", false).unwrap();
        wait_for_arrival(client.as_fd());
        reset(one.as_fd()).unwrap();
        let mut said = Vec::new();
        let error = client.read_to_end(&mut said).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(said, b"half");
        assert!(send(two.as_fd(), b"x", false).is_err());
    }

    #[test]
    fn a_unix_connection_that_is_broken_ends_for_every_holder() {
        let (mut client, one) = std::os::unix::net::UnixStream::pair().unwrap();
        let two = one.try_clone().unwrap();
        reset(one.as_fd()).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        assert_eq!(send(two.as_fd(), b"x", false).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn what_was_sent_is_undelivered_until_the_peer_has_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (tcp, _) = listener.accept().unwrap();
        let sent = loop {
            match send(tcp.as_fd(), &[0; 65536], false) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(sent.kind(), io::ErrorKind::WouldBlock);
        assert!(undelivered(tcp.as_fd()) > 0);
        assert!(untransmitted(tcp.as_fd()) <= undelivered(tcp.as_fd()));
        assert!(!has_ended(tcp.as_fd()));
        drop(client);
        wait_for_arrival(tcp.as_fd());
        assert!(has_ended(tcp.as_fd()));
        let (mut reader, unix) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!((undelivered(unix.as_fd()), has_ended(unix.as_fd())), (0, false));
        send(unix.as_fd(), b"unread", false).unwrap();
        assert!(undelivered(unix.as_fd()) > 0);
        assert_eq!(untransmitted(unix.as_fd()), 0);
        reader.read_exact(&mut [0; 6]).unwrap();
        assert_eq!(undelivered(unix.as_fd()), 0);
        drop(reader);
        assert!(has_ended(unix.as_fd()));
    }

    #[test]
    fn only_a_listening_socket_that_was_inherited_is_taken() {
        use std::os::fd::IntoRawFd;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let error = take_inherited(client.as_raw_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = take_inherited(listener.as_raw_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "it is this process's own");
        let number = listener.into_raw_fd();
        // SAFETY: takes numbers only. An executed program finds it like this.
        check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }).unwrap();
        let taken = take_inherited(number).unwrap();
        wait_for_arrival(taken.as_fd());
        assert!(accept(taken.as_fd()).is_ok());
        assert_eq!(accept(taken.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_listener_can_hold_back_silent_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!is_deferred(listener.as_fd()));
        defer_accept(listener.as_fd(), 1).unwrap();
        assert!(is_deferred(listener.as_fd()));
        assert!(!is_listening(std::io::stdin().as_fd()));
    }
}
