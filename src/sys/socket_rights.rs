//! Sets the group and the mode of the file of a unix socket, where a user may replace the file
//! meanwhile.

use std::fs::{self, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::AtFlags;
use nix::unistd::{Gid, fchownat};

/// Sets group and mode of the file of a socket, as far as they are given: first the group, so
/// that no other group gets what the mode allows. `is_expected` decides whether it is the file
/// that is meant. Neither is set for another file: not for one that replaces it during the
/// call, and not for the target of a link.
///
/// # Errors
/// `InvalidInput` for a file that is not expected or no socket; those of `open(2)`,
/// `chown(2)` and `chmod(2)`.
pub fn set_socket_rights(
    path: &Path,
    is_expected: impl FnOnce(&Metadata) -> bool,
    group: Option<u32>,
    mode: Option<u32>,
) -> io::Result<()> {
    // O_PATH also opens files that this process may not read (`open(2)`).
    let file =
        OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.file_type().is_socket() || !is_expected(&metadata) {
        let text = "another file has taken its place";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    if let Some(group) = group {
        fchownat(&file, "", None, Some(Gid::from_raw(group)), AtFlags::AT_EMPTY_PATH)?;
    }
    if let Some(mode) = mode {
        // The link leads to the open file and not to its path (`proc_pid_fd(5)`).
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        fs::set_permissions(link, Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::os::unix::net::UnixListener;

    #[test]
    fn rights_are_set_for_the_expected_socket_only() {
        let name = format!("monoceros-socket-rights-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let own = path.metadata().unwrap();
        let is_own = |found: &Metadata| found.ino() == own.ino();
        let mode = || path.metadata().unwrap().mode() & 0o7777;
        set_socket_rights(&path, is_own, Some(own.gid()), Some(0o640)).unwrap();
        assert_eq!(mode(), 0o640);
        set_socket_rights(&path, is_own, None, None).unwrap();
        let refusal = |path: &Path, is_expected: bool| {
            set_socket_rights(path, |_| is_expected, None, Some(0o777)).unwrap_err()
        };
        assert_eq!(refusal(&path, false).kind(), io::ErrorKind::InvalidInput);
        let link = directory.join("link");
        symlink(&path, &link).unwrap();
        let plain = directory.join("plain");
        fs::write(&plain, "").unwrap();
        for other in [&link, &plain] {
            assert_eq!(refusal(other, true).kind(), io::ErrorKind::InvalidInput, "{other:?}");
        }
        assert_eq!(mode(), 0o640);
        drop(listener);
        fs::remove_dir_all(directory).unwrap();
    }
}
