//! The master's vocabulary: the states it is in, the events it hears, and the
//! actions it decides on. Types only; the decisions are in `mod.rs`.

use std::fmt;
use std::time::{Duration, Instant};

use log::Level;
use monoceros_config::SignalCommand;
use monoceros_wire::control::{ControlReply, ControlRequest};
use monoceros_wire::message::{BootFailure, ToWorker};
use monoceros_wire::scoreboard::Losses;
use monoceros_wire::{Generation, Slot};

/// Names one worker process, or mold, for as long as the master runs: never used again,
/// unlike a pid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// Names one connection of an operator's command; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientId(pub(crate) u64);

/// What the master is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Taking its addresses; no worker exists.
    Binding {
        /// When to try again, after an address was in use.
        retry: Option<Instant>,
        /// When to give up.
        until: Option<Instant>,
    },
    /// The first generation is on its way; a failure ends the master.
    Booting,
    /// Keeps the workers that it should have; a failure ends nothing.
    Serving,
    /// Is to end, and serves as before until others have learnt of that.
    Delaying {
        /// When it drains.
        until: Instant,
    },
    /// The workers finish what they have; then the master exits.
    Draining,
    /// The workers stop at once; then the master exits.
    Stopping,
    /// There is nothing left to do.
    Stopped,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The answer to [`Action::Bind`].
    Bound(Result<(), BindFailure>),
    /// The answer to [`Action::Spawn`]: the process exists.
    Spawned {
        /// Which worker.
        worker: WorkerId,
        /// Its pid, for people to read.
        pid: i32,
    },
    /// The answer to [`Action::Spawn`]: no process, or not the program meant.
    SpawnFailed {
        /// Which worker.
        worker: WorkerId,
        /// What failed.
        refusal: Refusal,
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
        death: Death,
    },
    /// The answer to [`Action::Inspect`].
    Inspected(Vec<Vital>),
    /// An operator wants something.
    Asked(SignalCommand),
    /// A command wants something, and waits for [`Action::Answer`].
    Requested {
        /// Who.
        client: ClientId,
        /// What.
        request: ControlRequest,
    },
    /// The answer to [`Action::ReadSettings`].
    Read {
        /// The generation that the settings were read for.
        generation: Generation,
        /// What they ask for, or why they cannot be used.
        terms: Result<Terms, String>,
    },
    /// The answer to [`Action::StartSuccessor`]: its process exists.
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

/// What to do. Each is carried out by the shell; those that can fail answer
/// with an event.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Take the addresses; answered by [`Event::Bound`].
    Bind,
    /// Start a worker; answered by [`Event::Spawned`] or [`Event::SpawnFailed`].
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
    /// generation; answered as [`Action::Spawn`] is.
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
        signal: Signal,
    },
    /// Look at what the workers are running; answered by [`Event::Inspected`].
    Inspect,
    /// Ask a worker to show where its threads are; the next
    /// [`Event::Inspected`] has it, if the worker can.
    Trace {
        /// Which one.
        worker: WorkerId,
    },
    /// Start the program again, as a master that is to take over; answered by
    /// [`Event::SuccessorStarted`] or [`Event::SuccessorEnded`].
    StartSuccessor {
        /// The highest number given to a generation.
        newest: Generation,
        /// How many workers there are to be, if an operator has changed that.
        workers: Option<u16>,
    },
    /// Send a signal to the successor.
    SignalSuccessor(Signal),
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
    /// Read the settings for a new generation; answered by [`Event::Read`].
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
pub(crate) enum Signal {
    /// Read settings and code again. Only masters are asked to.
    Reload,
    /// Stop; a worker that is not ready has nothing to finish.
    Terminate,
    /// Stop now, whatever is open.
    Quit,
    /// Show where you are, and die.
    Abort,
    /// Die.
    Kill,
}

/// Why the addresses could not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BindFailure {
    /// What failed, with the address.
    pub(crate) text: String,
    /// Somebody else has the address, who may be about to leave.
    pub(crate) in_use: bool,
}

/// Why there is no process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What failed.
    pub(crate) text: String,
    /// The machine has no room for it now, and may have later.
    pub(crate) passes: bool,
}

/// One that does not pass.
impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self { text, passes: false }
    }
}

impl From<&str> for Refusal {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "exit code {code}"),
            Self::Signal(signal) => {
                write!(formatter, "{}", monoceros_sys::signal::name(*signal))
            }
        }
    }
}

