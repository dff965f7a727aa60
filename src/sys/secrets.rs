//! Keeps the memory of a process with private keys from other processes of its user.

use std::io;

use crate::check;

/// From now on no other process without the rights of root reads this process's memory
/// (`ptrace(2)`, `/proc/PID/mem`), and a crash writes no core dump (`PR_SET_DUMPABLE`,
/// `prctl(2)`). Most files in `/proc/PID` belong to root from then on (`proc(5)`). A program
/// that the process executes does not inherit that; a process that it forks does.
///
/// # Errors
/// Those of `prctl(2)`.
pub fn protect() -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }).map(drop)
}

/// Whether [`protect`] was called in this process, or in the one that has forked it.
#[must_use]
pub fn are_protected() -> bool {
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 }
}
