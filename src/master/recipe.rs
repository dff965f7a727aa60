//! What a generation's workers are made of: settings, program, environment,
//! user, listeners. Read from the sources of settings at the start and at each
//! reload; spawning only copies it.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use monoceros_config::{Command, Effect, Loaded, LogLevel, Reader, Row, Settings, Workers};
use monoceros_sys::process::Program;
use monoceros_sys::reason;
use monoceros_sys::user::{Credentials, is_root};

use super::interpreter::{BOOT, find_extension, find_python};
use super::listener::{Listener, Manner};
use super::state::{Limits, Recycling, Terms};

/// Variables that are about the master, and not for a worker.
const MASTERS_OWN: [&str; 7] = [
    super::upgrade::VARIABLE,
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];
/// What workers alone are given, under such names.
const WORKERS_OWN: [&str; 5] = [
    monoceros_wire::variable::SLOT,
    monoceros_wire::variable::GENERATION,
    monoceros_wire::variable::CHANNEL,
    monoceros_wire::variable::SCOREBOARD,
    monoceros_wire::variable::STACKS,
];

/// Where settings are read from, at the start and at each reload.
#[derive(Debug)]
pub(crate) struct Source {
    /// What this process was called.
    pub(super) name: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) directory: PathBuf,
}

/// Everything that the workers of a generation share.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// The settings it was made from.
    pub(crate) settings: Settings,
    /// The application as said.
    pub(crate) app: Option<String>,
    /// What is executed; variables of the single worker are added.
    pub(crate) program: Program,
    /// What workers are told, as (name, text).
    pub(crate) pairs: Vec<(String, String)>,
    /// The sockets they serve from.
    pub(crate) listeners: Vec<Rc<Listener>>,
    /// Whose files the logs and unix sockets are to be.
    pub(crate) owner: Option<Credentials>,
    /// Where relative paths start.
    pub(crate) directory: PathBuf,
    /// The addresses were said, and are not just the default.
    pub(crate) binds_said: bool,
}

impl Source {
    /// This process's own arguments and environment, as it was started.
    pub(crate) fn own() -> Result<Self, String> {
        let mut args = std::env::args_os();
        let name = args.next().unwrap_or_default();
        let args = args.collect();
        let env: Vec<_> = std::env::vars_os().collect();
        let directory = working_directory(&env)
            .map_err(|error| format!("cannot find the working directory: {}", reason(&error)))?;
        Ok(Self { name, args, env, directory })
    }

    /// Reads the settings again.
    pub(crate) fn load(&self) -> Result<Loaded, String> {
        match monoceros_config::load(&self.args, &self.env, &self.directory) {
            Ok(
                Command::Run(loaded) | Command::CheckConfig(loaded) | Command::PrintConfig(loaded),
            ) => Ok(loaded),
            Ok(Command::Help(_) | Command::Version(_) | Command::Order(_)) => {
                Err("there are none".to_owned())
            }
            Err(errors) => Err(errors.to_string()),
        }
    }

    /// The value of an environment variable of this process.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        let found = self.env.iter().find(|(known, _)| known == OsStr::new(name));
        found.map(|(_, value)| value.clone())
    }

    /// `WATCHDOG_USEC` is meant for this process (`sd_watchdog_enabled(3)`), or
    /// for the one that it follows.
    pub(crate) fn is_watched(&self) -> bool {
        let pid = self.variable("WATCHDOG_PID");
        pid.is_none_or(|pid| pid.to_str() == Some(&std::process::id().to_string()))
    }
}

impl Recipe {
    /// Works out everything but the listeners.
    pub(crate) fn new(loaded: &Loaded, source: &Source) -> Result<Self, String> {
        let settings = loaded.settings.clone();
        let directory = match &settings.chdir {
            Some(directory) => source.directory.join(directory),
            None => source.directory.clone(),
        };
        check_directory(&directory)?;
        check_application(loaded.app.as_deref(), &directory)?;
        let owner = find_owner(&settings)?;
        let said = |name| Row::find(name).is_some_and(|row| is_said(loaded, row));
        let program = Program {
            umask: said("umask").then_some(settings.umask.0),
            credentials: owner.clone(),
            ..program(&settings, source, &directory)?
        };
        let pairs = settings.to_pairs(Reader::Worker);
        let (app, binds_said) = (loaded.app.clone(), said("bind"));
        let listeners = Vec::new();
        Ok(Self { settings, app, program, pairs, listeners, owner, directory, binds_said })
    }

    /// What the master makes of the settings.
    pub(crate) fn terms(&self) -> Terms {
        let settings = &self.settings;
        let Settings { max_surge, max_unavailable, .. } = *settings;
        Terms {
            workers: count_workers(settings.workers),
            limits: Limits { max_surge, max_unavailable },
            min_ready: settings.min_ready_seconds,
            progress_deadline: settings.progress_deadline,
            timeout: settings.timeout,
            graceful_timeout: settings.graceful_timeout,
            boot_timeout: settings.boot_timeout,
            upgrade_timeout: settings.upgrade_timeout,
            ready_after: None,
            preload: settings.preload,
            recycling: Recycling {
                requests: settings.max_requests,
                requests_jitter: settings.max_requests_jitter,
                lifetime: settings.max_lifetime,
                lifetime_jitter: settings.max_lifetime_jitter,
                memory: settings.max_rss.0,
            },
        }
    }

