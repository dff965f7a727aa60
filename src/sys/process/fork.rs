//! Forks processes with a copy of this one's memory that are not its children.

use std::io;
use std::os::fd::AsFd;

use super::program::{Process, exit_now};
use crate::check;
use crate::wait::{Readiness, wait};

/// The side of [`fork_orphan`] that this process is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkSide {
    /// The process that has forked.
    Caller {
        /// The process between the two, which the caller must reap. It ends with code 0
        /// when the orphan was made and reported.
        between: i32,
    },
    /// The new process. It has only the calling thread.
    Orphan {
        /// The process between the two, its parent until it ends.
        between: i32,
    },
}

/// Forks an orphan. Its parent is a process between that ends at once, so it becomes a
/// child of the nearest process that adopts orphans (`PR_SET_CHILD_SUBREAPER`, prctl(2)),
/// or of the first process. `tell` is called in the process between, with the orphan's
/// pid or the error, before that process ends: so before another process can reap the
/// orphan. `tell` returns whether the report has arrived.
///
/// # Errors
/// Those of the first `fork(2)`.
pub fn fork_orphan(tell: impl FnOnce(io::Result<i32>) -> bool) -> io::Result<ForkSide> {
    let between = fork()?;
    if between > 0 {
        return Ok(ForkSide::Caller { between });
    }
    let between = std::process::id().cast_signed();
    match fork() {
        Ok(0) => Ok(ForkSide::Orphan { between }),
        forked => exit_now(i32::from(!tell(forked))),
    }
}

/// Waits until this process has another parent than `parent`, which is about to end. When
/// the kernel reports the end of a process, its children have new parents.
pub fn await_new_parent(parent: i32) {
    while std::os::unix::process::parent_id().cast_signed() == parent {
        // If this fails, the parent has ended, and the loop's condition shows it.
        if let Ok(process) = Process::adopt(parent) {
            wait(&[(process.as_fd(), Readiness::Readable)], None).ok();
        }
    }
}

/// Whether a call failed because there is no room for another process now, on the machine
/// or within a shared limit (`EAGAIN` and `ENOMEM`, fork(2); `ENFILE`, `open(2)`). A later
/// try may work.
#[must_use]
pub fn lacks_room(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM | libc::ENFILE))
}

fn fork() -> io::Result<i32> {
    // SAFETY: the C library makes its own locks, such as malloc's, usable in the
    // new process (fork(3)); all memory is a copy, and stays valid.
    check(crate::fork::keeping(|| unsafe { libc::fork() }))
}
