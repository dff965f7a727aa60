//! A configuration file in Python, and its hooks, between the master and a mold. The master
//! runs no Python: the mold runs the file, reports what it sets, and runs its hooks when the
//! master asks for them.

use serde::{Deserialize, Serialize};

use crate::Generation;
use crate::log_role::LogRole;

/// What a mold needs to run the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ReadConfig {
    /// The file; `None` if there is none, and only values of gunicorn's other sources count.
    pub source: Option<PythonFile>,
    /// The words of the server's command line, the first one included: `sys.argv`.
    pub arguments: Vec<String>,
    /// Report users, groups and paths as the file has them, whether this machine has them or not:
    /// the values are for another one.
    #[serde(default)]
    pub as_written: bool,
}

/// A configuration file in Python.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PythonFile {
    /// A file at this path, which is absolute. Bytes that are no text are written as the crate
    /// `monoceros-config` writes them (`raw.rs`).
    File(String),
    /// A module that can be imported.
    Module(String),
}

/// What a configuration file in Python sets, by gunicorn's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct GunicornValues {
    /// The settings that the file sets, with the words of each value. A list has several words,
    /// a mapping has words of the form `NAME=VALUE`. What is `None` there is left out.
    pub values: Vec<(String, Vec<String>)>,
    /// The hooks that the file sets.
    pub hooks: Vec<String>,
    /// Names of the file that are no settings.
    pub unknown: Vec<String>,
    /// It configures the `logging` module of Python: `logger_class`, `logconfig` or one of its
    /// kind.
    pub python_logging: bool,
}

/// The settings that take effect: the file's, and those of stronger sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct MoldSettings {
    /// The generation that they are for.
    pub generation: Generation,
    /// The application to load, as the user named it; `None` to look for one.
    pub app: Option<String>,
    /// The settings that workers read, as (name, text).
    pub settings: Vec<(String, String)>,
    /// What stronger sources set in place of the file, by gunicorn's names.
    pub overrides: Vec<(String, Vec<String>)>,
    /// The directory that the application is served from, absolute.
    pub directory: String,
    /// The mold loads the application.
    pub preload: bool,
    /// The number of workers that the server is to have.
    pub workers: u16,
    /// The mold's logs, whose descriptors come with the message in this order.
    pub logs: Vec<LogRole>,
    /// The directory for the application's own metrics, if the server has made one.
    #[serde(default)]
    pub metrics_directory: Option<String>,
    /// Print all settings in gunicorn's form before anything else.
    pub print: bool,
    /// The server only checks its settings and its application: no hook runs.
    pub check: bool,
    /// In such a check a configuration of Python's logging that fails is a warning: gunicorn uses
    /// it at a start only.
    #[serde(default)]
    pub is_lenient: bool,
    /// The generation that serves. A mold of the server may get its settings again; those of
    /// earlier generations are not needed any more.
    #[serde(default)]
    pub serving: Generation,
}

/// A hook of the server, which runs in the mold's main thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerHook {
    /// The server begins, before it opens its listening sockets.
    OnStarting,
    /// The listening sockets are open.
    WhenReady,
    /// The settings were read again.
    OnReload,
    /// A new master is about to be started.
    PreExec,
    /// The server is about to end.
    OnExit,
    /// The number of workers is set, or has changed.
    NumWorkersChanged {
        /// The number.
        new: u16,
        /// The number before; `None` at a start.
        old: Option<u16>,
    },
    /// A worker has ended, and is reaped. Its place in `WORKERS` is free, also when there is no
    /// such hook.
    ChildExit {
        /// The master's number for the worker.
        worker: u64,
        /// Only its place is freed, and no hook runs: the server ends because of this worker.
        is_silent: bool,
    },
}

impl ServerHook {
    /// Its name in the configuration file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OnStarting => "on_starting",
            Self::WhenReady => "when_ready",
            Self::OnReload => "on_reload",
            Self::PreExec => "pre_exec",
            Self::OnExit => "on_exit",
            Self::NumWorkersChanged { .. } => "nworkers_changed",
            Self::ChildExit { .. } => "child_exit",
        }
    }
}

/// What a hook of the server has raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookFailure {
    /// The traceback.
    pub text: String,
    /// The exit code of a server that begins with it: that of `sys.exit`, else 1.
    pub code: u8,
}

/// The user that a worker becomes, if its mold runs as another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct WorkerOwner {
    /// The user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its supplementary groups.
    pub groups: Vec<u32>,
}
