//! Acting on files as another user: what the kernel then allows is what that user
//! may do, whatever links and directories lie on the way.

use std::io;

use nix::unistd::{Gid, Uid, getgroups, setfsgid, setfsuid, setgroups};

use crate::check;
use crate::user::{Credentials, is_root};

/// Does something as this user: every path is looked up, and every file is made,
/// with the rights of that user alone (`credentials(7)`, file system user ID;
/// `capabilities(7)`: root's rights over files go with it). A process that is not
/// root does it as itself, as does one that would act as root. Must be called by a
/// process with one thread.
///
/// # Errors
/// Those of `setgroups(2)`, and `PermissionDenied` when the kernel does not let
/// this process become the user; nothing has been done then.
pub fn act_as<T>(user: &Credentials, action: impl FnOnce() -> T) -> io::Result<T> {
    if !is_root() || user.uid == 0 {
        return Ok(action());
    }
    let back = Back { groups: getgroups()?, dumpable: dumpable()?, death_signal: death_signal()? };
    let groups: Vec<_> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    setgroups(&groups)?;
    setfsgid(Gid::from_raw(user.gid));
    setfsuid(Uid::from_raw(user.uid));
    let done = if ids() == (user.uid, user.gid) {
        Ok(action())
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    };
    drop(back);
    done
}

/// The way back to what this process was. The kernel takes two more things away
/// with the user, since a program that changes it may hold secrets (`prctl(2)`).
struct Back {
    groups: Vec<Gid>,
    dumpable: libc::c_int,
    death_signal: libc::c_int,
}

impl Drop for Back {
    fn drop(&mut self) {
        setfsuid(Uid::from_raw(0));
        setfsgid(nix::unistd::getegid());
        // Without them the process has fewer rights, and none too many.
        setgroups(&self.groups).ok();
        let (dumpable, signal) = (self.dumpable.unsigned_abs(), self.death_signal.unsigned_abs());
        // SAFETY: takes numbers only.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(dumpable), 0, 0, 0) };
        if signal != 0 {
            // SAFETY: as above.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::c_ulong::from(signal), 0, 0, 0) };
        }
    }
}

/// The user and group with whose rights files are looked up and made. An impossible
/// number changes nothing, and the call returns the present one (`setfsuid(2)`).
fn ids() -> (u32, u32) {
    let impossible = u32::MAX;
    let user = setfsuid(Uid::from_raw(impossible)).as_raw();
    (user, setfsgid(Gid::from_raw(impossible)).as_raw())
}

fn dumpable() -> io::Result<libc::c_int> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) })
}

fn death_signal() -> io::Result<libc::c_int> {
    let mut signal: libc::c_int = 0;
    // SAFETY: the place is valid for writes.
    check(unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal, 0, 0, 0) })?;
    Ok(signal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    const OTHER: u32 = 65_534;

    #[test]
    fn files_are_opened_and_made_as_the_user() {
        if !crate::need::root() {
            return;
        }
        let name = format!("monoceros-acting-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        let (secret, made) = (directory.join("secret"), directory.join("made"));
        fs::write(&secret, "x").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let user = Credentials { uid: OTHER, gid: OTHER, groups: vec![OTHER] };
        let before = (getgroups().unwrap(), dumpable().unwrap());
        // Credentials belong to a thread: other tests go on as root.
        let refused = act_as(&user, || fs::read(&secret)).unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        act_as(&user, || fs::write(&made, "y")).unwrap().unwrap();
        let found = fs::metadata(&made).unwrap();
        assert_eq!((found.uid(), found.gid()), (OTHER, OTHER));
        assert_eq!(fs::read(&secret).unwrap(), b"x", "root again");
        assert_eq!((getgroups().unwrap(), dumpable().unwrap()), before);
        fs::remove_dir_all(directory).unwrap();
    }
}
