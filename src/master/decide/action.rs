//! What the master can decide to do. The event loop carries every action out.

use std::time::Duration;

use log::Level;
use monoceros_wire::control::ControlReply;
use monoceros_wire::message::ToWorker;
use monoceros_wire::{Generation, Slot};

use crate::master::decide::id::{ClientId, WorkerId};

/// What to do. Each is carried out by the shell; those that can fail answer
/// with an event.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Take the addresses; answered by `MasterEvent::Bound`.
    Bind,
    /// Start a worker; answered by `MasterEvent::Spawned` or `MasterEvent::SpawnFailed`.
    Spawn {
        /// Which worker this will be.
        worker: WorkerId,
        /// Its place.
        slot: Slot,
        /// Whose settings and code it runs.
        generation: Generation,
        /// How many workers there are to be.
        workers: u16,
    },
    /// Start the process that loads the application and forks the workers of a
    /// generation; answered as `Action::Spawn` is.
    SpawnMold {
        /// Which process this will be.
        worker: WorkerId,
        /// Whose settings and code it loads.
        generation: Generation,
    },
    /// Send a message, or what comes nearest as a signal.
    Tell {
        /// Whom.
        worker: WorkerId,
        /// What.
        message: ToWorker,
    },
    /// Send a signal.
    Signal {
        /// To whom.
        worker: WorkerId,
        /// Which one.
        signal: WorkerSignal,
    },
    /// Look at what the workers are running; answered by `MasterEvent::Inspected`.
    Inspect,
    /// Ask a worker to show where its threads are; the next
    /// `MasterEvent::Inspected` has it, if the worker can.
    Trace {
        /// Which one.
        worker: WorkerId,
    },
    /// Start the program again, as a master that is to take over; answered by
    /// `MasterEvent::SuccessorStarted` or `MasterEvent::SuccessorEnded`.
    StartSuccessor {
        /// The highest number given to a generation.
        newest: Generation,
        /// How many workers there are to be, if an operator has changed that.
        workers: Option<u16>,
    },
    /// Send a signal to the successor.
    SignalSuccessor(WorkerSignal),
    /// Leave everything that outlives a master to the successor: listeners,
    /// files, and who hears of us.
    PassOn {
        /// How many workers were asked for since it was started, if any were.
        workers: Option<u16>,
    },
    /// Answer a command; each is answered once.
    Answer {
        /// Whom.
        client: ClientId,
        /// What has become of it.
        answer: ControlReply,
    },
    /// Tell the init system.
    Notify(Notice),
    /// Read the settings for a new generation; answered by `MasterEvent::Read`.
    ReadSettings {
        /// The number that the generation will have.
        generation: Generation,
    },
    /// Of all generations read so far only this one will be spawned from now on.
    Settle {
        /// The generation that serves.
        generation: Generation,
    },
    /// Open the master's own log files again.
    Reopen,
    /// Close the master's listeners: what waits in their queues is the workers'.
    CloseListeners,
    /// Tell the world that the server serves.
    Announce {
        /// The application, as the workers found it.
        app: String,
        /// How many workers serve.
        workers: u16,
    },
    /// Write a line to the error log.
    Log(Level, String),
    /// End the master with this exit code.
    Exit(u8),
}

/// The signals that a worker is sent. They mean the same to every program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerSignal {
    /// Read settings and code again. Only masters are asked to.
    Hup,
    /// Stop; a worker that is not ready has nothing to finish.
    Term,
    /// Stop now, whatever is open.
    Quit,
    /// Show where you are, and die.
    Abort,
    /// Die.
    Kill,
}

/// What the init system is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The server serves, after a start or a reload.
    Ready,
    /// A reload has begun.
    Reloading,
    /// The server is about to stop.
    Stopping,
    /// The master and its workers are well.
    Alive,
    /// How things are, in a line for people.
    Status(String),
    /// Starting, or stopping, may take so much longer from now on.
    Extend(Duration),
}
