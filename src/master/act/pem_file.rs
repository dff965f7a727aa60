//! Reads files of certificates and private keys, and notices whether they have changed.
//! Called by `certificates.rs`.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use monoceros_sys::acting::act_as;
use monoceros_sys::user::Credentials;
use monoceros_sys::{path, reason};

/// The largest file that is read, in bytes. The certificates of all authorities that a
/// machine trusts need a quarter of that.
const SIZE_LIMIT: u64 = 1024 * 1024;
/// The mode bit by which every user may read a file.
const ALL_READ: u32 = 0o004;

/// The content of a file.
#[derive(Debug)]
pub(crate) struct PemFile {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// The version that was read.
    pub(crate) stamp: FileStamp,
    /// The users that may read it and should not be able to read a private key.
    pub(crate) exposure: Option<FileExposure>,
}

/// A version of a file: another one differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileStamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    /// When its owner, mode or content has changed.
    changed: (i64, i64),
}

/// Users that may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileExposure {
    /// All users of the machine.
    AllUsers,
    /// The user that the workers run as, which is not that of the master.
    WorkersUser(u32),
}

impl FileStamp {
    /// The version that a path leads to; `None` if that is no file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|found| Self::from_metadata(&found))
    }

    fn from_metadata(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// Reads a file. `workers` is the user of the workers if the master is root and they are
/// not: what that user may not read is read with the rights of root, if the user can change
/// neither the file nor what its path leads to. Otherwise a faulty application could make
/// the master read the key of another program.
///
/// # Errors
/// Those of `open(2)` and `read(2)`; `InvalidInput` for what is not a regular file, or too
/// large for certificates.
pub(crate) fn read(path: &Path, workers: Option<&Credentials>) -> io::Result<PemFile> {
    let (file, is_open_to_workers) = match workers {
        None => (open(path)?, false),
        Some(user) => match act_as(user, || open(path))? {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                (open(&follow(path, user)?)?, false)
            }
            opened => (opened?, true),
        },
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(invalid("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        return Err(invalid("it is larger than 1 MiB"));
    }
    let exposure = if found.permissions().mode() & ALL_READ != 0 {
        Some(FileExposure::AllUsers)
    } else {
        let user = workers.filter(|_| is_open_to_workers);
        user.map(|user| FileExposure::WorkersUser(user.uid))
    };
    Ok(PemFile { bytes, stamp: FileStamp::from_metadata(&found), exposure })
}

/// Opens a file without waiting, as a FIFO would make it.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Resolves a path that only root and the owner of its file can change. The workers' user
/// does not count as owner.
fn follow(path: &Path, workers: &Credentials) -> io::Result<PathBuf> {
    let owner = fs::metadata(path)?.uid();
    let owners = if owner == workers.uid { [0, 0] } else { [0, owner] };
    path::follow(path, &owners).map_err(|exposed| {
        let text = format!("user {} may not read it, and {}", workers.uid, reason(&exposed));
        io::Error::new(io::ErrorKind::PermissionDenied, text)
    })
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{chown, symlink};

    use crate::need;

    const USER: u32 = 65_534;

    fn workers() -> Credentials {
        Credentials { uid: USER, gid: USER, groups: vec![USER] }
    }

    fn directory(name: &str) -> PathBuf {
        let name = format!("monoceros-pem-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        directory
    }

    fn write(path: &Path, mode: u32) {
        fs::write(path, "key").unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_is_read_with_its_version_and_its_readers() {
        let directory = directory("read");
        let path = directory.join("key");
        write(&path, 0o600);
        let read_once = read(&path, None).unwrap();
        assert_eq!((&read_once.bytes[..], read_once.exposure), (&b"key"[..], None));
        assert_eq!(FileStamp::of(&path), Some(read_once.stamp.clone()));
        write(&path, 0o644);
        assert_ne!(FileStamp::of(&path), Some(read_once.stamp));
        assert_eq!(read(&path, None).unwrap().exposure, Some(FileExposure::AllUsers));
        fs::remove_file(&path).unwrap();
        assert_eq!(FileStamp::of(&path), None);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_is_no_file_or_too_large_is_refused_at_once() {
        let directory = directory("kinds");
        let error = read(&directory, None).unwrap_err();
        assert_eq!(error.to_string(), "it is not a regular file");
        let fifo = directory.join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(&fifo, None).unwrap_err().to_string(), "it is not a regular file");
        let large = directory.join("large");
        File::create(&large).unwrap().set_len(SIZE_LIMIT + 1).unwrap();
        assert_eq!(read(&large, None).unwrap_err().to_string(), "it is larger than 1 MiB");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn root_reads_what_the_workers_may_not_unless_they_can_choose_it() {
        if !need::root() {
            return;
        }
        let directory = directory("root");
        let (secret, theirs) = (directory.join("secret"), directory.join("theirs"));
        write(&secret, 0o600);
        let found = read(&secret, Some(&workers())).unwrap();
        assert_eq!((&found.bytes[..], found.exposure), (&b"key"[..], None));
        chown(&secret, Some(1000), Some(1000)).unwrap();
        assert!(read(&secret, Some(&workers())).is_ok(), "another user's own file");
        chown(&secret, Some(USER), None).unwrap();
        let found = read(&secret, Some(&workers())).unwrap();
        assert_eq!(found.exposure, Some(FileExposure::WorkersUser(USER)));
        chown(&secret, Some(0), Some(0)).unwrap();
        fs::create_dir(&theirs).unwrap();
        symlink(&secret, theirs.join("link")).unwrap();
        chown(&theirs, Some(USER), Some(USER)).unwrap();
        let error = read(&theirs.join("link"), Some(&workers())).unwrap_err().to_string();
        assert!(error.starts_with("user 65534 may not read it, and "), "{error}");
        assert!(error.ends_with("theirs belongs to user 65534"), "{error}");
        fs::remove_dir_all(directory).unwrap();
    }
}
