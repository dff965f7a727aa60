//! The file of a unix socket: how a server recognises its own, removes it, and replaces
//! one that another server has left. Called by `listener.rs` and `listening_socket.rs`.

use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use monoceros_sys::socket_rights::set_socket_rights;
use monoceros_sys::user::{Credentials, own_uid};
use monoceros_sys::{lock, reason};
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::master::act::owner_rights::reach;
use crate::master::act::path_format::raw_path;

/// The file of a unix socket, by its path and by its device and inode.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SocketFile {
    #[serde(with = "raw_path")]
    path: PathBuf,
    identity: (u64, u64),
    /// The user and group that own it, if not those of the master.
    #[serde(default)]
    owner: Option<(u32, u32)>,
}

impl SocketFile {
    /// The file at this path, which was just made; `None` if it is not there.
    pub(super) fn find(path: &Path, owner: Option<&Credentials>) -> Option<Self> {
        let identity = identify(path).ok()?;
        let owner = owner.map(|owner| (owner.uid, owner.gid));
        Some(Self { path: path.to_owned(), identity, owner })
    }

    /// Gives it to this group, and sets its mode, as far as they are given.
    pub(super) fn set_rights(&self, group: Option<u32>, mode: Option<u32>) -> io::Result<()> {
        if group.is_none() && mode.is_none() {
            return Ok(());
        }
        let owner = self.owner.map_or_else(own_uid, |(uid, _)| uid);
        // The directory may belong to another user, and have a link to another socket
        // meanwhile.
        let is_own = |found: &Metadata| identity(found) == self.identity && found.uid() == owner;
        set_socket_rights(&self.path, is_own, group, mode).map_err(|error| {
            let group = group.map(|group| format!("group {group}"));
            let mode = mode.map(|mode| format!("mode {mode:o}"));
            let rights: Vec<_> = group.into_iter().chain(mode).collect();
            let text =
                format!("cannot set {} of its file: {}", rights.join(" and "), reason(&error));
            io::Error::new(error.kind(), text)
        })
    }

    /// Removes the file, unless another server has put its own there.
    pub(super) fn remove(&self) {
        let owner = self.owner.map(|(uid, gid)| Credentials { uid, gid, groups: vec![gid] });
        let remove = |path: &Path| {
            if identify(path)? == self.identity { fs::remove_file(path) } else { Ok(()) }
        };
        // A file that stays is stale: the next server removes it.
        drop(reach(&self.path, owner.as_ref(), remove, remove));
    }

    /// The file was removed or replaced: no client can connect to the socket.
    pub(super) fn is_lost(&self) -> bool {
        match identify(&self.path) {
            Ok(found) => found != self.identity,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

fn identify(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| identity(&metadata))
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Keeps other servers from looking at the sockets in this directory meanwhile
/// (`flock(2)`): of two that find the same stale socket, the later one would remove what
/// the earlier one has made. A directory that cannot be locked is left unlocked: this user
/// may not read it, or the file system has no locks.
pub(super) fn lock_directory(path: &Path) -> io::Result<Option<File>> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    let Ok(directory) = File::open(directory.unwrap_or(Path::new("."))) else { return Ok(None) };
    match directory.try_lock() {
        Ok(()) => Ok(Some(directory)),
        // Any user that can read a directory can lock it.
        Err(TryLockError::WouldBlock) if lock::is_of_another_user(&directory) => Ok(None),
        // Tried again later, as with an address that is in use.
        Err(TryLockError::WouldBlock) => Err(io::Error::from_raw_os_error(libc::EADDRINUSE)),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Removes the file of a socket on which no process listens. Any other file stays.
pub(super) fn remove_stale(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file is not a socket"));
    }
    // Non-blocking, since the process that listens there may accept nothing.
    let client = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    match client.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::Error::from_raw_os_error(libc::EADDRINUSE))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EADDRINUSE)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn directory(name: &str) -> PathBuf {
        let name = format!("monoceros-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn only_the_file_that_was_made_is_removed() {
        let directory = directory("socket-file");
        let path = directory.join("a.sock");
        assert!(SocketFile::find(&path, None).is_none());
        let first = UnixListener::bind(&path).unwrap();
        let file = SocketFile::find(&path, None).unwrap();
        assert!(!file.is_lost());
        fs::rename(&path, directory.join("moved.sock")).unwrap();
        assert!(file.is_lost());
        let second = UnixListener::bind(&path).unwrap();
        assert!(file.is_lost(), "another server's file is at the path");
        file.remove();
        assert!(path.exists(), "the file of another server was removed");
        SocketFile::find(&path, None).unwrap().remove();
        assert!(!path.exists());
        drop((first, second));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_directory_is_locked_by_one_server_at_a_time() {
        let directory = directory("socket-lock");
        let path = directory.join("a.sock");
        let first = lock_directory(&path).unwrap();
        assert!(first.is_some());
        let error = lock_directory(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(lock_directory(&path).unwrap().is_some());
        assert!(lock_directory(&directory.join("missing").join("a.sock")).unwrap().is_none());
        fs::remove_dir_all(directory).unwrap();
    }
}
