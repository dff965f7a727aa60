//! Looks at the files that `reload` watches: their states, and the names whose changes matter.
//! Owns nothing. Called by `source_watch.rs` only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use monoceros_sys::directory_watch::{NameFilter, WatchedNames, add_path};
use monoceros_sys::path::turns;

use crate::master::decide::source_rules::{is_source, may_have_sources};
use crate::master::decide::source_watch::{FileStates, SourceStamp};

/// The file that a virtual environment of Python has.
const ENVIRONMENT_FILE: &str = "pyvenv.cfg";

/// The absolute paths that are watched. A directory includes all files below it.
pub(crate) type WatchedPaths = BTreeSet<PathBuf>;

/// What a look has found.
#[derive(Debug, Default)]
pub(crate) struct SourceScan {
    /// The state of each file.
    pub(crate) states: FileStates,
    /// The names whose changes matter.
    pub(crate) names: WatchedNames,
    /// A directory on each device.
    pub(crate) devices: BTreeMap<u64, PathBuf>,
    /// The directories the links to which are known.
    followed: BTreeSet<PathBuf>,
    /// The directories of trees: a link may lead to one a second time.
    seen: BTreeSet<(u64, u64)>,
}

impl SourceScan {
    /// Looks at everything in a list.
    pub(crate) fn of(list: &WatchedPaths) -> Self {
        let mut scan = Self::default();
        list.iter().for_each(|path| scan.add_path(path));
        scan
    }

    fn add_path(&mut self, path: &Path) {
        let found = fs::metadata(path).ok();
        if found.as_ref().is_some_and(Metadata::is_dir) {
            self.follow(path);
            return self.add_directory(path);
        }
        self.add_state(path, found.as_ref());
        add_path(&mut self.names, path);
        if let Some(directory) = path.parent() {
            self.follow(directory);
        }
        if path.is_symlink() {
            self.follow(path);
        }
    }

    /// Watches the links on the way to a path, its last name, and the first one that is missing.
    fn follow(&mut self, path: &Path) {
        if self.followed.insert(path.to_owned()) {
            let turns = turns(path).unwrap_or_default();
            turns.iter().for_each(|turn| add_path(&mut self.names, turn));
        }
    }

    fn add_state(&mut self, path: &Path, found: Option<&Metadata>) {
        if let (Some(found), Some(directory)) = (found, path.parent()) {
            self.devices.entry(found.dev()).or_insert_with(|| directory.to_owned());
        }
        self.states.insert(path.to_owned(), found.map(stamp));
    }

    fn add_directory(&mut self, path: &Path) {
        let Ok(found) = fs::metadata(path) else { return };
        if !self.seen.insert((found.dev(), found.ino())) {
            return;
        }
        self.names.insert(path.to_owned(), NameFilter::All);
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.for_each(|entry| self.add_entry(&entry));
    }

    fn add_entry(&mut self, entry: &DirEntry) {
        let (path, name) = (entry.path(), entry.file_name());
        if !is_source(&name) && !may_have_sources(&name) {
            return;
        }
        // A link that leads nowhere is no file.
        let Ok(found) = fs::metadata(&path) else { return };
        if found.is_dir() {
            let is_environment = || path.join(ENVIRONMENT_FILE).exists();
            if may_have_sources(&name) && !is_environment() {
                self.add_directory(&path);
            }
        } else if is_source(&name) {
            self.add_state(&path, Some(&found));
            // The kind of an entry comes with its name, without a system call for each file.
            if entry.file_type().is_ok_and(|it| it.is_symlink()) {
                self.follow(&path);
            }
        }
    }
}

fn stamp(found: &Metadata) -> SourceStamp {
    SourceStamp {
        file: (found.dev(), found.ino()),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn project(name: &str) -> PathBuf {
        let name = format!("monoceros-scan-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        for below in ["shop/__pycache__", "shop/templates", "env/lib"] {
            fs::create_dir_all(directory.join(below)).unwrap();
        }
        for file in [
            "manage.py",
            "db.sqlite3",
            "shop/views.py",
            "shop/__pycache__/views.pyc",
            "shop/templates/a.html",
            "shop/templates/a.html~",
            "env/pyvenv.cfg",
            "env/lib/x.py",
        ] {
            fs::write(directory.join(file), "").unwrap();
        }
        directory
    }

    fn found(scan: &SourceScan, directory: &Path) -> Vec<String> {
        let names = scan.states.keys().map(|path| path.strip_prefix(directory).unwrap());
        names.map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn a_tree_has_what_people_write_also_behind_a_link_to_itself() {
        let directory = project("tree");
        symlink(&directory, directory.join("shop/again")).unwrap();
        let list = BTreeSet::from([directory.clone()]);
        let expected = ["manage.py", "shop/templates/a.html", "shop/views.py"];
        assert_eq!(found(&SourceScan::of(&list), &directory), expected);
        let templates = directory.join("shop/templates");
        let list = BTreeSet::from([templates]);
        assert_eq!(found(&SourceScan::of(&list), &directory), ["shop/templates/a.html"]);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_file_has_the_names_on_its_way_and_a_missing_one_the_first_that_is_missing() {
        let directory = project("file");
        symlink("shop", directory.join("current")).unwrap();
        let views = directory.join("current/views.py");
        let missing = directory.join("later/on/more.py");
        let files = BTreeSet::from([views.clone(), missing.clone()]);
        let scan = SourceScan::of(&files);
        assert!(scan.states[&views].is_some() && scan.states[&missing].is_none());
        let NameFilter::These(names) = &scan.names[&directory] else { panic!("all names") };
        for name in ["current", "shop", "later"] {
            assert!(names.contains(std::ffi::OsStr::new(name)), "{name}: {names:?}");
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}
