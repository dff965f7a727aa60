//! What the workers of a generation are made of: settings, program, environment, user,
//! listeners. It is read at the start and at each reload; spawning a worker only copies it.
//! Owned by `generations.rs`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use monoceros_config::{
    AccessRule, BindSetting, Effect, Loaded, LogLevel, ProxyMode, Row, Settings, ValueOrigin,
    Workers,
};
use monoceros_sys::process::Program;
use monoceros_sys::reason;
use monoceros_sys::user::{Credentials, find_group, is_root};
use monoceros_wire::client_table::RuleTag;
use monoceros_wire::listener::{ListenerDescription, ListenerOptions, ProxyProtocol, Scheme};
use monoceros_wire::message::ApplicationCheck;

use crate::master::act::certificates::Certificates;
use crate::master::act::environment::environment;
use crate::master::act::invocation::Invocation;
use crate::master::act::listener::{OwnedListener, SocketOptions};
use crate::master::act::logs::OpenLogs;
use crate::master::act::metrics_directory::MetricsDirectory;
use crate::master::act::python_file::MoldFile;
use crate::master::decide::settings::{MasterSettings, RecyclingLimits, RolloutLimits};
use crate::master::kind;
use crate::master::kind::extension::ExtensionFile;
use crate::master::kind::worker_kind::WorkerKind;

/// The setting with the level of the error log.
const LEVEL_KEY: &str = "log-level";

/// Everything that the workers of a generation share.
#[derive(Debug)]
pub(crate) struct WorkerSpec {
    /// The kind of the workers.
    pub(crate) kind: &'static dyn WorkerKind,
    /// The settings it was made from.
    pub(crate) settings: Settings,
    /// What is served, as the settings name it: the application, or the program.
    pub(crate) app: Option<String>,
    /// What is executed. Each worker gets additional variables.
    pub(crate) program: Program,
    /// The extension module that the workers load.
    pub(crate) extension: Option<Rc<ExtensionFile>>,
    /// The settings that workers read, as (name, text).
    pub(crate) pairs: Vec<(String, String)>,
    /// The listeners that the workers serve.
    pub(crate) listeners: Vec<Rc<OwnedListener>>,
    /// The certificates and keys of its listeners, if there are some.
    pub(crate) certificates: Option<Certificates>,
    /// The user of the workers, which owns the files of unix sockets.
    pub(crate) owner: Option<Credentials>,
    /// The group that the files of unix sockets are given to, if the settings name one.
    socket_group: Option<u32>,
    /// The directory that relative paths start from.
    pub(crate) directory: PathBuf,
    /// The addresses are set, and not the default.
    pub(crate) binds_are_set: bool,
    /// The configuration file that was read.
    pub(crate) config_file: Option<PathBuf>,
    /// Where the application counts with `prometheus_client`, if there is a directory for it.
    pub(crate) metrics_directory: Option<Rc<MetricsDirectory>>,
    /// The configuration file in Python, if there is one: its molds run it, and fork the workers.
    pub(crate) mold_file: Option<MoldFile>,
    /// What a check asks of its worker; `None` to serve.
    pub(crate) check: Option<ApplicationCheck>,
    /// The logs of its workers, once `generations.rs` has opened them.
    pub(crate) logs: Rc<OpenLogs>,
}

impl WorkerSpec {
    /// Everything but the listeners.
    pub(crate) fn new(loaded: &Loaded, invocation: &Invocation) -> Result<Self, String> {
        let mut settings = loaded.settings.clone();
        let kind = kind::of(settings.worker_class);
        settings.preload &= kind.can_preload();
        let directory = settings.directory(&invocation.directory);
        let named = |names: &[&str], why: String| with_origin(loaded, names, why);
        check_directory(&directory).map_err(|why| named(&["chdir"], why))?;
        let owner = find_owner(&settings).map_err(|why| named(&["user", "group"], why))?;
        let socket_group = find_socket_group(&settings);
        let socket_group = socket_group.map_err(|why| named(&["unix_group"], why))?;
        let extension = kind.extension(invocation)?;
        let has = |name| Row::find(name).is_some_and(|row| is_set(loaded, row));
        let program = Program {
            umask: has("umask").then_some(settings.umask.0),
            credentials: owner.clone(),
            environment: environment(kind, &settings, invocation, owner.as_ref())?,
            ..kind.program(loaded, invocation, &directory)?
        };
        let pairs = settings.worker_pairs();
        let app = kind.app(loaded);
        let certificates = settings
            .has_certificates()
            .then(|| Certificates::read(&settings, &directory, other_user(owner.as_ref())))
            .transpose()
            .map_err(|why| named(certificate_settings(&why), why))?;
        let has_file = loaded.python_source.is_some() && kind.can_preload();
        let mold_file = has_file.then(|| MoldFile::new(loaded, invocation)).transpose()?;
        let binds_are_set = has("bind");
        let listeners = Vec::new();
        Ok(Self {
            kind,
            settings,
            app,
            program,
            extension,
            pairs,
            listeners,
            certificates,
            owner,
            socket_group,
            directory,
            binds_are_set,
            config_file: loaded.config_file.clone(),
            metrics_directory: None,
            mold_file,
            check: None,
            logs: Rc::default(),
        })
    }

