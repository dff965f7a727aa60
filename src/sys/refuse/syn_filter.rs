//! Refuses connections by a filter of packets. Kernels of 2026 and later require
//! CAP_NET_ADMIN for a filter on a TCP socket, earlier ones no capability.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::sock_filter;

use crate::check;

/// The offset of the flags in the TCP header (RFC 9293 section 3.1). A filter of a TCP
/// socket gets packets from that header on.
const FLAGS_AT: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

/// The filter (classic BPF): drops packets with SYN and without ACK, which begin a
/// connection, and passes all others.
const NO_SYN: [sock_filter; 5] = [
    instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, FLAGS_AT),
    instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, SYN | ACK),
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, SYN),
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0),
    instruction(libc::BPF_RET | libc::BPF_K, 0, u32::MAX),
];

/// Makes an instruction; a failed comparison skips `otherwise` instructions.
#[expect(clippy::cast_possible_truncation, reason = "codes of instructions have 16 bits")]
const fn instruction(code: u32, otherwise: u8, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: otherwise, k }
}

/// Makes the kernel drop the first packet of new connections (`SO_ATTACH_FILTER`,
/// `socket(7)`). Clients send it again after a second; by then the socket is closed, or
/// [`detach`] was called.
pub(super) fn attach(listener: BorrowedFd) -> io::Result<()> {
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

/// Undoes [`attach`].
pub(super) fn detach(listener: BorrowedFd) -> io::Result<()> {
    let unused: libc::c_int = 0;
    let (at, size) = ((&raw const unused).cast(), size_of_val(&unused) as libc::socklen_t);
    // SAFETY: the value is an int, valid for the call.
    check(unsafe {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_DETACH_FILTER);
        libc::setsockopt(listener.as_raw_fd(), level, name, at, size)
    })
    .map(drop)
}

/// Whether a process has called [`attach`] for this socket.
pub(super) fn is_attached(listener: BorrowedFd) -> bool {
    let mut filter = [instruction(0, 0, 0); NO_SYN.len()];
    let at = filter.as_mut_ptr().cast();
    // In instructions; the kernel returns an error for a longer filter.
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
