//! Opens files below a directory, so that no name and no link leads out of it
//! (`openat2(2)`).

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// How a name is looked up.
#[derive(Clone, Copy, Debug)]
pub struct Resolution {
    /// The only links that are followed are relative ones that stay below the directory;
    /// others fail with `EXDEV`.
    pub stays_beneath: bool,
    /// A name that the kernel has not in memory fails with `WouldBlock` (`RESOLVE_CACHED`,
    /// Linux 5.12): the call does not wait for a disk.
    pub only_cached: bool,
}

impl Resolution {
    fn flags(self) -> ResolveFlag {
        // The links of /proc/PID/fd lead to files without a name.
        let mut flags = ResolveFlag::RESOLVE_NO_MAGICLINKS;
        flags.set(ResolveFlag::RESOLVE_BENEATH, self.stays_beneath);
        if self.only_cached {
            flags |= ResolveFlag::from_bits_retain(libc::RESOLVE_CACHED);
        }
        flags
    }
}

/// What is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenPurpose {
    /// The name only (`O_PATH`): a device or a FIFO does not notice it.
    Look,
    /// As above; fails with `ENOTDIR` for anything but a directory.
    LookAtDirectory,
    /// The content. A FIFO does not make the call wait (`O_NONBLOCK`), and a terminal does
    /// not become that of the process.
    Read,
}

impl OpenPurpose {
    fn flags(self) -> OFlag {
        let flags = match self {
            Self::Look => OFlag::O_PATH,
            Self::LookAtDirectory => OFlag::O_PATH | OFlag::O_DIRECTORY,
            Self::Read => OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY,
        };
        flags | OFlag::O_CLOEXEC
    }
}

/// Opens a file by its name below `directory`, which may be `AT_FDCWD` ([`at_cwd`]).
///
/// # Errors
/// Those of `openat2(2)`: `WouldBlock` when the name is not in memory, `EXDEV` when it leads
/// out, `ENOSYS` before Linux 5.6.
pub fn open(
    directory: BorrowedFd,
    name: &[u8],
    purpose: OpenPurpose,
    resolution: Resolution,
) -> io::Result<OwnedFd> {
    let how = OpenHow::new().flags(purpose.flags()).resolve(resolution.flags());
    Ok(openat2(directory.as_fd(), OsStr::from_bytes(name), how)?)
}

/// Opens a plain file below `directory` for reading. Neither a link nor another file system is
/// followed on the way, and what is not a plain file is not opened.
///
/// # Errors
/// Those of `openat2(2)`, such as `ELOOP` for a link; `InvalidInput` for anything but a plain
/// file.
pub fn open_file(directory: BorrowedFd, name: &[u8]) -> io::Result<File> {
    let flags = OpenPurpose::Read.flags() | OFlag::O_NOFOLLOW;
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_XDEV;
    let how = OpenHow::new().flags(flags).resolve(resolve);
    let file = File::from(openat2(directory.as_fd(), OsStr::from_bytes(name), how)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
    }
    Ok(file)
}

/// The directory from which relative names count that no descriptor is given for.
#[must_use]
pub fn at_cwd() -> BorrowedFd<'static> {
    nix::fcntl::AT_FDCWD
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::{OpenOptionsExt, symlink};
    use std::path::PathBuf;

    /// A directory that is removed with its content.
    struct LookupTree(PathBuf);

    impl LookupTree {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("beneath-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for LookupTree {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    const WAITING: Resolution = Resolution { stays_beneath: true, only_cached: false };

    #[test]
    fn no_name_leads_out() {
        let scratch = LookupTree::new("out");
        let inside = scratch.0.join("inside");
        fs::create_dir_all(inside.join("a")).unwrap();
        fs::write(inside.join("a/file"), "content").unwrap();
        fs::write(scratch.0.join("secret"), "secret").unwrap();
        symlink("a/file", inside.join("near")).unwrap();
        symlink("../secret", inside.join("relative")).unwrap();
        symlink(scratch.0.join("secret"), inside.join("absolute")).unwrap();
        let directory = open(
            at_cwd(),
            inside.as_os_str().as_bytes(),
            OpenPurpose::LookAtDirectory,
            Resolution { stays_beneath: false, only_cached: false },
        )
        .unwrap();
        let read = |name: &str, stays_beneath| -> io::Result<String> {
            let resolution = Resolution { stays_beneath, only_cached: false };
            let fd = open(directory.as_fd(), name.as_bytes(), OpenPurpose::Read, resolution)?;
            let mut text = String::new();
            File::from(fd).read_to_string(&mut text)?;
            Ok(text)
        };
        for name in ["a/file", "near", "a/../a/file"] {
            assert_eq!(read(name, true).unwrap(), "content", "{name}");
        }
        for name in ["relative", "absolute", "../secret", "/etc/passwd", "/"] {
            let error = read(name, true).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EXDEV), "{name}: {error}");
        }
        assert_eq!(read("relative", false).unwrap(), "secret");
        let error = read("missing", true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn only_a_plain_file_is_opened_as_one() {
        let scratch = LookupTree::new("plain");
        fs::write(scratch.0.join("file"), "content").unwrap();
        symlink("file", scratch.0.join("link")).unwrap();
        nix::unistd::mkfifo(&scratch.0.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::create_dir(scratch.0.join("directory")).unwrap();
        let directory = File::open(&scratch.0).unwrap();
        let open = |name: &str| open_file(directory.as_fd(), name.as_bytes());
        let mut text = String::new();
        open("file").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        assert_eq!(open("link").unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(open("../file").unwrap_err().raw_os_error(), Some(libc::EXDEV));
        for name in ["fifo", "directory"] {
            assert_eq!(open(name).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    }

    #[test]
    fn a_fifo_is_looked_at_and_not_opened() {
        let scratch = LookupTree::new("fifo");
        let fifo = scratch.0.join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let name = fifo.as_os_str().as_bytes();
        let resolution = Resolution { stays_beneath: false, ..WAITING };
        open(at_cwd(), name, OpenPurpose::Look, resolution).unwrap();
        let mut writer = fs::OpenOptions::new();
        writer.write(true).custom_flags(libc::O_NONBLOCK);
        let error = writer.open(&fifo).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENXIO), "no process reads it");
    }

    #[test]
    fn a_name_that_is_in_memory_is_found_there() {
        let scratch = LookupTree::new("cached");
        let file = scratch.0.join("file");
        fs::write(&file, "").unwrap();
        let resolution = Resolution { stays_beneath: false, only_cached: true };
        let found = open(at_cwd(), file.as_os_str().as_bytes(), OpenPurpose::Look, resolution);
        assert!(found.is_ok(), "{found:?}");
    }
}