    /// Opens the logs of its workers.
    pub(crate) fn open_logs(&mut self) {
        if self.kind.opens_logs() {
            self.logs = Rc::new(OpenLogs::open(&self.settings, &self.directory, self.other_user()));
        }
    }

    /// Whether its workers are given this listener.
    pub(crate) fn has(&self, listener: &Rc<OwnedListener>) -> bool {
        self.listeners.iter().any(|known| Rc::ptr_eq(known, listener))
    }

    /// The descriptions of the sockets of all listeners, in the order of the descriptors
    /// that the workers get.
    pub(crate) fn descriptions(&self) -> impl Iterator<Item = ListenerDescription> {
        self.listeners.iter().flat_map(|listener| {
            let (scheme, proxy_protocol) = self.protocols_of(listener);
            let defer_accept = self.kind.clients_send_first();
            let options = ListenerOptions { defer_accept, proxy_protocol };
            let bind = self.bind_setting_of(listener);
            let access = bind.and_then(|bind| bind.access.as_ref());
            let access = access.map(|rules| rules.iter().map(AccessRule::to_string).collect());
            listener.descriptions(scheme, options, access)
        })
    }

    /// The protocols of a listener. One that was passed in has those of an address without
    /// options.
    fn protocols_of(&self, listener: &OwnedListener) -> (Scheme, ProxyProtocol) {
        let settings = &self.settings;
        let bind = self.bind_setting_of(listener);
        let has_tls = bind.map_or_else(|| settings.has_certificates(), |it| settings.is_tls(it));
        let proxy_mode = bind.map_or(settings.proxy_protocol, |it| settings.proxy_mode(it));
        let proxy_protocol = match proxy_mode {
            ProxyMode::Off => ProxyProtocol::Off,
            ProxyMode::Auto => ProxyProtocol::Auto,
            ProxyMode::V1 => ProxyProtocol::V1,
            ProxyMode::V2 => ProxyProtocol::V2,
        };
        (if has_tls { Scheme::Https } else { Scheme::Http }, proxy_protocol)
    }

    /// The setting that a listener was opened for; `None` for one that was passed in.
    fn bind_setting_of(&self, listener: &OwnedListener) -> Option<&BindSetting> {
        let address = listener.configured();
        self.settings.bind.iter().find(|bind| Some(&bind.address) == address)
    }

    /// The file in memory with its certificates and keys, as workers are sent it.
    pub(crate) fn sealed_certificates(&self) -> Option<&Rc<File>> {
        self.certificates.as_ref()?.sealed()
    }

    /// Its workers limit the requests or the connections of their clients.
    pub(crate) fn limits_clients(&self) -> bool {
        !self.settings.limit_rate.is_empty() || self.settings.limit_connections > 0
    }

    /// How many connections a worker counts at a time: all that it has, and those that it
    /// closes to make room.
    pub(crate) fn counted_connections(&self) -> usize {
        let most = usize::try_from(self.settings.worker_connections).unwrap_or(usize::MAX);
        if self.settings.limit_connections > 0 { most.saturating_mul(2) } else { 0 }
    }

    /// Its limits of requests.
    pub(crate) fn rule_tags(&self) -> impl Iterator<Item = RuleTag> {
        self.settings.limit_rate.iter().map(|rate| RuleTag::of(&rate.to_string()))
    }

    /// The user of the workers, if the master is root and they are not.
    pub(crate) fn other_user(&self) -> Option<&Credentials> {
        other_user(self.owner.as_ref())
    }

    /// Changes of its files reload the server.
    pub(crate) fn reloads(&self) -> bool {
        self.settings.reload && self.check.is_none()
    }

