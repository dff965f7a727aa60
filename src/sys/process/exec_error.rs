//! The reason why a new process could not execute its program.

use std::ffi::CStr;
use std::io;

/// The step at which a new process failed before it executed its program.
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
    /// The step with this number in a report.
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

/// The reason why a new process could not execute its program.
#[derive(Debug)]
pub struct ExecError {
    pub(super) step: Option<ExecStep>,
    pub(super) error: io::Error,
}

impl ExecError {
    /// The text of the error; `path` and `directory` are those of the program.
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

/// As [`check`](crate::check), without an [`io::Error`], which may allocate memory.
pub(super) fn plain(result: libc::c_int) -> Result<libc::c_int, i32> {
    if result == -1 { Err(errno()) } else { Ok(result) }
}

pub(super) fn errno() -> i32 {
    nix::errno::Errno::last_raw()
}
