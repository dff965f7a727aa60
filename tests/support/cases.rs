//! Runs cases of one test at the same time, since they mostly wait.

use std::thread;

use super::server::Finished;

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

/// Runs a server whose application or file hangs with a limit in seconds, until that was long enough
/// to write `reached`: a busy machine may need longer to start Python. Returns the limit too.
pub(crate) fn until_reached(run: impl Fn(&str) -> Finished) -> (&'static str, Finished) {
    let mut ends = ["1", "4", "16", "60"].into_iter().map(|limit| (limit, run(limit)));
    ends.find(|(_, end)| end.stderr.contains("reached")).expect("the code that hangs was reached")
}
