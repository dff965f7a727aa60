//! Writes to pipes that are shared with other processes, without waiting, and sets their
//! capacity.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::{check, check_len};

/// The maximum length of a write that a pipe takes as a whole or not at all (`pipe(7)`).
pub const PIPE_BUF: usize = libc::PIPE_BUF;

/// The capacity for a log's pipe in bytes: the maximum for an unprivileged process
/// (`pipe(7)`).
const PIPE_SIZE: libc::c_int = 1 << 20;

/// Writes up to [`PIPE_BUF`] bytes to a pipe, a socket or a terminal, if it has room now
/// (`poll(2)`). Other processes may share the file, so it must not be made non-blocking.
/// Two processes may see the same room, and the second would wait. So the write has
/// `RWF_NOWAIT` (`pwritev2(2)`), where the kernel supports that for this kind of file.
///
/// # Errors
/// Those of `poll(2)` and `write(2)`; `WouldBlock` when there is no room.
pub fn write_at_once(fd: BorrowedFd, bytes: &[u8]) -> io::Result<usize> {
    let mut asked = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: `asked` is one valid record, writable, for the time of the call.
    if check(unsafe { libc::poll(&raw mut asked, 1, 0) })? == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let bytes = &bytes[..bytes.len().min(PIPE_BUF)];
    match write_without_waiting(fd, bytes) {
        Err(error) if is_unknown_call(&error) => write(fd, bytes),
        other => other,
    }
}

/// Whether the call is not supported: by an older kernel, for this kind of file, or by a
/// filter of system calls.
fn is_unknown_call(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EPERM))
}

fn write_without_waiting(fd: BorrowedFd, bytes: &[u8]) -> io::Result<usize> {
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // The offset -1 stands for the file's position; a pipe has no other offset.
    // SAFETY: the record describes `bytes`, which the call only reads.
    check_len(unsafe { libc::pwritev2(fd.as_raw_fd(), &raw const part, 1, -1, libc::RWF_NOWAIT) })
}

fn write(fd: BorrowedFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: pointer and length are those of `bytes`.
    check_len(unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) })
}

/// Raises the capacity of a pipe, within this process's limit (`F_SETPIPE_SZ`,
/// `fcntl(2)`), so that a slow reader loses less. Other files are not changed.
pub fn widen(fd: BorrowedFd) {
    // SAFETY: fcntl(2) uses no memory of ours.
    let size = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETPIPE_SZ) };
    if (0..PIPE_SIZE).contains(&size) {
        // SAFETY: as above. A refusal leaves the size that it has.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_SIZE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{Readiness, wait};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_full_pipe_or_socket_takes_nothing_and_does_not_block() {
        let (reader, writer) = io::pipe().unwrap();
        let (one, two) = UnixStream::pair().unwrap();
        for fd in [writer.as_fd(), one.as_fd()] {
            let mut taken = 0;
            let full = loop {
                match write_at_once(fd, &[b'a'; PIPE_BUF]) {
                    Ok(count) => taken += count,
                    Err(error) => break error,
                }
            };
            assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
            assert!(taken >= PIPE_BUF);
        }
        drop((reader, two));
        // A process that another test starts has copies until it executes.
        wait(&[(writer.as_fd(), Readiness::Writable)], None).unwrap();
        let gone = write_at_once(writer.as_fd(), b"a").unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_pipe_can_be_made_to_hold_more() {
        let (_reader, writer) = io::pipe().unwrap();
        widen(writer.as_fd());
        let mut taken = 0;
        while let Ok(count) = write_at_once(writer.as_fd(), &[b'a'; PIPE_BUF]) {
            taken += count;
        }
        assert!(taken > 64 * 1024, "{taken}");
    }
}
