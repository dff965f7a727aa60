//! The values of a request that a worker writes to the scoreboard, and those that other
//! processes read.

use std::fmt;
use std::net::IpAddr;

use crate::trace_ids::TraceIds;

/// A request at its begin on an application side.
#[derive(Clone, Copy, Debug)]
pub struct Begun<'a> {
    /// Its number in the worker, from 1.
    pub number: u64,
    /// Now, in microseconds of the monotonic clock.
    pub now_us: u64,
    /// How long it has waited since it was complete, in microseconds.
    pub queued_us: u64,
    /// The method.
    pub method: &'a [u8],
    /// The target.
    pub target: &'a [u8],
    /// The client's identifier, if it is a valid one; otherwise it is made of the number.
    pub id: Option<&'a [u8]>,
    /// The trace that it belongs to, if its caller has sent a valid one.
    pub trace: Option<TraceIds>,
    /// The client's address; `None` behind a unix socket.
    pub client: Option<IpAddr>,
}

/// A request that is shown: which entry shows it, and the request's number. The side that
/// has begun it keeps this until it has finished it; the entry shows no other request
/// before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownRequest {
    /// The entry, counted over all sides.
    pub(super) place: u32,
    pub(super) number: u64,
}

/// The end of a request on an application side.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// How long the application had it, in microseconds.
    pub took_us: u64,
    /// The status of the response; 0 when there was none.
    pub status: u16,
    /// Bytes of the response's body.
    pub bytes: u64,
    /// The response is the application's:
    /// [`count_answer`](super::Scoreboard::count_answer) has not counted it.
    pub counts: bool,
}

/// A request that the application is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The number in the kernel (`gettid(2)`) of its side's thread; 0 if it is not known.
    pub tid: u32,
    /// The number of that thread in its process (`pthread_self(3)`), as stacks have it; 0 if
    /// it is not known.
    pub pthread: u64,
    /// The request's number in the worker.
    pub number: u64,
    /// The request's identifier: the client's own, or the one that was made.
    pub id: String,
    /// The trace that it belongs to, if it has one.
    pub trace: Option<TraceIds>,
    /// The client's address, if it has one.
    pub client: Option<IpAddr>,
    /// When the application got it, in microseconds of the monotonic clock.
    pub begun_us: u64,
    /// Since when, or since the last piece of its response, in milliseconds of
    /// the monotonic clock.
    pub since_ms: u64,
    /// The method and target, cut to what fits.
    pub label: String,
    /// How far the response is.
    pub stage: ResponseStage,
}

/// The progress of a running request's response, as far as other processes can see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseStage {
    /// The response has not begun, is of one piece, or was sent completely.
    #[default]
    Whole,
    /// The response has begun, and is sent piece by piece.
    Streams,
    /// The response is sent piece by piece, and the client has gone at this time, in
    /// milliseconds of the monotonic clock.
    Left {
        /// When that was noticed.
        since_ms: u64,
    },
}

impl fmt::Display for Running {
    /// The request's identifier in the error log.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{} (request {})", self.label, self.id)
    }
}

/// A request that has ended, or one that still runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// The number in the kernel (`gettid(2)`) of its side's thread; 0 if it is not known.
    pub tid: u32,
    /// Its number in the worker.
    pub number: u64,
    /// Its identifier: the client's own, or the one that was made.
    pub id: String,
    /// The client's address, if it has one.
    pub client: Option<IpAddr>,
    /// The method and target, cut to what fits.
    pub label: String,
    /// When the application got it, in microseconds of the monotonic clock.
    pub begun_us: u64,
    /// How it ended; `None` if it still runs.
    pub end: Option<Ended>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The status of the response; 0 when there was none.
    pub status: u16,
    /// How long the application had it, in microseconds.
    pub took_us: u64,
}
