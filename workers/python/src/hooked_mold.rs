//! The mold of a server with a configuration file in Python: it runs the file, reports what it
//! sets, runs its hooks, and forks workers. With `preload` it has the application; without, it
//! lives as long as the master, and its workers load the application by themselves.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use monoceros_config::{WorkerSettings, raw};
use monoceros_log::Identity;
use monoceros_sys::fork::{self, Private};
use monoceros_sys::process;
use monoceros_sys::user::Credentials;
use monoceros_sys::wait::{Readiness, wait};
use monoceros_sys::{reason, title, umask};
use monoceros_wire::channel::{Incoming, WorkerEnd};
use monoceros_wire::gunicorn::{HookFailure, MoldSettings, ReadConfig, ServerHook};
use monoceros_wire::listener::ListenerDescription;
use monoceros_wire::message::{BootFailure, FromWorker, Start, ToWorker};
use pyo3::prelude::*;

use crate::boot_failure::{cut, give_up};
use crate::config_file::{ConfigFailure, PythonConfig};
use crate::fork_audit::Inventory;
use crate::loading::{LoadTask, LoadedApplication, load, prepare_logging};
use crate::logs::{GivenLogs, WorkerLogs};
use crate::mold_fork::{ForkParts, Forked, fork_worker, send};
use crate::parameters::read_settings;
use crate::python_logging::{self, LoggingSource};
use crate::settling::settle;
use crate::sources::CodeSources;
use crate::start::{load_and_serve, serve, spare_collector};
use crate::{application_metrics, end, hooks, output, signals, traceback};

/// A mold that has run the configuration file.
struct HookedMold {
    channel: WorkerEnd,
    logs: WorkerLogs,
    listeners: Vec<Private>,
    file: PythonConfig,
    /// The application, if the mold loads it.
    application: Option<LoadedApplication>,
    /// The master has sent the settings that take effect.
    is_configured: bool,
}

/// Runs the configuration file, and serves the master until it ends the mold. Returns in each
/// worker when that has ended.
pub(crate) fn run(
    py: Python,
    channel: WorkerEnd,
    config: &ReadConfig,
    given: GivenLogs,
) -> PyResult<()> {
    title::set("monoceros: mold");
    let settings = read_settings(&channel, &[]);
    let logs =
        WorkerLogs::open(&channel, given, &settings, None, &Identity::Mold { generation: 0 });
    let file = PythonConfig::new(py).unwrap_or_else(|error| {
        give_up(&channel, BootFailure::Boot, &traceback::describe(py, &error))
    });
    let (listeners, application) = (Vec::new(), None);
    let mold = HookedMold { channel, logs, listeners, file, application, is_configured: false };
    if let Err(failure) = mold.read(py, config) {
        end::at_once(failure.code.into());
    }
    let (given, mold) = mold.serve(py)?;
    mold.become_worker(py, given)
}

impl HookedMold {
    /// Runs the configuration file, and reports to the master what it sets, or why it cannot be
    /// used.
    fn read(&self, py: Python, config: &ReadConfig) -> Result<(), ConfigFailure> {
        let read = self.file.read(py, config);
        end_if_forked();
        let message = match &read {
            Ok(values) => FromWorker::ConfigRead { values: values.clone() },
            Err(ConfigFailure { text, code }) => {
                FromWorker::ConfigFailed { text: cut(text).to_owned(), code: *code }
            }
        };
        send(&self.channel, &message);
        read.map(drop)
    }

