//! A served directory: opened, and opened anew when its path leads to another one.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use monoceros_sys::beneath::OpenPurpose;
use monoceros_sys::fork::Private;
use monoceros_sys::reason;

use crate::anchor::{Anchor, is_absence, is_denial};
use crate::effort::{Effort, FRESH_MS};
use crate::identity::{FileIdentity, directory_identity};
use crate::manifest::Manifest;

/// A directory of the settings.
#[derive(Debug)]
pub(crate) struct ServedDirectory {
    /// The path, from the root on: the application may change the working directory.
    path: PathBuf,
    follows_links: bool,
    looked_at: Mutex<LookedAt>,
}

/// The last look at a directory.
#[derive(Debug)]
struct LookedAt {
    /// When it was, in milliseconds of the monotonic clock; `None` before the first one.
    at_ms: Option<u64>,
    state: Arc<DirectoryState>,
}

/// A directory as it was found. The same value is used as long as nothing has changed.
#[derive(Debug, Default)]
pub(crate) struct DirectoryState {
    opened: Option<OpenedDirectory>,
    /// The names that never change.
    pub(crate) manifest: Manifest,
    manifest_identity: Option<FileIdentity>,
}

#[derive(Debug)]
struct OpenedDirectory {
    directory: Private,
    identity: (u64, u64),
}

impl DirectoryState {
    /// The open directory; `None` if the path leads to none.
    pub(crate) fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.opened.as_ref().map(|it| it.directory.as_fd())
    }
}

impl ServedDirectory {
    /// The directory of this path. With `follows_links` links in it may lead anywhere.
    pub(crate) fn new(path: &Path, follows_links: bool) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let looked_at = LookedAt { at_ms: None, state: Arc::default() };
        Self { path, follows_links, looked_at: Mutex::new(looked_at) }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The place from which names in it are looked up.
    pub(crate) fn anchor<'a>(&self, directory: BorrowedFd<'a>) -> Anchor<'a> {
        Anchor::below(directory, self.follows_links)
    }

    /// The directory as it is at this time of the monotonic clock, with an age of at most
    /// [`FRESH_MS`].
    ///
    /// # Errors
    /// `WouldBlock` if the look would wait and must not; those of `open(2)` that are not about
    /// this path.
    pub(crate) fn current(&self, now_ms: u64, effort: Effort) -> io::Result<Arc<DirectoryState>> {
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        if looked_at.at_ms.is_some_and(|at_ms| now_ms < at_ms + FRESH_MS) {
            return Ok(Arc::clone(&looked_at.state));
        }
        let before = Arc::clone(&looked_at.state);
        // Another thread must not wait for the lock while this one waits for a disk.
        drop(looked_at);
        let state = self.look(before, effort)?;
        looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        *looked_at = LookedAt { at_ms: Some(now_ms), state: Arc::clone(&state) };
        Ok(state)
    }

    fn look(&self, before: Arc<DirectoryState>, effort: Effort) -> io::Result<Arc<DirectoryState>> {
        let path = self.path.as_os_str().as_bytes();
        let opened = match Anchor::everywhere().open(path, OpenPurpose::LookAtDirectory, effort) {
            Ok(directory) => directory,
            Err(error) if is_absence(&error) || is_denial(&error) => {
                let is_known = before.opened.is_none();
                return Ok(if is_known { before } else { Arc::default() });
            }
            Err(error) => return Err(error),
        };
        let identity = directory_identity(opened.as_fd())?;
        let anchor = self.anchor(opened.as_fd());
        let manifest_identity = match anchor.identify(Manifest::NAME, effort) {
            Err(error) if is_denial(&error) => None,
            identity => identity?,
        };
        let is_same = before.opened.as_ref().is_some_and(|it| it.identity == identity);
        if is_same && before.manifest_identity == manifest_identity {
            return Ok(before);
        }
        if effort == Effort::Cached && manifest_identity.is_some() {
            // Reading a large manifest takes long.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let manifest = manifest_identity.map(|_| self.read_manifest(anchor)).unwrap_or_default();
        let directory = OpenedDirectory { directory: Private::from(opened), identity };
        Ok(Arc::new(DirectoryState { opened: Some(directory), manifest, manifest_identity }))
    }

    /// Reads the manifest; an empty one, and a line in the log, if that fails.
    fn read_manifest(&self, anchor: Anchor) -> Manifest {
        let read = || -> io::Result<Manifest> {
            let file: OwnedFd = anchor.open(Manifest::NAME, OpenPurpose::Read, Effort::Waiting)?;
            let mut content = Vec::new();
            File::from(file).take(Manifest::LARGEST + 1).read_to_end(&mut content)?;
            if content.len() as u64 > Manifest::LARGEST {
                return Err(io::Error::other("it is larger than 16 MiB"));
            }
            Ok(Manifest::parse(&content)?)
        };
        read().unwrap_or_else(|error| {
            log::warn!(
                "cannot read {}/staticfiles.json: {}; the names in it are not sent as immutable",
                self.path.display(),
                reason(&error)
            );
            Manifest::default()
        })
    }
}
