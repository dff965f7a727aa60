//! Starting to serve with the application that was loaded.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use monoceros_config::{AllowedHosts, ResponseField, StaticSetting, WorkerSettings};
use monoceros_edge::{Edge, EdgeInput, ErrorPages};
use monoceros_engine::{
    ApplicationKind, CodeFailure, Engine, EngineParts, Forwarding, ListenerParts, MasterLine,
    Options, RequestFigures, SpoolLimit, Temporary, TlsLayer, WorkerHealth,
};
use monoceros_http::{Fields, Limits, PathPrefix};
use monoceros_log::RecordWriter;
use monoceros_statsd::StatsdSender;
use monoceros_sys::{process, reason, signal, title};
use monoceros_tls::TlsServer;
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::client_table::WorkerClients;
use monoceros_wire::listener::Scheme;
use monoceros_wire::message::{BootFailure, FromWorker, Start};
use pyo3::prelude::*;

use crate::boot_failure::give_up;
use crate::loading::{LoadTask, LoadedApplication, load};
use crate::logs::WorkerLogs;
use crate::parameters::BootResources;
use crate::project::{self, ProjectFacts};
use crate::serve::{self, Reports, Server};
use crate::steering::ServingHooks;
use crate::{
    concern, debug_guard, development, drain_callbacks, end, hooks, python_logging, signals,
    sources, traceback, worker_abort,
};

/// How many requests a worker accepts beyond its threads while none of them ends. It is for
/// handshakes and the server's own responses, which need no thread, and for requests that are
/// refused when they have waited for too long; what else comes waits.
const RESERVE: usize = 32;

/// Without `limit-request-spool`, bodies may take one in so many of the bytes that are free.
const FREE_PART: u64 = 4;

fn show_title(start: &Start, settings: &WorkerSettings, app: Option<&str>) {
    let name = settings.name().as_deref().or(app).or(start.app.as_deref()).unwrap_or("?");
    title::set(&format!("monoceros: worker {} gen={} [{name}]", start.slot, start.generation));
}

/// A worker whose engine is made.
struct PreparedWorker {
    engine: Engine,
    /// For what the worker sends to the master by itself.
    speaker: WorkerEnd,
    start: Start,
    prefix: PathPrefix,
    failure: CodeFailure,
}

impl PreparedWorker {
    /// Makes the engine, with what the application has shown of itself.
    fn new(
        py: Python,
        resources: BootResources,
        settings: &WorkerSettings,
        logs: &WorkerLogs,
        facts: &ProjectFacts,
    ) -> PyResult<Self> {
        let BootResources { channel, scoreboard, listeners, start, tls, clients, spool_count } =
            resources;
        let speaker = WorkerEnd::from(std::os::fd::AsFd::as_fd(&channel).try_clone_to_owned()?);
        let access = match python_logging::current() {
            Some(logging) => logging.access_log(py, settings),
            None => logs.access_log(settings, start.slot, start.generation),
        };
        let reopened = logs.clone();
        let reopen = Box::new(move |files| {
            reopened.replace(files);
            python_logging::reopen();
        });
        let cannot_serve = |why: String| -> ! { cannot_serve(&speaker, &why) };
        let mut options = options(settings, start.workers, !has_lock(py));
        let prefix = prefix();
        let line = line_to_master(&speaker, settings)?;
        decide_at_edge(&mut options, settings, &start, facts, &prefix, clients, line.as_ref())
            .unwrap_or_else(|why| cannot_serve(why));
        options.spool_count = spool_count.map(Arc::new);
        let responds = options.local.is_some() || options.connection_limit.is_some();
        options.reserve = reserve(settings, tls.is_some() || responds);
        let announce = Box::new(drain_callbacks::begin);
        let expire = Box::new(worker_abort::note_expiry);
        // The guard against debuggers looks at the descriptions when the application is loaded.
        let mut listeners = ListenerParts::pair(listeners, start.listeners.clone())
            .unwrap_or_else(|why| cannot_serve(why));
        add_layers(&mut listeners, tls.as_ref());
        let figures = request_figures(settings);
        let given = EngineParts {
            channel,
            line,
            scoreboard,
            listeners,
            tls,
            access,
            figures,
            reopen,
            announce,
            expire,
        };
        let failure = options.failure.clone();
        let engine = Engine::prepare(options, given, |code| end::at_once(code));
        let engine = engine.unwrap_or_else(|error| cannot_serve(reason(&error)));
        Ok(Self { engine, speaker, start, prefix, failure })
    }

