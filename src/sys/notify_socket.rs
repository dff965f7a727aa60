//! A socket to which any process of this machine can send short messages, as
//! `sd_notify(3)` does. The kernel adds the sender's user to each message.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::cmsg_space;
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, UnixCredentials,
    bind, getsockname, recvmsg, setsockopt, socket,
};

/// A bound datagram socket with an abstract name: there is no file to remove, and every
/// user can send to it.
#[derive(Debug)]
pub struct NotifySocket {
    socket: OwnedFd,
    address: String,
}

/// A message that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The number of bytes that were stored.
    pub length: usize,
    /// Whether the message had more bytes than the buffer.
    pub is_cut: bool,
    /// The user of the sending process, by the kernel; `None` for a message with
    /// descriptors.
    pub uid: Option<u32>,
}

impl NotifySocket {
    /// Opens a socket, non-blocking and close-on-exec, with a name that the kernel chooses
    /// (autobind, `unix(7)`).
    ///
    /// # Errors
    /// Those of `socket(2)`, `setsockopt(2)` and `bind(2)`.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        // Before the socket has a name: so every message has its sender's user.
        setsockopt(&socket, PassCred, &true)?;
        bind(socket.as_raw_fd(), &UnixAddr::new_unnamed())?;
        let bound: UnixAddr = getsockname(socket.as_raw_fd())?;
        let name = bound.as_abstract().unwrap_or_default();
        let address = format!("@{}", String::from_utf8_lossy(name));
        Ok(Self { socket, address })
    }

    /// Its name for `NOTIFY_SOCKET`: `@` stands for the NUL of an abstract name.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Receives one message, without waiting. Descriptors in the message are closed by the
    /// kernel: the buffer has room for the sender's user only.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`; `WouldBlock` when there is none.
    pub fn take(&self, into: &mut [u8]) -> io::Result<Datagram> {
        let mut room = cmsg_space!(UnixCredentials);
        let mut parts = [IoSliceMut::new(into)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let received =
            recvmsg::<UnixAddr>(self.socket.as_raw_fd(), &mut parts, Some(&mut room), flags)?;
        // Fails when there was no room for all control messages.
        let uid = received.cmsgs().ok().and_then(|mut control| {
            control.find_map(|it| match it {
                ControlMessageOwned::ScmCredentials(sender) => Some(sender.uid()),
                _ => None,
            })
        });
        let is_cut = received.flags.contains(MsgFlags::MSG_TRUNC);
        Ok(Datagram { length: received.bytes, is_cut, uid })
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    fn send(mailbox: &NotifySocket, bytes: &[u8]) {
        let name = mailbox.address().strip_prefix('@').unwrap();
        let address = SocketAddr::from_abstract_name(name).unwrap();
        UnixDatagram::unbound().unwrap().send_to_addr(bytes, &address).unwrap();
    }

    #[test]
    fn messages_come_whole_or_cut_with_their_senders_user() {
        let (one, other) = (NotifySocket::open().unwrap(), NotifySocket::open().unwrap());
        assert_ne!(one.address(), other.address());
        let mut bytes = [0; 8];
        let nothing = one.take(&mut bytes).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        send(&one, b"12345678");
        send(&one, b"123456789");
        send(&one, b"");
        let uid = Some(nix::unistd::geteuid().as_raw());
        let whole = Datagram { length: 8, is_cut: false, uid };
        assert_eq!(one.take(&mut bytes).unwrap(), whole);
        assert_eq!(bytes, *b"12345678");
        assert_eq!(one.take(&mut bytes).unwrap(), Datagram { is_cut: true, ..whole });
        assert_eq!(one.take(&mut bytes).unwrap(), Datagram { length: 0, ..whole });
        assert!(other.take(&mut bytes).is_err());
    }

    #[test]
    fn descriptors_that_were_sent_along_do_not_arrive() {
        use nix::sys::socket::{ControlMessage, sendmsg};
        let mailbox = NotifySocket::open().unwrap();
        let name = mailbox.address().strip_prefix('@').unwrap();
        let to = UnixAddr::new_abstract(name.as_bytes()).unwrap();
        let from = UnixDatagram::unbound().unwrap();
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let rights = [writer.as_raw_fd()];
        let part = [io::IoSlice::new(b"FDSTORE=1")];
        let control = [ControlMessage::ScmRights(&rights)];
        sendmsg(from.as_raw_fd(), &part, &control, MsgFlags::empty(), Some(&to)).unwrap();
        let letter = mailbox.take(&mut [0; 64]).unwrap();
        assert_eq!((letter.length, letter.uid), (9, None));
        // Ours is the only descriptor of this end.
        drop(writer);
        assert_eq!(nix::unistd::read(&reader, &mut [0; 1]), Ok(0));
    }
}
