//! What can happen to the master. Every event comes from the event loop.

use monoceros_config::SignalCommand;
use monoceros_sys::process::ExitStatus;
use monoceros_wire::Generation;
use monoceros_wire::control::ControlRequest;
use monoceros_wire::message::BootFailure;
use monoceros_wire::scoreboard::Losses;

use crate::master::decide::id::{ClientId, WorkerId};
use crate::master::decide::sample::WorkerSample;
use crate::master::decide::settings::MasterSettings;

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum MasterEvent {
    /// The answer to `Action::Bind`.
    Bound(Result<(), BindError>),
    /// The answer to `Action::Spawn`: the process exists.
    Spawned {
        /// Which worker.
        worker: WorkerId,
        /// Its pid, for people to read.
        pid: i32,
    },
    /// The answer to `Action::Spawn`: no process, or not the program meant.
    SpawnFailed {
        /// Which worker.
        worker: WorkerId,
        /// What failed.
        refusal: SpawnError,
    },
    /// A worker can serve.
    Ready {
        /// Which worker.
        worker: WorkerId,
        /// The application it serves.
        app: String,
    },
    /// A worker cannot serve, and exits.
    Failed {
        /// Which worker.
        worker: WorkerId,
        /// What kind of failure, and so which exit code.
        failure: BootFailure,
        /// The text for people.
        text: String,
    },
    /// A process was reaped.
    Exited {
        /// Which worker.
        worker: WorkerId,
        /// How it ended, and what is known of why.
        death: WorkerExit,
    },
    /// The answer to `Action::Inspect`.
    Inspected(Vec<WorkerSample>),
    /// An operator wants something.
    Asked(SignalCommand),
    /// A command wants something, and waits for `Action::Answer`.
    Requested {
        /// Who.
        client: ClientId,
        /// What.
        request: ControlRequest,
    },
    /// The answer to `Action::ReadSettings`.
    Read {
        /// The generation that the settings were read for.
        generation: Generation,
        /// What they ask for, or why they cannot be used.
        settings: Result<MasterSettings, String>,
    },
    /// The answer to `Action::StartSuccessor`: its process exists.
    SuccessorStarted {
        /// Its pid, for people to read.
        pid: i32,
    },
    /// The successor serves, with workers of its own.
    SuccessorReady,
    /// The master before this one has passed everything on, or is gone.
    TookOver {
        /// How many workers it was asked for while this one got ready, if it was.
        workers: Option<u16>,
    },
    /// There is no successor: it could not be started, or has ended.
    SuccessorEnded {
        /// What failed, or how it ended.
        text: String,
    },
    /// The deadline that the master had named has passed.
    Elapsed,
}

/// Why the addresses could not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BindError {
    /// What failed, with the address.
    pub(crate) text: String,
    /// Somebody else has the address, who may be about to leave.
    pub(crate) in_use: bool,
}

/// Why there is no process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpawnError {
    /// What failed.
    pub(crate) text: String,
    /// The machine has no room for it now, and may have later.
    pub(crate) is_temporary: bool,
}

/// One that does not pass.
impl From<String> for SpawnError {
    fn from(text: String) -> Self {
        Self { text, is_temporary: false }
    }
}

impl From<&str> for SpawnError {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// How a worker's process ended, and what is known of why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerExit {
    /// How it ended.
    pub(crate) exit: ExitStatus,
    /// The kernel had run out of memory and killed somebody here meanwhile.
    pub(crate) out_of_memory: bool,
    /// The requests that it was running.
    pub(crate) running: Vec<String>,
    /// Where its threads were, if it could still show that.
    pub(crate) stacks: String,
    /// What it has given up by its own decision.
    pub(crate) losses: Losses,
}
