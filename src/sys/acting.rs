//! Uses files with the rights of another user: the kernel checks that user's rights for
//! every link and directory of a path.

use std::io;
use std::sync::{Mutex, PoisonError};

use nix::unistd::{Gid, Uid, getgroups, setfsgid, setfsuid, setgroups};

use crate::check;
use crate::user::{Credentials, is_root};

/// Held by the thread that acts as another user.
static ACTING: Mutex<()> = Mutex::new(());

/// Runs an action as this user: paths are looked up, and files are made, with the rights
/// of that user only (file system user ID, `credentials(7)`; root's capabilities over
/// files are dropped with it, `capabilities(7)`). A process that is not root runs the
/// action with its own rights, and so does root for the user root.
///
/// One thread at a time acts: the groups are those of all threads (`setgroups(2)` in the C
/// library), so other threads of root's process have the user's groups meanwhile. An action
/// must not act as a user itself.
///
/// # Errors
/// Those of `setgroups(2)`, and `PermissionDenied` when the kernel refuses the change of
/// the user. The action was not run then.
pub fn act_as<T>(user: &Credentials, action: impl FnOnce() -> T) -> io::Result<T> {
    if !is_root() || user.uid == 0 {
        return Ok(action());
    }
    let _turn = ACTING.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Restores the process when it is dropped: user, groups, and two attributes that the
/// kernel resets with each change of the user, since the process may hold secrets
/// (`prctl(2)`).
struct Back {
    groups: Vec<Gid>,
    dumpable: libc::c_int,
    death_signal: libc::c_int,
}

impl Drop for Back {
    fn drop(&mut self) {
        setfsuid(Uid::from_raw(0));
        setfsgid(nix::unistd::getegid());
        // If this fails, the process has fewer rights than before, and no more.
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

/// The file system user and group. A call with an invalid number changes nothing and
/// returns the present one (`setfsuid(2)`).
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
        // The kernel has credentials for each thread: other tests stay root.
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