    /// Lets the server respond by itself while the application is loaded.
    fn begin(&self) {
        if let Err(error) = self.engine.start_early() {
            cannot_serve(&self.speaker, &reason(&error));
        }
    }
}

/// Whether the server responds by itself before the application is loaded: with static files,
/// while no worker serves. Later another worker may serve the requests that would wait here, and
/// what depends on the application must not be decided without it, nor logged by its modules.
fn begins_early(start: &Start, settings: &WorkerSettings) -> bool {
    let is_auto = |setting: &StaticSetting| setting.mapping().is_none();
    start.is_first
        && start.check.is_none()
        && !settings.static_files().is_empty()
        && !settings.static_files().iter().any(is_auto)
        && *settings.allowed_hosts() != AllowedHosts::Auto
        && !settings.logs_through_python()
}

/// Loads the application in this process, and serves.
pub(crate) fn load_and_serve(
    py: Python,
    resources: BootResources,
    settings: &WorkerSettings,
    logs: &WorkerLogs,
) -> PyResult<()> {
    let BootResources { channel, start, .. } = &resources;
    show_title(start, settings, None);
    if begins_early(start, settings) {
        let facts = ProjectFacts::default();
        let prepared = PreparedWorker::new(py, resources, settings, logs, &facts)?;
        prepared.begin();
        let PreparedWorker { speaker, start, .. } = &prepared;
        let application = load(py, &LoadTask::of_worker(speaker, start, settings, &logs.errors));
        return run(py, prepared, settings, Arc::clone(&logs.errors), application);
    }
    let application = load(py, &LoadTask::of_worker(channel, start, settings, &logs.errors));
    serve(py, resources, settings, logs, application)
}

/// Makes the engine, and serves with the application that was loaded before.
pub(crate) fn serve(
    py: Python,
    resources: BootResources,
    settings: &WorkerSettings,
    logs: &WorkerLogs,
    application: LoadedApplication,
) -> PyResult<()> {
    let prepared = PreparedWorker::new(py, resources, settings, logs, &application.facts)?;
    run(py, prepared, settings, Arc::clone(&logs.errors), application)
}

/// Serves with the application that was loaded, on an engine that may run already.
fn run(
    py: Python,
    prepared: PreparedWorker,
    settings: &WorkerSettings,
    log: Arc<RecordWriter>,
    application: LoadedApplication,
) -> PyResult<()> {
    let PreparedWorker { engine, speaker, start, prefix, failure: shown } = prepared;
    let LoadedApplication { callable, name, facts, failure } = application;
    shown.note_loaded(failure, facts.is_debugged);
    show_title(&start, settings, Some(&name));
    debug_guard::apply(&speaker, &start, *settings.debug_guard(), &facts.debuggers);
    report_findings(py, &speaker, &start, settings, &facts);
    if let Err(error) = hooks::post_worker_init(py, &callable) {
        let text = format!("post_worker_init has failed\n{}", traceback::describe(py, &error));
        give_up(&speaker, hooks::boot_failure(py, &error), &text)
    }
    // SIGTERM must not end the process between two handlers.
    let held = signal::HeldSignal::hold(signal::TERM)?;
    signals::take_over(py)?;
    worker_abort::watch(py)?;
    end::watch(py)?;
    if let Err(error) = engine.watch_signals() {
        cannot_serve(&speaker, &reason(&error));
    }
    signals::introduce(&engine);
    drop(held);
    // The engine finds the channel closed when the master ends, and finishes what is
    // open.
    process::outlive_parent()?;
    let mut serving_hooks = ServingHooks::find(py, &engine)?;
    let server = Server {
        worker: engine.clone(),
        application: callable,
        log,
        threads: *settings.threads(),
        multiprocess: start.workers > 1,
        prefix,
        has_client_certificates: *settings.tls_client_cert_environ(),
        id_field: settings.request_id_header().as_ref().map(|it| it.0.clone()),
        hooks: serving_hooks.requests.take(),
        pages: settings.development().then(|| ErrorPages::new(&start.listeners)),
        reports: Reports::default(),
    };
    let server = Bound::new(py, server)?;
    spare_collector(py)?;
    python_logging::begin(py)?;
    let crew = serve::gather(&server).unwrap_or_else(|error| {
        let why = format!(
            "its {} application threads cannot be started ({error}): lower threads, or raise what \
             limits processes or memory (ulimit -u, ulimit -v, TasksMax=, a container)",
            *settings.threads(),
        );
        cannot_serve(&speaker, &why)
    });
    if let Err(error) = engine.start() {
        cannot_serve(&speaker, &reason(&error));
    }
    match speaker.send(&FromWorker::Ready { app: name }) {
        // The engine finds that the master has ended, and drains.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        sent => sent?,
    }
    if *settings.reload() {
        sources::follow(&speaker)?;
    }
    if *settings.development() {
        development::examine(py, &speaker)?;
    }
    serving_hooks.open(speaker);
    let served = serve::run(&server, crew);
    hooks::leave(py, false);
    python_logging::end(py);
    served
}

