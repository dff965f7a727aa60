//! The queue of a listening unix socket: how many connections wait there. No socket option has
//! it; the kernel reports it over netlink (`sock_diag(7)`), by the inode of the socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::stat::fstat;

use crate::{check, check_len};

/// Linux, `include/uapi/linux/sock_diag.h`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// Linux, `include/uapi/linux/unix_diag.h`: report the lengths of queues.
const UDIAG_SHOW_RQLEN: u32 = 0x10;
/// The same: the attribute with the lengths.
const UNIX_DIAG_RQLEN: u16 = 4;
/// The same: any socket with this inode.
const NO_COOKIE: u32 = u32::MAX;

/// The length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// The length of `struct unix_diag_msg`.
const MESSAGE: usize = 16;
/// The length of `struct nlattr`.
const ATTRIBUTE: usize = 4;

/// The number of connections in the queue of a unix socket, and how many it can have.
///
/// # Errors
/// Those of `socket(2)`, `send(2)` and `recv(2)`; `NotFound` if the kernel knows no such socket
/// in the network namespace of this process; `Unsupported` if it does not report the queue.
pub fn unix_accept_queue(listener: BorrowedFd) -> io::Result<(u32, u32)> {
    let socket = netlink()?;
    let request = request(inode(listener)?);
    // SAFETY: the buffer is valid for its length.
    check_len(unsafe {
        libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0)
    })?;
    let mut reply = [0; 1024];
    // The kernel has replied before the call above returns.
    let length = crate::socket::receive(socket.as_fd(), &mut reply)?;
    lengths(&reply[..length])
}

fn netlink() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: takes numbers only.
    let fd = check(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_SOCK_DIAG) })?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The inode of a socket. The kernel compares its lower 32 bits.
fn inode(socket: BorrowedFd) -> io::Result<u32> {
    Ok(fstat(socket)?.st_ino as u32)
}

/// `struct nlmsghdr` and `struct unix_diag_req`, for one socket.
fn request(inode: u32) -> Vec<u8> {
    let mut request = Vec::with_capacity(HEADER + 24);
    let length = (HEADER + 24) as u32;
    request.extend_from_slice(&length.to_ne_bytes());
    request.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    // The sequence number, and the port of the kernel.
    request.extend_from_slice(&[0; 8]);
    request.extend_from_slice(&[libc::AF_UNIX as u8, 0, 0, 0]);
    let states = u32::MAX;
    for word in [states, inode, UDIAG_SHOW_RQLEN, NO_COOKIE, NO_COOKIE] {
        request.extend_from_slice(&word.to_ne_bytes());
    }
    request
}

/// Reads the reply of the kernel.
fn lengths(reply: &[u8]) -> io::Result<(u32, u32)> {
    let kind = half(reply, 4).ok_or(io::ErrorKind::InvalidData)?;
    if i32::from(kind) == libc::NLMSG_ERROR {
        let number = word(reply, HEADER).ok_or(io::ErrorKind::InvalidData)?;
        return Err(io::Error::from_raw_os_error(number.cast_signed().saturating_neg()));
    }
    let mut rest = reply.get(HEADER + MESSAGE..).unwrap_or_default();
    while let (Some(length), Some(kind)) = (half(rest, 0), half(rest, 2)) {
        let length = usize::from(length);
        if kind == UNIX_DIAG_RQLEN {
            let lengths = word(rest, ATTRIBUTE).zip(word(rest, ATTRIBUTE + 4));
            return lengths.ok_or(io::ErrorKind::InvalidData.into());
        }
        // Each attribute begins at a multiple of four bytes.
        let next = length.max(ATTRIBUTE).next_multiple_of(4);
        rest = rest.get(next..).unwrap_or_default();
    }
    Err(io::ErrorKind::Unsupported.into())
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

    use super::*;

    #[test]
    fn the_kernel_reports_the_queue_of_a_unix_socket() {
        let name = format!("monoceros-queue-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let (length, limit) = match unix_accept_queue(listener.as_fd()) {
            // A kernel without unix_diag.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            found => found.unwrap(),
        };
        assert!(length == 0 && limit > 0, "{length} of {limit}");
        let clients = [(); 3].map(|()| UnixStream::connect_addr(&address).unwrap());
        assert_eq!(unix_accept_queue(listener.as_fd()).unwrap(), (3, limit));
        drop(listener.accept().unwrap());
        assert_eq!(unix_accept_queue(listener.as_fd()).unwrap(), (2, limit));
        drop(clients);
    }

    #[test]
    fn a_reply_that_is_cut_is_an_error() {
        for length in 0..HEADER + MESSAGE {
            assert!(lengths(&vec![0; length]).is_err(), "{length}");
        }
        let mut error = vec![0; HEADER + 4];
        error[4..6].copy_from_slice(&(libc::NLMSG_ERROR as u16).to_ne_bytes());
        error[HEADER..].copy_from_slice(&(-libc::ENOENT).to_ne_bytes());
        assert_eq!(lengths(&error).unwrap_err().kind(), io::ErrorKind::NotFound);
        let message = [&[0; HEADER + MESSAGE][..], &[0; 8]].concat();
        assert_eq!(lengths(&message).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}
