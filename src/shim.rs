//! Installs the program `gunicorn` into an environment of Python: the environment's own
//! interpreter does so, with the code that the extension module has.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use monoceros_config::ShimCommand;
use monoceros_sys::reason;

use crate::cli::complain;
use crate::master::Invocation;

/// Where an environment has its interpreter.
const INTERPRETERS: [&str; 2] = ["bin/python", "bin/python3"];

/// Installs it: becomes the interpreter of the environment. Returns if that cannot be.
pub(crate) fn install(command: &ShimCommand) -> ExitCode {
    complain(&try_to_install(command));
    ExitCode::FAILURE
}

/// Returns why it has not become the interpreter.
fn try_to_install(command: &ShimCommand) -> String {
    let environment = command.environment.display();
    let Some(python) = interpreter(&command.environment) else {
        return format!(
            "cannot install the program gunicorn in {environment}: there is no bin/python"
        );
    };
    let (program, extension) = match paths() {
        Ok(paths) => paths,
        Err(text) => return text,
    };
    let mut interpreter = Command::new(&python);
    interpreter.args(["-I", "-c", include_str!("shim.py")]).arg(extension).arg(program);
    interpreter.arg(if command.replaces { "replace" } else { "keep" });
    let error = interpreter.exec();
    format!("cannot execute {}: {}", python.display(), reason(&error))
}

fn interpreter(environment: &Path) -> Option<PathBuf> {
    INTERPRETERS.map(|name| environment.join(name)).into_iter().find(|path| path.is_file())
}

/// The paths of this program, as it was called, and of the extension module.
fn paths() -> Result<(PathBuf, PathBuf), String> {
    let invocation = Invocation::own()?;
    let extension = invocation.extension()?.path().to_owned();
    let program = invocation.programs().into_iter().next();
    let program = program.ok_or("cannot find this program's own path")?;
    Ok((program, extension))
}
