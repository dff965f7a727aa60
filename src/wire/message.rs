//! Every message between the master and its own workers.

use log::LevelFilter;
use serde::{Deserialize, Serialize};

use crate::gunicorn::{
    GunicornValues, HookFailure, MoldSettings, ReadConfig, ServerHook, WorkerOwner,
};
use crate::listener::ListenerDescription;
use crate::log_role::LogRole;
use crate::record::MasterRecord;
use crate::source_files::SourceFiles;
use crate::{Generation, Slot};

/// A message of the master to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// The first message: the worker's slot, generation and settings. It waits in the
    /// channel before the worker's program is executed.
    Start(Start),
    /// The first message to a mold: load the application, fork workers when asked to,
    /// serve no client.
    StartMold(StartMold),
    /// To a mold: fork a worker, which gets the descriptors that come with this
    /// message: its channel, scoreboard and file for stacks, and listening sockets
    /// if they differ from the mold's. The worker's own first message is
    /// [`ToWorker::Start`]; it serves no client before.
    Fork {
        /// The master's number for the worker.
        worker: u64,
        /// The generation that it belongs to: a mold may fork workers of several ones.
        generation: Generation,
        /// How many workers molds were asked for, with this one: gunicorn's age of a worker.
        age: u64,
    },
    /// To a mold: run the configuration file again. It replies with [`FromWorker::ConfigRead`] or
    /// [`FromWorker::ConfigFailed`]; nothing else changes before [`ToWorker::Configure`].
    ReadConfig(ReadConfig),
    /// To a mold that has run the configuration file: the settings that take effect. The first
    /// time the mold loads the application, if it is to, and replies with [`FromWorker::Ready`].
    Configure(MoldSettings),
    /// To a mold with a configuration file: the listening sockets of the server from now on,
    /// whose descriptors come with this message in this order.
    Listeners {
        /// In the order of the descriptors.
        described: Vec<ListenerDescription>,
        /// They were passed in by the init system (`sd_listen_fds(3)`).
        are_activated: bool,
    },
    /// To a mold with a configuration file: run this hook, and reply with
    /// [`FromWorker::HookEnded`], also if there is no such hook.
    Hook {
        /// The number of the request, which the reply repeats.
        number: u64,
        /// The hook.
        hook: ServerHook,
    },
    /// The certificates, keys and ticket keys for TLS, in a memfd whose descriptor comes with
    /// this message. The first one follows [`ToWorker::Start`] if [`Start::has_tls`] is set;
    /// a later one replaces them.
    Tls,
    /// The table of clients that all workers share, in a memfd whose descriptor comes with this
    /// message; behind it that of the worker's own journal of connections, if connections are
    /// limited. Follows [`ToWorker::Start`] and what [`Start::has_tls`] announces, if
    /// [`Start::has_limits`] is set.
    Limits,
    /// Stop accepting, finish what is open, exit.
    Drain(Drain),
    /// The logs were opened again: use the descriptors that come with this message, in the order
    /// of [`Start::logs`].
    Reopen,
    /// The number of workers has changed to this one.
    Workers(u16),
    /// From now on records from this level up are written to the error log, until the process
    /// ends or another such message comes. A mold passes the level on to the workers that it
    /// forks.
    LogLevel(LevelFilter),
    /// The server is about to end (`shutdown-delay`): the worker serves as before, and its
    /// health path responds with 503.
    Leave,
    /// The metrics of the server, in a memfd whose descriptor comes with this message.
    Metrics {
        /// The number of [`FromWorker::AskMetrics`].
        number: u64,
        /// Their media type.
        content_type: String,
    },
    /// Reply with [`FromWorker::Confirmed`]: then all messages before this one have been
    /// carried out.
    Confirm {
        /// The number of the request, which the reply repeats.
        number: u64,
    },
    /// To a mold that has sent [`FromWorker::TakesRecords`]: a record of the master.
    Record(Box<MasterRecord>),
    /// A request has run for longer than `timeout`: the worker responds to its client
    /// without the application. Does nothing if the request has ended.
    Expire {
        /// The request's number in the worker, as the scoreboard shows it.
        request: u64,
    },
    /// With `reload`: why the newest code cannot be loaded, as a traceback; `None` once it can.
    ShowFailure(Option<String>),
}

/// How a draining worker treats requests that it has not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Drain {
    /// It begins those that it has read; other workers serve the listeners' queues.
    Retire,
    /// It also serves the listeners' queues: no other worker will.
    ServeQueue,
    /// It refuses them, because its application takes none.
    Refuse,
}

