//! How processes end: exit status, reaping, and adopted orphans.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;

use crate::check;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
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

/// The pid of a process that has ended and can be reaped, if there is one. It
/// keeps its pid until then.
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

/// Waits for the end of this process and lets the kernel forget it.
///
/// # Errors
/// Those of `waitid(2)`.
pub fn reap(pid: i32) -> io::Result<ExitStatus> {
    Ok(wait(libc::P_PID, pid.cast_unsigned(), libc::WEXITED)?.1)
}

/// Waits for the end of a child of this process, without reaping it; returns how
/// it has ended.
pub(super) fn peek(pid: i32) -> io::Result<ExitStatus> {
    Ok(wait(libc::P_PID, pid.cast_unsigned(), libc::WEXITED | libc::WNOWAIT)?.1)
}

/// As `waitid(2)`: the pid, which is 0 if no process has ended, and its end.
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

/// Where a process comes from, as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestry {
    /// Its parent.
    pub parent: i32,
    /// Its real, effective, saved and file system user.
    pub users: [u32; 4],
}

/// Looks up where a process comes from (`proc_pid_status(5)`); also one that has
/// ended and is not reaped. A child of this process stays its child, and keeps its
/// pid, until it is reaped.
///
/// # Errors
/// Those of `open(2)`; `InvalidData` when the kernel writes something else.
pub fn ancestry(pid: i32) -> io::Result<Ancestry> {
    let status = std::fs::read(format!("/proc/{pid}/status"))?;
    // The name in the first line may have any bytes.
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

/// From now on processes whose parent has ended, and which descend from this
/// one, become its own instead of the first process's (`PR_SET_CHILD_SUBREAPER`,
/// prctl(2)). This process has to reap them then.
///
/// # Errors
/// Those of `prctl(2)`.
pub fn adopt_orphans() -> io::Result<()> {
    take_orphans(true)
}

/// Takes back what [`adopt_orphans`] asks for; says whether it had been asked for.
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

/// Begins or ends what [`adopt_orphans`] asks for.
pub(super) fn take_orphans(takes: bool) -> io::Result<()> {
    let takes = libc::c_ulong::from(takes);
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, takes, 0, 0, 0) }).map(drop)
}

/// Whether this process has asked for orphans.
pub(super) fn takes_orphans() -> io::Result<bool> {
    let mut takes: libc::c_int = 0;
    // SAFETY: the number lives through the call, which writes it.
    check(unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut takes, 0, 0, 0) })?;
    Ok(takes != 0)
}

/// From now on the parent's death brings no signal (`PR_SET_PDEATHSIG`,
/// prctl(2)).
///
/// # Errors
/// Those of `prctl(2)`.
pub fn outlive_parent() -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0, 0, 0, 0) }).map(drop)
}
