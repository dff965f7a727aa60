//! Sends messages with descriptors between processes (`SCM_RIGHTS`, `unix(7)`).

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, sendmsg, setsockopt,
};

/// The maximum number of descriptors in one message.
pub const MOST_DESCRIPTORS: usize = 64;

/// Sends a message with copies of `descriptors`, without waiting, and without
/// SIGPIPE.
///
/// # Errors
/// Those of `sendmsg(2)`; `WouldBlock` when there is no room, `InvalidInput`
/// when there are more descriptors than [`MOST_DESCRIPTORS`].
pub fn send(socket: BorrowedFd, bytes: &[u8], descriptors: &[BorrowedFd]) -> io::Result<usize> {
    if descriptors.len() > MOST_DESCRIPTORS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
    }
    let numbers: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let control = if numbers.is_empty() { &[][..] } else { &rights };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let parts = [IoSlice::new(bytes)];
    Ok(sendmsg::<()>(socket.as_raw_fd(), &parts, control, flags, None)?)
}

/// Receives a message and its descriptors, which are close-on-exec, without
/// waiting.
///
/// # Errors
/// Those of `recvmsg(2)`; `WouldBlock` when nothing has arrived.
pub fn receive(socket: BorrowedFd, into: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut room = nix::cmsg_space!([RawFd; MOST_DESCRIPTORS]);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let mut parts = [IoSliceMut::new(into)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut room), flags)?;
    let mut descriptors = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            // SAFETY: the kernel has just given us these descriptors.
            let owned = numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) });
            descriptors.extend(owned);
        }
    }
    Ok((message.bytes, descriptors))
}

/// From now on each message has its sender's pid, for [`receive_signed`] (`SO_PASSCRED`,
/// `unix(7)`).
///
/// # Errors
/// Those of `setsockopt(2)`.
pub fn ask_for_senders(socket: BorrowedFd) -> io::Result<()> {
    Ok(setsockopt(&socket, PassCred, &true)?)
}

/// Receives a message and its sender's pid, which the kernel adds, without waiting. The
/// pid is `None` if the sender is in a pid namespace that is not visible from here, or if
/// it has sent descriptors, which are closed.
///
/// # Errors
/// As [`receive`].
pub fn receive_signed(socket: BorrowedFd, into: &mut [u8]) -> io::Result<(usize, Option<i32>)> {
    // Room for the sender only: the kernel closes descriptors that do not fit.
    let mut room = nix::cmsg_space!(UnixCredentials);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let mut parts = [IoSliceMut::new(into)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut room), flags)?;
    let sender = message.cmsgs().ok().and_then(|mut control| {
        control.find_map(|it| match it {
            ControlMessageOwned::ScmCredentials(sender) => Some(sender.pid()),
            _ => None,
        })
    });
    Ok((message.bytes, sender.filter(|pid| *pid > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{Readiness, wait};
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    #[test]
    fn descriptors_arrive_with_their_message_and_in_order() {
        let (one, two) = crate::socket::packet_pair().unwrap();
        let (first, mut to_first) = io::pipe().unwrap();
        let (second, mut to_second) = io::pipe().unwrap();
        send(one.as_fd(), b"plain", &[]).unwrap();
        send(one.as_fd(), b"both", &[first.as_fd(), second.as_fd()]).unwrap();
        drop((first, second));
        let mut buffer = [0; 16];
        let (length, descriptors) = receive(two.as_fd(), &mut buffer).unwrap();
        assert_eq!((&buffer[..length], descriptors.len()), (&b"plain"[..], 0));
        let (length, descriptors) = receive(two.as_fd(), &mut buffer).unwrap();
        assert_eq!((&buffer[..length], descriptors.len()), (&b"both"[..], 2));
        to_first.write_all(b"1").unwrap();
        to_second.write_all(b"2").unwrap();
        drop((to_first, to_second));
        let said = descriptors.into_iter().map(|descriptor| {
            let mut said = String::new();
            File::from(descriptor).read_to_string(&mut said).unwrap();
            said
        });
        assert_eq!(said.collect::<Vec<_>>(), ["1", "2"]);
        let nothing = receive(two.as_fd(), &mut buffer).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        drop(one);
        // A process that another test forks has a copy until it executes a program.
        wait(&[(two.as_fd(), Readiness::Readable)], None).unwrap();
        assert_eq!(receive(two.as_fd(), &mut buffer).unwrap().0, 0);
    }

    #[test]
    fn a_message_has_the_pid_of_its_sender() {
        let (one, two) = crate::socket::packet_pair().unwrap();
        ask_for_senders(two.as_fd()).unwrap();
        send(one.as_fd(), b"ab", &[]).unwrap();
        send(one.as_fd(), b"c", &[one.as_fd(); 4]).unwrap();
        let mut buffer = [0; 16];
        let own = std::process::id().cast_signed();
        assert_eq!(receive_signed(two.as_fd(), &mut buffer).unwrap(), (2, Some(own)));
        assert_eq!(receive_signed(two.as_fd(), &mut buffer).unwrap().0, 1);
        drop(one);
        // A process that another test forks has a copy until it executes a program.
        wait(&[(two.as_fd(), Readiness::Readable)], None).unwrap();
        assert_eq!(receive_signed(two.as_fd(), &mut buffer).unwrap(), (0, None));
    }

    #[test]
    fn more_descriptors_than_are_received_are_not_sent() {
        let (one, _two) = crate::socket::packet_pair().unwrap();
        let many = [one.as_fd(); MOST_DESCRIPTORS + 1];
        assert_eq!(send(one.as_fd(), b"x", &many).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
