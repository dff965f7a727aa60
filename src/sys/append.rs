//! Files, pipes and terminals that are opened to write at their end.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use crate::check;

/// Opens a file to write at its end, and makes it with mode 0640 if it is missing.
/// Whatever has the name, this does not wait, nor does it give this process a
/// terminal. A named pipe is opened for reading too, which `fifo(7)` allows on
/// Linux: what is written stays there for a reader that has still to come.
///
/// # Errors
/// Those of `open(2)`.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).mode(0o640).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let opened = match options.open(path) {
        // Only now: with O_CREAT the open of another user's file can fail in a
        // sticky directory (`protected_fifos`, `proc_sys_fs(5)`).
        Err(error) if error.kind() == io::ErrorKind::NotFound => options.create(true).open(path),
        opened => opened,
    };
    let file = match opened {
        Ok(file) if file.metadata()?.file_type().is_fifo() => return open_both_ends(&file),
        // A pipe that nothing reads, or a socket.
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
            return OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
                .open(path);
        }
        opened => opened?,
    };
    wait_when_full(&file)?;
    Ok(file)
}

/// The same pipe again, for reading too.
fn open_both_ends(pipe: &File) -> io::Result<File> {
    let own = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(own)
}

/// Opens what this descriptor leads to once more, for programs that do not expect
/// that a write can fail for want of room.
///
/// # Errors
/// Those of `open(2)`.
pub fn open_again(file: BorrowedFd) -> io::Result<File> {
    OpenOptions::new().append(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Takes `O_NONBLOCK` back.
fn wait_when_full(file: &File) -> io::Result<()> {
    // SAFETY: takes numbers only.
    let flags = check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) })?;
    let flags = flags & !libc::O_NONBLOCK;
    // SAFETY: as above.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags) }).map(drop)
}
