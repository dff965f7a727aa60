//! A directory for one test: removed when the test passes, kept when it fails.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, process, thread};

/// A new directory with a short path, since the paths of unix sockets are limited.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("monoceros-test-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The content of a file; empty if there is no file.
    pub(crate) fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Replaces a file in one step: a reader gets the old content or the new one.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.join(name);
        let draft = self.join(&format!("{name}.draft"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&draft, content).unwrap();
        fs::rename(draft, &path).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the directory of the failed test: {}", self.0.display());
        } else {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }
}
