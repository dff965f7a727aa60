//! Refuses new connections to a listening TCP socket before it is closed. Then the worker
//! can accept all connections in its queue, and closing the socket resets none.

mod syn_filter;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::check;
use crate::socket::integer_option;

/// The index of an interface that does not exist: the kernel assigns the smallest free
/// ones.
const NOWHERE: libc::c_int = libc::c_int::MAX;

/// Refuses new connections to a listening socket, also for processes with a copy of it.
/// Clients that have connected, or are connecting, still get through. Kernels differ in
/// which of the two ways they allow to an ordinary user:
///
/// 1. A filter drops the first packet of a connection. CAP_NET_ADMIN since 2026.
/// 2. The socket is bound to an interface that does not exist, so that the kernel
///    finds no listener, and answers with RST (`SO_BINDTOIFINDEX`, `socket(7)`).
///    CAP_NET_RAW before Linux 5.7.
///
/// # Errors
/// Those of `setsockopt(2)`, when neither is allowed.
pub fn refuse_new(listener: BorrowedFd) -> io::Result<()> {
    if refuses_new(listener) {
        // Binding it again needs a capability.
        return Ok(());
    }
    syn_filter::attach(listener).or_else(|_| bind_to_interface(listener, NOWHERE))
}

/// Undoes [`refuse_new`].
///
/// # Errors
/// Those of `setsockopt(2)`: `PermissionDenied` after the second way without CAP_NET_RAW.
/// Then a new socket is needed.
pub fn admit_new(listener: BorrowedFd) -> io::Result<()> {
    if syn_filter::is_attached(listener) {
        syn_filter::detach(listener)?;
    }
    if is_nowhere(listener) { bind_to_interface(listener, 0) } else { Ok(()) }
}

/// Whether a process has called [`refuse_new`] for this socket.
#[must_use]
pub fn refuses_new(listener: BorrowedFd) -> bool {
    is_nowhere(listener) || syn_filter::is_attached(listener)
}

fn is_nowhere(listener: BorrowedFd) -> bool {
    let index = integer_option(listener, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX);
    index.is_ok_and(|index| index == NOWHERE)
}

fn bind_to_interface(listener: BorrowedFd, index: libc::c_int) -> io::Result<()> {
    let (at, size) = ((&raw const index).cast(), size_of_val(&index) as libc::socklen_t);
    // SAFETY: the value is an int, valid for the call.
    check(unsafe {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX);
        libc::setsockopt(listener.as_raw_fd(), level, name, at, size)
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::accept;
    use crate::wait::{Readiness, wait};
    use socket2::{Domain, SockAddr, Socket, Type};
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    type Way = fn(BorrowedFd) -> io::Result<()>;

    /// Makes a listener; on `[::]` it listens on both families.
    fn listen(address: &str) -> Option<Socket> {
        let address: SocketAddr = address.parse().unwrap();
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).ok()?;
        if address.is_ipv6() {
            socket.set_only_v6(false).unwrap();
        }
        socket.bind(&SockAddr::from(address)).ok()?;
        socket.listen(16).unwrap();
        socket.set_nonblocking(true).unwrap();
        Some(socket)
    }

    /// The address for a client.
    fn target(listener: &Socket, host: &str) -> SocketAddr {
        let port = listener.local_addr().unwrap().as_socket().unwrap().port();
        SocketAddr::new(host.parse().unwrap(), port)
    }

    /// Refuses by one of the ways; a client that connects then gets the error `expected`.
    /// `None` where the user may not refuse in this way.
    fn refuses_by(way: Way, expected: io::ErrorKind, at: (&str, &str)) -> Option<()> {
        let (listen_at, host) = at;
        let listener = listen(listen_at)?;
        let (fd, address) = (listener.as_fd(), target(&listener, host));
        let mut early = TcpStream::connect(address).unwrap();
        assert!(!refuses_new(fd));
        match way(fd) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
            done => done.unwrap(),
        }
        assert!(refuses_new(fd));
        early.write_all(b"early").unwrap();
        let late = TcpStream::connect_timeout(&address, Duration::from_millis(100));
        assert_eq!(late.unwrap_err().kind(), expected);
        wait(&[(fd, Readiness::Readable)], None).unwrap();
        let mut accepted = TcpStream::from(accept(fd).unwrap().fd);
        accepted.set_nonblocking(false).unwrap();
        let mut said = [0; 5];
        accepted.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"early");
        assert_eq!(accept(fd).unwrap_err().kind(), io::ErrorKind::WouldBlock, "no other");
        match admit_new(fd) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            done => {
                done.unwrap();
                assert!(!refuses_new(fd));
                TcpStream::connect(address).unwrap();
            }
        }
        Some(())
    }

    #[test]
    fn connected_clients_are_accepted_and_new_ones_are_not() {
        // A dropped packet, and a RST.
        let filter = (syn_filter::attach as Way, io::ErrorKind::TimedOut);
        let nowhere: (Way, _) =
            (|fd| bind_to_interface(fd, NOWHERE), io::ErrorKind::ConnectionRefused);
        for at in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")] {
            let can = |name, (way, expected)| {
                let refused = refuses_by(way, expected, at).is_some();
                crate::need::met(refused, &format!("to listen on {} and refuse by {name}", at.0))
            };
            let (can_filter, _) = (can("a filter", filter), can("no interface", nowhere));
            if listen(at.0).is_some() {
                let (_, expected) = if can_filter { filter } else { nowhere };
                refuses_by(refuse_new, expected, at).expect("one of the ways needs no privilege");
            }
        }
    }

    #[test]
    fn a_socket_of_another_kind_refuses_no_client() {
        let name = format!("monoceros-refuse-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        assert!(!refuses_new(listener.as_fd()));
        admit_new(listener.as_fd()).unwrap();
        std::fs::remove_file(path).unwrap();
    }
}