/// Ends this worker, which cannot serve.
fn cannot_serve(speaker: &WorkerEnd, why: &str) -> ! {
    give_up(speaker, BootFailure::Boot, &format!("cannot serve: {why}"))
}

/// Reports what the operator should correct in the application, and in the files of the
/// settings.
fn report_findings(
    py: Python,
    speaker: &WorkerEnd,
    start: &Start,
    settings: &WorkerSettings,
    facts: &ProjectFacts,
) {
    let mut findings = facts.findings.clone();
    findings.extend(monoceros_edge::findings(settings, &prefix()));
    if start.check.as_ref().is_some_and(|check| check.deploy) {
        findings.extend(project::deployment_messages(py));
    }
    for text in findings {
        concern::report(speaker, text, false);
    }
}

/// The way to the master for clients that ask for metrics, if there is a path for them.
fn line_to_master(
    speaker: &WorkerEnd,
    settings: &WorkerSettings,
) -> io::Result<Option<MasterLine>> {
    if settings.metrics_path().is_none() {
        return Ok(None);
    }
    let copy = std::os::fd::AsFd::as_fd(speaker).try_clone_to_owned()?;
    Ok(Some(MasterLine::new(WorkerEnd::from(copy))))
}

/// Sets what the server decides by itself about connections, requests and responses.
fn decide_at_edge(
    options: &mut Options,
    settings: &WorkerSettings,
    start: &Start,
    facts: &ProjectFacts,
    prefix: &PathPrefix,
    clients: Option<WorkerClients>,
    line: Option<&MasterLine>,
) -> Result<(), String> {
    let edge = Edge::new(&EdgeInput {
        settings,
        listeners: &start.listeners,
        prefix,
        clients: clients.as_ref().map(|it| &it.table),
        project_hosts: facts.allowed_hosts.as_deref(),
        project_files: &facts.static_files,
        health: &options.health,
        failure: &options.failure,
        line,
    })?;
    options.local = edge.local;
    options.accept = edge.accept;
    let files = monoceros_edge::revision(settings);
    let codings = monoceros_compress::response_reviser(settings);
    // A file in place of the application's body is sent as it is.
    options.revise = match (files, codings) {
        (Some(files), Some(codings)) => Some(files.then(codings)),
        (files, codings) => files.or(codings),
    };
    options.connection_limit = clients.and_then(|WorkerClients { table, journal }| {
        journal.map(|journal| monoceros_edge::connection_limit(settings, &table, journal))
    });
    Ok(())
}

/// Puts TLS between HTTP and the sockets of the https listeners.
fn add_layers(listeners: &mut [ListenerParts], tls: Option<&TlsServer>) {
    let Some(tls) = tls else { return };
    for listener in listeners.iter_mut().filter(|it| it.description.scheme == Scheme::Https) {
        let alpn = listener.description.alpn.clone();
        listener.layer = Some(TlsLayer::factory(tls.clone(), alpn));
    }
}

/// The prefix of every path (PEP 3333), unless a proxy sends another one.
fn prefix() -> PathPrefix {
    PathPrefix::new(std::env::var_os("SCRIPT_NAME").unwrap_or_default().as_bytes())
}

/// The objects that the application has loaded stay: the garbage collector need not
/// check them again and again.
pub(crate) fn spare_collector(py: Python) -> PyResult<()> {
    let gc = py.import("gc")?;
    gc.call_method0("collect")?;
    gc.call_method0("freeze").map(drop)
}

