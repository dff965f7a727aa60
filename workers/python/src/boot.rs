//! A worker's way from a bare interpreter to serving: what the master passed
//! in, the settings, the application.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use monoceros_config::variable;
use monoceros_config::{LogTarget, SIGNALS, SignalCommand, WorkerSettings};
use monoceros_engine::{AccessLog, Engine, EngineParts, LONGEST_BODY, Options, Temporary};
use monoceros_http::Limits;
use monoceros_log::{Destination, Identity, LogFile};
use monoceros_sys::fork::{Actions, Mark, Private};
use monoceros_sys::{descriptor, limit, process, reason, signal, title};
use monoceros_wire::channel::{Incoming, MESSAGE_LIMIT, WorkerEnd};
use monoceros_wire::message::{BootFailure, FromWorker, Start, StartMold, ToWorker};
use monoceros_wire::scoreboard::Scoreboard;
use monoceros_wire::stacks::{self, Stacks};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};

use crate::serve::{self, Reports, Server};
use crate::{end, errors, forked, mold, programs, signals, threads, traceback};

/// Texts longer than this are cut in front: the end says what is wrong.
const TEXT_LIMIT: usize = MESSAGE_LIMIT / 4;

/// The logs that are descriptors of the master's.
static ERROR_LOG: OnceLock<OwnedFd> = OnceLock::new();
static ACCESS_LOG: OnceLock<OwnedFd> = OnceLock::new();

/// It was this module that has enabled the handler of crashes.
static CRASHES_SHOWN: AtomicBool = AtomicBool::new(false);

/// What a worker has to work with.
pub(crate) struct BootResources {
    pub(crate) channel: WorkerEnd,
    pub(crate) scoreboard: Scoreboard,
    pub(crate) listeners: Vec<Private>,
    pub(crate) start: Start,
}

/// What this process is to be.
enum BootRole {
    Worker(BootResources),
    Mold { channel: WorkerEnd, listeners: Vec<Private>, start: StartMold },
}

/// Serves until the master or a signal says otherwise. Called by the worker's
/// program, once; a worker that cannot serve ends the process here.
#[pyfunction]
pub(crate) fn run_worker(py: Python) -> PyResult<()> {
    disregard_masters();
    let (role, stacks) = receive().map_err(|error| {
        let text = format!("cannot start as a worker: {error}; is this run by monoceros?");
        PyRuntimeError::new_err(text)
    })?;
    show_stacks(py, stacks)?;
    hide_variables(py)?;
    forked::watch(py)?;
    threads::prepare(py)?;
    // One that cannot be raised is what there is.
    limit::raise().ok();
    programs::give_limit_back(py)?;
    match role {
        BootRole::Worker(resources) => {
            resources.scoreboard.show_stacks();
            work(py, resources)
        }
        BootRole::Mold { channel, listeners, start } => mold::run(py, channel, listeners, &start),
    }
}

/// Has the interpreter write the stacks of all its threads when the master asks
/// for them, and when it crashes: in the handler of the signal, which needs no
/// lock, so that it works while something holds the interpreter's. The handler
/// restarts what it interrupts, as far as the kernel can (`SA_RESTART`,
/// `signal(7)`).
pub(crate) fn show_stacks(py: Python, stacks: Stacks) -> PyResult<()> {
    let arguments = PyDict::new(py);
    // The file is the interpreter's from now on, to its end.
    std::mem::forget(Mark::new(stacks.as_fd()));
    arguments.set_item("file", OwnedFd::from(stacks).into_raw_fd())?;
    arguments.set_item("all_threads", true)?;
    let signals = [&signal::CRASHES[..], &[stacks::SIGNAL]].concat();
    Actions::enter(&signals, || register(py, &arguments)).1
}

fn register(py: Python, arguments: &Bound<PyDict>) -> PyResult<()> {
    let faulthandler = py.import("faulthandler")?;
    // Who has enabled it already (`PYTHONFAULTHANDLER`) wants it elsewhere; but
    // a worker from a mold has it as the mold, from here.
    let is_enabled: bool = faulthandler.call_method0("is_enabled")?.extract()?;
    if !is_enabled || CRASHES_SHOWN.swap(false, Ordering::Relaxed) {
        faulthandler.call_method("enable", (), Some(arguments))?;
        CRASHES_SHOWN.store(true, Ordering::Relaxed);
    }
    arguments.set_item("chain", false)?;
    faulthandler.call_method("register", (stacks::SIGNAL,), Some(arguments)).map(drop)
}

