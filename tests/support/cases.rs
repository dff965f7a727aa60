//! Runs cases of one test at the same time, since they mostly wait.

use std::thread;

/// A timeout of the server for such cases: longer than a busy machine keeps a test or a
/// worker from running.
pub(crate) const LIMIT: [&str; 2] = ["--timeout", "4"];

/// Runs the test with each case.
pub(crate) fn at_once<T: Copy + Send>(cases: &[T], test: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        for case in cases.iter().copied() {
            let test = &test;
            scope.spawn(move || test(case));
        }
    });
}
