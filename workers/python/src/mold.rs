//! The mold: a process that loads the application and serves no client. It forks the
//! workers of its generation: they share the memory of the loaded code, and start
//! within milliseconds.

use std::io;
use std::os::fd::AsFd;

use monoceros_config::WorkerSettings;
use monoceros_log::Identity;
use monoceros_sys::blocked_signals::BlockedSignals;
use monoceros_sys::fork::Private;
use monoceros_sys::process;
use monoceros_sys::signal;
use monoceros_sys::wait::{Readiness, wait};
use monoceros_wire::channel::{Incoming, WorkerEnd};
use monoceros_wire::message::{FromWorker, StartMold, ToWorker};
use pyo3::prelude::*;

use crate::end;
use crate::fork_audit::Inventory;
use crate::loading::{LoadTask, load};
use crate::logs::{GivenLogs, WorkerLogs};
use crate::mold_fork::{ForkParts, Forked, fork_worker};
use crate::parameters::read_settings;
use crate::python_logging;
use crate::settling::settle;

/// The signals that the mold reads between two forks.
const HELD: [i32; 6] =
    [signal::TERM, signal::INT, signal::QUIT, signal::HUP, signal::USR1, signal::USR2];

/// Loads the application, and forks workers until the master or a signal ends the
/// mold. Returns in each worker when that has ended.
pub(crate) fn run(
    py: Python,
    channel: WorkerEnd,
    listeners: Vec<Private>,
    start: &StartMold,
    given: GivenLogs,
) -> PyResult<()> {
    let settings = read_settings(&channel, &start.settings);
    let identity = Identity::Mold { generation: start.generation.0 };
    let logs = WorkerLogs::open(&channel, given, &settings, start.app.as_deref(), &identity);
    show_title(start, &settings, None);
    let before = Inventory::take(py);
    let app = start.app.as_deref();
    let task = LoadTask::of_mold(&channel, app, &settings, &logs.errors, (start.generation, false));
    let application = load(py, &task);
    show_title(start, &settings, Some(&application.name));
    settle(py, &before)?;
    // From here on signals wait until they are read between two forks.
    let held = BlockedSignals::new(&HELD)?;
    let mold = Mold { channel, held, logs };
    // The end of the channel reports the master's end.
    process::outlive_parent()?;
    if python_logging::current().is_some() {
        mold.channel.send(&FromWorker::TakesRecords(true))?;
    }
    mold.channel.send(&FromWorker::Ready { app: application.name.clone() })?;
    let (given, logs) = mold.serve(py)?;
    let resources = given.become_worker(py, listeners, &logs)?;
    let settings = read_settings(&resources.channel, &resources.start.settings);
    crate::start::serve(py, resources, &settings, &logs, application)
}

fn show_title(start: &StartMold, settings: &WorkerSettings, app: Option<&str>) {
    let name = settings.name().as_deref().or(app).or(start.app.as_deref()).unwrap_or("?");
    monoceros_sys::title::set(&format!("monoceros: mold gen={} [{name}]", start.generation));
}

/// A mold that is ready.
struct Mold {
    channel: WorkerEnd,
    held: BlockedSignals,
    logs: WorkerLogs,
}

impl Mold {
    /// Forks workers on the master's request, and returns in each of them. The mold
    /// keeps the interpreter's lock meanwhile: the application's threads in it do not
    /// run.
    fn serve(self, py: Python) -> PyResult<(ForkParts, WorkerLogs)> {
        loop {
            python_logging::write_queued(py);
            let asked = [&self.channel.as_fd(), &self.held.as_fd()];
            let happened = wait(&asked.map(|fd| (*fd, Readiness::Readable)), None)?;
            if happened[1] {
                self.heed_signal(py)?;
            }
            if !happened[0] {
                continue;
            }
            let (received, descriptors) = self.channel.receive_with()?;
            match received {
                Incoming::Message(ToWorker::Fork { worker, .. }) => {
                    match fork_worker(py, &self.channel, worker, descriptors) {
                        Forked::Worker(given) => {
                            self.held.release()?;
                            return Ok((given, self.logs));
                        }
                        Forked::Mold(_) => {}
                    }
                }
                Incoming::Message(ToWorker::Reopen) => {
                    self.logs.replace(descriptors);
                    python_logging::reopen();
                }
                Incoming::Message(ToWorker::LogLevel(level)) => monoceros_log::set_level(level),
                Incoming::Message(ToWorker::Record(record)) => {
                    python_logging::write_of_master(py, *record);
                }
                Incoming::Message(ToWorker::Confirm { number }) => {
                    self.channel.send(&FromWorker::Confirmed { number })?;
                }
                Incoming::Message(ToWorker::Drain { .. }) | Incoming::Closed => end::at_once(0),
                Incoming::Message(
                    ToWorker::Start(_)
                    | ToWorker::StartMold(_)
                    | ToWorker::ReadConfig(_)
                    | ToWorker::Configure(_)
                    | ToWorker::Listeners { .. }
                    | ToWorker::Hook { .. }
                    | ToWorker::Tls
                    | ToWorker::Limits
                    | ToWorker::Workers(_)
                    | ToWorker::Leave
                    | ToWorker::Metrics { .. }
                    | ToWorker::Expire { .. }
                    | ToWorker::ShowFailure(_),
                )
                | Incoming::Nothing => {}
            }
        }
    }

    fn heed_signal(&self, py: Python) -> io::Result<()> {
        // A mold has no requests to finish, but maybe records of the master to log.
        if let Some(signal::TERM | signal::INT | signal::QUIT) = self.held.take()? {
            while let Incoming::Message(message) = self.channel.receive()? {
                if let ToWorker::Record(record) = message {
                    python_logging::write_of_master(py, *record);
                }
            }
            end::at_once(0);
        }
        Ok(())
    }
}
