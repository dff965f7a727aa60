//! Lets no new connection come to a listening TCP socket that is about to be
//! closed, so that its queue comes to an end and nobody in it is reset.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::sock_filter;

use crate::check;

/// The flags of the TCP header (RFC 9293 section 3.1), and where they are: a
/// filter of a TCP socket sees packets from that header on.
const FLAGS_AT: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

/// Drops packets with SYN and without ACK, which begin a connection, and passes
/// all others (classic BPF).
const NO_SYN: [sock_filter; 5] = [
    instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, FLAGS_AT),
    instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, SYN | ACK),
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, SYN),
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0),
    instruction(libc::BPF_RET | libc::BPF_K, 0, u32::MAX),
];

/// `otherwise` says how many instructions a failed comparison skips.
#[expect(clippy::cast_possible_truncation, reason = "codes of instructions have 16 bits")]
const fn instruction(code: u32, otherwise: u8, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: otherwise, k }
}

/// Refuses new connections to a listening socket, whoever else holds a copy of
/// it, while those that are connected, or connecting, get through. The kernel
/// drops the first packet of the others (`SO_ATTACH_FILTER`, `socket(7)`); they
/// send it again after a second, and by then the socket is closed, or has been
/// told to [`admit_new`].
///
/// # Errors
/// Those of `setsockopt(2)`.
pub fn refuse_new(listener: BorrowedFd) -> io::Result<()> {
    let mut filter = NO_SYN;
    let program = libc::sock_fprog { len: NO_SYN.len() as u16, filter: filter.as_mut_ptr() };
    let (at, size) = ((&raw const program).cast(), size_of_val(&program) as libc::socklen_t);
    // SAFETY: the program and its instructions live through the call, which
    // copies them.
    check(unsafe {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
        libc::setsockopt(listener.as_raw_fd(), level, name, at, size)
    })
    .map(drop)
}

/// Takes [`refuse_new`] back.
///
/// # Errors
/// Those of `setsockopt(2)`; `NotFound` where nothing was refused.
pub fn admit_new(listener: BorrowedFd) -> io::Result<()> {
    let unused: libc::c_int = 0;
    let (at, size) = ((&raw const unused).cast(), size_of_val(&unused) as libc::socklen_t);
    // SAFETY: the value is an int, valid for the call.
    check(unsafe {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_DETACH_FILTER);
        libc::setsockopt(listener.as_raw_fd(), level, name, at, size)
    })
    .map(drop)
}

/// Says whether any process has told this socket to [`refuse_new`].
#[must_use]
pub fn refuses_new(listener: BorrowedFd) -> bool {
    let mut filter = [instruction(0, 0, 0); NO_SYN.len()];
    let at = filter.as_mut_ptr().cast();
    // Counted in instructions; the kernel refuses to tell of a longer filter.
    let mut count = filter.len() as libc::socklen_t;
    // SAFETY: the buffer has room for `count` instructions.
    let told = check(unsafe {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_GET_FILTER);
        libc::getsockopt(listener.as_raw_fd(), level, name, at, &raw mut count)
    });
    let is_same = |(ours, its): (&sock_filter, &sock_filter)| {
        (ours.code, ours.jf, ours.k) == (its.code, its.jf, its.k)
    };
    told.is_ok() && count as usize == NO_SYN.len() && NO_SYN.iter().zip(&filter).all(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::accept;
    use crate::wait::{Event, wait};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    #[test]
    fn who_has_connected_is_accepted_and_nobody_else() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else {
                eprintln!("this machine has no {host}");
                continue;
            };
            listener.set_nonblocking(true).unwrap();
            let address = listener.local_addr().unwrap();
            let mut early = TcpStream::connect(address).unwrap();
            assert!(!refuses_new(listener.as_fd()));
            refuse_new(listener.as_fd()).unwrap();
            assert!(refuses_new(listener.as_fd()));
            early.write_all(b"early").unwrap();
            let late = TcpStream::connect_timeout(&address, Duration::from_millis(100));
            assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
            wait(&[(listener.as_fd(), Event::Readable)], None).unwrap();
            let mut accepted = TcpStream::from(accept(listener.as_fd()).unwrap().fd);
            accepted.set_nonblocking(false).unwrap();
            let mut said = [0; 5];
            accepted.read_exact(&mut said).unwrap();
            assert_eq!(&said, b"early");
            let nobody = accept(listener.as_fd()).unwrap_err();
            assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
            admit_new(listener.as_fd()).unwrap();
            assert!(!refuses_new(listener.as_fd()));
            TcpStream::connect(address).unwrap();
        }
    }

    #[test]
    fn a_socket_of_another_kind_refuses_nobody() {
        let name = format!("monoceros-filter-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        assert!(!refuses_new(listener.as_fd()));
        assert_eq!(admit_new(listener.as_fd()).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::remove_file(path).unwrap();
    }
}