    /// Does what the master asks for, and returns in each worker. Threads and event loops that
    /// hooks have started run meanwhile.
    fn serve(mut self, py: Python) -> PyResult<(ForkParts, Self)> {
        loop {
            python_logging::write_queued(py);
            self.wait(py)?;
            signals::run_handlers(py);
            let (received, descriptors) = self.channel.receive_with()?;
            match received {
                Incoming::Message(ToWorker::Fork { worker, generation: _, age }) => {
                    if let Some(given) = self.fork(py, (worker, age), descriptors) {
                        return Ok((given, self));
                    }
                }
                Incoming::Message(ToWorker::ReadConfig(config)) => {
                    // The master has the failure; what is in use stays.
                    self.read(py, &config).ok();
                }
                Incoming::Message(ToWorker::Configure(settings)) => {
                    self.configure(py, &settings, descriptors);
                }
                Incoming::Message(ToWorker::Listeners { described, are_activated }) => {
                    self.listen(py, &described, descriptors, are_activated);
                }
                Incoming::Message(ToWorker::Hook { number, hook }) => {
                    self.run_hook(py, number, hook);
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
                    send(&self.channel, &FromWorker::Confirmed { number });
                }
                Incoming::Message(ToWorker::Drain { .. }) | Incoming::Closed => end::at_once(0),
                Incoming::Message(
                    ToWorker::Start(_)
                    | ToWorker::StartMold(_)
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

    /// Waits for a message or a signal, without the interpreter's lock.
    fn wait(&self, py: Python) -> PyResult<()> {
        let channel = self.channel.as_fd();
        if !hooks::wait_with_gevent(py, channel.as_raw_fd())? {
            py.detach(|| wait(&[(channel, Readiness::Readable)], None))?;
        }
        Ok(())
    }

    /// Uses the settings that take effect. The first time, loads the application, if the mold is
    /// to, and reports that it is ready.
    fn configure(&mut self, py: Python, settings: &MoldSettings, files: Vec<OwnedFd>) {
        let is_first = !self.is_configured;
        if let Err((failure, text)) = self.use_settings(py, settings, files) {
            if is_first {
                give_up(&self.channel, failure, &text);
            }
            log::error!("the mold cannot use the new settings: {text}");
        }
        self.is_configured = true;
        if is_first {
            let app = self.application.as_ref().map(|it| it.name.clone());
            let app = app.or_else(|| settings.app.clone()).unwrap_or_default();
            send(&self.channel, &FromWorker::Ready { app });
        }
    }

    fn use_settings(
        &mut self,
        py: Python,
        settings: &MoldSettings,
        files: Vec<OwnedFd>,
    ) -> Result<(), (BootFailure, String)> {
        let describe = |error: PyErr| (BootFailure::Boot, traceback::describe(py, &error));
        self.file.apply(py, settings).map_err(|failure| (BootFailure::Boot, failure.text))?;
        if settings.print {
            // Before the output is captured.
            self.file.show(py).map_err(describe)?;
            output::flush(py);
        }
        let app = settings.app.as_deref();
        let ours = read_settings(&self.channel, &settings.settings);
        let given = GivenLogs { roles: settings.logs.clone(), files };
        self.logs
            .configure(given, &ours, app)
            .map_err(|error| (BootFailure::Boot, reason(&error)))?;
        monoceros_log::identify(&Identity::Mold { generation: settings.generation.0 });
        show_title(settings, &ours);
        if settings.check {
            self.file.leave_hooks_out(py).map_err(describe)?;
        }
        if let Some(directory) = &settings.metrics_directory {
            application_metrics::use_directory(raw::bytes_of(directory));
        }
        let file = self.file.object(py);
        match prepare_logging(py, &ours, &self.logs.errors, LoggingSource::File(file)) {
            Ok(()) => {}
            Err(error) if settings.is_lenient => {
                let text = "the configuration of Python's logging fails, and a start with it";
                log::warn!("{text}\n{}", traceback::describe(py, &error));
            }
            Err(error) => {
                return Err((BootFailure::Interpreter, traceback::describe(py, &error)));
            }
        }
        if !settings.check {
            let takes = python_logging::current().is_some();
            send(&self.channel, &FromWorker::TakesRecords(takes));
        }
        hooks::prepare(py, self.file.object(py), app).map_err(describe)?;
        if *ours.reload()
            && let Some(sources) = CodeSources::watch(py)
        {
            sources.report_modules(py, &self.channel);
        }
        if self.is_configured {
            return Ok(());
        }
        if settings.preload {
            let before = Inventory::take(py);
            let place = (settings.generation, settings.check);
            let task = LoadTask::of_mold(&self.channel, app, &ours, &self.logs.errors, place);
            self.application = Some(load(py, &task));
            settle(py, &before).map_err(describe)?;
        } else {
            spare_collector(py).map_err(describe)?;
        }
        hooks::outlive_signals(py).map_err(describe)
    }

    /// Goes on with these listening sockets.
    fn listen(
        &mut self,
        py: Python,
        described: &[ListenerDescription],
        sockets: Vec<OwnedFd>,
        are_activated: bool,
    ) {
        self.listeners = sockets.into_iter().map(Private::from).collect();
        let sockets: Vec<_> = self.listeners.iter().map(AsFd::as_fd).collect();
        if let Err(error) = hooks::listen(py, &sockets, described, are_activated) {
            let text = traceback::describe(py, &error);
            log::error!("hooks do not see the listening sockets\n{text}");
        }
    }

    fn run_hook(&self, py: Python, number: u64, hook: ServerHook) {
        let ended = hooks::run(py, hook);
        output::flush(py);
        end_if_forked();
        let failure = ended.err().map(|error| HookFailure {
            text: cut(&traceback::describe(py, &error)).to_owned(),
            code: hooks::exit_code(py, &error, false),
        });
        send(&self.channel, &FromWorker::HookEnded { number, failure });
    }

    /// Forks a worker, and returns its parts in it.
    fn fork(
        &self,
        py: Python,
        (worker, age): (u64, u64),
        descriptors: Vec<OwnedFd>,
    ) -> Option<ForkParts> {
        let ended = hooks::pre_fork(py, age);
        end_if_forked();
        if let Err(error) = ended {
            let text = format!("pre_fork has failed\n{}", traceback::describe(py, &error));
            let (text, code) = (cut(&text).to_owned(), hooks::exit_code(py, &error, true));
            let failed = FromWorker::NotForked { worker, text, passes: false, code: Some(code) };
            send(&self.channel, &failed);
            return None;
        }
        output::flush(py);
        match fork_worker(py, &self.channel, worker, descriptors) {
            Forked::Worker(given) => return Some(given),
            Forked::Mold(pid) => {
                let known = pid.map(|pid| hooks::forked(py, worker, pid));
                if let Some(Err(error)) = known {
                    log::error!("{}", traceback::describe(py, &error));
                }
            }
        }
        None
    }

    /// Serves as the worker that this process is after the fork.
    fn become_worker(self, py: Python, given: ForkParts) -> PyResult<()> {
        let Self { logs, listeners, application, .. } = self;
        let resources = given.become_worker(py, listeners, &logs)?;
        let failed = |failure, text: &str| -> ! { give_up(&resources.channel, failure, text) };
        // By default SIGTERM ends a worker that starts without its last hooks.
        let handler = wrap_pyfunction!(end_boot, py)?;
        signals::end_boot_by(py, &handler)?;
        if let Err(error) = hooks::post_fork(py) {
            let text = format!("post_fork has failed\n{}", traceback::describe(py, &error));
            failed(hooks::boot_failure(py, &error), &text);
        }
        hooks::give_handlers_back(py)?;
        signals::end_boot_by(py, &handler)?;
        signals::disregard_masters();
        if let Err(text) = become_owner(&resources.start) {
            failed(BootFailure::Boot, &text);
        }
        let settings = read_settings(&resources.channel, &resources.start.settings);
        match application {
            Some(application) => serve(py, resources, &settings, &logs, application),
            None => load_and_serve(py, resources, &settings, &logs),
        }
    }
}

/// Ends a process that the file or a hook has forked and that has returned from there: only the
/// mold itself serves the master.
fn end_if_forked() {
    if fork::is_forked() {
        end::at_once(0);
    }
}

/// The handler of SIGTERM of a worker that does not serve yet.
#[pyfunction]
fn end_boot(_number: i32, _frame: Py<PyAny>) {
    end::at_once(0)
}

/// Takes the user and the umask of this worker. Its mold has those of the master.
fn become_owner(start: &Start) -> Result<(), String> {
    if let Some(mask) = start.umask {
        umask::set(mask);
    }
    let Some(owner) = &start.owner else { return Ok(()) };
    let (uid, gid, groups) = (owner.uid, owner.gid, owner.groups.clone());
    let changed: io::Result<()> = process::become_user(&Credentials { uid, gid, groups });
    changed.map_err(|error| format!("cannot become the user {uid}: {}", reason(&error)))
}

fn show_title(settings: &MoldSettings, ours: &WorkerSettings) {
    let name = ours.name().as_deref().or(settings.app.as_deref()).unwrap_or("?");
    title::set(&format!("monoceros: mold gen={} [{name}]", settings.generation));
}
