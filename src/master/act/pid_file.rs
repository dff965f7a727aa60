//! The pid file: written whole, locked for as long as the master lives, and removed by no
//! other process. Owned by `pid_file_setting.rs`; a command finds the master by it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use monoceros_log::printable;
use monoceros_sys::user::Credentials;
use monoceros_sys::{lock, reason};

use crate::master::act::owner_rights::reach;

/// How often a master looks again at a file that other processes are replacing.
const ATTEMPTS: u32 = 100;

/// The most bytes that are read of a file, which another program may have written.
const LONGEST_PID: u64 = 32;

/// The pid file of this process.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    /// Holds the lock (`flock(2)`) until it is closed.
    file: File,
    /// The workers' user.
    owner: Option<Credentials>,
}

impl PidFile {
    /// Writes the pid of this process, unless a living master holds the file. A pid in it
    /// proves nothing, since pids are reused, but its lock does. Of several masters that
    /// start at once one succeeds. A reader always finds a whole pid.
    ///
    /// A root master writes it as its workers' user where that user can write, as
    /// everything that the user can change: see [`reach`].
    pub(crate) fn write(path: &Path, owner: Option<&Credentials>) -> Result<Self, String> {
        match reach(path, owner, write, write).map_err(|error| cannot_write(path, &error))? {
            Ok(file) => Ok(Self { path: path.to_owned(), file, owner: owner.cloned() }),
            Err(pid) => {
                let path = path.display();
                Err(format!("cannot start: pid file {path} is held by a running master, pid {pid}"))
            }
        }
    }

    /// Writes the pid of this process in place of that of the predecessor, which has
    /// released the file, or is ending.
    pub(crate) fn take_over(path: &Path, owner: Option<&Credentials>) -> Result<Self, String> {
        let replace = |path: &Path| {
            let draft = PidDraft::write(path)?;
            fs::rename(&draft.path, path)?;
            Ok(draft.file)
        };
        let taken = reach(path, owner, replace, replace);
        let file = taken.map_err(|error| cannot_write(path, &error))?;
        Ok(Self { path: path.to_owned(), file, owner: owner.cloned() })
    }

    /// Leaves the file to the successor. A process that is just being started has a copy of
    /// the descriptor, so closing it does not release the lock.
    pub(crate) fn leave(self) {
        // A successor takes the file over without a lock.
        drop(self.file.unlock());
    }

    /// The file was removed, and no other is there.
    pub(crate) fn is_gone(&self) -> bool {
        let there = fs::symlink_metadata(&self.path);
        there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Removes the file, if it is still the one that was written.
    pub(crate) fn remove(self) {
        let remove = |path: &Path| {
            if is_at(&self.file, path)? { fs::remove_file(path) } else { Ok(()) }
        };
        // A failure does no harm: the next master replaces the file.
        drop(reach(&self.path, self.owner.as_ref(), remove, remove));
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("cannot write pid file {}: {}", path.display(), reason(error))
}

/// The file with this process's pid, or the pid of the master that holds it.
fn write(path: &Path) -> io::Result<Result<File, String>> {
    let draft = PidDraft::write(path)?;
    let taken = (0..ATTEMPTS).map(|_| take(path, &draft)).find(|it| !is_changed(it));
    // Its own name; if it was renamed there is none.
    drop(fs::remove_file(&draft.path));
    match taken {
        Some(Ok(ClaimResult::Held(pid))) => Ok(Err(pid)),
        Some(Ok(ClaimResult::Ours)) => Ok(Ok(draft.file)),
        Some(Err(error)) => Err(error),
        Some(Ok(ClaimResult::Changed)) | None => {
            Err(io::Error::other("other processes keep replacing it"))
        }
    }
}

/// The pid of the living master that holds this file.
pub(crate) fn find_master(path: &Path) -> Result<i32, String> {
    let cannot = |why: &str| format!("cannot find the server by {}: {why}", path.display());
    let text = holder(path).map_err(|error| cannot(&reason(&error)))?;
    let text = text.ok_or_else(|| cannot("no running server holds this pid file"))?;
    text.parse().map_err(|_| cannot("there is no pid in it"))
}

/// What a living process that has locked the file wrote into it.
fn holder(path: &Path) -> io::Result<Option<String>> {
    // Opening a named pipe would wait for its other end (fifo(7)).
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) if lock::is_of_another_user(&file) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(read_pid(file)?)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What is in a pid file, as far as that may be a pid.
fn read_pid(file: File) -> io::Result<String> {
    let mut text = Vec::new();
    file.take(LONGEST_PID).read_to_end(&mut text)?;
    Ok(printable::line(String::from_utf8_lossy(&text).trim()))
}

/// Tries once to put the draft in its place. Only a process that has locked the file may
/// replace it; where there is no file, only one process can create it.
fn take(path: &Path, draft: &PidDraft) -> io::Result<ClaimResult> {
    // Opening a named pipe would wait for its other end (fifo(7)).
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let there = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match fs::hard_link(&draft.path, path) {
                Ok(()) => Ok(ClaimResult::Ours),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    Ok(ClaimResult::Changed)
                }
                // A file system without links (link(2)): of two masters that start at once
                // one may lose its file. Otherwise none could start.
                Err(error) if lacks_links(&error) => {
                    fs::rename(&draft.path, path).map(|()| ClaimResult::Ours)
                }
                Err(error) => Err(error),
            };
        }
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            return Err(io::Error::other("it is a symbolic link"));
        }
        Err(error) => return Err(error),
    };
    // Renaming a file to /dev/null would destroy the device. A directory cannot be replaced
    // (rename(2)).
    let kind = there.metadata()?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let locked = match there.try_lock() {
        Ok(()) => true,
        // Any user can lock what anyone can read.
        Err(TryLockError::WouldBlock) => lock::is_of_another_user(&there),
        Err(TryLockError::Error(error)) => return Err(error),
    };
    if !is_at(&there, path)? {
        return Ok(ClaimResult::Changed);
    }
    if !locked {
        return Ok(ClaimResult::Held(read_pid(there)?));
    }
    fs::rename(&draft.path, path)?;
    Ok(ClaimResult::Ours)
}

