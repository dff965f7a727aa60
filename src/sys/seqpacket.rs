//! Sockets of sequenced packets with abstract names (`unix(7)`). They leave no file, and
//! have no permissions: the server has to check the user of each peer.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use socket2::{Domain, SockAddr, Socket, Type};

/// The length of the queue of connections that are not accepted yet.
const BACKLOG: i32 = 16;

/// The process at the other end of a connection, by the kernel (`SO_PEERCRED`): the one
/// that has connected, or the one that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its pid; 0 if it is in a pid namespace that is not visible from here.
    pub pid: i32,
    /// Its effective user.
    pub uid: u32,
}

/// Listens at an abstract name; non-blocking and close-on-exec.
///
/// # Errors
/// Those of `socket(2)`, `bind(2)` and `listen(2)`; `AddrInUse` when a process
/// has the name.
pub fn listen(name: &str) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET.cloexec().nonblocking(), None)?;
    socket.bind(&address(name)?)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connects to an abstract name, and waits for a place in the listener's queue for at most
/// `limit`. Close-on-exec.
///
/// # Errors
/// Those of `connect(2)`; `ConnectionRefused` when no process listens there, and
/// `WouldBlock` when the limit is over.
pub fn connect(name: &str, limit: Option<Duration>) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET.cloexec(), None)?;
    // Zero would mean no limit.
    socket.set_write_timeout(limit.map(|it| it.max(Duration::from_millis(1))))?;
    socket.connect(&address(name)?)?;
    Ok(socket.into())
}

/// The process at the other end.
///
/// # Errors
/// Those of `getsockopt(2)`.
pub fn peer(connection: BorrowedFd) -> io::Result<Peer> {
    let credentials = getsockopt(&connection.as_fd(), PeerCredentials)?;
    Ok(Peer { pid: credentials.pid(), uid: credentials.uid() })
}

/// The address of an abstract name: it begins with a NUL.
fn address(name: &str) -> io::Result<SockAddr> {
    SockAddr::unix(format!("\0{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket;
    use crate::wait::{Readiness, wait};

    #[test]
    fn both_ends_know_each_other_and_a_name_has_one_owner() {
        let name = format!("monoceros-local-{}", std::process::id());
        let absent = connect(&name, None).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::ConnectionRefused);
        let listener = listen(&name).unwrap();
        assert_eq!(listen(&name).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let client = connect(&name, None).unwrap();
        let server = socket::accept(listener.as_fd()).unwrap().fd;
        let own = i32::try_from(std::process::id()).unwrap();
        let here = Peer { pid: own, uid: crate::user::own_uid() };
        assert_eq!(peer(client.as_fd()).unwrap(), here);
        assert_eq!(peer(server.as_fd()).unwrap(), here);
        socket::send(client.as_fd(), b"ab", false).unwrap();
        socket::send(client.as_fd(), b"c", false).unwrap();
        let mut bytes = [0; 8];
        assert_eq!(socket::receive(server.as_fd(), &mut bytes).unwrap(), 2);
        let waiting = connect(&name, None).unwrap();
        drop(listener);
        // A process that another test forks has a copy until it executes a program; a
        // client in the queue sees the end of the last copy.
        wait(&[(waiting.as_fd(), Readiness::Readable)], None).unwrap();
        assert!(connect(&name, None).is_err(), "the name is gone with its owner");
    }

    #[test]
    fn a_full_queue_is_waited_for_no_longer_than_asked() {
        let name = format!("monoceros-local-full-{}", std::process::id());
        let _listener = listen(&name).unwrap();
        let limit = Some(Duration::from_millis(1));
        let connections: Vec<_> = (0..100).map_while(|_| connect(&name, limit).ok()).collect();
        assert!(connections.len() < 100);
        assert_eq!(connect(&name, limit).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
