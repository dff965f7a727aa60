//! Notices that files in directories are made, replaced, changed or removed: `inotify(7)`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

/// The names that matter in each directory.
pub type WatchedNames = BTreeMap<PathBuf, NameFilter>;

/// Which names in a directory matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameFilter {
    /// Every name.
    All,
    /// These names.
    These(BTreeSet<OsString>),
}

/// Directories that cannot be watched, each with the cause.
pub type UnwatchedDirectories = Vec<(PathBuf, io::Error)>;

/// A set of directories whose changes make a descriptor readable.
#[derive(Debug)]
pub struct DirectoryWatch {
    inotify: Inotify,
    watched: BTreeMap<PathBuf, (WatchDescriptor, NameFilter)>,
    /// The paths of each directory, by its number.
    paths: BTreeMap<WatchDescriptor, Vec<PathBuf>>,
}

impl NameFilter {
    /// Adds a name.
    pub fn add(&mut self, name: OsString) {
        if let Self::These(names) = self {
            names.insert(name);
        }
    }

    fn has(&self, name: &OsString) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(name),
        }
    }
}

impl DirectoryWatch {
    /// Without any directory.
    ///
    /// # Errors
    /// Those of `inotify_init1(2)`.
    pub fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        Ok(Self { inotify, watched: BTreeMap::new(), paths: BTreeMap::new() })
    }

    /// Watches these directories and no others.
    ///
    /// Returns the directories that cannot be watched; the others are.
    pub fn watch(&mut self, names: WatchedNames) -> UnwatchedDirectories {
        let before = std::mem::take(&mut self.watched);
        let mut failed = Vec::new();
        self.paths.clear();
        for (path, filter) in names {
            // A directory that is watched already keeps its number.
            match self.inotify.add_watch(&path, changes()) {
                Ok(number) => {
                    self.paths.entry(number).or_default().push(path.clone());
                    self.watched.insert(path, (number, filter));
                }
                Err(errno) => failed.push((path, errno.into())),
            }
        }
        for (number, _) in before.into_values() {
            if self.paths.contains_key(&number) {
                continue;
            }
            // Fails when the directory is gone, and the watch with it.
            self.inotify.rm_watch(number).ok();
        }
        failed
    }

    /// Reads everything that has been noticed. Returns whether any of it matters.
    pub fn take(&mut self) -> bool {
        let mut matters = false;
        loop {
            match self.inotify.read_events() {
                Ok(events) => matters |= events.iter().any(|event| self.concerns(event)),
                Err(Errno::EINTR) => {}
                // EAGAIN: everything is read.
                Err(_) => return matters,
            }
        }
    }

    fn concerns(&self, event: &InotifyEvent) -> bool {
        // An event without a name concerns the directory itself, or means that events were
        // lost.
        let Some(name) = &event.name else {
            return !event.mask.contains(AddWatchFlags::IN_IGNORED);
        };
        let paths = self.paths.get(&event.wd).into_iter().flatten();
        let mut filters = paths.filter_map(|path| self.watched.get(path));
        filters.any(|(_, filter)| filter.has(name))
    }
}

impl AsFd for DirectoryWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// What is noticed: that a file was written and closed, has got this name or lost it, or has
/// another owner or mode; and that the directory was moved or removed.
fn changes() -> AddWatchFlags {
    AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MOVE
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_ATTRIB
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_ONLYDIR
}

/// Adds a path to the names that are watched. One that has no directory is not added.
pub fn add_path(names: &mut WatchedNames, path: &Path) {
    if let (Some(directory), Some(name)) = (path.parent(), path.file_name()) {
        let filter = names.entry(directory.to_owned());
        filter.or_insert_with(|| NameFilter::These(BTreeSet::new())).add(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn directory(name: &str) -> PathBuf {
        let name = format!("monoceros-watch-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn only_names_that_matter_are_noticed() {
        let directory = directory("names");
        let mut names = WatchedNames::new();
        add_path(&mut names, &directory.join("key"));
        let mut watch = DirectoryWatch::new().unwrap();
        assert!(watch.watch(names).is_empty());
        assert!(!watch.take());
        fs::write(directory.join("other"), "x").unwrap();
        assert!(!watch.take());
        fs::rename(directory.join("other"), directory.join("key")).unwrap();
        assert!(watch.take() && !watch.take());
        fs::remove_file(directory.join("key")).unwrap();
        assert!(watch.take());
        symlink("elsewhere", directory.join("key")).unwrap();
        assert!(watch.take());
        fs::remove_dir_all(&directory).unwrap();
        assert!(watch.take());
    }

    #[test]
    fn a_directory_that_was_replaced_is_watched_again() {
        let directory = directory("replaced");
        let names = WatchedNames::from([(directory.clone(), NameFilter::All)]);
        let mut watch = DirectoryWatch::new().unwrap();
        assert!(watch.watch(names.clone()).is_empty());
        let old = directory.with_extension("old");
        fs::rename(&directory, &old).unwrap();
        assert!(watch.take());
        assert_eq!(watch.watch(names.clone())[0].0, directory);
        fs::create_dir(&directory).unwrap();
        assert!(watch.watch(names).is_empty());
        fs::write(directory.join("a"), "").unwrap();
        assert!(watch.take());
        assert!(watch.watch(WatchedNames::new()).is_empty());
        watch.take();
        fs::write(directory.join("b"), "").unwrap();
        assert!(!watch.take());
        fs::remove_dir_all(&directory).unwrap();
        fs::remove_dir_all(&old).unwrap();
    }
}