/// Has the interpreter show crashes no longer, if it does so from here.
pub(crate) fn hide_crashes(faulthandler: &Bound<PyModule>) -> PyResult<()> {
    if CRASHES_SHOWN.swap(false, Ordering::Relaxed) {
        faulthandler.call_method0("disable")?;
    }
    Ok(())
}

fn receive() -> io::Result<(BootRole, Stacks)> {
    let channel = WorkerEnd::from(descriptor::take_inherited(number(variable::CHANNEL)?)?);
    let stacks = Stacks::from(descriptor::take_inherited(number(variable::STACKS)?)?);
    let count = number("LISTEN_FDS").unwrap_or(0);
    let listeners: io::Result<_> = (descriptor::FIRST..descriptor::FIRST + count)
        .map(|it| descriptor::take_inherited(it).map(Private::from))
        .collect();
    let listeners = listeners?;
    for (name, log) in [(variable::ERROR_LOG, &ERROR_LOG), (variable::ACCESS_LOG, &ACCESS_LOG)] {
        if let Ok(number) = number(name) {
            // It is called once.
            log.set(descriptor::take_inherited(number)?).ok();
        }
    }
    match channel.receive()? {
        Incoming::Message(ToWorker::Start(start)) => {
            let scoreboard =
                Scoreboard::adopt(descriptor::take_inherited(number(variable::SCOREBOARD)?)?)?;
            let resources = BootResources { channel, scoreboard, listeners, start };
            Ok((BootRole::Worker(resources), stacks))
        }
        Incoming::Message(ToWorker::StartMold(start)) => {
            Ok((BootRole::Mold { channel, listeners, start }, stacks))
        }
        _ => Err(io::Error::other("the master has not said what to do")),
    }
}

/// Loads the application itself, and serves.
fn work(py: Python, resources: BootResources) -> PyResult<()> {
    let BootResources { channel, start, .. } = &resources;
    let settings = read_settings(channel, &start.settings);
    let identity = Identity::Worker { slot: start.slot.0, generation: start.generation.0 };
    let log = open_log(channel, &settings, &identity);
    show_title(start, &settings, None);
    let (application, name) = load(py, channel, start.app.as_deref(), &settings, &log);
    run(py, resources, &settings, log, application, &name)
}

fn number(name: &str) -> io::Result<i32> {
    let text = std::env::var(name).map_err(|_| io::Error::other(format!("{name} is not set")))?;
    text.parse().map_err(|_| io::Error::other(format!("{name} is no number")))
}

/// Takes what was meant for this process alone out of the environment: programs
/// that the application starts must not take it for theirs.
fn hide_variables(py: Python) -> PyResult<()> {
    let environ = py.import("os")?.getattr("environ")?;
    for name in variable::BOOT.iter().chain(&variable::LISTEN) {
        environ.call_method1("pop", (name, py.None()))?;
    }
    Ok(())
}

/// The settings as the master has sent them, or the end of this process.
pub(crate) fn read_settings(channel: &WorkerEnd, pairs: &[(String, String)]) -> WorkerSettings {
    match WorkerSettings::from_pairs(pairs) {
        Ok(settings) => settings,
        Err(errors) => give_up(channel, BootFailure::Boot, &errors.to_string()),
    }
}

/// Opens the error log, or ends this process.
pub(crate) fn open_log(
    channel: &WorkerEnd,
    settings: &WorkerSettings,
    identity: &Identity,
) -> Arc<LogFile> {
    match try_to_open_log(settings, identity) {
        Ok(log) => log,
        Err(error) => give_up(channel, BootFailure::Boot, &error.to_string()),
    }
}

fn try_to_open_log(settings: &WorkerSettings, identity: &Identity) -> io::Result<Arc<LogFile>> {
    let setting = settings.error_logfile();
    let (log, error) = open_or(setting, &ERROR_LOG, Destination::Stderr)?;
    let log = Arc::new(log);
    if *settings.capture_output() {
        log.capture_output()?;
    }
    monoceros_log::install(identity, settings.log_level().filter(), Arc::clone(&log));
    if let Some(error) = error {
        log::error!("{}; standard error is written instead", reason(&error));
    }
    Ok(log)
}

/// The access log of these settings.
fn open_access_log(settings: &WorkerSettings) -> io::Result<Option<AccessLog>> {
    let Some(setting) = settings.access_logfile() else { return Ok(None) };
    let (file, error) = open_or(setting, &ACCESS_LOG, Destination::Stdout)?;
    if let Some(error) = error {
        log::error!("{}; standard output is written instead", reason(&error));
    }
    Ok(Some(AccessLog::new(file, settings.access_logformat().clone())))
}

