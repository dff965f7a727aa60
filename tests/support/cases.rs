//! Cases of one test that mostly wait: all are run at the same time.

use std::thread;

/// A timeout of the server within which something has to be done: longer than a
/// busy machine may keep a test, or a worker, from running.
pub(crate) const LIMIT: [&str; 2] = ["--timeout", "4"];

/// Runs the test with each of them.
pub(crate) fn at_once<T: Copy + Send>(cases: &[T], test: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        for case in cases.iter().copied() {
            let test = &test;
            scope.spawn(move || test(case));
        }
    });
}
