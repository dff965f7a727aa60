//! The checks after each test: a server that leaves processes, descriptors, files or
//! unexpected log lines behind has failed.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::process;
use super::until;

/// Texts that the log of a passing test does not contain.
const BAD: [&str; 5] = ["[ERROR]", "[CRITICAL]", "Traceback", "panicked at", "AssertionError"];

/// Checks a running master: it has reaped its children, and has no more descriptors than
/// at its start with the same number of workers.
pub(crate) fn assert_in_order(master: i32, baseline: Option<(usize, usize)>) {
    until::holds("a master without zombies", || process::zombies(master).is_empty());
    let Some((descriptors, workers)) = baseline else { return };
    // The number of workers may still change, so they are counted each time.
    let in_order = || {
        let held = process::descriptors(master).map_or(0, |held| held.len());
        held <= descriptors || process::children(master).len() != workers
    };
    let back = until::within(until::DEADLINE, || in_order().then_some(()));
    let held = process::descriptors(master);
    assert!(back.is_some(), "{descriptors} descriptors in the beginning, now {held:#?}");
}

/// Checks that no process has outlived the master.
pub(crate) fn assert_nothing_runs(mark: &str, directory: &Path) {
    let left = process::marked(mark, directory);
    let titles: Vec<_> = left.iter().map(|pid| (*pid, process::title(*pid))).collect();
    assert!(titles.is_empty(), "processes that outlive the master: {titles:?}");
}

/// Checks that no socket and no pid file is left.
pub(crate) fn assert_nothing_left(directory: &Path) {
    let is_left = |path: &PathBuf| {
        let kind = fs::symlink_metadata(path).unwrap().file_type();
        kind.is_socket() || path.extension().is_some_and(|extension| extension == "pid")
    };
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let left: Vec<_> = paths.filter(is_left).collect();
    assert!(left.is_empty(), "files that outlive the master: {left:?}");
}

/// Checks that the log has no failure that the test does not allow.
pub(crate) fn assert_clean(log: &str, allowed: &[String]) {
    let is_bad = |line: &&str| {
        BAD.iter().any(|word| line.contains(word))
            && !allowed.iter().any(|part| line.contains(part.as_str()))
    };
    let bad: Vec<_> = log.lines().filter(is_bad).collect();
    assert!(bad.is_empty(), "unexpected in the log: {bad:#?}");
}
