//! Looks up users and groups.

use std::ffi::CString;
use std::io;
use std::path::PathBuf;

use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, getgrouplist};

/// The user and the groups of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub uid: u32,
    /// The first group.
    pub gid: u32,
    /// All groups.
    pub groups: Vec<u32>,
}

impl Credentials {
    /// Looks up a user and a group by name or number. The default is this process's user;
    /// the default group is that of the given user in the user database, else this
    /// process's. `all_groups` adds the groups that the user is a member of.
    ///
    /// # Errors
    /// Those of the user database, and `NotFound` for a name that it lacks.
    pub fn find(user: Option<&str>, group: Option<&str>, all_groups: bool) -> io::Result<Self> {
        let user = match user {
            Some(text) => UserAccount::find(text)?,
            None => UserAccount::own()?,
        };
        let gid = match group {
            Some(text) => find_group(text)?,
            None => user.gid,
        };
        let groups = match user.name {
            Some(name) if all_groups => memberships(&name, gid)?,
            _ => vec![gid],
        };
        Ok(Self { uid: user.uid, gid, groups })
    }

    /// Whether this process already has this user and these groups.
    #[must_use]
    pub fn are_own(&self) -> bool {
        self.uid == geteuid().as_raw() && self.gid == getegid().as_raw()
    }
}

/// Whether this process is root.
#[must_use]
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// The effective user of this process.
#[must_use]
pub fn own_uid() -> u32 {
    geteuid().as_raw()
}

/// The user's data that a login puts into the environment (`login(1)`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub name: String,
    /// The user's home directory.
    pub home: PathBuf,
}

impl Login {
    /// Looks up a user by number; `None` if the user database does not have it.
    ///
    /// # Errors
    /// Those of the user database.
    pub fn of(uid: u32) -> io::Result<Option<Self>> {
        let user = User::from_uid(Uid::from_raw(uid))?;
        Ok(user.map(|user| Self { name: user.name, home: user.dir }))
    }
}

struct UserAccount {
    uid: u32,
    gid: u32,
    name: Option<String>,
}

impl UserAccount {
    fn own() -> io::Result<Self> {
        let (uid, gid) = (geteuid(), getegid());
        let name = User::from_uid(uid)?.map(|user| user.name);
        Ok(Self { uid: uid.as_raw(), gid: gid.as_raw(), name })
    }

    fn find(text: &str) -> io::Result<Self> {
        let known = match text.parse() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid))?,
            Err(_) => User::from_name(text)?,
        };
        match (known, text.parse()) {
            (Some(user), _) => {
                let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
                Ok(Self { uid, gid, name: Some(user.name) })
            }
            // The user of a container often has no name.
            (None, Ok(uid)) => Ok(Self { uid, gid: getegid().as_raw(), name: None }),
            (None, Err(_)) => Err(not_found("user", text)),
        }
    }
}

/// Looks up a group by name or number.
///
/// # Errors
/// Those of the user database, and `NotFound` for a name that it lacks.
pub fn find_group(text: &str) -> io::Result<u32> {
    if let Ok(gid) = text.parse() {
        return Ok(gid);
    }
    let group = Group::from_name(text)?.ok_or_else(|| not_found("group", text))?;
    Ok(group.gid.as_raw())
}

fn memberships(name: &str, gid: u32) -> io::Result<Vec<u32>> {
    let name = CString::new(name)?;
    let groups = getgrouplist(&name, Gid::from_raw(gid))?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}

fn not_found(kind: &str, name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no {kind} {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_found() {
        let root = Credentials::find(Some("root"), None, false).unwrap();
        assert_eq!((root.uid, root.gid, root.groups.as_slice()), (0, 0, &[0][..]));
        assert_eq!(Credentials::find(Some("0"), Some("root"), true).unwrap().uid, 0);
        let strange = Credentials::find(Some("123456"), Some("654321"), true).unwrap();
        assert_eq!((strange.uid, strange.gid), (123_456, 654_321));
        assert_eq!(strange.groups, [654_321]);
    }

    #[test]
    fn a_login_has_a_home() {
        let root = Login { name: "root".to_owned(), home: PathBuf::from("/root") };
        assert_eq!(Login::of(0).unwrap(), Some(root));
        assert_eq!(Login::of(123_456).unwrap(), None);
    }

    #[test]
    fn our_own_are_the_default() {
        assert!(Credentials::find(None, None, false).unwrap().are_own());
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let error = Credentials::find(Some("no-such-user"), None, false).unwrap_err();
        assert_eq!(error.to_string(), "there is no user \"no-such-user\"");
        let error = Credentials::find(None, Some("no-such-group"), false).unwrap_err();
        assert_eq!(error.to_string(), "there is no group \"no-such-group\"");
    }
}
