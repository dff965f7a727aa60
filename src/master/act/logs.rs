//! The log files of a generation. The master opens them, also for its workers, so that files and
//! directories of root work although the workers have another user.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use monoceros_config::{LogFormat, LogTarget, Settings};
use monoceros_log::{Destination, LogFile, RecordWriter, Syslog, SyslogLink};
use monoceros_sys::acting::act_as;
use monoceros_sys::user::{Credentials, is_root};
use monoceros_sys::{append, reason};
use monoceros_wire::log_role::LogRole;

use crate::master::act::owner_rights::reach;

/// The destination that a setting names; relative paths start from `directory`.
pub(crate) fn destination(
    setting: &LogTarget,
    stream: Destination,
    directory: &Path,
) -> Destination {
    Destination::of(setting.path().map(|path| directory.join(path)), stream)
}

/// Opens the log that a setting names, as its owner; the error is for people.
pub(crate) fn open_setting(
    setting: &LogTarget,
    stream: Destination,
    directory: &Path,
    owner: Option<&Credentials>,
) -> Result<LogFile, String> {
    let destination = destination(setting, stream, directory);
    LogFile::open_by(destination, |path| open(path, owner)).map_err(|error| reason(&error))
}

/// The logs of a generation, open for its workers, which get copies of the descriptors. The
/// numbers of the descriptors stay the same when the logs are opened again.
#[derive(Debug, Default)]
pub(crate) struct OpenLogs {
    logs: Vec<(LogRole, LogFile)>,
    owner: Option<Credentials>,
}

impl OpenLogs {
    /// Opens the logs that the workers of a generation write. A worker serves although one cannot
    /// be opened: it writes to a standard stream until that log can be opened again.
    pub(crate) fn open(settings: &Settings, directory: &Path, owner: Option<&Credentials>) -> Self {
        let (mut logs, owner) = (Vec::new(), owner.cloned());
        let targets = [
            (LogRole::Error, Some(&settings.error_logfile), Destination::Stderr),
            (LogRole::Access, settings.access_logfile.as_ref(), Destination::Stdout),
        ];
        for (role, target, stream) in targets {
            let Some(target) = target else { continue };
            let destination = destination(target, stream.clone(), directory);
            let by = |path: &Path| open(path, owner.as_ref());
            match LogFile::open_or_by(destination, stream.clone(), by) {
                Ok((log, None)) => logs.push((role, log)),
                Ok((log, Some(error))) => {
                    log::error!("{}; {} is written instead", reason(&error), name_of(&stream));
                    logs.push((role, log));
                }
                // A worker without it writes to its own stream.
                Err(error) => log::error!("cannot copy {}: {}", name_of(&stream), reason(&error)),
            }
        }
        Self { logs, owner }
    }

    /// Opens the files again, by their names. One that cannot be opened stays as it is.
    pub(crate) fn reopen(&self) {
        self.reopen_those(|_| true);
    }

    /// Opens those files again that another one has replaced, so that a new worker does not begin
    /// with a file that was rotated without a signal.
    pub(crate) fn follow_names(&self) {
        self.reopen_those(LogFile::was_replaced);
    }

    fn reopen_those(&self, which: impl Fn(&LogFile) -> bool) {
        for (_, log) in self.logs.iter().filter(|(_, log)| which(log)) {
            if let Err(error) = log.reopen_by(|path| open(path, self.owner.as_ref())) {
                log::error!("{}; workers still write to the old file", reason(&error));
            }
        }
    }

    /// What the logs are for, in the order of the descriptors.
    pub(crate) fn roles(&self) -> Vec<LogRole> {
        self.logs.iter().map(|(role, _)| *role).collect()
    }

    /// The descriptors.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.logs.iter().map(|(_, log)| log.as_fd()).collect()
    }
}

