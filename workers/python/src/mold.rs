//! The mold: a process that loads the application and serves no client. It forks the
//! workers of its generation: they share the memory of the loaded code, and start
//! within milliseconds.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use monoceros_config::WorkerSettings;
use monoceros_config::variable;
use monoceros_log::Identity;
use monoceros_sys::blocked_signals::BlockedSignals;
use monoceros_sys::fork::Private;
use monoceros_sys::process::{self, ExitStatus, ForkSide, Process, exit_now};
use monoceros_sys::wait::{Readiness, wait};
use monoceros_sys::{reason, signal};
use monoceros_wire::channel::{Incoming, WorkerEnd};
use monoceros_wire::message::{FromWorker, Start, StartMold, ToWorker};
use monoceros_wire::scoreboard::Scoreboard;
use pyo3::prelude::*;
use pyo3::types::PySet;

use crate::fork_audit::Inventory;
use crate::loading::load;
use crate::logs::{GivenLogs, WorkerLogs};
use crate::parameters::{BootResources, adopt_files, read_settings};
use crate::{clients, end, ffi, keys, output, stacks, traceback};

/// The signals that the mold reads between two forks.
const HELD: [i32; 6] =
    [signal::TERM, signal::INT, signal::QUIT, signal::HUP, signal::USR1, signal::USR2];
/// The maximum time of a fork. After it the fork is given up.
const FORK_LIMIT: Duration = Duration::from_secs(10);

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
    let application = load(py, &channel, start.app.as_deref(), &settings, &logs.errors);
    show_title(start, &settings, Some(&application.name));
    settle(py, &before)?;
    // From here on signals wait until they are read between two forks.
    let held = BlockedSignals::new(&HELD)?;
    let mold = Mold { channel, held, logs };
    // The end of the channel reports the master's end.
    process::outlive_parent()?;
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

/// Prepares the loaded application for forks: writes out buffers, closes database
/// connections, and freezes the collector, which would otherwise write to all objects
/// in each worker and so copy their memory.
fn settle(py: Python, before: &Inventory) -> PyResult<()> {
    output::flush(py);
    if let Err(error) = load_urls(py) {
        let text = traceback::describe(py, &error);
        log::warn!("cannot load the URLs of the Django project before forking\n{text}");
    }
    if let Err(error) = close_databases(py) {
        let text = traceback::describe(py, &error);
        log::warn!("cannot close the database connections that were opened at import\n{text}");
    }
    if let Some(text) = Inventory::take(py).left_since(before) {
        log::warn!("{text}");
    }
    crate::start::spare_collector(py)
}

/// Loads the URLs and views of a Django project. Django itself loads them with the
/// first request: then each worker would load them, and one that is forked later might
/// find half of a new release on the disk.
fn load_urls(py: Python) -> PyResult<()> {
    if !is_django_project(py, "django.core.handlers.wsgi")? {
        return Ok(());
    }
    py.import("django.urls")?.call_method0("get_resolver")?.getattr("url_patterns").map(drop)
}

/// Whether this module of Django is loaded, and Django's settings are set.
fn is_django_project(py: Python, module: &str) -> PyResult<bool> {
    let modules = py.import("sys")?.getattr("modules")?;
    let conf = "django.conf";
    if !modules.contains(module)? || !modules.contains(conf)? {
        return Ok(false);
    }
    modules.get_item(conf)?.getattr("settings")?.getattr("configured")?.extract()
}

/// Closes Django's database connections: workers with copies of one connection would
/// mix their requests on it.
fn close_databases(py: Python) -> PyResult<()> {
    if !is_django_project(py, "django.db")? {
        return Ok(());
    }
    py.import("django.db")?.getattr("connections")?.call_method0("close_all").map(drop)
}

/// A mold that is ready.
struct Mold {
    channel: WorkerEnd,
    held: BlockedSignals,
    logs: WorkerLogs,
}

/// What a new worker has when it is forked.
struct ForkParts {
    channel: WorkerEnd,
    scoreboard: OwnedFd,
    stacks: OwnedFd,
    /// Listening sockets in place of the mold's; none if the mold's are current.
    sockets: Vec<Private>,
}

