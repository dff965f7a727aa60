//! The environment of the processes that a test starts: the same on every machine.

use std::env;
use std::process::Command;

/// The variables that stay: for the places of programs and files. Others, such as
/// `PYTHONUNBUFFERED`, differ between machines; a test that needs one sets it.
const KNOWN: [&str; 5] = ["PATH", "HOME", "TMPDIR", "PYENV_ROOT", "LD_LIBRARY_PATH"];

/// Gives a command only the known environment.
pub(crate) fn clear(command: &mut Command) -> &mut Command {
    let known = KNOWN.iter().filter_map(|name| Some((name, env::var_os(name)?)));
    // Python would use the compiled form of a file that was changed within the same
    // second.
    command.env_clear().envs(known).env("PYTHONDONTWRITEBYTECODE", "1")
}