    /// How its sockets are to be made.
    pub(crate) fn manner(&self) -> Manner {
        Manner::new(&self.settings, self.owner.clone(), &self.directory)
    }

    /// The name in the titles of processes: as set, else the application's, as
    /// the workers have found it or, before they have, as said.
    pub(crate) fn name<'a>(&'a self, found: Option<&'a str>) -> &'a str {
        let said = || found.or(self.app.as_deref()).unwrap_or("monoceros");
        self.settings.name.as_deref().unwrap_or_else(said)
    }

    /// The least severe message that is logged.
    pub(crate) fn level(&self) -> log::LevelFilter {
        match self.settings.log_level {
            LogLevel::Debug => log::LevelFilter::Debug,
            LogLevel::Info => log::LevelFilter::Info,
            LogLevel::Warning => log::LevelFilter::Warn,
            LogLevel::Error | LogLevel::Critical => log::LevelFilter::Error,
        }
    }

    /// Settings that differ from `before`, but take a restart to change.
    pub(crate) fn needs_restart(&self, before: &Self) -> Vec<String> {
        let changes = self.settings.changes(&before.settings).into_iter();
        changes.filter(|row| row.effect == Effect::Restart).map(|row| row.key()).collect()
    }
}

fn is_said(loaded: &Loaded, row: &Row) -> bool {
    *loaded.source(row) != monoceros_config::Place::Default
}

/// As the shell names it, if it does: a name with a link in it leads to new
/// code when the link is changed.
fn working_directory(env: &[(OsString, OsString)]) -> std::io::Result<PathBuf> {
    let real = std::env::current_dir()?;
    let named = env.iter().find(|(name, _)| name == "PWD").map(|(_, value)| PathBuf::from(value));
    let identity = |path: &Path| path.metadata().ok().map(|it| (it.dev(), it.ino()));
    Ok(named
        .filter(|named| named.is_absolute() && identity(named) == identity(&real))
        .unwrap_or(real))
}

fn check_directory(directory: &Path) -> Result<(), String> {
    let cannot = |why: &str| format!("cannot change to directory {}: {why}", directory.display());
    match directory.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(cannot("not a directory")),
        Err(error) => Err(cannot(&reason(&error))),
    }
}

fn check_application(app: Option<&str>, directory: &Path) -> Result<(), String> {
    if app.is_some() || directory.join("manage.py").is_file() {
        return Ok(());
    }
    Err(format!(
        "no application given, and there is no manage.py of a Django project in {}; \
         name one as MODULE:CALLABLE",
        directory.display()
    ))
}

/// Whom the workers run as, if not as the master.
fn find_owner(settings: &Settings) -> Result<Option<Credentials>, String> {
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

fn count_workers(workers: Workers) -> u16 {
    match workers {
        Workers::Count(count) => count,
        // std looks at the affinity mask and at the quotas of cgroups v1 and v2.
        Workers::Auto => std::thread::available_parallelism()
            .map_or(1, |count| u16::try_from(count.get()).unwrap_or(u16::MAX)),
    }
}

fn program(settings: &Settings, source: &Source, directory: &Path) -> Result<Program, String> {
    let own = std::env::current_exe()
        .map_err(|error| format!("cannot find the path of this program: {}", reason(&error)))?;
    let extension = find_extension(&own)?;
    let variable = |name: &str| source.variable(name);
    let python = find_python(settings.python.as_deref(), variable, &own, directory)?;
    let path = text(python.as_os_str())?;
    let arguments = vec![path.clone(), text(OsStr::new("-c"))?, text(OsStr::new(BOOT))?];
    let arguments = [arguments, vec![text(extension.as_os_str())?]].concat();
    Ok(Program {
        path,
        arguments,
        environment: environment(settings, source)?,
        directory: Some(text(directory.as_os_str())?),
        umask: None,
        credentials: None,
    })
}

fn environment(settings: &Settings, source: &Source) -> Result<Vec<CString>, String> {
    let is_set = |name: &OsStr| settings.env.iter().any(|it| OsStr::new(&it.name) == name);
    let is_own =
        |name: &OsStr| MASTERS_OWN.iter().chain(&WORKERS_OWN).any(|own| OsStr::new(own) == name);
    let inherited = source.env.iter().filter(|(name, _)| !is_set(name) && !is_own(name));
    let mut environment = Vec::new();
    for (name, value) in inherited {
        environment.push(text(&assign(name, value))?);
    }
    for assignment in settings.env.iter().filter(|it| !is_own(OsStr::new(&it.name))) {
        environment.push(text(&assign(&assignment.name, &assignment.value))?);
    }
    Ok(environment)
}

/// `NAME=VALUE`.
fn assign(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> OsString {
    let (name, value) = (name.as_ref().as_bytes(), value.as_ref().as_bytes());
    OsString::from_vec([name, b"=", value].concat())
}

fn text(text: &OsStr) -> Result<CString, String> {
    CString::new(text.as_bytes()).map_err(|_| format!("{} has a NUL in it", text.to_string_lossy()))
}
