//! Prints a configuration file of gunicorn, which is Python, as YAML.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;

use monoceros_config::{Command, Conversion, Loaded, PythonRun, PythonSource, PythonValues, load};
use monoceros_sys::descriptor::duplicate_for_programs;
use monoceros_sys::reason;
use monoceros_wire::gunicorn::GunicornValues;

use crate::cli::complain;
use crate::directory::working_directory;
use crate::master::read_values;

/// The variable that names the interpreter. Other settings of the environment do not belong to
/// the file.
const INTERPRETER: &str = "MONOCEROS_PYTHON";

/// Prints the file as YAML, and what of it has to stay in Python on standard error. Returns
/// success if nothing has to.
pub(crate) fn convert(file: &OsStr) -> ExitCode {
    let conversion = match try_to_convert(file) {
        Ok(conversion) => conversion,
        Err(text) => {
            complain(&text);
            return ExitCode::FAILURE;
        }
    };
    let name = file.to_string_lossy();
    conversion.warnings.iter().for_each(|text| complain(text));
    conversion.remains.iter().for_each(|text| complain(&format!("{name}: not converted: {text}")));
    let is_complete = conversion.remains.is_empty();
    if !is_complete {
        complain(&format!(
            "a server reads one configuration file: keep {name}, or do without what is named above"
        ));
    }
    match io::stdout().write_all(conversion.yaml.as_bytes()) {
        Ok(()) if is_complete => ExitCode::SUCCESS,
        Ok(()) | Err(_) => ExitCode::FAILURE,
    }
}

fn try_to_convert(file: &OsStr) -> Result<Conversion, String> {
    let env: Vec<_> = std::env::vars_os().collect();
    let directory = working_directory(&env)
        .map_err(|error| format!("cannot find the working directory: {}", reason(&error)))?;
    let loaded = settings_with(file, env, &directory)?;
    let text = source_text(&loaded, file)?;
    let found = run_aside(&loaded)?;
    let values = PythonValues { values: found.values, unknown: found.unknown };
    let (hooks, python_logging) = (found.hooks.as_slice(), found.python_logging);
    let run = PythonRun { values: &values, hooks, python_logging, text: &text };
    monoceros_config::convert(&file.to_owned(), &directory, &run)
        .map_err(|errors| errors.to_string())
}

/// Runs the file. What it prints goes to standard error: standard output is for the settings.
fn run_aside(loaded: &Loaded) -> Result<GunicornValues, String> {
    let (out, err) = (io::stdout(), io::stderr());
    let cannot = |error: io::Error| format!("cannot redirect standard output: {}", reason(&error));
    let kept = out.as_fd().try_clone_to_owned().map_err(cannot)?;
    duplicate_for_programs(err.as_fd(), out.as_fd()).map_err(cannot)?;
    let found = read_values(loaded);
    duplicate_for_programs(kept.as_fd(), out.as_fd()).map_err(cannot)?;
    found
}

/// The settings of the file alone, before it was run.
fn settings_with(
    file: &OsStr,
    env: Vec<(OsString, OsString)>,
    directory: &Path,
) -> Result<Loaded, String> {
    let env: Vec<_> = env.into_iter().filter(|(name, _)| name == INTERPRETER).collect();
    let args = [OsString::from("--config"), file.to_owned()];
    let command = load(&args, &env, directory).map_err(|errors| errors.to_string())?;
    let Command::Run(loaded) = command else {
        return Err(format!("cannot read the settings of {}", file.to_string_lossy()));
    };
    Ok(loaded)
}

/// The text of the file; a module that only the interpreter finds has none.
fn source_text(loaded: &Loaded, file: &OsStr) -> Result<String, String> {
    let name = file.to_string_lossy();
    match &loaded.python_source {
        Some(PythonSource::File { path, .. }) => fs::read(path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|error| format!("cannot read {name}: {}", reason(&error))),
        Some(PythonSource::Module(_)) => Ok(String::new()),
        None => Err(format!("cannot convert {name}: it is YAML already")),
    }
}