/// What a worker needs before it can serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Start {
    /// The worker's slot.
    pub slot: Slot,
    /// The generation it belongs to.
    pub generation: Generation,
    /// How many workers there are: whether others serve beside this one.
    pub workers: u16,
    /// The application to load, as the user named it; `None` to look for one.
    pub app: Option<String>,
    /// The settings that workers read, as (name, text).
    pub settings: Vec<(String, String)>,
    /// Its listening sockets, in the order of their descriptors.
    pub listeners: Vec<ListenerDescription>,
    /// [`ToWorker::Tls`] is the next message.
    #[serde(default)]
    pub has_tls: bool,
    /// [`ToWorker::Limits`] comes next, behind [`ToWorker::Tls`] if there is one.
    #[serde(default)]
    pub has_limits: bool,
    /// The worker's place in the count of bodies on disk
    /// ([`SpoolCount`](crate::spool_count::SpoolCount)), whose descriptor comes with this
    /// message.
    #[serde(default)]
    pub spool_place: Option<usize>,
    /// No worker serves yet, and this is the first one: it may respond by itself before its
    /// application is loaded.
    #[serde(default)]
    pub is_first: bool,
    /// With `reload`: it responds with the failure if its application cannot be loaded.
    #[serde(default)]
    pub shows_failure: bool,
    /// It is started for a check of the settings, and serves no client.
    #[serde(default)]
    pub check: Option<ApplicationCheck>,
    /// Its logs. Their descriptors come with this message, behind that of
    /// [`Start::spool_place`], in this order.
    #[serde(default)]
    pub logs: Vec<LogRole>,
    /// The user that it becomes: its mold runs as the master's user.
    #[serde(default)]
    pub owner: Option<WorkerOwner>,
    /// Its umask, if it takes that by itself.
    #[serde(default)]
    pub umask: Option<u32>,
}

impl Start {
    /// The addresses of its listening sockets, in the order of their descriptors.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.listeners.iter().map(|listener| listener.address.to_string()).collect()
    }
}

/// What a check of the settings asks of the worker that loads the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ApplicationCheck {
    /// Look for what a deployment must not have.
    pub deploy: bool,
    /// The configured addresses that other machines can reach, as URLs: a check opens none.
    pub public: Vec<String>,
}

/// What a mold needs before it can load the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct StartMold {
    /// The generation it belongs to.
    pub generation: Generation,
    /// The application to load, as the user named it; `None` to look for one.
    pub app: Option<String>,
    /// The settings that workers read, as (name, text).
    pub settings: Vec<(String, String)>,
    /// Its logs, whose descriptors come with this message in this order.
    #[serde(default)]
    pub logs: Vec<LogRole>,
    /// Run the configuration file before anything else, report what it sets, and wait for
    /// [`ToWorker::Configure`]: it has the settings, and the fields above are empty.
    #[serde(default)]
    pub config: Option<ReadConfig>,
}

/// A message of a worker, or of a mold, to the master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The application is loaded and requests can be served; for a mold: workers can be
    /// forked.
    Ready {
        /// The application that was found, such as `config.wsgi:application`.
        app: String,
    },
    /// Something in the application that the operator should correct; the worker goes on.
    Concern {
        /// The text for people.
        text: String,
        /// It is logged at every log level.
        is_grave: bool,
    },
    /// A client of the worker asks for the metrics of the server.
    AskMetrics {
        /// The worker's number for this message.
        number: u64,
        /// The Accept fields of the client.
        accept: String,
    },
    /// The worker cannot serve and exits.
    Failed {
        /// The kind of failure, as in the exit code.
        failure: BootFailure,
        /// The text for the log: a traceback, or one line.
        text: String,
    },
    /// All messages before the [`ToWorker::Confirm`] of this number have been carried out.
    Confirmed {
        /// The number of the request.
        number: u64,
    },
    /// What the configuration file sets.
    ConfigRead {
        /// Its values.
        values: GunicornValues,
    },
    /// The configuration file cannot be used. A mold that has run it for the first time exits.
    ConfigFailed {
        /// The text for the log: a traceback, or one line with the setting.
        text: String,
        /// The exit code of a server that begins with it.
        code: u8,
    },
    /// The [`ToWorker::Hook`] of this number has ended.
    HookEnded {
        /// The number of the request.
        number: u64,
        /// What it has raised, if it has.
        failure: Option<HookFailure>,
    },
    /// The application, or a hook, asks for the replacement of this worker.
    Retire {
        /// What has asked for it.
        reason: String,
    },
    /// The worker is to be replaced after so many requests in all; 0 is no limit.
    Allotment {
        /// The number of requests.
        requests: u32,
    },
    /// With `reload`: files that the code was read from, in addition to those of messages before.
    /// They come when the application is loaded, before [`FromWorker::Failed`] when it cannot be,
    /// and again when modules are imported later.
    Sources(SourceFiles),
    /// Of a mold: from now on Python's logging takes the records of the master, or not any more.
    TakesRecords(bool),
    /// The first message of a worker that a mold has forked, through its own channel:
    /// it exists, is the master's child, and waits for its first message. Its pid is
    /// the one that the kernel reports for the sender (`SCM_CREDENTIALS`, `unix(7)`).
    Forked,
    /// A mold's reply to [`ToWorker::Fork`]: the fork has failed.
    NotForked {
        /// The master's number for the worker.
        worker: u64,
        /// The reason.
        text: String,
        /// The machine has no room for a process now, and may have later.
        passes: bool,
        /// The exit code of a server that begins with this, if it has one of its own.
        code: Option<u8>,
    },
}

/// Why a worker could not become ready. The numbers are gunicorn's exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BootFailure {
    /// The process cannot begin: the interpreter is not CPython, or too old, or a mold cannot
    /// configure Python's logging.
    Interpreter = 1,
    /// The worker failed, for example because importing the application raised.
    Boot = 3,
    /// The module was imported, but has no such application, or it cannot be called.
    Application = 4,
}

impl BootFailure {
    /// The exit code of the worker, and of a master that ends because of it.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        self as u8
    }
}