    /// Fails if the configuration file that was read is missing now. A deployment without it
    /// would put the server back to its defaults, addresses included, which no operator means to do.
    pub(crate) fn check_file(&self) -> Result<(), String> {
        let of_mold = self.mold_file.as_ref().and_then(|file| file.path.as_ref());
        match self.config_file.as_ref().or(of_mold) {
            Some(path) if path.symlink_metadata().is_err() => Err(format!(
                "{} is not there any more; put it back, or restart without it",
                path.display()
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// The settings that the decisions of the master depend on.
    pub(crate) fn master_settings(&self) -> MasterSettings {
        let settings = &self.settings;
        let Settings { max_surge, max_unavailable, .. } = *settings;
        MasterSettings {
            workers: count_workers(settings.workers),
            limits: RolloutLimits { max_surge, max_unavailable },
            min_ready: settings.min_ready_seconds,
            progress_deadline: settings.progress_deadline,
            timeout: settings.timeout,
            slow_request: settings.slow_request,
            graceful_timeout: settings.graceful_timeout,
            shutdown_delay: settings.shutdown_delay,
            boot_timeout: settings.boot_timeout,
            upgrade_timeout: settings.upgrade_timeout,
            ready_after: self.kind.ready_after(settings),
            preload: settings.preload,
            has_file: self.mold_file.is_some(),
            reload: self.reloads(),
            recycling: RecyclingLimits {
                requests: settings.max_requests,
                requests_jitter: settings.max_requests_jitter,
                lifetime: settings.max_lifetime,
                lifetime_jitter: settings.max_lifetime_jitter,
                memory: settings.max_rss.0,
            },
        }
    }

    /// The options of its sockets.
    pub(crate) fn options(&self) -> SocketOptions {
        SocketOptions::new(
            &self.settings,
            self.kind.clients_send_first(),
            self.owner.clone(),
            self.socket_group,
            &self.directory,
        )
    }

    /// The name in process titles: the setting `name`, or the application as the workers
    /// found it or, before that, as the settings name it.
    pub(crate) fn name<'a>(&'a self, found: Option<&'a str>) -> &'a str {
        let default = || found.or(self.app.as_deref()).unwrap_or("monoceros");
        self.settings.name.as_deref().unwrap_or_else(default)
    }

    /// The least severe message that is logged.
    pub(crate) fn level(&self) -> log::LevelFilter {
        self.settings.log_level.filter()
    }

    /// Changes the level of its workers, and of the master while it serves.
    pub(crate) fn set_level(&mut self, level: log::LevelFilter) {
        self.settings.log_level = match level {
            log::LevelFilter::Trace | log::LevelFilter::Debug => LogLevel::Debug,
            log::LevelFilter::Info => LogLevel::Info,
            log::LevelFilter::Warn => LogLevel::Warning,
            log::LevelFilter::Error | log::LevelFilter::Off => LogLevel::Error,
        };
        let is_level = |pair: &&mut (String, String)| pair.0 == LEVEL_KEY;
        for pair in self.pairs.iter_mut().filter(is_level) {
            pair.1 = self.settings.log_level.to_string();
        }
    }

    /// Settings that differ from `before`, but take a restart to change.
    pub(crate) fn needs_restart(&self, before: &Self) -> Vec<String> {
        let changes = self.settings.changes(&before.settings).into_iter();
        changes.filter(|row| row.effect == Effect::Restart).map(|row| row.key()).collect()
    }
}

fn other_user(owner: Option<&Credentials>) -> Option<&Credentials> {
    owner.filter(|owner| is_root() && owner.uid != 0)
}

fn is_set(loaded: &Loaded, row: &Row) -> bool {
    *loaded.source(row) != ValueOrigin::Default
}

/// An error with the file and line, or the variable, that has the value at fault: that of the first
/// of these settings that one of them has.
fn with_origin(loaded: &Loaded, names: &[&str], why: String) -> String {
    let mut origins = names.iter().filter_map(|name| Row::find(name)).map(|row| loaded.source(row));
    let is_named =
        |it: &&ValueOrigin| matches!(it, ValueOrigin::File { .. } | ValueOrigin::Variable(_));
    origins.find(is_named).map_or(why.clone(), |origin| format!("{origin}: {why}"))
}

/// The settings of which one is at fault for an error about certificates, the likeliest first. The
/// files below a directory of certificates are named as if they were settings.
fn certificate_settings(why: &str) -> &'static [&'static str] {
    match why.split_whitespace().nth(2) {
        Some("ca-certs") => &["ca_certs"],
        Some("keyfile") => &["keyfile", "certfile", "certificates"],
        _ => &["certfile", "certificates"],
    }
}

fn check_directory(directory: &Path) -> Result<(), String> {
    let cannot = |why: &str| format!("cannot change to directory {}: {why}", directory.display());
    match directory.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(cannot("not a directory")),
        Err(error) => Err(cannot(&reason(&error))),
    }
}

/// The user of the workers, if it is not that of the master.
pub(super) fn find_owner(settings: &Settings) -> Result<Option<Credentials>, String> {
    let (user, group) = (settings.user.as_deref(), settings.group.as_deref());
    if user.is_none() && group.is_none() && !settings.initgroups {
        return Ok(None);
    }
    let found = Credentials::find(user, group, settings.initgroups)
        .map_err(|error| format!("cannot change the workers' user: {}", reason(&error)))?;
    if is_root() {
        return Ok(Some(found));
    }
    if found.are_own() {
        return Ok(None);
    }
    let (uid, gid) = (found.uid, found.gid);
    Err(format!("cannot run workers as user {uid} and group {gid}: only root can do that"))
}

/// The number of the group in `unix-group`.
fn find_socket_group(settings: &Settings) -> Result<Option<u32>, String> {
    let group = settings.unix_group.as_deref().map(find_group).transpose();
    group.map_err(|error| format!("cannot use --unix-group: {}", reason(&error)))
}

fn count_workers(workers: Workers) -> u16 {
    match workers {
        Workers::Count(count) => count,
        // std looks at the affinity mask and at the quotas of cgroups v1 and v2.
        Workers::Auto => std::thread::available_parallelism()
            .map_or(1, |count| u16::try_from(count.get()).unwrap_or(u16::MAX)),
    }
}
