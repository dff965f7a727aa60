//! Files without names, and sending files to sockets.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::{check, check_len};

/// Opens a file in `directory` that has no name and vanishes with its last
/// descriptor (`O_TMPFILE`, `open(2)`). Where the file system has no such
/// files, one is made by name and unlinked at once.
///
/// # Errors
/// Those of `open(2)` and `mkostemp(3)`.
pub fn unnamed(directory: &Path) -> io::Result<File> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC)
        .mode(0o600)
        .open(directory);
    match opened {
        Err(error) if lacks_unnamed_files(&error) => unlinked(directory),
        other => other,
    }
}

fn lacks_unnamed_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOENT))
}

fn unlinked(directory: &Path) -> io::Result<File> {
    use std::os::unix::ffi::OsStrExt;
    let template = directory.join("monoceros-XXXXXX");
    let mut template = CString::new(template.as_os_str().as_bytes())?.into_bytes_with_nul();
    let at = template.as_mut_ptr().cast();
    // SAFETY: the template is a writable C string that ends in six X.
    let fd = check(unsafe { libc::mkostemp(at, libc::O_CLOEXEC) })?;
    // SAFETY: the kernel has just given us this descriptor.
    let file = unsafe { File::from_raw_fd(fd) };
    // SAFETY: mkostemp(3) leaves a C string in the buffer.
    check(unsafe { libc::unlink(at) })?;
    Ok(file)
}

/// Sends up to `count` bytes of `file` from `offset` to a socket without
/// copying them through this process; returns how many went (`sendfile(2)`).
/// Zero means that the file ends there.
///
/// # Errors
/// Those of `sendfile(2)`: `WouldBlock` when the socket has no room,
/// `InvalidInput` when the file cannot be mapped.
pub fn send(socket: BorrowedFd, file: BorrowedFd, offset: u64, count: usize) -> io::Result<usize> {
    let mut at = libc::off_t::try_from(offset).map_err(io::Error::other)?;
    // SAFETY: both descriptors are open while borrowed; `at` is valid.
    check_len(unsafe { libc::sendfile(socket.as_raw_fd(), file.as_raw_fd(), &raw mut at, count) })
}

/// Copies a descriptor that somebody else owns and names by its number,
/// close-on-exec.
///
/// # Errors
/// Those of `fcntl(2)`; a number that names nothing is one of them.
pub fn duplicate(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: fcntl(2) checks the number, and uses no memory of ours.
    let copy = check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Takes over a descriptor that was passed in under a number, and makes it
/// close-on-exec. To be called once for each number, by the program that it was
/// passed to.
///
/// # Errors
/// Those of `fcntl(2)`; a number that names nothing is one of them.
pub fn adopt(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: fcntl(2) checks the number, and uses no memory of ours.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it is open, and its former owner was another program.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Makes `target` a copy of `source`, close-on-exec; what `target` was is
/// closed in the same step (`dup3(2)`).
///
/// # Errors
/// Those of `dup3(2)`.
pub fn duplicate_onto(source: BorrowedFd, target: BorrowedFd) -> io::Result<()> {
    // SAFETY: both are open while borrowed, and `target`'s owner keeps owning
    // its number.
    check(unsafe { libc::dup3(source.as_raw_fd(), target.as_raw_fd(), libc::O_CLOEXEC) }).map(drop)
}

/// As [`duplicate_onto`], but inherited by programs that are executed: for the
/// standard descriptors.
///
/// # Errors
/// Those of `dup2(2)`.
pub fn duplicate_for_programs(source: BorrowedFd, target: BorrowedFd) -> io::Result<()> {
    // SAFETY: as above.
    check(unsafe { libc::dup2(source.as_raw_fd(), target.as_raw_fd()) }).map(drop)
}

/// Sets the permissions that new files do not get, and returns what they were
/// (`umask(2)`). They are the whole process's.
pub fn set_umask(mask: u32) -> u32 {
    use nix::sys::stat::{Mode, umask};
    umask(Mode::from_bits_truncate(mask)).bits()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn an_unnamed_file_can_be_written_and_sent() {
        for make in [unnamed, unlinked] {
            let mut file = make(&std::env::temp_dir()).unwrap();
            file.write_all(b"hello").unwrap();
            let (one, mut two) = UnixStream::pair().unwrap();
            assert_eq!(send(one.as_fd(), file.as_fd(), 1, 100).unwrap(), 4);
            assert_eq!(send(one.as_fd(), file.as_fd(), 5, 100).unwrap(), 0);
            drop(one);
            let mut said = String::new();
            two.read_to_string(&mut said).unwrap();
            assert_eq!(said, "ello");
        }
    }
}
