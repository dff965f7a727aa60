//! The file that names the master: written whole, locked while it lives, and
//! removed by nobody else.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use monoceros_sys::reason;

/// A pid file that is this process's.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    /// Holds the lock (`flock(2)`) until it is closed.
    file: File,
}

impl PidFile {
    /// Writes this process's pid, unless a living master holds the file: a pid
    /// in it proves nothing, since pids are reused, but its lock does.
    pub(crate) fn write(path: &Path) -> Result<Self, String> {
        let cannot = |error: io::Error| {
            format!("cannot write pid file {}: {}", path.display(), reason(&error))
        };
        if let Some(pid) = holder(path).map_err(cannot)? {
            let path = path.display();
            return Err(format!(
                "cannot start: pid file {path} is held by a running master, pid {pid}"
            ));
        }
        let file = replace(path).map_err(cannot)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Removes the file, if it is still the one that was written.
    pub(crate) fn remove(self) {
        let ours = self.file.metadata().map(|it| (it.dev(), it.ino()));
        let there = fs::symlink_metadata(&self.path).map(|it| (it.dev(), it.ino()));
        if let (Ok(ours), Ok(there)) = (ours, there)
            && ours == there
        {
            // Nobody waits for it: the next master replaces it.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// What a living process that has locked the file wrote into it.
fn holder(path: &Path) -> io::Result<Option<String>> {
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // The file is replaced by name; where the link leads stays as it is.
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(io::read_to_string(file)?.trim().to_owned())),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Puts a new file, locked and complete, in the place of whatever is there.
fn replace(path: &Path) -> io::Result<File> {
    let pid = std::process::id();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{pid}"));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&temporary)?;
    let written = file
        .try_lock()
        .map_err(io::Error::from)
        .and_then(|()| file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644)))
        .and_then(|()| writeln!(file, "{pid}"))
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        drop(fs::remove_file(&temporary));
        return Err(error);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

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
        let ours = PidFile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        let refused = PidFile::write(&path).unwrap_err();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        assert_eq!(entries(&directory), 1);
        ours.remove();
        assert_eq!(entries(&directory), 0);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_stale_one_blocks_nothing_whatever_it_names() {
        let directory = directory("stale");
        let path = directory.join("a.pid");
        for text in ["1\n", "garbage", ""] {
            fs::write(&path, text).unwrap();
            PidFile::write(&path).unwrap().remove();
        }
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn another_ones_is_not_removed_and_a_link_is_not_followed() {
        let directory = directory("other");
        let (path, target) = (directory.join("a.pid"), directory.join("target"));
        let ours = PidFile::write(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "1\n").unwrap();
        ours.remove();
        assert!(path.exists());
        fs::remove_file(&path).unwrap();
        fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        PidFile::write(&path).unwrap().remove();
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_missing_directory_is_said() {
        let error = PidFile::write(Path::new("/no/such/a.pid")).unwrap_err();
        assert_eq!(error, "cannot write pid file /no/such/a.pid: no such file or directory");
    }
}
