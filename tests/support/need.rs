//! What a test needs on the machine. A test that cannot run here is named, and counted at
//! the end of `make test`.

use std::fs::OpenOptions;
use std::io::{Write, stderr};
use std::{env, thread};

use nix::unistd::geteuid;

/// The variable with the file that gets a line for each test that cannot run.
const SKIPPED: &str = "SKIPPED_TESTS";

/// Whether the tests run as root; if not, the test is named as skipped.
pub(crate) fn root() -> bool {
    met(geteuid().is_root(), "root")
}

/// Returns `is_met`; if it is false, the test is named as skipped, since it needs `what`.
pub(crate) fn met(is_met: bool, what: &str) -> bool {
    if !is_met {
        let current = thread::current();
        let line = format!("skipped: {} needs {what}\n", current.name().unwrap_or("a test"));
        match env::var_os(SKIPPED) {
            // One call, so that lines of several tests do not mix.
            Some(path) => {
                let file = OpenOptions::new().append(true).create(true).open(path);
                file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
            }
            // Unlike the output of `eprintln!`, this is shown also if the test passes.
            None => stderr().write_all(line.as_bytes()).unwrap(),
        }
    }
    is_met
}