/// Sets the form of the records of the master, and whether they go to syslog. `name` is the
/// server's.
pub(crate) fn configure(writer: &RecordWriter, settings: &Settings, name: &str) {
    writer.file().set_json(settings.log_format == LogFormat::Json);
    let syslog = settings.log_syslog.then(|| {
        let link = Arc::new(SyslogLink::new(settings.log_syslog_to.clone()));
        if let Some(trouble) = link.trouble() {
            log::error!("{trouble}: no message is sent there; a reload looks for one again");
        }
        let prefix = settings.log_syslog_prefix.as_deref().unwrap_or(name);
        Syslog::new(link, settings.log_syslog_facility, prefix, "error")
    });
    writer.set_syslog(syslog);
}

fn name_of(stream: &Destination) -> &'static str {
    if *stream == Destination::Stdout { "standard output" } else { "standard error" }
}

/// Opens a log file for the workers' user, its owner, with the rights of the owner: links and
/// directories that the owner can change lead to nothing that it could not reach itself. Where
/// the owner may not open it, root does, if no user but root can change the path, or if it is a
/// file of any user in a directory of the owner, as rotations make them.
///
/// # Errors
/// Those of `open(2)`.
pub(crate) fn open(path: &Path, owner: Option<&Credentials>) -> io::Result<File> {
    let Some(owner) = owner.filter(|owner| is_root() && owner.uid != 0) else {
        return append::open(path).or_else(|error| renew(path, error));
    };
    match reach(path, Some(owner), append::open, append::open) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_found(path, owner).map_err(|_| error)
        }
        opened => opened,
    }
}

/// Opens a file that the owner may not open, in a directory of the owner.
fn open_found(path: &Path, owner: &Credentials) -> io::Result<File> {
    let (directory, name) =
        path.parent().zip(path.file_name()).ok_or(io::ErrorKind::InvalidInput)?;
    let directory = act_as(owner, || fs::canonicalize(directory))??;
    append::open_found(&directory, name, &[0, owner.uid])
}

/// Replaces an empty file that a log rotation as root has made in a directory of this user. The
/// user may not write that file, but may replace it.
fn renew(path: &Path, error: io::Error) -> io::Result<File> {
    let found = path.symlink_metadata();
    let is_empty = found.is_ok_and(|it| it.is_file() && it.len() == 0);
    if error.kind() != io::ErrorKind::PermissionDenied || !is_empty {
        return Err(error);
    }
    fs::remove_file(path).map_err(|_| error)?;
    append::open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
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
    fn a_file_in_a_directory_of_roots_stays_that_of_root() {
        let Some((own, _)) = directories("roots") else { return };
        let path = own.join("error.log");
        open(&path, Some(&user())).unwrap();
        assert_eq!(owner_of(&path), 0);
        // As a rotation makes it.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "old\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        open(&path, Some(&user())).unwrap().write_all(b"new\n").unwrap();
        assert_eq!(owner_of(&path), 0);
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
    fn a_file_of_another_user_in_a_directory_of_the_user_is_opened_by_root() {
        let Some((own, theirs)) = directories("theirs") else { return };
        let path = theirs.join("error.log");
        for _ in 0..2 {
            open(&path, Some(&user())).unwrap().write_all(b"x\n").unwrap();
            assert_eq!(owner_of(&path), USER);
        }
        for (owner, content) in [(0, ""), (0, "old\n"), (1, "old\n")] {
            fs::remove_file(&path).unwrap();
            fs::write(&path, content).unwrap();
            chown(&path, Some(owner), Some(owner)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            open(&path, Some(&user())).unwrap().write_all(b"new\n").unwrap();
            assert_eq!(owner_of(&path), owner);
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{content}new\n"));
        }
        fs::remove_dir_all(own).unwrap();
    }

    #[test]
    fn a_second_name_of_a_file_of_root_is_not_opened() {
        let Some((own, theirs)) = directories("names") else { return };
        let secret = own.join("secret");
        fs::write(&secret, "x").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(&secret, theirs.join("error.log")).unwrap();
        assert!(open(&theirs.join("error.log"), Some(&user())).is_err());
        // In a directory that every user can change, any user can have made the file.
        let file = theirs.join("other.log");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(&theirs, Permissions::from_mode(0o777)).unwrap();
        assert!(open(&file, Some(&user())).is_err());
        assert_eq!(fs::read(&secret).unwrap(), b"x");
        fs::remove_dir_all(own).unwrap();
    }
}