/// How a worker's process ended, and what is known of why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    /// How it ended.
    pub(crate) exit: Exit,
    /// The kernel had run out of memory and killed somebody here meanwhile.
    pub(crate) out_of_memory: bool,
    /// The requests that it was running.
    pub(crate) running: Vec<String>,
    /// Where its threads were, if it could still show that.
    pub(crate) stacks: String,
    /// What it has given up by its own decision.
    pub(crate) losses: Losses,
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

/// How a worker does, by its scoreboard and the kernel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vital {
    /// Which worker.
    pub(crate) worker: WorkerId,
    /// How long ago its loop last came round; `None` if it never did, or has
    /// no scoreboard.
    pub(crate) silent: Option<Duration>,
    /// A signal has stopped its process (`SIGSTOP`).
    pub(crate) stopped: bool,
    /// What its threads run, the longest first.
    pub(crate) running: Vec<Run>,
    /// How many application threads it has.
    pub(crate) threads: usize,
    /// For how long requests have waited although a thread is free.
    pub(crate) stuck: Option<Duration>,
    /// How many requests it has answered.
    pub(crate) requests: u64,
    /// What it has given up by its own decision.
    pub(crate) losses: Losses,
    /// Its memory, in bytes, if there is a limit that it may be near.
    pub(crate) memory: Option<u64>,
    /// Where its threads are, if it was asked and has answered.
    pub(crate) stacks: Option<String>,
    /// It was asked, and has not answered yet.
    pub(crate) asked: bool,
}

/// A request that is being run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The thread's number in its worker.
    pub(crate) thread: u16,
    /// The request's number in its worker.
    pub(crate) number: u64,
    /// Its method and target, and what identifies it.
    pub(crate) label: String,
    /// For how long.
    pub(crate) lasted: Duration,
    /// How much processor time the thread has used since it was first seen to
    /// run this request; `None` if that is not known.
    pub(crate) used: Option<Duration>,
    /// How far its answer is.
    pub(crate) answer: Answering,
}

/// How far the answer to a request is that is being run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answering {
    /// It has not begun, is of one piece, or has gone as a whole.
    #[default]
    Whole,
    /// It has begun and comes piece by piece, and its client is there.
    Streams,
    /// The same, and its client has left so long ago.
    Left(Duration),
}

/// What the settings ask of the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How many workers there are to be.
    pub(crate) workers: u16,
    /// What a rollout may do.
    pub(crate) limits: Limits,
    /// How long a new worker must have been ready before it counts.
    pub(crate) min_ready: Duration,
    /// How long a rollout may go without progress; zero is for ever.
    pub(crate) progress_deadline: Duration,
    /// How long a request may run, and a worker be silent; zero is for ever.
    pub(crate) timeout: Duration,
    /// How long a worker may drain.
    pub(crate) graceful_timeout: Duration,
    /// How long the server goes on to serve when it is asked to drain.
    pub(crate) shutdown_delay: Duration,
    /// How long a worker may take to get ready; zero is for ever.
    pub(crate) boot_timeout: Duration,
    /// How long a successor may take to serve.
    pub(crate) upgrade_timeout: Duration,
    /// A worker that says nothing is ready when it has lived for so long;
    /// `None` for workers that say it.
    pub(crate) ready_after: Option<Duration>,
    /// Workers are forked from a mold.
    pub(crate) preload: bool,
    /// When workers are replaced without need.
    pub(crate) recycling: Recycling,
}

/// When workers are replaced although nothing is wrong; zero is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recycling {
    /// After so many requests,
    pub(crate) requests: u32,
    /// and up to so many more.
    pub(crate) requests_jitter: u32,
    /// After so long,
    pub(crate) lifetime: Duration,
    /// and up to so much longer.
    pub(crate) lifetime_jitter: Duration,
    /// When they have more memory than this, in bytes.
    pub(crate) memory: u64,
}

/// How far a rollout may go from the number of workers that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// So many more may live at a time (those that drain are not counted).
    pub(crate) max_surge: u16,
    /// So many fewer may be ready.
    pub(crate) max_unavailable: u16,
}

impl Limits {
    /// Without any room in either direction no rollout could begin.
    pub(crate) fn surge(self) -> u16 {
        self.max_surge.max(u16::from(self.max_unavailable == 0))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_surge: 1, max_unavailable: 0 }
    }
}
