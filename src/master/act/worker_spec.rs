//! What a generation's workers are made of: settings, program, environment,
//! user, listeners. Read from the sources of settings at the start and at each
//! reload; spawning only copies it.

use std::cell::OnceCell;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use monoceros_config::raw::bytes_of;
use monoceros_config::variable;
use monoceros_config::{Command, Effect, Loaded, LogTarget, Row, Settings, WorkerClass, Workers};
use monoceros_sys::process::Program;
use monoceros_sys::reason;
use monoceros_sys::user::{Credentials, Login, is_root};

use crate::cli::check_file;
use crate::directory::working_directory;

use crate::master::act::listener::{OwnedListener, SocketOptions};
use crate::master::decide::settings::{MasterSettings, RecyclingLimits, RolloutLimits};
use crate::master::kind::executable::{find_program, links, own_program};
use crate::master::kind::interpreter::{BOOT, find_extension, find_python};

/// Variables that are about the master, and not for a worker.
const MASTERS_OWN: [&[&str]; 3] =
    [&variable::MASTER, &["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"], &variable::LISTEN];
/// What applications find in `SERVER_SOFTWARE` of their process. web.py takes a
/// process without it for a development server, and shows details in error
/// pages; other applications look for the name of gunicorn, and then start
/// no server of their own.
const SOFTWARE: &str = concat!("monoceros/", env!("CARGO_PKG_VERSION"), " (like gunicorn)");

/// Where settings are read from, at the start and at each reload.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// What this process was called.
    pub(super) name: OsString,
    /// Where this program is, and the next release of it may be.
    program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) directory: PathBuf,
    /// Opened when it is first needed, and kept: the workers of a master are of
    /// its own version, whatever is installed meanwhile.
    extension: OnceCell<Rc<ExtensionFile>>,
}

/// The extension module that workers load.
#[derive(Debug)]
pub(crate) struct ExtensionFile {
    path: PathBuf,
    file: File,
}

/// Everything that the workers of a generation share.
#[derive(Debug)]
pub(crate) struct WorkerSpec {
    /// The settings it was made from.
    pub(crate) settings: Settings,
    /// What is served, as said: the application, or the program's name.
    pub(crate) app: Option<String>,
    /// What is executed; variables of the single worker are added.
    pub(crate) program: Program,
    /// What workers of our own load.
    pub(crate) extension: Option<Rc<ExtensionFile>>,
    /// What workers are told, as (name, text).
    pub(crate) pairs: Vec<(String, String)>,
    /// The sockets they serve from.
    pub(crate) listeners: Vec<Rc<OwnedListener>>,
    /// Whose files the logs and unix sockets are to be.
    pub(crate) owner: Option<Credentials>,
    /// Where relative paths start.
    pub(crate) directory: PathBuf,
    /// The addresses were said, and are not just the default.
    pub(crate) binds_said: bool,
    /// The configuration file that was read.
    pub(crate) config_file: Option<PathBuf>,
}

impl AsFd for ExtensionFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Invocation {
    /// This process's own arguments and environment, as it was started.
    pub(crate) fn own() -> Result<Self, String> {
        let mut args = std::env::args_os();
        let name = args.next().unwrap_or_default();
        let args = args.collect();
        let env: Vec<_> = std::env::vars_os().collect();
        let directory = working_directory(&env)
            .map_err(|error| format!("cannot find the working directory: {}", reason(&error)))?;
        let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
        let program = own_program(&name, path, &directory)?;
        Ok(Self { name, program, args, env, directory, extension: OnceCell::new() })
    }

    /// Reads the settings again.
    pub(crate) fn load(&self) -> Result<Loaded, String> {
        match monoceros_config::load(&self.args, &self.env, &self.directory) {
            Ok(
                Command::Run(loaded) | Command::CheckConfig(loaded) | Command::PrintConfig(loaded),
            ) => check_file(loaded.config_file.as_deref()).map(|()| loaded),
            Ok(Command::Help(_) | Command::Version(_) | Command::Control(_)) => {
                Err("there are none".to_owned())
            }
            Err(errors) => Err(errors.to_string()),
        }
    }

