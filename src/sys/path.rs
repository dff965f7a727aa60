//! Checks which users can change the file of a path.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// The maximum number of symbolic links in a path, as in the kernel
/// (`path_resolution(7)`).
const MOST_LINKS: usize = 40;
/// The mode bits by which users other than the owner may write.
const OTHERS_WRITE: u32 = 0o022;
/// The mode bit of a directory in which only the owner of a file may remove it.
const STICKY: u32 = 0o1000;

/// Resolves the links of a path, and checks that only `owners` can change or replace its
/// file. Every directory is checked, also those on the way of a link. The last name may be
/// missing, and the owner of that file is not checked.
///
/// A user without the right to change a path cannot get it later. So the result is valid
/// before and after the call too.
///
/// # Errors
/// `PermissionDenied`, with the directory and the user that can change it; those of
/// `lstat(2)` and `readlink(2)`.
pub fn follow(path: &Path, owners: &[u32]) -> io::Result<PathBuf> {
    walk(path, |at, name, found| {
        if found.is_none() && !name.is_last {
            return Err(io::ErrorKind::NotFound.into());
        }
        check_name(at, &at.symlink_metadata()?, found, owners)
    })
}

/// The names on the way of a path that lead elsewhere when they are replaced: each symbolic
/// link, and the file at the end. A name that is missing is the last one.
///
/// # Errors
/// Those of `lstat(2)` and `readlink(2)`.
pub fn turns(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut turns = Vec::new();
    let walked = walk(path, |at, name, found| {
        let is_link = found.is_some_and(Metadata::is_symlink);
        if is_link || found.is_none() || name.is_last {
            turns.push(at.join(name.text));
        }
        if found.is_none() { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    });
    match walked {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(turns),
    }
}

/// A name on the way of a path.
struct PathName<'a> {
    text: &'a OsStr,
    /// No name follows, unless this one is a link.
    is_last: bool,
}

/// Resolves the links of a path. Before it follows a name, it calls `visit` with the
/// directory, the name, and what is found there: `None` if nothing is.
fn walk(
    path: &Path,
    mut visit: impl FnMut(&Path, &PathName, Option<&Metadata>) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let mut ahead: VecDeque<OsString> = names(&std::path::absolute(path)?);
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        let found = match next.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            found => Some(found?),
        };
        let name = PathName { text: &name, is_last: ahead.is_empty() };
        visit(&at, &name, found.as_ref())?;
        if !found.is_some_and(|it| it.is_symlink()) {
            at = next;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        let target = next.read_link()?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        let mut target = names(&target);
        target.append(&mut ahead);
        ahead = target;
    }
    Ok(at)
}

/// As [`follow`], for a file that must exist and that other users cannot write to.
///
/// # Errors
/// As [`follow`].
pub fn follow_to_file(path: &Path, owners: &[u32]) -> io::Result<PathBuf> {
    let path = follow(path, owners)?;
    let found = path.symlink_metadata()?;
    if !owners.contains(&found.uid()) {
        return Err(belongs(&path, found.uid()));
    }
    if is_open(&found) {
        return Err(written_by_others(&path));
    }
    Ok(path)
}

fn names(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    });
    names.collect()
}

/// Checks that other users cannot replace this name in this directory.
fn check_name(
    at: &Path,
    directory: &Metadata,
    found: Option<&Metadata>,
    owners: &[u32],
) -> io::Result<()> {
    if !owners.contains(&directory.uid()) {
        return Err(belongs(at, directory.uid()));
    }
    let is_kept = found.is_some_and(|it| owners.contains(&it.uid()));
    let is_sticky = directory.permissions().mode() & STICKY != 0;
    if is_open(directory) && !(is_sticky && is_kept) {
        return Err(written_by_others(at));
    }
    Ok(())
}