/// Opens a log. One that cannot be opened does not keep the worker from serving:
/// it writes to a standard stream until the file can be opened again. `given` is
/// used where the settings name a descriptor of the master's.
fn open_or(
    setting: &LogTarget,
    given: &OnceLock<OwnedFd>,
    stream: Destination,
) -> io::Result<(LogFile, Option<io::Error>)> {
    let destination = Destination::of(setting.path().map(PathBuf::from), stream.clone());
    match (destination, given.get()) {
        (Destination::Given(_), Some(fd)) => Ok((LogFile::adopt(fd.try_clone()?)?, None)),
        // Here the number is that of something else.
        (Destination::Given(number), None) => {
            let error = io::Error::other(format!("descriptor {number} is no log"));
            Ok((LogFile::open(stream)?, Some(error)))
        }
        (destination, _) => LogFile::open_or(destination, stream),
    }
}

fn show_title(start: &Start, settings: &WorkerSettings, app: Option<&str>) {
    let name = settings.name().as_deref().or(app).or(start.app.as_deref()).unwrap_or("?");
    title::set(&format!("monoceros: worker {} gen={} [{name}]", start.slot, start.generation));
}

/// The application and the name that it was found by, or the end of this
/// process.
pub(crate) fn load(
    py: Python,
    channel: &WorkerEnd,
    app: Option<&str>,
    settings: &WorkerSettings,
    log: &Arc<LogFile>,
) -> (Py<PyAny>, String) {
    let loaded = try_to_load(py, app, settings, log);
    forked::leave(py, &loaded);
    loaded.unwrap_or_else(|error| {
        let (failure, text) = explain(py, &error);
        flush_output(py);
        give_up(channel, failure, &text)
    })
}

fn try_to_load(
    py: Python,
    app: Option<&str>,
    settings: &WorkerSettings,
    log: &Arc<LogFile>,
) -> PyResult<(Py<PyAny>, String)> {
    let level = settings.log_level().to_string().to_ascii_uppercase();
    errors::make_loggers(py, Arc::clone(log), &level)?;
    let mut paths = vec![std::env::current_dir()?];
    paths.extend(settings.pythonpath().0.iter().cloned());
    // Names that are not UTF-8 keep their bytes (PEP 383).
    let paths: Vec<_> = paths.into_iter().map(PathBuf::into_os_string).collect();
    traceback::own_module(py, include_str!("loader.py"), "monoceros.loader")?
        .getattr("load")?
        .call1((app, paths))?
        .extract()
}

/// Why an application was not loaded, and the text for people.
fn explain(py: Python, error: &PyErr) -> (BootFailure, String) {
    let kind = error.get_type(py);
    let is_known = kind.name().is_ok_and(|name| name == "ApplicationError")
        && kind.module().is_ok_and(|module| module == "monoceros.loader");
    if is_known {
        (BootFailure::Application, error.value(py).to_string())
    } else {
        (BootFailure::Boot, traceback::describe(py, error))
    }
}

/// Tells the master why this worker cannot serve, and ends the process at once.
fn give_up(channel: &WorkerEnd, failure: BootFailure, text: &str) -> ! {
    let mut start = text.len().saturating_sub(TEXT_LIMIT);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let failed = FromWorker::Failed { failure, text: text[start..].to_owned() };
    if channel.send(&failed).is_err() {
        // The master is gone: nobody else would say it.
        drop(writeln!(io::stderr(), "monoceros: {text}"));
    }
    end::at_once(failure.exit_code().into())
}

/// Does nothing about the signals that mean something to a master only: one
/// that is sent to every process by name must not hurt a worker, and by default
/// most of them would end or stop it.
fn disregard_masters() {
    let masters = SIGNALS
        .iter()
        .filter(|it| !matches!(it.command, SignalCommand::Drain | SignalCommand::Stop));
    signal::disregard(masters.map(|it| it.name));
}

/// Writes out what Python has buffered.
pub(crate) fn flush_output(py: Python) {
    for name in ["stdout", "stderr"] {
        // What cannot be flushed is lost with the process in any case.
        py.import("sys")
            .and_then(|sys| sys.getattr(name)?.call_method0("flush"))
            .map(drop)
            .unwrap_or_default();
    }
}

