//! What the master can decide to do. The event loop carries every action out.

use std::time::Duration;

use log::{Level, LevelFilter};
use monoceros_log::MessageId;
use monoceros_wire::control::{ControlReply, ProcessStacks};
use monoceros_wire::gunicorn::GunicornValues;
use monoceros_wire::message::ToWorker;
use monoceros_wire::trace_ids::TraceIds;
use monoceros_wire::{Generation, Slot};

use crate::master::decide::id::{ClientId, WorkerId};
use crate::master::decide::server_facts::{ReportReader, ServerFacts};
use crate::master::decide::state::Purpose;
use crate::master::decide::tally::TallySnapshot;

/// One thing to do. An action that can fail results in an event.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Bind the addresses. Results in `MasterEvent::Bound`.
    Bind,
    /// Start a worker. Results in `MasterEvent::Spawned` or `MasterEvent::SpawnFailed`.
    Spawn {
        /// The identifier of the new worker.
        worker: WorkerId,
        /// Its slot.
        slot: Slot,
        /// The generation whose settings and code it runs.
        generation: Generation,
        /// The number of workers that the server is to have.
        workers: u16,
        /// The mold that forks it; `None` to execute it.
        mold: Option<WorkerId>,
        /// It responds with the failure if its application cannot be loaded.
        shows_failure: bool,
    },
    /// Take over the mold that has run the configuration file before this master began. Results
    /// in `MasterEvent::Spawned`.
    AdoptMold {
        /// The identifier of the mold.
        worker: WorkerId,
    },
    /// Start a mold that runs the configuration file for a generation whose settings are not
    /// known yet. Results as `Action::Spawn` does.
    SpawnReader {
        /// The identifier of the new mold.
        worker: WorkerId,
        /// The generation.
        generation: Generation,
    },
    /// Have a mold run the configuration file again. Results in `MasterEvent::ConfigRead` or
    /// `MasterEvent::ConfigFailed`.
    RunFile {
        /// The mold.
        worker: WorkerId,
    },
    /// Send a mold that has run the configuration file the settings of a generation.
    Configure {
        /// The mold.
        worker: WorkerId,
        /// The generation.
        generation: Generation,
    },
    /// Send a mold the listening sockets of a generation.
    PassListeners {
        /// The mold.
        worker: WorkerId,
        /// The generation.
        generation: Generation,
    },
    /// Start the mold of a generation. Results as `Action::Spawn` does.
    SpawnMold {
        /// The identifier of the new mold.
        worker: WorkerId,
        /// The generation whose settings and code it loads.
        generation: Generation,
    },
    /// Send a message. A program that has no channel gets the signal with the same meaning.
    Send {
        /// The receiver.
        worker: WorkerId,
        /// The message.
        message: ToWorker,
    },
    /// Send a signal to a worker or a mold.
    Signal {
        /// The receiver.
        worker: WorkerId,
        /// The signal.
        signal: WorkerSignal,
    },
    /// Refuse new connections at the listeners that no worker serves after this one
    /// drains. Comes before the message to drain, so that the worker can empty their
    /// queues.
    RefuseConnections {
        /// The worker that is about to drain.
        worker: WorkerId,
        /// The server ends: refuse at all listeners of the worker, also at those that
        /// other workers still serve.
        at_all: bool,
    },
    /// Read the scoreboards. Results in `MasterEvent::Inspected`.
    Inspect,
    /// Ask a worker for the stacks of its threads. A later `MasterEvent::Inspected` has
    /// them, if the worker can show them.
    RequestStacks {
        /// The worker.
        worker: WorkerId,
    },
    /// Ask a process for the stacks of its threads, for a command.
    DumpStacks {
        /// The worker or mold.
        worker: WorkerId,
    },
    /// Read the stacks that processes were asked for by `Action::DumpStacks`. Results in
    /// `MasterEvent::StacksRead`.
    ReadStacks {
        /// The workers and molds.
        workers: Vec<WorkerId>,
    },
    /// Execute this program again as the successor. Results in
    /// `MasterEvent::SuccessorStarted` or `MasterEvent::SuccessorEnded`.
    StartSuccessor {
        /// The highest number that was given to a generation.
        newest: Generation,
        /// The number of workers, if an operator has changed it.
        workers: Option<u16>,
    },
    /// Send a signal to the successor.
    SignalSuccessor(WorkerSignal),
    /// Pass the listeners, the pid file, the files of unix sockets and the init system on
    /// to the successor.
    PassOn {
        /// The number of workers, if an operator has changed it since the successor was
        /// started.
        workers: Option<u16>,
        /// What the server has counted so far, without the workers that live.
        tally: Box<TallySnapshot>,
    },
    /// Reply to a command. Each command gets one reply.
    Reply {
        /// The client that sent the command.
        client: ClientId,
        /// The reply.
        reply: ControlReply,
    },
    /// Make a report about the server, and send it.
    Report {
        /// The receiver.
        reader: ReportReader,
        /// What the decisions know.
        facts: Box<ServerFacts>,
    },
    /// Reply to a command with the stacks of processes.
    ShowStacks {
        /// The client that sent the command.
        client: ClientId,
        /// The stacks.
        stacks: Vec<ProcessStacks>,
    },
    /// Notify the init system.
    Notify(Notification),
    /// Read the settings again. Results in `MasterEvent::SettingsRead`, or in
    /// `MasterEvent::FileFound`.
    ReadSettings {
        /// The number that the new generation will have.
        generation: Generation,
    },
    /// Read the settings again, with what the configuration file in Python sets. Results in
    /// `MasterEvent::SettingsRead`.
    LoadSettings {
        /// The number that the new generation will have.
        generation: Generation,
        /// What the file sets.
        values: Box<GunicornValues>,
    },
    /// Drop the settings and listeners of all generations but two kinds: the one that
    /// serves, and those whose settings were read after `last_read`, since the event
    /// about them is on its way to the master.
    KeepGeneration {
        /// The generation that serves.
        generation: Generation,
        /// The last generation of which the master knows that its settings were read.
        last_read: Generation,
    },
    /// Open the log files of the master again.
    Reopen,
    /// Write records from this level up, in the master and in the workers of the present
    /// generations that are started from now on.
    SetLogLevel(LevelFilter),
    /// Close the listeners of the master. The workers serve what waits in the queues.
    CloseListeners,
    /// Log that the server serves, and let the process that started it in the background
    /// return.
    Announce {
        /// The application, as the workers found it.
        app: String,
        /// The number of workers that serve.
        workers: u16,
    },
    /// Write a record to the error log.
    Log(LogLine),
    /// Report a slow request, where such reports go.
    LogSlow {
        /// Its identifier.
        id: String,
        /// The trace that it belongs to, if it has one.
        trace: Option<TraceIds>,
        /// What it is, and the stacks of its worker.
        text: String,
    },
    /// Report something that the operator should correct: in the error log, or in the output
    /// of a check.
    Concern {
        /// The text for people.
        text: String,
        /// Every log level shows it.
        is_grave: bool,
    },
    /// End the master with this exit code.
    Exit(u8),
}

