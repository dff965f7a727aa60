//! What the scoreboards and the kernel show of a worker at one moment.

use std::time::Duration;

use monoceros_wire::scoreboard::Losses;
use monoceros_wire::trace_ids::TraceIds;

use crate::master::decide::id::WorkerId;

/// One sample of a worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerSample {
    /// The worker.
    pub(crate) worker: WorkerId,
    /// Time since its last heartbeat; `None` for a process without a scoreboard.
    pub(crate) silent: Option<Duration>,
    /// A signal has stopped its process (`SIGSTOP`).
    pub(crate) stopped: bool,
    /// The requests that it runs, the longest first.
    pub(crate) running: Vec<RunningRequest>,
    /// Number of its application sides. Each is a thread, which runs one request at a time.
    pub(crate) sides: usize,
    /// Number of requests that wait for an application side.
    pub(crate) queued: u32,
    /// Time for which requests have waited although an application side could take one.
    pub(crate) stuck: Option<Duration>,
    /// Number of requests that it has responded to.
    pub(crate) requests: u64,
    /// What it has given up by its own decision.
    pub(crate) losses: Losses,
    /// Its memory in bytes, if there is a limit for it.
    pub(crate) memory: Option<u64>,
    /// The stacks of its threads, if it was asked for them and has written them.
    pub(crate) stacks: Option<String>,
    /// It was asked for its stacks, and has not written them yet.
    pub(crate) asked: bool,
}

/// A request that a worker runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunningRequest {
    /// The number of the request in its worker.
    pub(crate) number: u64,
    /// Its method, its target and its identifier.
    pub(crate) label: String,
    /// Its identifier.
    pub(crate) id: String,
    /// The trace that it belongs to, if it has one.
    pub(crate) trace: Option<TraceIds>,
    /// The IP address of its client; empty behind a unix socket.
    pub(crate) client: String,
    /// The number of its thread in stacks; 0 if it is not known.
    pub(crate) pthread: u64,
    /// Time since it began.
    pub(crate) lasted: Duration,
    /// Processor time that its thread has used since the first sample with this
    /// request; `None` if the kernel does not report it.
    pub(crate) used: Option<Duration>,
    /// The progress of its response.
    pub(crate) response: ResponseProgress,
}

/// The progress of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ResponseProgress {
    /// It has not begun, or is sent as a whole.
    #[default]
    Whole,
    /// It is sent piece by piece, and its client is connected.
    Streams,
    /// The same, and its client has been disconnected for this long.
    Left(Duration),
}

/// What was read of the stacks that a process was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StacksRead {
    /// They are not written yet.
    Pending,
    /// They are written.
    Written(String),
    /// The process cannot write any: the reason.
    Unable(String),
}