impl Mold {
    /// Forks workers on the master's request, and returns in each of them. The mold
    /// keeps the interpreter's lock meanwhile: the application's threads in it do not
    /// run.
    fn serve(self, py: Python) -> PyResult<(ForkParts, WorkerLogs)> {
        loop {
            let asked = [&self.channel.as_fd(), &self.held.as_fd()];
            let happened = wait(&asked.map(|fd| (*fd, Readiness::Readable)), None)?;
            if happened[1] {
                self.heed_signal()?;
            }
            if !happened[0] {
                continue;
            }
            let (received, descriptors) = self.channel.receive_with()?;
            match received {
                Incoming::Message(ToWorker::Fork { worker, .. }) => {
                    if let Some(given) = self.fork(py, worker, descriptors) {
                        self.held.release()?;
                        return Ok((given, self.logs));
                    }
                }
                Incoming::Message(ToWorker::Reopen) => self.logs.replace(descriptors),
                Incoming::Message(ToWorker::LogLevel(level)) => monoceros_log::set_level(level),
                Incoming::Message(ToWorker::Confirm { number }) => {
                    self.channel.send(&FromWorker::Confirmed { number })?;
                }
                Incoming::Message(ToWorker::Drain { .. }) | Incoming::Closed => end::at_once(0),
                Incoming::Message(
                    ToWorker::Start(_)
                    | ToWorker::StartMold(_)
                    | ToWorker::ReadConfig(_)
                    | ToWorker::Configure(_)
                    | ToWorker::Listeners(_)
                    | ToWorker::Hook { .. }
                    | ToWorker::Tls
                    | ToWorker::Limits
                    | ToWorker::Workers(_)
                    | ToWorker::Leave
                    | ToWorker::Metrics { .. }
                    | ToWorker::Expire { .. },
                )
                | Incoming::Nothing => {}
            }
        }
    }

    fn heed_signal(&self) -> io::Result<()> {
        // A mold has no requests to finish.
        if let Some(signal::TERM | signal::INT | signal::QUIT) = self.held.take()? {
            end::at_once(0);
        }
        Ok(())
    }

    /// Forks a worker, and reports it to the master. Returns its parts in the worker,
    /// and `None` in the mold.
    fn fork(&self, py: Python, worker: u64, descriptors: Vec<OwnedFd>) -> Option<ForkParts> {
        let tell = |forked: io::Result<i32>| match forked {
            Ok(_) => true,
            Err(error) => self.say(&not_forked(worker, &error)),
        };
        ffi::before_fork(py);
        // The application may have made this process adopt orphans
        // (`PR_SET_CHILD_SUBREAPER`); the worker must become the master's child.
        let takes = process::refuse_orphans().unwrap_or(false);
        let side = process::fork_orphan(tell);
        if let Ok(ForkSide::Orphan { between }) = side {
            process::await_new_parent(between);
            let given = ForkParts::new(descriptors);
            // Before the application's code runs: then the master knows this process
            // before it can end.
            given.announce();
            ffi::after_fork_in_child(py);
            return Some(given);
        }
        ffi::after_fork_in_parent(py);
        let failure = match side {
            Ok(ForkSide::Caller { between }) => see_off(between).err().map(io::Error::other),
            Ok(ForkSide::Orphan { .. }) => None,
            Err(error) => Some(error),
        };
        if takes && let Err(error) = process::adopt_orphans() {
            log::error!("cannot take orphans again: {}", reason(&error));
        }
        if let Some(error) = failure {
            self.say(&not_forked(worker, &error));
        }
        None
    }

    /// Sends the master a message, and waits until there is room. Returns whether that
    /// worked; it fails only when the master has ended.
    fn say(&self, message: &FromWorker) -> bool {
        loop {
            match self.channel.send(message) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let room = wait(&[(self.channel.as_fd(), Readiness::Writable)], None);
                    if room.is_err() {
                        return false;
                    }
                }
                sent => return sent.is_ok(),
            }
        }
    }
}

fn not_forked(worker: u64, error: &io::Error) -> FromWorker {
    let text = format!("the mold cannot fork: {}", reason(error));
    FromWorker::NotForked { worker, text, passes: process::lacks_room(error) }
}

