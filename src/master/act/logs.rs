//! The log files of a generation, opened for the user of its workers. A root master opens
//! them as that user: links and directories that the user can change lead to nothing that
//! the user could not reach without the master.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, fchown};
use std::path::Path;

use monoceros_config::LogTarget;
use monoceros_config::variable;
use monoceros_log::Destination;
use monoceros_sys::user::{Credentials, is_root};
use monoceros_sys::{append, descriptor, reason};

use crate::master::act::owner_rights::reach;
use crate::master::act::worker_spec::WorkerSpec;

/// The destination that a setting names; relative paths start from `directory`.
pub(crate) fn destination(
    setting: &LogTarget,
    stream: Destination,
    directory: &Path,
) -> Destination {
    Destination::of(setting.path().map(|path| directory.join(path)), stream)
}

/// Copies of the descriptors that the settings name as logs, for a worker, which
/// uses their numbers for other files; each with the variable that names it.
pub(crate) fn given(spec: &WorkerSpec) -> Vec<(&'static str, OwnedFd)> {
    let settings = &spec.settings;
    let logs = [
        (variable::ERROR_LOG, Some(&settings.error_logfile)),
        (variable::ACCESS_LOG, settings.access_logfile.as_ref()),
    ];
    let given = logs.into_iter().filter_map(|(name, setting)| {
        match destination(setting?, Destination::Stderr, &spec.directory) {
            // A worker without it writes to its standard streams.
            Destination::Given(number) => Some((name, descriptor::duplicate(number).ok()?)),
            Destination::Stdout | Destination::Stderr | Destination::File(_) => None,
        }
    });
    given.collect()
}

/// Creates the log files that workers will open by their names. A worker serves although
/// one cannot be opened: it writes to its standard streams.
pub(crate) fn prepare(spec: &WorkerSpec) {
    let Some(owner) = spec.owner.as_ref().filter(|_| is_root()) else { return };
    let settings = &spec.settings;
    let logs = [Some(&settings.error_logfile), settings.access_logfile.as_ref()];
    for setting in logs.into_iter().flatten() {
        match destination(setting, Destination::Stderr, &spec.directory) {
            Destination::File(path) => {
                if let Err(error) = open(&path, Some(owner)) {
                    let (path, why) = (path.display(), reason(&error));
                    log::error!("cannot open log file {path}: {why}");
                }
            }
            Destination::Stdout | Destination::Stderr | Destination::Given(_) => {}
        }
    }
}

/// Opens a log file that its owner, the workers' user, can write too. A missing file
/// is created and given to the owner.
///
/// # Errors
/// Those of `open(2)` for the owner. Where the owner has no access, and no user but root
/// can change the path, root opens the file and gives it to the owner: then those of root.
pub(crate) fn open(path: &Path, owner: Option<&Credentials>) -> io::Result<File> {
    let own = |path: &Path| append::open(path).or_else(|error| renew(path, error));
    reach(path, owner, own, |path| {
        let file = append::open(path)?;
        owner.map_or(Ok(()), |owner| give(&file, owner))?;
        Ok(file)
    })
}

/// Replaces an empty file that a log rotation as root has made in a directory of the owner.
/// The owner may not write that file, but may replace it.
fn renew(path: &Path, error: io::Error) -> io::Result<File> {
    let found = path.symlink_metadata();
    let is_empty = found.is_ok_and(|it| it.is_file() && it.len() == 0);
    if error.kind() != io::ErrorKind::PermissionDenied || !is_empty {
        return Err(error);
    }
    fs::remove_file(path).map_err(|_| error)?;
    append::open(path)
}

/// Gives a file to the owner by its descriptor, if another user owns it. Anything but
/// a file or a FIFO keeps its owner.
fn give(file: &File, owner: &Credentials) -> io::Result<()> {
    let found = file.metadata()?;
    let is_file = found.is_file() || found.file_type().is_fifo();
    if !is_file || found.uid() == owner.uid {
        return Ok(());
    }
    fchown(file, Some(owner.uid), Some(owner.gid)).map_err(|error| {
        let text = format!("cannot give it to user {}: {}", owner.uid, reason(&error));
        io::Error::new(error.kind(), text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::path::PathBuf;

    const USER: u32 = 65_534;

    fn user() -> Credentials {
        Credentials { uid: USER, gid: USER, groups: vec![USER] }
    }

    /// A directory of root's with one of the user's in it; nothing without root.
    fn directories(name: &str) -> Option<(PathBuf, PathBuf)> {
        if !crate::need::root() {
            return None;
        }
        let name = format!("monoceros-logs-{name}-{}", std::process::id());
        let own = std::env::temp_dir().join(name);
        let theirs = own.join("theirs");
        fs::create_dir_all(&theirs).unwrap();
        fs::set_permissions(&own, Permissions::from_mode(0o755)).unwrap();
        chown(&theirs, Some(USER), Some(USER)).unwrap();
        Some((own, theirs))
    }

    fn owner_of(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().uid()
    }

    #[test]
    fn a_file_in_a_directory_of_roots_is_made_and_given() {
        let Some((own, _)) = directories("given") else { return };
        let path = own.join("error.log");
        open(&path, Some(&user())).unwrap();
        assert_eq!(owner_of(&path), USER);
        // As a rotation makes it.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "old\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        open(&path, Some(&user())).unwrap().write_all(b"new\n").unwrap();
        assert_eq!(owner_of(&path), USER);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old\nnew\n");
        fs::remove_dir_all(own).unwrap();
    }

    #[test]
    fn what_the_user_can_change_leads_nowhere_else() {
        let Some((own, theirs)) = directories("links") else { return };
        let (secret, inner) = (own.join("secret"), own.join("inner"));
        fs::create_dir(&inner).unwrap();
        // The umask is that of the process: another test may be binding a socket.
        fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        fs::write(&secret, "x").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        symlink(&secret, theirs.join("file.log")).unwrap();
        symlink(own.join("missing"), theirs.join("missing.log")).unwrap();
        symlink(&inner, theirs.join("logs")).unwrap();
        for name in ["file.log", "missing.log", "logs/error.log"] {
            let error = open(&theirs.join(name), Some(&user())).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("theirs belongs to user 65534"), "{name}: {text}");
        }
        assert_eq!((owner_of(&secret), fs::read(&secret).unwrap()), (0, b"x".to_vec()));
        assert!(!own.join("missing").exists() && !inner.join("error.log").exists());
        fs::remove_dir_all(own).unwrap();
    }

    #[test]
    fn the_user_makes_its_own_files_and_renews_an_empty_one_of_roots() {
        let Some((own, theirs)) = directories("theirs") else { return };
        let path = theirs.join("error.log");
        for _ in 0..2 {
            open(&path, Some(&user())).unwrap().write_all(b"x\n").unwrap();
            assert_eq!(owner_of(&path), USER);
        }
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        open(&path, Some(&user())).unwrap();
        assert_eq!(owner_of(&path), USER);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(open(&path, Some(&user())).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious\n");
        fs::remove_dir_all(own).unwrap();
    }
}