    /// The paths of this program: the one it was called by, those that links lead to
    /// from there, and its file's.
    fn programs(&self) -> Vec<PathBuf> {
        let path = self.variable("PATH");
        let called = find_program(&self.name, path.as_deref(), &self.directory);
        let called = called.into_iter().flat_map(links);
        called.chain([self.program.clone()]).collect()
    }

    fn extension(&self) -> Result<Rc<ExtensionFile>, String> {
        if let Some(known) = self.extension.get() {
            return Ok(Rc::clone(known));
        }
        let path = find_extension(&self.programs())?;
        let file = File::open(&path)
            .map_err(|error| format!("cannot open {}: {}", path.display(), reason(&error)))?;
        Ok(Rc::clone(self.extension.get_or_init(|| Rc::new(ExtensionFile { path, file }))))
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

impl WorkerSpec {
    /// Works out everything but the listeners.
    pub(crate) fn new(loaded: &Loaded, invocation: &Invocation) -> Result<Self, String> {
        let mut settings = loaded.settings.clone();
        // Nothing of somebody else's program can be loaded before.
        settings.preload &= settings.worker_class != WorkerClass::Exec;
        let directory = match &settings.chdir {
            Some(directory) => invocation.directory.join(directory),
            None => invocation.directory.clone(),
        };
        check_directory(&directory)?;
        let owner = find_owner(&settings)?;
        let extension = match settings.worker_class {
            WorkerClass::Wsgi => Some(invocation.extension()?),
            WorkerClass::Exec => None,
        };
        let said = |name| Row::find(name).is_some_and(|row| is_said(loaded, row));
        let program = Program {
            umask: said("umask").then_some(settings.umask.0),
            credentials: owner.clone(),
            environment: environment(&settings, invocation, owner.as_ref())?,
            ..match settings.worker_class {
                WorkerClass::Wsgi => {
                    check_application(loaded.app.as_deref(), &directory)?;
                    interpreter(&settings, invocation, &directory)?
                }
                WorkerClass::Exec => foreign(&settings, invocation, &directory)?,
            }
        };
        let pairs = with_own_logs(&settings, &directory).worker_pairs();
        let app = loaded.app.clone().or_else(|| program_name(&settings));
        let binds_said = said("bind");
        let listeners = Vec::new();
        Ok(Self {
            settings,
            app,
            program,
            extension,
            pairs,
            listeners,
            owner,
            directory,
            binds_said,
            config_file: loaded.config_file.clone(),
        })
    }

    /// Whether its workers are given this listener.
    pub(crate) fn has(&self, listener: &Rc<OwnedListener>) -> bool {
        self.listeners.iter().any(|known| Rc::ptr_eq(known, listener))
    }

    /// The user that workers have in place of this master's rights.
    pub(crate) fn other_user(&self) -> Option<&Credentials> {
        self.owner.as_ref().filter(|owner| is_root() && owner.uid != 0)
    }

    /// Fails if the configuration file that was read is not there any more:
    /// nobody who removes it, or deploys without it, means to have the server
    /// go back to its defaults, addresses included.
    pub(crate) fn check_file(&self) -> Result<(), String> {
        match &self.config_file {
            Some(path) if path.symlink_metadata().is_err() => Err(format!(
                "{} is not there any more; put it back, or restart without it",
                path.display()
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// What the master makes of the settings.
    pub(crate) fn master_settings(&self) -> MasterSettings {
        let settings = &self.settings;
        let Settings { max_surge, max_unavailable, .. } = *settings;
        MasterSettings {
            workers: count_workers(settings.workers),
            limits: RolloutLimits { max_surge, max_unavailable },
            min_ready: settings.min_ready_seconds,
            progress_deadline: settings.progress_deadline,
            timeout: settings.timeout,
            graceful_timeout: settings.graceful_timeout,
            shutdown_delay: settings.shutdown_delay,
            boot_timeout: settings.boot_timeout,
            upgrade_timeout: settings.upgrade_timeout,
            ready_after: if self.is_foreign() { settings.ready_after.length() } else { None },
            preload: settings.preload,
            recycling: RecyclingLimits {
                requests: settings.max_requests,
                requests_jitter: settings.max_requests_jitter,
                lifetime: settings.max_lifetime,
                lifetime_jitter: settings.max_lifetime_jitter,
                memory: settings.max_rss.0,
            },
        }
    }

    /// Its workers run somebody else's program, which knows nothing of this
    /// master but what every program knows.
    pub(crate) fn is_foreign(&self) -> bool {
        self.settings.worker_class == WorkerClass::Exec
    }

    /// How its sockets are to be made.
    pub(crate) fn options(&self) -> SocketOptions {
        SocketOptions::new(&self.settings, self.owner.clone(), &self.directory)
    }

    /// The name in the titles of processes: as set, else the application's, as
    /// the workers have found it or, before they have, as said.
    pub(crate) fn name<'a>(&'a self, found: Option<&'a str>) -> &'a str {
        let said = || found.or(self.app.as_deref()).unwrap_or("monoceros");
        self.settings.name.as_deref().unwrap_or_else(said)
    }

    /// The least severe message that is logged.
    pub(crate) fn level(&self) -> log::LevelFilter {
        self.settings.log_level.filter()
    }

    /// Settings that differ from `before`, but take a restart to change.
    pub(crate) fn needs_restart(&self, before: &Self) -> Vec<String> {
        let changes = self.settings.changes(&before.settings).into_iter();
        changes.filter(|row| row.effect == Effect::Restart).map(|row| row.key()).collect()
    }
}

fn is_said(loaded: &Loaded, row: &Row) -> bool {
    *loaded.source(row) != monoceros_config::ValueOrigin::Default
}

/// The settings with the paths of logs from the root. A worker opens them when it
/// has started, and again on USR1: its directory may have been removed by then,
/// with the release that it was started from.
fn with_own_logs(settings: &Settings, directory: &Path) -> Settings {
    let mut settings = settings.clone();
    let logs = [Some(&mut settings.error_logfile), settings.access_logfile.as_mut()];
    for log in logs.into_iter().flatten() {
        if let LogTarget::Path(path) = log {
            *path = directory.join(&*path);
        }
    }
    settings
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

fn program_name(settings: &Settings) -> Option<String> {
    let path = PathBuf::from(bytes_of(&settings.program.first()?.0));
    Some(path.file_name()?.to_string_lossy().into_owned())
}

/// The program of class exec. It cannot notice by itself that the master is
/// gone.
fn foreign(
    settings: &Settings,
    invocation: &Invocation,
    directory: &Path,
) -> Result<Program, String> {
    let name = settings.program.first().map_or(OsString::new(), |word| bytes_of(&word.0));
    let set = settings.env.iter().find(|it| it.name == "PATH").map(|it| bytes_of(&it.value));
    let path = set.or_else(|| invocation.variable("PATH"));
    let found = find_program(&name, path.as_deref(), directory)?;
    let words = settings.program.iter().map(|word| text(&bytes_of(&word.0)));
    Ok(Program {
        path: text(found.as_os_str())?,
        arguments: words.collect::<Result<_, _>>()?,
        environment: Vec::new(),
        directory: Some(text(directory.as_os_str())?),
        umask: None,
        credentials: None,
        orphan_signal: Some(libc::SIGTERM),
    })
}

/// The interpreter, which runs the worker that is made of our extension.
fn interpreter(
    settings: &Settings,
    invocation: &Invocation,
    directory: &Path,
) -> Result<Program, String> {
    let extension = invocation.extension()?;
    let variable = |name: &str| invocation.variable(name);
    let programs = invocation.programs();
    let python = find_python(settings.python.as_deref(), variable, &programs, directory)?;
    let path = text(python.as_os_str())?;
    let arguments = vec![path.clone(), text(OsStr::new("-c"))?, text(OsStr::new(BOOT))?];
    let arguments = [arguments, vec![text(extension.path.as_os_str())?]].concat();
    Ok(Program {
        path,
        arguments,
        environment: Vec::new(),
        directory: Some(text(directory.as_os_str())?),
        umask: None,
        credentials: None,
        // It hears nothing while it loads the application, which may take for
        // ever, and would keep the listeners. It takes this back when it can.
        orphan_signal: Some(libc::SIGKILL),
    })
}

/// What the workers' environment is made of: this process's own, what the server
/// says in its place, and what the settings say in place of both.
fn environment(
    settings: &Settings,
    invocation: &Invocation,
    owner: Option<&Credentials>,
) -> Result<Vec<CString>, String> {
    let said = said_variables(settings, owner)?;
    let is_set = |name: &OsStr| settings.env.iter().any(|it| OsStr::new(&it.name) == name);
    let is_own = |name: &OsStr| {
        MASTERS_OWN
            .iter()
            .copied()
            .flatten()
            .chain(&variable::WORKER)
            .any(|own| OsStr::new(own) == name)
    };
    let is_said = |name: &OsStr| said.iter().any(|(known, _)| OsStr::new(known) == name);
    let kept = |name: &OsStr| !is_set(name) && !is_own(name) && !is_said(name);
    let inherited = invocation.env.iter().filter(|(name, _)| kept(name));
    let mut environment = Vec::new();
    for (name, value) in inherited {
        environment.push(text(&assign(name, value))?);
    }
    for (name, value) in &said {
        let value = value.as_ref().filter(|_| !is_set(OsStr::new(name)));
        if let Some(value) = value {
            environment.push(text(&assign(name, value))?);
        }
    }
    for assignment in settings.env.iter().filter(|it| !is_own(OsStr::new(&it.name))) {
        environment.push(text(&assign(bytes_of(&assignment.name), bytes_of(&assignment.value)))?);
    }
    Ok(environment)
}

/// A variable and its value; without one it is taken away.
type ServerVariable = (&'static str, Option<OsString>);

/// The variables that do not come from where the server was started.
fn said_variables(
    settings: &Settings,
    owner: Option<&Credentials>,
) -> Result<Vec<ServerVariable>, String> {
    let mut said = match owner {
        Some(owner) if settings.user.is_some() => login(owner.uid)?,
        Some(_) | None => Vec::new(),
    };
    if settings.worker_class == WorkerClass::Wsgi {
        said.push(("SERVER_SOFTWARE", Some(SOFTWARE.into())));
    }
    Ok(said)
}

/// What a user's own programs know of their user, in place of what is known of
/// the one that the server was started by (`environ(7)`).
fn login(uid: u32) -> Result<Vec<ServerVariable>, String> {
    let login =
        Login::of(uid).map_err(|error| format!("cannot look up user {uid}: {}", reason(&error)))?;
    Ok(match login {
        Some(Login { name, home }) => vec![
            ("HOME", Some(home.into_os_string())),
            ("USER", Some(OsString::from(&name))),
            ("LOGNAME", Some(name.into())),
        ],
        // A container's user often has a number only.
        None => vec![("HOME", Some("/".into())), ("USER", None), ("LOGNAME", None)],
    })
}

/// `NAME=VALUE`.
fn assign(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> OsString {
    let (name, value) = (name.as_ref().as_bytes(), value.as_ref().as_bytes());
    OsString::from_vec([name, b"=", value].concat())
}

fn text(text: &OsStr) -> Result<CString, String> {
    CString::new(text.as_bytes()).map_err(|_| format!("{} has a NUL in it", text.to_string_lossy()))
}
