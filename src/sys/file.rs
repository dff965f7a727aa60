//! Files without names, sending files to sockets, writing without waiting.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
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

/// The most bytes that a pipe takes as a whole, or not at all (`pipe(7)`).
pub const PIPE_BUF: usize = libc::PIPE_BUF;

/// How much a log's pipe is to hold, in bytes: what an unprivileged process may
/// ask for (`pipe(7)`).
const PIPE_SIZE: libc::c_int = 1 << 20;

/// Writes up to [`PIPE_BUF`] bytes to a pipe, a socket or a terminal that may be
/// shared with other processes, and so must not be made non-blocking: only if it
/// has room now (`poll(2)`). Two processes that write to the same one may both
/// find the same room, and the later would wait: hence `RWF_NOWAIT`
/// (`pwritev2(2)`), where the kernel has it for this kind of file.
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

/// An older kernel, another kind of file, or a filter of system calls.
fn is_unknown_call(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EPERM))
}

fn write_without_waiting(fd: BorrowedFd, bytes: &[u8]) -> io::Result<usize> {
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // An offset of -1 is the file's own, which is all that a pipe has.
    // SAFETY: the record describes `bytes`, which the call only reads.
    check_len(unsafe { libc::pwritev2(fd.as_raw_fd(), &raw const part, 1, -1, libc::RWF_NOWAIT) })
}

fn write(fd: BorrowedFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: pointer and length are those of `bytes`.
    check_len(unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) })
}

/// Opens a file to write at its end, and makes it with mode 0640 if it is missing.
/// Whatever has the name, this does not wait, nor does it give this process a
/// terminal. A named pipe is opened for reading too, which `fifo(7)` allows on
/// Linux: what is written stays there for a reader that has still to come.
///
/// # Errors
/// Those of `open(2)`.
pub fn open_to_append(path: &Path) -> io::Result<File> {
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
pub fn open_again_to_append(file: BorrowedFd) -> io::Result<File> {
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

/// Lets a pipe hold more, as far as this process may (`F_SETPIPE_SZ`,
/// `fcntl(2)`): a reader that is late for a moment then loses nothing. What is no
/// pipe stays as it is.
pub fn widen_pipe(fd: BorrowedFd) {
    // SAFETY: fcntl(2) uses no memory of ours.
    let size = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETPIPE_SZ) };
    if (0..PIPE_SIZE).contains(&size) {
        // SAFETY: as above. A refusal leaves the size that it has.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_SIZE) };
    }
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
    use crate::wait::{Readiness, wait};
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

    #[test]
    fn a_full_pipe_or_socket_takes_nothing_and_nobody_waits() {
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
        widen_pipe(writer.as_fd());
        let mut taken = 0;
        while let Ok(count) = write_at_once(writer.as_fd(), &[b'a'; PIPE_BUF]) {
            taken += count;
        }
        assert!(taken > 64 * 1024, "{taken}");
    }
}
