//! Reads the invocation as a whole: command line, environment and configuration file.

use std::ffi::OsString;
use std::path::Path;

use crate::check_command;
use crate::command_words::CommandRead;
use crate::completions_command;
use crate::constraints;
use crate::control_command::{self, ControlCommand, ControlRead};
use crate::convert_command;
use crate::dev_command;
use crate::error::{Errors, ValueOrigin};
use crate::flags::{self, Line};
use crate::help;
use crate::init_command;
use crate::loaded::Loaded;
use crate::python_file::PythonValues;
use crate::shell_name::ShellName;
use crate::shim_command::{self, ShimCommand};
use crate::sources::{SettingSources, merge, merge_all};

/// The command of an invocation.
#[derive(Clone, Debug)]
pub enum Command {
    /// Serve with these settings.
    Run(Loaded),
    /// Check settings and application, and exit.
    CheckConfig(Loaded),
    /// Check, print the settings ([`Loaded::print`]), and exit.
    PrintConfig(Loaded),
    /// Check settings and application, list what the operator should correct, and exit.
    Check {
        /// The settings.
        loaded: Loaded,
        /// Also list what a deployment must not have.
        deploy: bool,
    },
    /// Send a command to a running server.
    Control(ControlCommand),
    /// Print the completions of this shell ([`crate::print::completions`]), and exit.
    Completions(ShellName),
    /// Install the program `gunicorn` into an environment, and exit.
    InstallShim(ShimCommand),
    /// Write a configuration file for the project of the directory, or for this application, and
    /// exit.
    Init(Option<String>),
    /// Print this file in Python as YAML ([`crate::convert`]), and exit.
    Convert(OsString),
    /// Print this text and exit.
    Help(String),
    /// Print this text and exit.
    Version(String),
}

/// Like [`load_with`], without the values of a configuration file in Python.
///
/// # Errors
///
/// With all errors in all sources.
pub fn load(
    args: &[OsString],
    env: &[(OsString, OsString)],
    cwd: &Path,
) -> Result<Command, Errors> {
    load_with(args, env, cwd, None)
}

/// Reads the settings: `args` are the words after the program's name, `env` the
/// environment, `cwd` the directory that relative names start from.
///
/// The sources, the weakest first: default, `WEB_CONCURRENCY`, `PORT` and
/// `FORWARDED_ALLOW_IPS`, configuration file, `GUNICORN_CMD_ARGS`, `MONOCEROS_*`, command
/// line. The function reads only the
/// configuration file, so a reload can call it again.
///
/// A configuration file in Python is not run here. Without `python`, the values that it sets,
/// what is returned names the file ([`Loaded::python_source`]) and is not complete
/// ([`Loaded::is_partial`]): settings are not checked against each other.
///
/// # Errors
///
/// With all errors in all sources, also in values that a stronger source replaces.
pub fn load_with(
    args: &[OsString],
    env: &[(OsString, OsString)],
    cwd: &Path,
    python: Option<&PythonValues>,
) -> Result<Command, Errors> {
    if let Some(read) = control_command::read(args, env, cwd) {
        return read.map(|read| match read {
            ControlRead::Command(command) => Command::Control(command),
            ControlRead::Help => Command::Help(help::text()),
            ControlRead::CommandHelp => Command::Help(help::commands()),
        });
    }
    let read = completions_command::read(args)
        .map(|read| command_or_help(read, Command::Completions))
        .or_else(|| Some(command_or_help(shim_command::read(args, cwd)?, Command::InstallShim)))
        .or_else(|| Some(command_or_help(init_command::read(args)?, Command::Init)))
        .or_else(|| Some(command_or_help(convert_command::read(args)?, Command::Convert)));
    if let Some(read) = read {
        return read;
    }
    let sources = SettingSources { env, cwd, python, is_dev: false };
    if let Some(words) = check_command::read(args) {
        let mut errors = Errors::default();
        let line = flags::read(&words.settings, &ValueOrigin::CommandLine, &mut errors);
        if line.help {
            return Ok(Command::Help(help::commands()));
        }
        let loaded = merge_all(line, sources, errors).and_then(check)?;
        return Ok(Command::Check { loaded: loaded.for_check(), deploy: words.deploy });
    }
    let mut errors = Errors::default();
    let (line, is_dev) = server_line(args, &mut errors);
    if line.help {
        return Ok(Command::Help(if is_dev { help::commands() } else { help::text() }));
    }
    if line.version {
        return Ok(Command::Version(format!("monoceros {}\n", env!("CARGO_PKG_VERSION"))));
    }
    let sources = SettingSources { is_dev, ..sources };
    merge_all(line, sources, errors).and_then(check).map(command)
}

/// Like [`load_with`] for a command that serves, without the values that have an error: what
/// gunicorn's own form of the settings is printed from, although this server refuses some.
#[must_use]
pub fn load_leniently(
    args: &[OsString],
    env: &[(OsString, OsString)],
    cwd: &Path,
    python: &PythonValues,
) -> Loaded {
    let mut errors = Errors::default();
    let (line, is_dev) = server_line(args, &mut errors);
    let sources = SettingSources { env, cwd, python: Some(python), is_dev };
    merge(line, sources, &mut errors)
}

/// The command line of a server, and whether it is that of `dev`.
fn server_line(args: &[OsString], errors: &mut Errors) -> (Line, bool) {
    let origin = ValueOrigin::CommandLine;
    match dev_command::read(args) {
        Some(words) => (dev_command::with_address(flags::read(words, &origin, errors)), true),
        None => (flags::read(args, &origin, errors), false),
    }
}

/// What was read of a command that needs no server.
fn command_or_help<T>(
    read: Result<CommandRead<T>, Errors>,
    command: impl FnOnce(T) -> Command,
) -> Result<Command, Errors> {
    read.map(|read| match read {
        CommandRead::Command(found) => command(found),
        CommandRead::CommandHelp => Command::Help(help::commands()),
    })
}

/// Checks settings against each other, if all are known.
fn check(loaded: Loaded) -> Result<Loaded, Errors> {
    if loaded.is_partial { Ok(loaded) } else { constraints::check(loaded) }
}

fn command(loaded: Loaded) -> Command {
    if loaded.settings.print_config {
        Command::PrintConfig(loaded.for_check())
    } else if loaded.settings.check_config {
        Command::CheckConfig(loaded.for_check())
    } else {
        Command::Run(loaded)
    }
}

#[cfg(test)]
mod tests;
