//! Forking without executing anything: a process with this one's memory, whose
//! parent is another one.

use std::io;
use std::os::fd::AsFd;

use super::program::{Process, exit_now};
use crate::check;
use crate::wait::{Readiness, wait};

/// Which process this is, after [`fork_orphan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkSide {
    /// The one that forked.
    Caller {
        /// The process between the two, to be reaped: it ends with code 0 when
        /// the orphan was made and told of.
        between: i32,
    },
    /// The new one. It has the calling thread only.
    Orphan {
        /// The process between the two, its parent until that ends.
        between: i32,
    },
}

/// Forks an orphan, which is no child of this process: its parent ends at once, so that it
/// becomes that of the nearest reaper of orphans (`PR_SET_CHILD_SUBREAPER`,
/// prctl(2)), or of the first process. `tell` is called in the process between,
/// with the orphan's pid or why there is none, before that process ends: so
/// before another process can reap the orphan. It returns whether it was
/// heard.
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

/// Waits until this process has another parent than this one, which is about to
/// end. When the kernel says that it has ended, its children have been given away.
pub fn await_new_parent(parent: i32) {
    while std::os::unix::process::parent_id().cast_signed() == parent {
        // That it is gone already shows above.
        if let Ok(process) = Process::adopt(parent) {
            wait(&[(process.as_fd(), Readiness::Readable)], None).ok();
        }
    }
}

/// Whether a call was refused because the machine, or a limit that others share,
/// has no room for another process now (`EAGAIN` and `ENOMEM`, fork(2); `ENFILE`,
/// `open(2)`): there may be room later.
#[must_use]
pub fn lacks_room(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM | libc::ENFILE))
}

fn fork() -> io::Result<i32> {
    // SAFETY: the C library makes its own locks, such as malloc's, usable in the
    // new process (fork(3)); all memory is a copy, and stays valid.
    check(crate::fork::keeping(|| unsafe { libc::fork() }))
}
