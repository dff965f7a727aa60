//! Copies of descriptors, and descriptors that this program has inherited.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use crate::check;

/// The maximum number of descriptors of a process by the kernel's default (`fs.nr_open`,
/// proc(5)).
pub(crate) const KERNEL_LIMIT: usize = 1 << 20;

/// The first descriptor that is passed to a program (`sd_listen_fds(3)`).
pub const FIRST: RawFd = 3;

/// Takes a descriptor that this program inherited from the one that executed it,
/// and makes it close-on-exec. Each can be taken once.
///
/// The kernel closes a close-on-exec descriptor when a program is executed. Everything
/// that this process opens itself is close-on-exec (by `std`, by this crate, and in
/// Python by PEP 446). So a descriptor without that flag is inherited, and no other part
/// of this process owns it.
///
/// # Errors
/// `AlreadyExists` when it was taken before, or was opened by this process; those of
/// `fcntl(2)`, for a number that is not open.
pub fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    static TAKING: Mutex<()> = Mutex::new(());
    let _alone = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: fcntl(2) checks the number, and uses no memory of ours.
    let flags = check(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    if flags & libc::FD_CLOEXEC != 0 {
        let text = format!("descriptor {number} was not passed to this process, or is in use");
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    // SAFETY: as above.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it is open and inherited; the flag and the lock keep a second call
    // from making a second owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Copies the descriptor with this number, close-on-exec. The original stays with its
/// owner, which may be code that is not ours, such as Python.
///
/// # Errors
/// Those of `fcntl(2)`, also for a number that is not open.
pub fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl(2) checks the number, and uses no memory of ours.
    let copy = check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, FIRST) })?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Whether two descriptors are of the same file, by device and inode (`fstat(2)`).
#[must_use]
pub fn are_of_one_file(one: BorrowedFd, other: BorrowedFd) -> bool {
    let identity = |fd| nix::sys::stat::fstat(fd).ok().map(|it| (it.st_dev, it.st_ino));
    let (one, other) = (identity(one), identity(other));
    one.is_some() && one == other
}

/// Makes `target` a copy of `source`, close-on-exec, and closes the former file of
/// `target` in the same step (`dup3(2)`).
///
/// # Errors
/// Those of `dup3(2)`.
pub fn duplicate_onto(source: BorrowedFd, target: BorrowedFd) -> io::Result<()> {
    // SAFETY: both are open while borrowed, and `target`'s owner keeps owning
    // its number.
    check(unsafe { libc::dup3(source.as_raw_fd(), target.as_raw_fd(), libc::O_CLOEXEC) }).map(drop)
}

/// As [`duplicate_onto`], but without close-on-exec: for the standard descriptors.
///
/// # Errors
/// Those of `dup2(2)`.
pub fn duplicate_for_programs(source: BorrowedFd, target: BorrowedFd) -> io::Result<()> {
    // SAFETY: as above.
    check(unsafe { libc::dup2(source.as_raw_fd(), target.as_raw_fd()) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsFd, IntoRawFd};

    /// The number of a descriptor as an executed program inherits it: without
    /// close-on-exec.
    fn inherit() -> RawFd {
        let (reader, _writer) = io::pipe().unwrap();
        let number = OwnedFd::from(reader).into_raw_fd();
        // SAFETY: takes numbers only.
        check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }).unwrap();
        number
    }

    #[test]
    fn an_inherited_descriptor_can_be_taken_once() {
        let number = inherit();
        let taken = take_inherited(number).unwrap();
        assert_eq!(taken.as_raw_fd(), number);
        assert_eq!(take_inherited(number).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_descriptor_of_this_process_is_not_inherited() {
        let (reader, _writer) = io::pipe().unwrap();
        let error = take_inherited(reader.as_fd().as_raw_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(take_inherited(1 << 20).is_err(), "not open");
    }
}
