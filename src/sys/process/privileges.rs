//! Gives up privileges: between fork and exec, where no memory may be allocated, or in a
//! process that goes on. The result is read back: the privileges are gone, and cannot be
//! regained.

use std::io;

use super::exec_error::{ExecStep, plain};
use crate::user::Credentials;

/// Changes groups and user, in the order in which each step is still allowed, and reads
/// the result back: a step that failed silently would leave the program with this
/// process's rights.
pub(super) fn give_up(
    credentials: &Credentials,
    groups: &mut [libc::gid_t],
) -> Result<(), (ExecStep, i32)> {
    let Credentials { uid, gid, groups: wanted } = credentials;
    // SAFETY: the list is valid for its length.
    plain(unsafe { libc::setgroups(wanted.len(), wanted.as_ptr()) })
        .map_err(|errno| (ExecStep::Groups, errno))?;
    // SAFETY: takes numbers only.
    plain(unsafe { libc::setresgid(*gid, *gid, *gid) })
        .map_err(|errno| (ExecStep::Group, errno))?;
    // SAFETY: takes numbers only.
    plain(unsafe { libc::setresuid(*uid, *uid, *uid) }).map_err(|errno| (ExecStep::User, errno))?;
    if !has_groups(wanted, groups) {
        return Err((ExecStep::Groups, libc::EPERM));
    }
    if group_ids() != [*gid; 3] {
        return Err((ExecStep::Group, libc::EPERM));
    }
    // SAFETY: takes a number only. It must fail.
    let can_go_back = *uid != 0 && unsafe { libc::setuid(0) } == 0;
    if user_ids() != [*uid; 3] || can_go_back {
        return Err((ExecStep::User, libc::EPERM));
    }
    // A setuid program must not restore the privileges (prctl(2)). Everything that is
    // executed from now on inherits this.
    let (yes, unused): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: takes numbers only.
    plain(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, yes, unused, unused, unused) })
        .map_err(|errno| (ExecStep::Privileges, errno))?;
    Ok(())
}

/// Gives this process another user and groups for good. Must be called by a process with
/// one thread.
///
/// # Errors
/// Those of `setgroups(2)`, `setresgid(2)`, `setresuid(2)` and `prctl(2)`.
pub fn become_user(credentials: &Credentials) -> io::Result<()> {
    // One more than there should be: further groups are noticed.
    let mut room = vec![0; credentials.groups.len() + 1];
    give_up(credentials, &mut room).map_err(|(_, errno)| io::Error::from_raw_os_error(errno))
}

fn has_groups(wanted: &[libc::gid_t], room: &mut [libc::gid_t]) -> bool {
    let size = libc::c_int::try_from(room.len()).unwrap_or(0);
    // SAFETY: the list is valid for its length.
    let count = unsafe { libc::getgroups(size, room.as_mut_ptr()) };
    let found = usize::try_from(count).ok().and_then(|count| room.get(..count));
    found.is_some_and(|found| {
        found.iter().all(|it| wanted.contains(it)) && wanted.iter().all(|it| found.contains(it))
    })
}

fn user_ids() -> [libc::uid_t; 3] {
    let [mut real, mut effective, mut saved] = [0; 3];
    // SAFETY: the three are valid for writes.
    unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) };
    [real, effective, saved]
}

fn group_ids() -> [libc::gid_t; 3] {
    let [mut real, mut effective, mut saved] = [0; 3];
    // SAFETY: the three are valid for writes.
    unsafe { libc::getresgid(&raw mut real, &raw mut effective, &raw mut saved) };
    [real, effective, saved]
}
