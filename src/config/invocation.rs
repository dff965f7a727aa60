//! The command line as a whole: what the user asked for.

use std::ffi::OsString;
use std::path::Path;

use crate::constraints;
use crate::control_command::{self, ControlCommand, ControlRead};
use crate::error::{Errors, ValueOrigin};
use crate::flags;
use crate::help;
use crate::loaded::Loaded;
use crate::sources::merge_all;

/// What the user asked for.
#[derive(Clone, Debug)]
pub enum Command {
    /// Serve.
    Run(Loaded),
    /// Check settings and application, and exit.
    CheckConfig(Loaded),
    /// Check, print the settings ([`Loaded::print`]), and exit.
    PrintConfig(Loaded),
    /// Ask this of a server that runs.
    Control(ControlCommand),
    /// Print this text and exit.
    Help(String),
    /// Print this text and exit.
    Version(String),
}

/// Reads the settings: `args` are the words after the program's name, `env` the
/// environment, `cwd` the directory that relative names start from.
///
/// Weakest first: default, `WEB_CONCURRENCY` and `PORT`, configuration file,
/// `GUNICORN_CMD_ARGS`, `MONOCEROS_*`, command line. Touches nothing but the
/// configuration file, so that a reload can call it again.
///
/// # Errors
///
/// With everything that was said wrong anywhere, even where a stronger source
/// says something else.
pub fn load(
    args: &[OsString],
    env: &[(OsString, OsString)],
    cwd: &Path,
) -> Result<Command, Errors> {
    if let Some(read) = control_command::read(args, env, cwd) {
        return read.map(|read| match read {
            ControlRead::Command(command) => Command::Control(command),
            ControlRead::Help => Command::Help(help::text()),
            ControlRead::CommandHelp => Command::Help(help::commands()),
        });
    }
    let mut errors = Errors::default();
    let line = flags::read(args, &ValueOrigin::CommandLine, &mut errors);
    if line.help {
        return Ok(Command::Help(help::text()));
    }
    if line.version {
        return Ok(Command::Version(format!("monoceros {}\n", env!("CARGO_PKG_VERSION"))));
    }
    merge_all(line, env, cwd, errors).and_then(constraints::check).map(command)
}

fn command(loaded: Loaded) -> Command {
    if loaded.settings.print_config {
        Command::PrintConfig(loaded)
    } else if loaded.settings.check_config {
        Command::CheckConfig(loaded)
    } else {
        Command::Run(loaded)
    }
}

#[cfg(test)]
mod tests;