/// Whether threads share an interpreter lock; only Python 3.13 and later can run
/// without one (PEP 703).
fn has_lock(py: Python) -> bool {
    let is_enabled = py.import("sys").and_then(|sys| sys.call_method0("_is_gil_enabled"));
    is_enabled.and_then(|answer| answer.extract()).unwrap_or(true)
}

fn options(settings: &WorkerSettings, workers: u16, parallel: bool) -> Options {
    let unlimited = |limit: usize| if limit == 0 { usize::MAX } else { limit };
    Options {
        application: ApplicationKind::Threads { count: *settings.threads(), parallel },
        workers,
        connections: usize::try_from(*settings.worker_connections()).unwrap_or(usize::MAX),
        limits: Limits {
            request_line: unlimited(*settings.limit_request_line() as usize),
            fields: *settings.limit_request_fields() as usize,
            field_size: unlimited(*settings.limit_request_field_size() as usize),
        },
        handshake_timeout: never_if_zero(*settings.tls_handshake_timeout()),
        proxy_allow: settings.proxy_allow_ips().clone(),
        header_timeout: never_if_zero(*settings.header_timeout()),
        body_timeout: never_if_zero(*settings.body_timeout()),
        queue_timeout: never_if_zero(*settings.queue_timeout()),
        write_timeout: never_if_zero(*settings.write_timeout()),
        keep_alive: *settings.keep_alive(),
        graceful_timeout: *settings.graceful_timeout(),
        drain_idle: *settings.drain_idle(),
        response_memory: settings.response_memory().0,
        response_disk: settings.response_disk().0,
        longest_body: unlimited_if_zero(settings.limit_request_body().0),
        accept: None,
        connection_limit: None,
        forwarding: Forwarding::new(
            settings.forwarded_allow_ips().clone(),
            settings.secure_scheme_headers(),
            settings.forwarder_headers(),
            *settings.header_map(),
            *settings.real_ip(),
        ),
        hsts: *settings.hsts(),
        server_header: *settings.server_header(),
        response_fields: response_fields(settings),
        id_field: settings.request_id_header().as_ref().map(|it| it.0.as_bytes().into()),
        health: WorkerHealth::default(),
        failure: CodeFailure::default(),
        local: None,
        revise: None,
        reserve: 0,
        spool_directory: find_temporary(),
        spool_limit: settings
            .limit_request_spool()
            .map_or(SpoolLimit::PartOfFree(FREE_PART), |size| SpoolLimit::Bytes(size.0)),
        spool_count: None,
    }
}

/// The fields that the settings add to each response.
fn response_fields(settings: &WorkerSettings) -> Fields {
    let mut fields = Fields::new();
    for ResponseField { name, value } in settings.response_headers() {
        // The settings were checked when they were read.
        if let Err(invalid) = fields.add(name.as_bytes(), value.as_bytes()) {
            log::error!("cannot add the header {name} of --response-headers: {invalid}");
        }
    }
    fields
}

/// The figures for a statsd server. A worker serves although it cannot send any.
fn request_figures(settings: &WorkerSettings) -> Option<RequestFigures> {
    let address = settings.statsd_host().as_ref()?;
    match StatsdSender::open(address, settings.statsd_prefix(), settings.dogstatsd_tags()) {
        Ok(sender) => Some(RequestFigures::new(sender)),
        Err(error) => {
            log::warn!("cannot send figures to statsd at {address}: {}", reason(&error));
            None
        }
    }
}

/// The directory for temporary files. An error of a directory, or of all, is logged now
/// and not when a client waits.
fn find_temporary() -> Option<PathBuf> {
    let temporary = Temporary::find();
    if let Some(text) = temporary.complaint() {
        log::warn!("{text}");
    }
    temporary.directory
}

/// How many requests may wait for the application while new connections are accepted: some of
/// them may need no thread, or have waited for too long.
fn reserve(settings: &WorkerSettings, may_need_no_thread: bool) -> usize {
    let refuses_overdue = !settings.queue_timeout().is_zero();
    if may_need_no_thread || refuses_overdue { RESERVE } else { 0 }
}

/// A length of zero means no limit.
fn unlimited_if_zero(length: u64) -> u64 {
    if length == 0 { u64::MAX } else { length }
}

/// A timeout of zero means no timeout.
fn never_if_zero(length: Duration) -> Duration {
    if length.is_zero() { Duration::MAX } else { length }
}
