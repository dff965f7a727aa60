//! Owns what ties this process to the terminal that it was started at: the error log, and
//! the process that waits there until the server serves. Called by the event loop only.

use std::sync::Arc;

use monoceros_log::RecordWriter;
use monoceros_sys::daemon::Starter;
use monoceros_sys::{reason, title};

use crate::master::act::generations::Generations;
use crate::master::act::logs;
use crate::master::act::worker_spec::WorkerSpec;

/// The exit code of a master that cannot begin.
pub(crate) const CANNOT_START: u8 = 1;

/// The error log, and the process that waits for this server to serve.
pub(crate) struct Startup {
    log: Arc<RecordWriter>,
    /// Only of a server that goes to the background, and until it serves.
    starter: Option<Starter>,
}

impl Startup {
    /// A server that does not serve yet.
    pub(crate) fn new(log: Arc<RecordWriter>, starter: Option<Starter>) -> Self {
        Self { log, starter }
    }

    /// Opens the log files again, before the workers do so by their names.
    pub(crate) fn reopen(&self, generations: &Generations) {
        let owner = generations.owner();
        let captures = generations.captures_output();
        let file = self.log.file();
        let reopened = file
            .reopen_by(|path| logs::open(path, owner))
            .and_then(|()| if captures { file.capture_output() } else { Ok(()) });
        match reopened {
            Ok(()) => log::info!("log files opened again"),
            Err(error) => log::error!("{}; still writing to the old file", reason(&error)),
        }
        generations.prepare_logs();
    }

    /// The server serves: the starting process may return.
    pub(crate) fn release(&mut self, generations: &Generations) {
        if let Some(starter) = self.starter.take() {
            starter.answer(0);
            // The log had kept the terminal open until now.
            self.reopen(generations);
        }
    }

    /// The server ends with this exit code, and may not have served.
    pub(crate) fn fail(&mut self, code: u8) {
        if let Some(starter) = self.starter.take() {
            // The starting process takes 0 for success.
            starter.answer(code.max(CANNOT_START));
        }
    }
}

/// Logs that the server serves, and names the application in the title of the process.
pub(crate) fn announce(spec: &WorkerSpec, app: &str, workers: u16) {
    // A program need not name what it serves.
    let configured = spec.app.as_deref().unwrap_or_default();
    let app = if app.is_empty() { configured } else { app };
    title::set(&format!("monoceros: master [{}]", spec.name(Some(app))));
    let addresses: Vec<_> = spec.descriptions().map(|it| it.to_string()).collect();
    let (addresses, pid) = (addresses.join(", "), std::process::id());
    let (version, plural) = (env!("CARGO_PKG_VERSION"), if workers == 1 { "" } else { "s" });
    log::info!(
        "serving {app} at {addresses} with {workers} worker{plural} (pid {pid}, monoceros {version})"
    );
}