/// Whether users other than the owner can write to a file. The group root counts as
/// root.
fn is_open(found: &Metadata) -> bool {
    let writers = if found.gid() == 0 { OTHERS_WRITE & 0o007 } else { OTHERS_WRITE };
    found.permissions().mode() & writers != 0
}

fn belongs(path: &Path, uid: u32) -> io::Error {
    denied(format!("{} belongs to user {uid}", path.display()))
}

fn written_by_others(path: &Path) -> io::Error {
    denied(format!("{} can be written by others than its owner", path.display()))
}

fn denied(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::own_uid;
    use std::fs::{self, Permissions, set_permissions};
    use std::os::unix::fs::symlink;

    fn directory(name: &str) -> PathBuf {
        let name = format!("monoceros-path-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(directory.join("inner")).unwrap();
        for one in ["", "inner"] {
            set_permissions(directory.join(one), Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(directory.join("inner/file"), "").unwrap();
        set_permissions(directory.join("inner/file"), Permissions::from_mode(0o644)).unwrap();
        directory
    }

    fn owners() -> [u32; 2] {
        [0, own_uid()]
    }

    #[test]
    fn a_path_of_ones_own_is_followed_through_links() {
        let directory = directory("own");
        let link = directory.join("link");
        symlink("inner/../inner", &link).unwrap();
        symlink(directory.join("link/file"), directory.join("file")).unwrap();
        let real = fs::canonicalize(directory.join("inner/file")).unwrap();
        assert_eq!(follow(&directory.join("file"), &owners()).unwrap(), real);
        assert_eq!(follow_to_file(&directory.join("file"), &owners()).unwrap(), real);
        let missing = follow(&link.join("missing"), &owners()).unwrap();
        assert_eq!(missing, real.with_file_name("missing"));
        let error = follow(&link.join("missing/file"), &owners()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        symlink("circle", directory.join("circle")).unwrap();
        let error = follow(&directory.join("circle"), &owners()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_turns_of_a_path_are_its_links_and_its_file() {
        let directory = directory("turns");
        let (inner, link, file) =
            (directory.join("inner"), directory.join("link"), directory.join("file"));
        symlink("inner", &link).unwrap();
        symlink("link/file", &file).unwrap();
        let real = fs::canonicalize(&directory).unwrap();
        let expected = ["file", "link", "inner/file"].map(|name| real.join(name));
        assert_eq!(turns(&file).unwrap()[..], expected);
        fs::remove_file(inner.join("file")).unwrap();
        assert_eq!(turns(&file).unwrap()[..], expected, "it may be made again");
        fs::remove_dir(&inner).unwrap();
        let expected = ["file", "link", "inner"].map(|name| real.join(name));
        assert_eq!(turns(&file).unwrap()[..], expected);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_write_is_named() {
        let directory = directory("open");
        let (inner, link) = (directory.join("inner"), directory.join("link"));
        symlink(&inner, &link).unwrap();
        set_permissions(&inner, Permissions::from_mode(0o777)).unwrap();
        for path in [inner.join("file"), link.join("file"), inner.join("missing")] {
            let error = follow(&path, &owners()).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            assert!(text.ends_with("inner can be written by others than its owner"), "{text}");
        }
        set_permissions(&inner, Permissions::from_mode(0o1777)).unwrap();
        follow(&inner.join("file"), &owners()).unwrap();
        assert!(follow(&inner.join("missing"), &owners()).is_err(), "anyone can make it");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_that_others_can_change_is_named() {
        let directory = directory("file");
        let file = directory.join("inner/file");
        set_permissions(&file, Permissions::from_mode(0o646)).unwrap();
        assert!(follow(&file, &owners()).is_ok());
        assert!(follow_to_file(&file, &owners()).is_err());
        set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let error = follow_to_file(&file, &[own_uid() + 1]).unwrap_err();
        assert!(error.to_string().contains("/ belongs to user 0"), "{error}");
        fs::remove_dir_all(directory).unwrap();
    }
}
