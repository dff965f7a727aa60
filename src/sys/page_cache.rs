//! What of files is in memory, so that reading it does not wait for a disk.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::check_len;

/// Reads from `offset` what is in memory, without waiting for a disk, and returns how many
/// bytes that is (`RWF_NOWAIT`, `preadv2(2)`). Zero means the end of the file.
///
/// # Errors
/// Those of `preadv2(2)`: `WouldBlock` when the first byte is not in memory, `Unsupported`
/// when the file system cannot report that.
pub fn read(file: BorrowedFd, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let at = libc::off_t::try_from(offset).map_err(io::Error::other)?;
    let part = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: the descriptor is open while borrowed, and the part is writable memory.
    check_len(unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, at, libc::RWF_NOWAIT) })
}

/// Whether the byte at `offset` is in memory, as far as the file system reports that. An
/// error of the file counts as yes: reading returns it without a wait.
#[must_use]
pub fn has(file: BorrowedFd, offset: u64) -> bool {
    match read(file, &mut [0], offset) {
        Ok(_) => true,
        // An old kernel, or a filter, does not have the call at all.
        Err(error) => !matches!(
            error.raw_os_error(),
            Some(libc::EAGAIN | libc::EOPNOTSUPP | libc::ENOSYS | libc::EINTR)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn what_was_written_is_in_memory_or_the_file_system_does_not_report_it() {
        let mut file = crate::unnamed_file::create(&std::env::temp_dir()).unwrap();
        file.write_all(b"hello").unwrap();
        let mut bytes = [0; 8];
        match read(file.as_fd(), &mut bytes, 1) {
            Ok(count) => {
                assert_eq!(&bytes[..count], b"ello");
                assert!(has(file.as_fd(), 4) && has(file.as_fd(), 5), "the end is in memory");
                assert_eq!(read(file.as_fd(), &mut bytes, 5).unwrap(), 0);
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP), "{error}");
                assert!(!has(file.as_fd(), 0));
            }
        }
    }

    #[test]
    fn an_error_of_the_file_is_nothing_to_wait_for() {
        let unreadable = std::fs::File::options().write(true).open("/dev/null").unwrap();
        assert!(read(unreadable.as_fd(), &mut [0], 0).is_err());
        assert!(has(unreadable.as_fd(), 0));
    }
}
