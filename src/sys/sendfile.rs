//! Sends files to sockets by the kernel.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::check_len;

/// Sends up to `count` bytes of `file` from `offset` to a socket, without a copy in this
/// process, and returns their number (`sendfile(2)`). Zero means the end of the file.
///
/// # Errors
/// Those of `sendfile(2)`: `WouldBlock` when the socket has no room,
/// `InvalidInput` when the file cannot be mapped.
pub fn send(socket: BorrowedFd, file: BorrowedFd, offset: u64, count: usize) -> io::Result<usize> {
    let mut at = libc::off_t::try_from(offset).map_err(io::Error::other)?;
    // SAFETY: both descriptors are open while borrowed; `at` is valid.
    check_len(unsafe { libc::sendfile(socket.as_raw_fd(), file.as_raw_fd(), &raw mut at, count) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_file_is_sent_up_to_its_end() {
        let mut file = crate::unnamed_file::create(&std::env::temp_dir()).unwrap();
        file.write_all(b"hello").unwrap();
        let (one, mut two) = UnixStream::pair().unwrap();
        assert_eq!(send(one.as_fd(), file.as_fd(), 1, 100).unwrap(), 4);
        assert_eq!(send(one.as_fd(), file.as_fd(), 5, 100).unwrap(), 0);
        drop(one);
        let mut received = String::new();
        two.read_to_string(&mut received).unwrap();
        assert_eq!(received, "ello");
    }
}