/// Waits for the end of the process between the mold and a worker. The error is what
/// failed in that process.
fn see_off(between: i32) -> Result<(), String> {
    let deadline = Instant::now() + FORK_LIMIT;
    // Without a pidfd the wait has no limit.
    if let Ok(process) = Process::adopt(between) {
        let asked = [(process.as_fd(), Readiness::Readable)];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match wait(&asked, Some(left)) {
                Ok(ended) if ended[0] => break,
                Ok(_) if !left.is_zero() => {}
                Ok(_) | Err(_) => {
                    // The process exists until it is reaped below.
                    drop(process.signal(signal::KILL));
                    break;
                }
            }
        }
    }
    match process::reap(between) {
        Ok(ExitStatus::Code(0)) => Ok(()),
        Ok(end) => Err(format!("the process that forks ended with {end}")),
        // The application ignores SIGCHLD, so the kernel has reaped the process and its
        // exit status is lost. The process itself has reported a failure.
        Err(_) => Ok(()),
    }
}

/// Resets `multiprocessing` in a worker, as in its own processes. The processes that
/// the application has started at import belong to the mold, and stay when the worker
/// ends. Connections to a manager are made anew.
fn part_from_processes(py: Python) -> PyResult<()> {
    let modules = py.import("sys")?.getattr("modules")?;
    if modules.contains("multiprocessing.process")? {
        modules.get_item("multiprocessing.process")?.setattr("_children", PySet::empty(py)?)?;
    }
    if modules.contains("multiprocessing.util")? {
        let util = modules.get_item("multiprocessing.util")?;
        util.getattr("_finalizer_registry")?.call_method0("clear")?;
        util.call_method0("_run_after_forkers")?;
    }
    Ok(())
}

impl ForkParts {
    /// Makes the parts in the worker, from the descriptors that the master has sent.
    fn new(descriptors: Vec<OwnedFd>) -> Self {
        let mut descriptors = descriptors.into_iter();
        match (descriptors.next(), descriptors.next(), descriptors.next()) {
            (Some(channel), Some(scoreboard), Some(stacks)) => {
                let sockets = descriptors.map(Private::from).collect();
                Self { channel: channel.into(), scoreboard, stacks, sockets }
            }
            // The master has another version. It sees the end of the channel.
            _ => exit_now(1),
        }
    }

    /// Announces this worker to the master; the kernel adds the pid to the message.
    fn announce(&self) {
        if self.channel.send(&FromWorker::Forked).is_err() {
            // The master has ended, or has withdrawn the fork.
            exit_now(0);
        }
    }

    /// Waits until the master has opened its pidfd and sends slot and settings.
    fn become_worker(
        self,
        py: Python,
        listeners: Vec<Private>,
        logs: &WorkerLogs,
    ) -> PyResult<BootResources> {
        wait(&[(self.channel.as_fd(), Readiness::Readable)], None)?;
        let (start, files) = match self.channel.receive_with()? {
            (Incoming::Message(ToWorker::Start(start)), files) => (start, files),
            // The master has ended, or has withdrawn the fork.
            (Incoming::Message(_) | Incoming::Nothing | Incoming::Closed, _) => exit_now(0),
        };
        let (spool_count, files) = adopt_files(&start, files)?;
        logs.replace(files);
        let tls = keys::take(&self.channel, &start);
        let clients = clients::take(&self.channel, &start);
        let Start { slot, generation, .. } = &start;
        let identity = Identity::Worker { slot: slot.0, generation: generation.0 };
        monoceros_log::identify(&identity);
        let environ = py.import("os")?.getattr("environ")?;
        environ.set_item(variable::SLOT, slot.to_string())?;
        environ.set_item(variable::GENERATION, generation.to_string())?;
        let scoreboard = Scoreboard::adopt(self.scoreboard)?;
        stacks::show(py, self.stacks.into())?;
        scoreboard.show_stacks();
        if let Err(error) = part_from_processes(py) {
            let text = traceback::describe(py, &error);
            log::warn!("cannot tell multiprocessing that this is another process\n{text}");
        }
        let listeners = if self.sockets.is_empty() { listeners } else { self.sockets };
        let channel = self.channel;
        Ok(BootResources { channel, scoreboard, listeners, start, tls, clients, spool_count })
    }
}
