//! Registers listeners in a worker's epoll set with `EPOLLEXCLUSIVE`, which mio does not
//! support.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::check;

/// Adds `listener` with the token `data`, level triggered. The kernel wakes at least one,
/// and seldom all, of the processes that wait for it. `EPOLLEXCLUSIVE` is allowed only
/// when a descriptor is added, so a change is a delete and an add (`epoll_ctl(2)`).
///
/// # Errors
/// Those of `epoll_ctl(2)`; `AlreadyExists` when it is already in the set.
pub fn add_exclusive(epoll: BorrowedFd, listener: BorrowedFd, data: u64) -> io::Result<()> {
    let flags = (libc::EPOLLIN | libc::EPOLLEXCLUSIVE).cast_unsigned();
    control(epoll, libc::EPOLL_CTL_ADD, listener, flags, data)
}

/// Removes `listener` from the set.
///
/// # Errors
/// Those of `epoll_ctl(2)`; `NotFound` when it is not in the set.
pub fn delete(epoll: BorrowedFd, listener: BorrowedFd) -> io::Result<()> {
    control(epoll, libc::EPOLL_CTL_DEL, listener, 0, 0)
}

fn control(
    epoll: BorrowedFd,
    operation: libc::c_int,
    fd: BorrowedFd,
    events: u32,
    data: u64,
) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: both descriptors are open while borrowed, and the kernel copies
    // the event before it returns.
    check(unsafe {
        libc::epoll_ctl(epoll.as_raw_fd(), operation, fd.as_raw_fd(), &raw mut event)
    })?;
    Ok(())
}