/// A record for the error log.
#[derive(Clone, Debug)]
pub(crate) struct LogLine {
    /// Its level.
    pub(crate) level: Level,
    /// The text for people. Lines below the first one are a traceback, or stacks.
    pub(crate) text: String,
    /// The identifier of the event, if it has one.
    pub(crate) id: Option<MessageId>,
}

impl LogLine {
    /// Writes it to the error log.
    pub(crate) fn write(&self) {
        let Self { level, text, id } = self;
        match id {
            Some(id) => log::log!(*level, message_id = id.text(); "{text}"),
            None => log::log!(*level, "{text}"),
        }
    }
}

/// The signals that the master sends. They mean the same to every program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerSignal {
    /// Read settings and code again. Sent to a successor only.
    Hup,
    /// Drain. A worker that is not ready ends at once.
    Term,
    /// End now, whatever is open.
    Quit,
    /// Write the stacks of all threads, and end.
    Abort,
    /// End at once, by the kernel (SIGKILL).
    Kill,
}

/// A notification for the init system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notification {
    /// The server serves, after a start or a reload.
    Ready,
    /// A reload has begun.
    Reloading,
    /// The server is about to end.
    Stopping,
    /// The master runs, and workers can be relied on (`WATCHDOG=1`).
    Alive,
    /// The state of the server, in one line for people.
    Status(String),
    /// Starting or stopping may take this much longer from now on.
    Extend(Duration),
}

/// The actions of one step, in the order in which they are carried out. The master owns
/// it; its parts add to it.
#[derive(Debug)]
pub(crate) struct Actions {
    list: Vec<Action>,
    /// False for a check of the configuration: it is no service, so it notifies nothing.
    notifies: bool,
}

impl Actions {
    /// No action yet.
    pub(crate) fn new(purpose: Purpose) -> Self {
        Self { list: Vec::new(), notifies: purpose == Purpose::Serve }
    }

    /// Adds any action.
    pub(crate) fn push(&mut self, action: Action) {
        self.list.push(action);
    }

    /// Adds a line for the error log.
    pub(crate) fn log(&mut self, level: Level, text: impl Into<String>) {
        self.push(Action::Log(LogLine { level, text: text.into(), id: None }));
    }

    /// Adds a line about an event that programs look for in the error log.
    pub(crate) fn log_event(&mut self, level: Level, id: MessageId, text: impl Into<String>) {
        self.push(Action::Log(LogLine { level, text: text.into(), id: Some(id) }));
    }

    /// Adds a notification for the init system.
    pub(crate) fn notify(&mut self, notification: Notification) {
        if self.notifies {
            self.push(Action::Notify(notification));
        }
    }

    /// Adds a message to a worker.
    pub(crate) fn send(&mut self, worker: WorkerId, message: ToWorker) {
        self.push(Action::Send { worker, message });
    }

    /// Adds a signal to a worker.
    pub(crate) fn signal(&mut self, worker: WorkerId, signal: WorkerSignal) {
        self.push(Action::Signal { worker, signal });
    }

    /// Adds a reply to a command.
    pub(crate) fn reply(&mut self, client: ClientId, reply: ControlReply) {
        self.push(Action::Reply { client, reply });
    }

    /// Takes out all actions.
    pub(crate) fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_sends_no_notice() {
        for (purpose, count) in [(Purpose::Serve, 2), (Purpose::Check, 1)] {
            let mut actions = Actions::new(purpose);
            actions.notify(Notification::Ready);
            actions.log(Level::Info, "ready");
            assert_eq!(actions.take().len(), count);
            assert!(actions.take().is_empty());
        }
    }
}
