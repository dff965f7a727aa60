//! The environment of what a test starts: the same on every machine.

use std::env;
use std::process::Command;

/// What stays: where programs are, and where files can be written. All else is
/// a habit of the machine, such as `PYTHONUNBUFFERED`, and a test that needs it
/// says so.
const KNOWN: [&str; 5] = ["PATH", "HOME", "TMPDIR", "PYENV_ROOT", "LD_LIBRARY_PATH"];

/// Gives a command the known environment, and nothing else.
pub(crate) fn clear(command: &mut Command) -> &mut Command {
    let known = KNOWN.iter().filter_map(|name| Some((name, env::var_os(name)?)));
    // What is compiled from a changed file within a second would pass for the
    // new one.
    command.env_clear().envs(known).env("PYTHONDONTWRITEBYTECODE", "1")
}
