//! What the scoreboards and the kernel show of a worker at one moment.

use std::time::Duration;

use monoceros_wire::scoreboard::Losses;

use crate::master::decide::id::WorkerId;

/// How a worker does, by its scoreboard and the kernel.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerSample {
    /// Which worker.
    pub(crate) worker: WorkerId,
    /// How long ago its loop last came round; `None` if it never did, or has
    /// no scoreboard.
    pub(crate) silent: Option<Duration>,
    /// A signal has stopped its process (`SIGSTOP`).
    pub(crate) stopped: bool,
    /// What its threads run, the longest first.
    pub(crate) running: Vec<RunningRequest>,
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
pub(crate) struct RunningRequest {
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
    pub(crate) answer: ResponseProgress,
}

/// How far the answer to a request is that is being run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ResponseProgress {
    /// It has not begun, is of one piece, or has gone as a whole.
    #[default]
    Whole,
    /// It has begun and comes piece by piece, and its client is there.
    Streams,
    /// The same, and its client has left so long ago.
    Left(Duration),
}
