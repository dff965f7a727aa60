//! What can happen to the master. Every event comes from the event loop.

use monoceros_config::SignalCommand;
use monoceros_sys::process::ExitStatus;
use monoceros_wire::Generation;
use monoceros_wire::control::ControlRequest;
use monoceros_wire::gunicorn::{GunicornValues, HookFailure};
use monoceros_wire::message::BootFailure;
use monoceros_wire::report::{ChangeReport, Totals};

use crate::master::decide::id::{ClientId, WorkerId};
use crate::master::decide::sample::{StacksRead, WorkerSample};
use crate::master::decide::settings::MasterSettings;

/// One thing that has happened.
#[derive(Clone, Debug)]
pub(crate) enum MasterEvent {
    /// The result of `Action::Bind`.
    Bound(Result<(), BindError>),
    /// The result of `Action::Spawn`: the process exists.
    Spawned {
        /// The worker.
        worker: WorkerId,
        /// Its pid, for log lines.
        pid: i32,
    },
    /// The result of `Action::Spawn`: there is no process, or it did not become the
    /// program that was meant.
    SpawnFailed {
        /// The worker.
        worker: WorkerId,
        /// The reason.
        error: SpawnError,
    },
    /// A worker can serve, or a mold can fork.
    Ready {
        /// The worker.
        worker: WorkerId,
        /// The application that it serves.
        app: String,
    },
    /// A worker, or a mold, has found something in the application that the operator should
    /// correct.
    Concerned {
        /// The worker.
        worker: WorkerId,
        /// The text for people.
        text: String,
        /// Every log level shows it.
        is_grave: bool,
    },
    /// A worker cannot serve. Its exit follows.
    Failed {
        /// The worker.
        worker: WorkerId,
        /// The kind of failure, which determines the exit code.
        failure: BootFailure,
        /// The text for people.
        text: String,
    },
    /// A process was reaped.
    Exited {
        /// The worker.
        worker: WorkerId,
        /// How it ended, and what is known of the cause.
        exit: WorkerExit,
    },
    /// The result of `Action::Inspect`: one sample for each worker and mold.
    Inspected(Vec<WorkerSample>),
    /// A worker or mold has carried out all messages before the `ToWorker::Confirm` of this
    /// number.
    Confirmed {
        /// The worker.
        worker: WorkerId,
        /// The number.
        number: u64,
    },
    /// A worker asks for its own replacement.
    RetirementAsked {
        /// The worker.
        worker: WorkerId,
        /// What has asked for it.
        reason: String,
    },
    /// A worker sets after how many requests it is replaced.
    Allotted {
        /// The worker.
        worker: WorkerId,
        /// The number of requests in all; 0 is no limit.
        requests: u32,
    },
    /// The result of `Action::ReadStacks`.
    StacksRead(Vec<(WorkerId, StacksRead)>),
    /// A signal arrived that is a command.
    Signalled(SignalCommand),
    /// A command arrived on the control socket. It waits for `Action::Reply`.
    Requested {
        /// The client that sent it.
        client: ClientId,
        /// The command.
        request: ControlRequest,
    },
    /// The result of `Action::ReadSettings`.
    SettingsRead {
        /// The generation that the settings were read for.
        generation: Generation,
        /// The settings, or why they cannot be used.
        settings: Result<MasterSettings, String>,
    },
    /// A result of `Action::ReadSettings`: there is a configuration file in Python, which a mold
    /// has to run.
    FileFound {
        /// The generation that the settings are for.
        generation: Generation,
        /// The file, as the user named it.
        name: String,
    },
    /// A mold has run the configuration file.
    ConfigRead {
        /// The mold.
        worker: WorkerId,
        /// What the file sets.
        values: Box<GunicornValues>,
    },
    /// The configuration file that a mold has run cannot be used.
    ConfigFailed {
        /// The mold.
        worker: WorkerId,
        /// The reason, for people.
        text: String,
        /// The exit code of a server that begins with it.
        code: u8,
    },
    /// A hook has ended.
    HookEnded {
        /// The mold.
        worker: WorkerId,
        /// The number of the request.
        number: u64,
        /// What it has raised, if it has.
        failure: Option<HookFailure>,
    },
    /// The result of `Action::StartSuccessor`: its process exists.
    SuccessorStarted {
        /// Its pid, for log lines.
        pid: i32,
    },
    /// The successor serves with workers of its own.
    SuccessorReady,
    /// The predecessor has passed everything on, or has ended.
    TookOver {
        /// The number of workers, if an operator has asked the predecessor for another
        /// number while this master got ready.
        workers: Option<u16>,
        /// What the server has counted so far, without the workers that live.
        totals: Box<Totals>,
        /// The last reloads and upgrades, the newest first.
        changes: Vec<ChangeReport>,
        /// Requests that the workers which still drain have responded to so far.
        draining: u64,
    },
    /// A worker that a predecessor has started has ended.
    FormerWorkerEnded {
        /// What it has counted.
        counts: Box<Totals>,
        /// Its part of what `TookOver` has of the workers that still drain.
        draining: u64,
    },
    /// The successor could not be started, or has ended.
    SuccessorEnded {
        /// The reason, or how it ended.
        text: String,
    },
    /// The files of certificates were looked at.
    CertificatesChecked {
        /// What concerns the operator: a certificate that expires soon, or files that cannot
        /// be used.
        concern: Option<String>,
    },
    /// Files that `reload` watches have changed.
    SourcesChanged {
        /// Which ones, for people.
        text: String,
    },
    /// The deadline that the master had named has passed.
    Elapsed,
}

/// Why the addresses could not be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BindError {
    /// What failed, with the address.
    pub(crate) text: String,
    /// Another process has the address. It may be about to end.
    pub(crate) in_use: bool,
}

/// Why a process could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpawnError {
    /// What failed.
    pub(crate) text: String,
    /// The machine has no room for a process now, and may have later.
    pub(crate) is_temporary: bool,
    /// The exit code of a server that begins with this error, if it has one of its own.
    pub(crate) code: Option<u8>,
}

/// An error that stays until the cause is removed.
impl From<String> for SpawnError {
    fn from(text: String) -> Self {
        Self { text, is_temporary: false, code: None }
    }
}

impl From<&str> for SpawnError {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// How the process of a worker ended, and what is known of the cause.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WorkerExit {
    /// The exit code or signal.
    pub(crate) status: ExitStatus,
    /// The kernel has killed a process here for lack of memory since the last exit.
    pub(crate) out_of_memory: bool,
    /// The requests that it was running.
    pub(crate) running: Vec<String>,
    /// The stacks of its threads, if it could still write them.
    pub(crate) stacks: String,
    /// What it has counted.
    pub(crate) counts: Box<Totals>,
}

#[cfg(test)]
impl WorkerExit {
    /// The end of a worker that has counted nothing.
    pub(crate) fn of(status: ExitStatus) -> Self {
        let (running, stacks, counts) = Default::default();
        Self { status, out_of_memory: false, running, stacks, counts }
    }
}