/// The result of a try.
enum ClaimResult {
    /// This process holds the file.
    Ours,
    /// A living master holds it, which wrote this into it.
    Held(String),
    /// Another process has replaced the file meanwhile.
    Changed,
}

/// A file that is locked and complete, and not yet in its place.
struct PidDraft {
    path: PathBuf,
    file: File,
}

impl PidDraft {
    fn write(path: &Path) -> io::Result<Self> {
        let pid = std::process::id();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let path = path.with_file_name(format!(".{name}.{pid}"));
        // A process that had the same pid may have left it.
        drop(fs::remove_file(&path));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let mut draft = Self { file: options.open(&path)?, path };
        // Before, no other process can open it and lock it.
        draft.file.try_lock()?;
        draft.file.set_permissions(PermissionsExt::from_mode(0o644))?;
        writeln!(draft.file, "{pid}")?;
        Ok(draft)
    }
}

fn lacks_links(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EOPNOTSUPP | libc::ENOSYS))
}

fn is_changed(taken: &io::Result<ClaimResult>) -> bool {
    matches!(taken, Ok(ClaimResult::Changed))
}

/// The file at this path is this one.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let identity = |it: fs::Metadata| (it.dev(), it.ino());
    let there = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    Ok(identity(file.metadata()?) == identity(there))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn directory(name: &str) -> PathBuf {
        let name = format!("monoceros-pidfile-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    fn entries(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn it_is_written_held_and_removed() {
        let directory = directory("whole");
        let path = directory.join("a.pid");
        let before = PidFile::write(&path, None).unwrap();
        let ours = PidFile::take_over(&path, None).unwrap();
        before.remove();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        let refused = PidFile::write(&path, None).unwrap_err();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        assert_eq!(entries(&directory), 1);
        let copy = ours.file.try_clone().unwrap();
        ours.leave();
        PidFile::write(&path, None).unwrap().remove();
        drop(copy);
        assert_eq!(entries(&directory), 0);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_stale_one_blocks_nothing_whatever_it_names() {
        let directory = directory("stale");
        let path = directory.join("a.pid");
        for text in ["1\n", "garbage", ""] {
            fs::write(&path, text).unwrap();
            PidFile::write(&path, None).unwrap().remove();
        }
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn another_ones_is_not_removed_and_a_link_is_not_followed() {
        let directory = directory("other");
        let (path, target) = (directory.join("a.pid"), directory.join("target"));
        let ours = PidFile::write(&path, None).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "1\n").unwrap();
        ours.remove();
        assert!(path.exists());
        fs::remove_file(&path).unwrap();
        fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        let refused = PidFile::write(&path, None).unwrap_err();
        assert!(refused.contains("symbolic link"), "{refused}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_is_no_regular_file_is_left_alone() {
        let directory = directory("special");
        let path = directory.join("a.pid");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let refused = PidFile::write(&path, None).unwrap_err();
        assert!(refused.ends_with("it is not a regular file"), "{refused}");
        assert!(!fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(entries(&directory), 1);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn of_several_at_once_one_has_it() {
        let directory = directory("race");
        let path = directory.join("a.pid");
        for stale in [false, true].repeat(20) {
            if stale {
                fs::write(&path, "1\n").unwrap();
            }
            let taken: Vec<_> = thread::scope(|scope| {
                // Threads have one pid: each draft gets a name of its own.
                let race = |name: &str| {
                    let draft = PidDraft::write(&directory.join(name)).unwrap();
                    let path = &path;
                    scope.spawn(move || {
                        let mut takes = (0..ATTEMPTS).map(|_| take(path, &draft));
                        let taken = takes.find(|it| !is_changed(it)).unwrap().unwrap();
                        drop(fs::remove_file(&draft.path));
                        matches!(taken, ClaimResult::Ours).then_some(draft.file)
                    })
                };
                let racers = ["b", "c", "d", "e"].map(race);
                racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect()
            });
            assert_eq!(taken.len(), 1);
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
            fs::remove_file(&path).unwrap();
        }
        assert_eq!(entries(&directory), 0);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_master_is_found_only_while_it_holds_the_file() {
        let directory = directory("find");
        let path = directory.join("a.pid");
        let error = find_master(&path).unwrap_err();
        assert!(error.ends_with("a.pid: no such file or directory"), "{error}");
        fs::write(&path, "1\n").unwrap();
        let error = find_master(&path).unwrap_err();
        assert!(error.ends_with("no running server holds this pid file"), "{error}");
        let ours = PidFile::write(&path, None).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(find_master(&path), Ok(own));
        fs::write(&path, "nonsense\n").unwrap();
        assert!(find_master(&path).unwrap_err().ends_with("there is no pid in it"));
        ours.remove();
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = PidFile::write(Path::new("/no/such/a.pid"), None).unwrap_err();
        assert_eq!(error, "cannot write pid file /no/such/a.pid: no such file or directory");
    }
}
