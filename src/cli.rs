//! The command line of the program: from `std::env` to one command, and from
//! what was said wrong to an exit code. The flags are in `monoceros-config`.

use std::io::Write as _;
use std::process::ExitCode;

use log::Level;
use monoceros_config::{Command, Loaded, load};
use monoceros_log::journal;

/// What to do: serve, or only check. Help and version are printed here and end
/// the program with 0, wrong settings with 1, a wrong command line with 2.
pub(crate) fn command() -> Result<Command, ExitCode> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let env: Vec<_> = std::env::vars_os().collect();
    let cwd = std::env::current_dir().map_err(|error| {
        complain(&format!("cannot find the working directory: {error}"));
        ExitCode::FAILURE
    })?;
    match load(&args, &env, &cwd) {
        Ok(Command::Help(text) | Command::Version(text)) => Err(print(&text)),
        Ok(command) => Ok(command),
        Err(errors) => {
            for error in &errors.0 {
                complain(&error.to_string());
            }
            Err(ExitCode::from(errors.exit_code()))
        }
    }
}

/// Writes the settings with their sources to standard output.
pub(crate) fn print_settings(loaded: &Loaded) -> ExitCode {
    print(&loaded.print())
}

/// Says on standard error what is wrong. When that takes nothing, such as a
/// pipe that nobody reads, the exit code still tells.
pub(crate) fn complain(text: &str) {
    let text = format!("monoceros: {text}");
    let (level, text) = (Level::Error, text.as_str());
    let mut stderr = std::io::stderr();
    drop(match journal::reads_stderr() {
        true => writeln!(stderr, "{}", journal::Entry { level, text }),
        false => writeln!(stderr, "{text}"),
    });
}

/// A reader that went away (`monoceros --help | head`) is no reason to panic.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
