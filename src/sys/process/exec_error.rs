//! Why a new process did not become its program.

use std::ffi::CStr;
use std::io;

/// What a new process was doing when it failed to become its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExecStep {
    Descriptors = 1,
    Directory,
    Groups,
    Group,
    User,
    Privileges,
    Execute,
}

impl ExecStep {
    /// The one that was reported as this number.
    pub(super) fn of(number: i32) -> Option<Self> {
        let steps = [
            Self::Descriptors,
            Self::Directory,
            Self::Groups,
            Self::Group,
            Self::User,
            Self::Privileges,
            Self::Execute,
        ];
        steps.into_iter().find(|it| *it as i32 == number)
    }
}

/// Why a new process did not become its program.
#[derive(Debug)]
pub struct ExecError {
    pub(super) step: Option<ExecStep>,
    pub(super) error: io::Error,
}

impl ExecError {
    /// Says what failed, given what the process was to become.
    #[must_use]
    pub(super) fn describe(&self, path: &CStr, directory: Option<&CStr>) -> String {
        let reason = crate::reason(&self.error);
        let path = path.to_string_lossy();
        let directory = directory.unwrap_or_default().to_string_lossy();
        match self.step {
            Some(ExecStep::Descriptors) => format!("cannot pass descriptors to {path}: {reason}"),
            Some(ExecStep::Directory) => {
                format!("cannot change to directory {directory}: {reason}")
            }
            Some(ExecStep::Groups) => format!("cannot set the groups of {path}: {reason}"),
            Some(ExecStep::Group) => format!("cannot set the group of {path}: {reason}"),
            Some(ExecStep::User) => format!("cannot set the user of {path}: {reason}"),
            Some(ExecStep::Privileges) => format!("cannot set no_new_privs of {path}: {reason}"),
            Some(ExecStep::Execute) | None => format!("cannot execute {path}: {reason}"),
        }
    }
}

/// As [`check`](crate::check), without making an [`io::Error`], which may allocate.
pub(super) fn plain(result: libc::c_int) -> Result<libc::c_int, i32> {
    if result == -1 { Err(errno()) } else { Ok(result) }
}

pub(super) fn errno() -> i32 {
    nix::errno::Errno::last_raw()
}
