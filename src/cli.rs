//! The command line of the program: from `std::env` to one command, and from errors in it
//! to an exit code. The flags are in `monoceros-config`.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;

use monoceros_config::print::completions;
use monoceros_config::raw::bytes_of;
use monoceros_config::{Command, Loaded, WorkerClass, load_with};
use monoceros_log::{Destination, Severity, journal};
use monoceros_sys::user::is_root;
use monoceros_sys::{path, reason};

use crate::directory::working_directory;
use crate::project_files::{ProjectKind, find_project};

/// What to do: serve, or only check. Help and version are printed here and end
/// the program with 0, wrong settings with 1, a wrong command line with 2.
pub(crate) fn command() -> Result<Command, ExitCode> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let env: Vec<_> = std::env::vars_os().collect();
    let cwd = working_directory(&env).map_err(|error| {
        complain(&format!("cannot find the working directory: {error}"));
        ExitCode::FAILURE
    })?;
    match load_with(&args, &env, &cwd, None) {
        Ok(Command::Help(text) | Command::Version(text)) => Err(print(text.as_ref())),
        Ok(Command::Completions(shell)) => Err(print(completions(shell).as_ref())),
        Ok(command) => match accept(command, &env, &cwd) {
            Ok(command) => Ok(command),
            Err(text) => {
                complain(&text);
                Err(ExitCode::FAILURE)
            }
        },
        Err(errors) => {
            for error in &errors.0 {
                complain(&error.to_string());
            }
            Err(ExitCode::from(errors.exit_code()))
        }
    }
}

/// The command with the application that `dev` finds, if its configuration file is believed.
fn accept(command: Command, env: &[(OsString, OsString)], cwd: &Path) -> Result<Command, String> {
    check_file(file_of(&command))?;
    match command {
        Command::Run(loaded) => with_found_application(loaded, env, cwd).map(Command::Run),
        Command::CheckConfig(loaded) => {
            with_found_application(loaded, env, cwd).map(Command::CheckConfig)
        }
        Command::PrintConfig(loaded) => {
            with_found_application(loaded, env, cwd).map(Command::PrintConfig)
        }
        Command::Check { .. }
        | Command::Control(_)
        | Command::Completions(_)
        | Command::InstallShim(_)
        | Command::Init(_)
        | Command::Convert(_)
        | Command::Help(_)
        | Command::Version(_) => Ok(command),
    }
}

/// The settings with the application of the project, if they are those of `dev` and name none.
///
/// # Errors
/// With the reason, if there is no application.
pub(crate) fn with_found_application(
    mut loaded: Loaded,
    env: &[(OsString, OsString)],
    cwd: &Path,
) -> Result<Loaded, String> {
    let settings = &loaded.settings;
    let is_named = loaded.app.is_some() || settings.worker_class == WorkerClass::Exec;
    // A file in Python that was not run yet may name it.
    if !settings.development || is_named || loaded.is_partial() {
        return Ok(loaded);
    }
    let directory = settings.chdir.as_ref().map_or(cwd.to_owned(), |chdir| cwd.join(chdir));
    match find_project(&directory, env)? {
        // A worker finds the application by the settings of Django.
        ProjectKind::Django { .. } => {}
        ProjectKind::Other { app } => loaded.app = Some(app),
    }
    Ok(loaded)
}

/// The configuration file that a command was read from.
fn file_of(command: &Command) -> Option<&Path> {
    match command {
        Command::Run(loaded)
        | Command::CheckConfig(loaded)
        | Command::PrintConfig(loaded)
        | Command::Check { loaded, .. } => loaded.config_file.as_deref(),
        Command::Control(order) => order.config_file.as_deref(),
        Command::Completions(_)
        | Command::InstallShim(_)
        | Command::Init(_)
        | Command::Convert(_)
        | Command::Help(_)
        | Command::Version(_) => None,
    }
}

/// Settings take effect with the rights of the user that reads them. So root reads
/// only a configuration file that no other user can change. The user that called
/// `sudo(8)` counts as root. The file is checked after it was read: if another user
/// could change the path then, the check still finds that.
pub(crate) fn check_file(file: Option<&Path>) -> Result<(), String> {
    let Some(file) = file.filter(|_| is_root()) else { return Ok(()) };
    // A descriptor (`/dev/fd/63`) was opened by the caller.
    if !matches!(Destination::named(file.to_owned()), Destination::File(_)) {
        return Ok(());
    }
    path::follow_to_file(file, &roots()).map(drop).map_err(|error| {
        format!(
            "{} is not believed: {}. Root takes settings only from a file that no other user can \
             change, nor the directories on the way: chown them to root, chmod go-w",
            file.display(),
            reason(&error)
        )
    })
}

/// Root, and the user that called `sudo(8)`: what they can change is
/// changed with root's rights.
pub(crate) fn roots() -> Vec<u32> {
    let caller = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    caller.into_iter().chain([0]).collect()
}

/// Writes the settings with their sources to standard output.
pub(crate) fn print_settings(loaded: &Loaded) -> ExitCode {
    print(&bytes_of(&loaded.print()))
}

/// Prints an error to standard error. If that cannot be written to, such as a pipe that no
/// process reads, the exit code still reports the error.
pub(crate) fn complain(text: &str) {
    write_error(&format!("monoceros: {text}"));
}

/// Prints a text to standard error as it is.
pub(crate) fn write_error(text: &str) {
    let mut stderr = std::io::stderr();
    drop(match journal::reads_stderr() {
        true => writeln!(stderr, "{}", journal::prioritized(Severity::Error, text)),
        false => writeln!(stderr, "{text}"),
    });
}

/// Prints a text to standard output, and returns the exit code.
fn print(text: &OsStr) -> ExitCode {
    match write_output(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            complain(&text);
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard output. A reader that goes away (`monoceros --help | head`) has what it
/// needs.
///
/// # Errors
/// With the reason, for people, if a part could not be written: a full disk, for example.
pub(crate) fn write_output(bytes: &[u8]) -> Result<(), String> {
    let mut output = std::io::stdout();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {}", reason(&error)))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
