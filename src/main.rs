//! The program: argv, one command, one exit code.

mod cli;
mod convert;
mod ctl;
mod directory;
mod flask_app;
mod init;
mod master;
mod module_text;
#[cfg(test)]
#[path = "../tests/support/need.rs"]
mod need;
mod platform_files;
mod project_files;
mod shim;
mod top;

use std::process::ExitCode;

use monoceros_config::{Command, Loaded, WorkerClass};
use monoceros_sys::terminal::TerminalMode;

use crate::master::Purpose;

fn main() -> ExitCode {
    match cli::command() {
        Ok(Command::Run(loaded)) if loaded.settings.development => {
            let mode = TerminalMode::of_input();
            let code = master::run(&loaded, Purpose::Serve);
            // A debugger reads the terminal in another mode, and a worker that stops at once
            // leaves it so.
            mode.restore();
            code.into()
        }
        Ok(Command::Run(loaded)) => master::run(&loaded, Purpose::Serve).into(),
        Ok(Command::CheckConfig(loaded)) => master::run(&loaded, Purpose::Check).into(),
        Ok(Command::Check { loaded, deploy }) => master::check(&loaded, deploy).into(),
        Ok(Command::Control(command)) => ctl::run(&command).into(),
        Ok(Command::InstallShim(command)) => shim::install(&command),
        Ok(Command::Init(app)) => init::init(app.as_deref()),
        Ok(Command::Convert(file)) => convert::convert(&file),
        Ok(Command::PrintConfig(loaded)) if prints_as_gunicorn(&loaded) => {
            master::print(&loaded).into()
        }
        Ok(Command::PrintConfig(loaded)) => match cli::print_settings(&loaded) {
            ExitCode::SUCCESS => master::run(&loaded, Purpose::Check).into(),
            failed => failed,
        },
        Ok(Command::Completions(_) | Command::Help(_) | Command::Version(_)) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}

/// Settings of gunicorn's sources are printed in its form. A mold does that, and programs have
/// none.
fn prints_as_gunicorn(loaded: &Loaded) -> bool {
    loaded.has_gunicorn_source() && loaded.settings.worker_class == WorkerClass::Wsgi
}
