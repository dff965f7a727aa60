//! Every message between the master and its own workers.

use serde::{Deserialize, Serialize};

use crate::listener::ListenerDescription;
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
        /// The master's name for the worker.
        worker: u64,
    },
    /// Stop accepting, finish what is open, exit.
    Drain(Drain),
    /// Open the log files again, by name.
    Reopen,
    /// There are to be so many workers now.
    Workers(u16),
    /// A request has run for longer than `timeout`: its client is answered
    /// without the application. Nothing is done if it is over.
    Expire {
        /// The request's number in the worker, as the scoreboard shows it.
        request: u64,
    },
}

/// What becomes of requests that a draining worker has not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Drain {
    /// It begins those that it has read; others serve what waits in the
    /// listeners' queues.
    Retire,
    /// It serves what waits in the listeners' queues too: no other worker will.
    ServeQueue,
    /// It refuses them, as its application takes none.
    Refuse,
}

/// What a worker needs to know before it can serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Start {
    /// The worker's place.
    pub slot: Slot,
    /// The generation it belongs to.
    pub generation: Generation,
    /// How many workers there are to be: whether others serve beside this one.
    pub workers: u16,
    /// The application to load, as the user named it; `None` to look for one.
    pub app: Option<String>,
    /// The settings that workers read, as (name, text).
    pub settings: Vec<(String, String)>,
    /// Its listening sockets, in the order of their descriptors.
    pub listeners: Vec<ListenerDescription>,
}

/// What a mold needs to know before it can load the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct StartMold {
    /// The generation it belongs to.
    pub generation: Generation,
    /// The application to load, as the user named it; `None` to look for one.
    pub app: Option<String>,
    /// The settings that workers read, as (name, text).
    pub settings: Vec<(String, String)>,
}

/// A message of a worker, or of a mold, to the master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The application is loaded and requests can be served; of a mold: workers
    /// can be forked.
    Ready {
        /// The application that was found, such as `config.wsgi:application`.
        app: String,
    },
    /// The worker cannot serve and exits.
    Failed {
        /// The kind of failure, as in the exit code.
        failure: BootFailure,
        /// The text for people: a traceback, or one line.
        text: String,
    },
    /// The first message of a worker that a mold has forked, through its own channel:
    /// it exists, is the master's child, and waits for its first message. Its pid is
    /// the one that the kernel reports for the sender (`SCM_CREDENTIALS`, `unix(7)`).
    Forked,
    /// A mold's answer to [`ToWorker::Fork`]: there is no such worker.
    NotForked {
        /// The worker, as the master named it.
        worker: u64,
        /// What failed.
        text: String,
        /// The machine has no room for it now, and may have later.
        passes: bool,
    },
}

/// Why a worker could not get ready. The numbers are gunicorn's exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BootFailure {
    /// The interpreter cannot run the worker: not CPython, or too old.
    Interpreter = 1,
    /// The worker failed, as when importing the application raises.
    Boot = 3,
    /// The application was imported, but is not to be found in it, or cannot
    /// be called.
    Application = 4,
}

impl BootFailure {
    /// The exit code of the worker, and of the master that gives up for it.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        self as u8
    }
}
