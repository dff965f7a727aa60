//! What a test needs of the machine. One that cannot run here says so, and is
//! counted at the end of `make test`.

use std::fs::OpenOptions;
use std::io::{Write, stderr};
use std::{env, thread};

use nix::unistd::geteuid;

/// Names the file to which a line is added for each test that cannot run.
const SKIPPED: &str = "SKIPPED_TESTS";

/// Whether the tests run as root; says so if not.
pub(crate) fn root() -> bool {
    met(geteuid().is_root(), "root")
}

/// Whether what the test needs is there, as the caller knows; says so if not.
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
            // Unlike `eprintln!`, this is seen also when the test passes.
            None => stderr().write_all(line.as_bytes()).unwrap(),
        }
    }
    is_met
}
