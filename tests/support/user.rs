//! A user without privileges, for the workers of servers that root starts.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::{need, setup};

/// The number of the unprivileged user 65534.
pub(crate) const NOBODY: u32 = 65534;

/// An interpreter that this user can execute, if the tests run as root and this user can
/// read the extension. Otherwise the test is named as skipped.
pub(crate) fn python() -> Option<&'static str> {
    if !need::root() {
        return None;
    }
    let extension = setup::program().with_file_name("libmonoceros_python.so");
    let script = "import sys; open(sys.argv[1]); sys.exit(sys.version_info < (3, 10))";
    let works = |python: &&str| {
        let mut command = Command::new(python);
        command.args(["-c", script]).arg(&extension).uid(NOBODY).gid(NOBODY).current_dir("/");
        command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let found = ["/usr/bin/python3", "/usr/local/bin/python3"].into_iter().find(works);
    need::met(found.is_some(), "an interpreter, and the program, that others may execute");
    found
}
