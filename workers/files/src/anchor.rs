//! Where names are looked up: below a directory, so that nothing leads out of it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use monoceros_sys::beneath::{self, OpenPurpose, Resolution};
use nix::errno::Errno;

use crate::effort::Effort;
use crate::identity::FileIdentity;

/// How often a look-up is tried that a rename has disturbed (`EAGAIN`, `openat2(2)`).
const TRIES: usize = 8;

/// The place from which names are looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor<'a> {
    directory: BorrowedFd<'a>,
    /// No link leads out of the directory.
    stays_beneath: bool,
}

impl<'a> Anchor<'a> {
    /// Names below a directory. With `follows_links` links may lead anywhere.
    pub(crate) fn below(directory: BorrowedFd<'a>, follows_links: bool) -> Self {
        Self { directory, stays_beneath: !follows_links }
    }

    /// Whole paths, which the settings name.
    pub(crate) fn everywhere() -> Self {
        Self { directory: beneath::at_cwd(), stays_beneath: false }
    }

    /// The identity of the regular file with this name; `None` if the name is missing or belongs
    /// to something else.
    ///
    /// # Errors
    /// `WouldBlock` if the name is not in memory and the call must not wait; those of
    /// `openat2(2)` but for a missing name.
    pub(crate) fn identify(&self, name: &[u8], effort: Effort) -> io::Result<Option<FileIdentity>> {
        match self.open(name, OpenPurpose::Look, effort) {
            Ok(found) => FileIdentity::of(found.as_fd()),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a name.
    ///
    /// # Errors
    /// Those of `openat2(2)`.
    pub(crate) fn open(
        &self,
        name: &[u8],
        purpose: OpenPurpose,
        effort: Effort,
    ) -> io::Result<OwnedFd> {
        let resolution =
            Resolution { stays_beneath: self.stays_beneath, only_cached: effort == Effort::Cached };
        let mut tries = 0;
        loop {
            let opened = beneath::open(self.directory, name, purpose, resolution);
            let Err(error) = &opened else { return opened };
            match (errno(error), effort) {
                (Errno::EAGAIN, Effort::Waiting) if tries < TRIES => tries += 1,
                // A kernel before 5.12 does not know the flag.
                (Errno::EINVAL, Effort::Cached) => return Err(io::ErrorKind::WouldBlock.into()),
                // An absolute link may lead to a file that is below the directory.
                (Errno::EXDEV, Effort::Cached) => return Err(io::ErrorKind::WouldBlock.into()),
                (Errno::EXDEV, Effort::Waiting) => return self.open_by_real_name(name, purpose),
                _ => return opened,
            }
        }
    }

    /// Opens a name by the path that it leads to, if that is below the directory. The path is
    /// opened like any other: without links this time, so that it cannot lead out meanwhile.
    fn open_by_real_name(&self, name: &[u8], purpose: OpenPurpose) -> io::Result<OwnedFd> {
        let anywhere = Resolution { stays_beneath: false, only_cached: false };
        let target = beneath::open(self.directory, name, OpenPurpose::Look, anywhere)?;
        let leads_out = || io::Error::from(Errno::EXDEV);
        let (target, directory) = (real_path(target.as_fd())?, real_path(self.directory)?);
        let inside = target.strip_prefix(&directory[..]).ok_or_else(leads_out)?;
        let inside = if directory == b"/" { Some(inside) } else { inside.strip_prefix(b"/") };
        let inside = inside.ok_or_else(leads_out)?;
        let beneath = Resolution { stays_beneath: true, only_cached: false };
        beneath::open(self.directory, inside, purpose, beneath)
    }
}

/// The path of an open file, as the kernel reports it (`proc(5)`).
fn real_path(file: BorrowedFd) -> io::Result<Vec<u8>> {
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    Ok(path.as_os_str().as_bytes().to_vec())
}

/// Whether an error means that there is no file of a name.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    matches!(errno(error), Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG | Errno::ENXIO)
}

/// Whether an error means that a file is not served although it may be there: its link leads out
/// or in a circle, or this process may not read it.
pub(crate) fn is_denial(error: &io::Error) -> bool {
    matches!(errno(error), Errno::EXDEV | Errno::ELOOP | Errno::EACCES | Errno::EPERM)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}
