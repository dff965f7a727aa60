//! The end of processes: exit status, reaping, and adopted orphans.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;

use crate::check;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It has exited with this code.
    Code(i32),
    /// A signal has ended it.
    Signal(i32),
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "exit code {code}"),
            Self::Signal(signal) => formatter.write_str(&crate::signal::name(*signal)),
        }
    }
}

/// The pid of a child that has ended and is not reaped, if there is one. The pid stays in
/// use until the child is reaped.
///
/// # Errors
/// Those of `waitid(2)`, but for `ECHILD`.
pub fn ended() -> io::Result<Option<i32>> {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    match wait(libc::P_ALL, 0, flags) {
        Ok((0, _)) => Ok(None),
        Ok((pid, _)) => Ok(Some(pid)),
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits for the end of this child and reaps it.
///
/// # Errors
/// Those of `waitid(2)`.
pub fn reap(pid: i32) -> io::Result<ExitStatus> {
    Ok(wait(libc::P_PID, pid.cast_unsigned(), libc::WEXITED)?.1)
}

/// Waits for the end of a child of this process without reaping it, and returns its exit
/// status.
pub(super) fn peek(pid: i32) -> io::Result<ExitStatus> {
    Ok(wait(libc::P_PID, pid.cast_unsigned(), libc::WEXITED | libc::WNOWAIT)?.1)
}

/// Calls `waitid(2)`; returns the pid, which is 0 if no process has ended, and the exit
/// status.
fn wait(kind: libc::idtype_t, id: libc::id_t, flags: libc::c_int) -> io::Result<(i32, ExitStatus)> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the information is valid for writes.
    check(unsafe { libc::waitid(kind, id, info.as_mut_ptr(), flags) })?;
    // SAFETY: all-zero bytes are a valid `siginfo_t`, and the call changed them
    // to another one or not at all.
    let info = unsafe { info.assume_init() };
    // SAFETY: waitid(2) fills the fields of SIGCHLD, or leaves zeros.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    let by_itself = info.si_code == libc::CLD_EXITED;
    Ok((pid, if by_itself { ExitStatus::Code(status) } else { ExitStatus::Signal(status) }))
}

/// The parent and the users of a process, by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestry {
    /// Its parent.
    pub parent: i32,
    /// Its real, effective, saved and file system user.
    pub users: [u32; 4],
}

/// Looks up the parent and the users of a process (`proc_pid_status(5)`), also after its
/// end until it is reaped. A child of this process keeps its parent and its pid until it
/// is reaped.
///
/// # Errors
/// Those of `open(2)`; `InvalidData` when the kernel writes something else.
pub fn ancestry(pid: i32) -> io::Result<Ancestry> {
    let status = std::fs::read(format!("/proc/{pid}/status"))?;
    // The name of the process in the first line may have any bytes.
    let status = String::from_utf8_lossy(&status);
    let numbers = |name: &str| -> Option<Vec<&str>> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().collect())
    };
    let read = || {
        let parent = numbers("PPid:")?.first()?.parse().ok()?;
        let users: Option<Vec<_>> = numbers("Uid:")?.iter().map(|it| it.parse().ok()).collect();
        Some(Ancestry { parent, users: users?.try_into().ok()? })
    };
    read().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// From now on this process adopts orphans among its descendants, in place of the first
/// process (`PR_SET_CHILD_SUBREAPER`, prctl(2)). It has to reap them.
///
/// # Errors
/// Those of `prctl(2)`.
pub fn adopt_orphans() -> io::Result<()> {
    take_orphans(true)
}

/// Undoes [`adopt_orphans`], and returns whether this process adopted orphans before.
///
/// # Errors
/// Those of `prctl(2)`.
pub fn refuse_orphans() -> io::Result<bool> {
    let takes = takes_orphans()?;
    if takes {
        take_orphans(false)?;
    }
    Ok(takes)
}

/// Sets whether this process adopts orphans.
pub(super) fn take_orphans(takes: bool) -> io::Result<()> {
    let takes = libc::c_ulong::from(takes);
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, takes, 0, 0, 0) }).map(drop)
}

/// Whether this process adopts orphans.
pub(super) fn takes_orphans() -> io::Result<bool> {
    let mut takes: libc::c_int = 0;
    // SAFETY: the number lives through the call, which writes it.
    check(unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut takes, 0, 0, 0) })?;
    Ok(takes != 0)
}

/// From now on this process gets no signal when its parent ends (`PR_SET_PDEATHSIG`,
/// prctl(2)).
///
/// # Errors
/// Those of `prctl(2)`.
pub fn outlive_parent() -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0, 0, 0, 0) }).map(drop)
}
