//! Opens files, pipes and terminals to append to them.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};

use crate::check;

/// Opens a file to append to it, and makes it with mode 0640 if it is missing. The call
/// does not wait, and does not make a terminal the controlling one. A named pipe is
/// opened for reading too, which Linux allows (`fifo(7)`): what is written stays there
/// for a later reader.
///
/// # Errors
/// Those of `open(2)`.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).mode(0o640).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let opened = match options.open(path) {
        // Only if the file is missing: with O_CREAT, opening another user's file can
        // fail in a sticky directory (`protected_fifos`, `proc_sys_fs(5)`).
        Err(error) if error.kind() == io::ErrorKind::NotFound => options.create(true).open(path),
        opened => opened,
    };
    let file = match opened {
        Ok(file) if file.metadata()?.file_type().is_fifo() => return open_both_ends(&file),
        // A pipe without a reader, or a socket.
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

/// Opens the same pipe again, for reading and writing.
fn open_both_ends(pipe: &File) -> io::Result<File> {
    let own = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(own)
}

/// Opens the file of this descriptor again, in blocking mode: for programs that do not
/// expect a write to fail for lack of room.
///
/// # Errors
/// Those of `open(2)`.
pub fn open_again(file: BorrowedFd) -> io::Result<File> {
    OpenOptions::new().append(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Opens an existing file, and nothing else, in a directory that one of `owners` may change: no
/// link leads to another file, neither a symbolic one nor a second name. `directory` has no
/// symbolic links itself. So root can append to a file of another user there, such as one that a
/// rotation has made, without trusting the owner of the directory.
///
/// # Errors
/// `PermissionDenied` for another kind of file, a file with several names, and a directory of
/// another user or that every user can change; those of `openat2(2)`.
pub fn open_found(directory: &Path, name: &OsStr, owners: &[u32]) -> io::Result<File> {
    let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
    let resolve = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().resolve(resolve);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = File::from(openat2(AT_FDCWD, directory, how.flags(flags))?);
    let found = directory.metadata()?;
    if !owners.contains(&found.uid()) || found.mode() & 0o002 != 0 {
        return Err(refused());
    }
    let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let how = how.flags(flags | OFlag::O_CLOEXEC);
    let file = File::from(openat2(&directory, name, how)?);
    let found = file.metadata()?;
    if !found.is_file() || found.nlink() != 1 {
        return Err(refused());
    }
    wait_when_full(&file)?;
    Ok(file)
}

/// Whether a write fails instead of waiting for room (`O_NONBLOCK`).
#[must_use]
pub fn fails_when_full(file: BorrowedFd) -> bool {
    // SAFETY: takes numbers only.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    flags >= 0 && flags & libc::O_NONBLOCK != 0
}

/// Clears `O_NONBLOCK`.
fn wait_when_full(file: &File) -> io::Result<()> {
    // SAFETY: takes numbers only.
    let flags = check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) })?;
    let flags = flags & !libc::O_NONBLOCK;
    // SAFETY: as above.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags) }).map(drop)
}