/// Serves with the application that was loaded.
pub(crate) fn run(
    py: Python,
    resources: BootResources,
    settings: &WorkerSettings,
    log: Arc<LogFile>,
    application: Py<PyAny>,
    name: &str,
) -> PyResult<()> {
    let BootResources { channel, scoreboard, listeners, start } = resources;
    show_title(&start, settings, Some(name));
    let speaker = WorkerEnd::from(std::os::fd::AsFd::as_fd(&channel).try_clone_to_owned()?);
    let access = match open_access_log(settings) {
        Ok(access) => access,
        Err(error) => give_up(&speaker, BootFailure::Boot, &error.to_string()),
    };
    let reopened = Arc::clone(&log);
    let reopen = Box::new(move || {
        if let Err(error) = reopened.reopen() {
            log::error!("{error}");
        }
    });
    signals::take_over(py)?;
    end::watch(py)?;
    let options = Options { parallel: !has_lock(py), ..options(settings, start.workers) };
    let announce = Box::new(signals::announce);
    let given = EngineParts { channel, scoreboard, listeners, access, reopen, announce };
    let cannot_serve = |why: String| -> ! {
        give_up(&speaker, BootFailure::Boot, &format!("cannot serve: {why}"))
    };
    let worker = Engine::prepare(options, given, |code| end::at_once(code));
    let worker = worker.unwrap_or_else(|error| cannot_serve(reason(&error)));
    signals::introduce(&worker);
    // The engine hears it when the master goes, and finishes what is open.
    process::outlive_parent()?;
    let server = Server {
        worker: worker.clone(),
        application,
        log,
        threads: *settings.threads(),
        multiprocess: start.workers > 1,
        script_name: script_name(),
        reports: Reports::default(),
    };
    let server = Bound::new(py, server)?;
    spare_collector(py)?;
    let crew = serve::gather(&server).unwrap_or_else(|error| {
        cannot_serve(format!(
            "its {} application threads cannot be started ({error}): lower threads, or raise what \
             limits processes or memory (ulimit -u, ulimit -v, TasksMax=, a container)",
            *settings.threads(),
        ))
    });
    if let Err(error) = worker.start() {
        cannot_serve(reason(&error));
    }
    match speaker.send(&FromWorker::Ready { app: name.to_owned() }) {
        // The engine hears that the master has gone, and leaves.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        said => said?,
    }
    drop(speaker);
    serve::run(&server, crew)
}

/// The prefix of every path, decoded (PEP 3333): empty, or with a slash at its
/// beginning and none at its end.
fn script_name() -> Vec<u8> {
    let name = std::env::var_os("SCRIPT_NAME").unwrap_or_default().into_vec();
    let is_slash = |byte: &u8| *byte == b'/';
    let start = name.iter().take_while(|byte| is_slash(byte)).count();
    let end = name.len() - name.iter().rev().take_while(|byte| is_slash(byte)).count();
    match name.get(start..end) {
        Some(inner @ [_, ..]) => [b"/", inner].concat(),
        Some([]) | None => Vec::new(),
    }
}

/// What the application has loaded stays: the collector need not look through
/// it again and again.
pub(crate) fn spare_collector(py: Python) -> PyResult<()> {
    let gc = py.import("gc")?;
    gc.call_method0("collect")?;
    gc.call_method0("freeze").map(drop)
}

/// Whether threads share an interpreter lock; only Python 3.13 and later can be
/// without (PEP 703).
fn has_lock(py: Python) -> bool {
    let is_enabled = py.import("sys").and_then(|sys| sys.call_method0("_is_gil_enabled"));
    is_enabled.and_then(|answer| answer.extract()).unwrap_or(true)
}

fn options(settings: &WorkerSettings, workers: u16) -> Options {
    let unlimited = |limit: usize| if limit == 0 { usize::MAX } else { limit };
    Options {
        threads: *settings.threads(),
        parallel: false,
        workers,
        connections: usize::try_from(*settings.worker_connections()).unwrap_or(usize::MAX),
        limits: Limits {
            request_line: unlimited(*settings.limit_request_line() as usize),
            fields: *settings.limit_request_fields() as usize,
            field_size: *settings.limit_request_field_size() as usize,
        },
        header_timeout: never_if_zero(*settings.header_timeout()),
        body_timeout: never_if_zero(*settings.body_timeout()),
        write_timeout: never_if_zero(*settings.write_timeout()),
        keep_alive: *settings.keep_alive(),
        graceful_timeout: *settings.graceful_timeout(),
        drain_idle: *settings.drain_idle(),
        response_memory: settings.response_memory().0,
        response_disk: settings.response_disk().0,
        longest_body: LONGEST_BODY,
        spool_directory: find_temporary(),
    }
}

/// Where temporary files go. What is wrong with a place, or with all places, is
/// logged now and not when a client waits.
fn find_temporary() -> Option<PathBuf> {
    let temporary = Temporary::find();
    if let Some(text) = temporary.complaint() {
        log::warn!("{text}");
    }
    temporary.directory
}

/// A timeout of zero is none.
fn never_if_zero(length: Duration) -> Duration {
    if length.is_zero() { Duration::MAX } else { length }
}
