//! The body of an arriving request: kept for the application, or dropped.

use std::io;

use monoceros_http::{Chunks, Framing, Head, Limits, Reject};
use monoceros_wire::scoreboard::GivenUp;

use crate::protocol::progress::BodyProgress;
use crate::spool::Spools;
use crate::stream::inbound::{BodyEnd, Inbound};
use crate::stream::request::Request;

/// Content Too Large.
pub(crate) const TOO_LARGE: Reject =
    Reject { status: 413, reason: "the body is larger than --limit-request-body" };

/// A request whose body is being read.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) request: Box<Request>,
    pub(crate) left: Left,
    pub(crate) progress: BodyProgress,
}

/// A body that goes to the application as it arrives.
#[derive(Debug)]
pub(crate) struct Passing {
    pub(crate) left: Left,
    pub(crate) progress: BodyProgress,
    /// The most bytes that may still come, where the length is not announced.
    most: u64,
}

/// The result of passing bytes of a body to the application.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) used: usize,
    /// The application must be notified.
    pub(crate) is_news: bool,
    pub(crate) state: PassState,
}

/// The state of passing a body.
#[derive(Debug)]
pub(crate) enum PassState {
    /// More bytes are needed.
    More,
    /// The application must take some bytes first.
    Full,
    /// The body is complete.
    Ended,
    /// The body is malformed, or too large.
    Refused(GivenUp, Reject),
}

/// A body that is dropped.
#[derive(Debug)]
pub(crate) struct Discard {
    left: Left,
    /// The most bytes that the server still waits for.
    most: u64,
}

/// The body of a request that the server responds to by itself.
#[derive(Debug)]
pub(crate) enum LocalBody {
    /// There is no body.
    None,
    /// The body is dropped, and the connection continues.
    Discard(Discard),
    /// The connection ends without the body.
    Unread,
}

/// The missing part of a body.
#[derive(Debug)]
pub(crate) enum Left {
    Length(u64),
    Chunks(Chunks),
    /// Everything to the end of the connection (RFC 9110 section 7.8).
    Raw,
}

impl Left {
    /// The missing part at the end of a head; `None` where there is no body.
    pub(crate) fn of(framing: Framing, limits: &Limits) -> Option<Self> {
        match framing {
            Framing::None | Framing::Length(0) => None,
            Framing::Length(length) => Some(Self::Length(length)),
            Framing::Chunked => Some(Self::Chunks(Chunks::new(limits))),
        }
    }
}

impl LocalBody {
    /// How to treat the body of a request that the server responds to by itself, where
    /// at most so many bytes may be dropped. A client that waits for 100 may send the
    /// body or not (RFC 9110 section 10.1.1), so then only the end of the connection
    /// marks the end.
    pub(crate) fn of(head: &Head, most: u64, limits: &Limits) -> Self {
        match Left::of(head.framing(), limits) {
            None => Self::None,
            Some(_) if head.expects_continue() => Self::Unread,
            Some(Left::Length(length)) if length > most => Self::Unread,
            Some(left) => Self::Discard(Discard { left, most }),
        }
    }
}

impl Passing {
    /// A body of at most so many bytes.
    pub(crate) fn new(left: Left, most: u64, now_ms: u64) -> Self {
        Self { left, progress: BodyProgress::new(now_ms), most }
    }

    /// Passes bytes on, as far as there is room for them.
    pub(crate) fn pass(&mut self, bytes: &[u8], to: &Inbound) -> Passed {
        let room = to.room();
        let bytes = &bytes[..bytes.len().min(room)];
        let BodyStep { used, ended } = match &mut self.left {
            Left::Length(left) => BodyStep::of_length(left, bytes),
            Left::Raw => BodyStep { used: bytes.len(), ended: false },
            Left::Chunks(chunks) => {
                let mut data = Vec::with_capacity(bytes.len());
                match chunks.read(bytes, &mut |piece| data.extend_from_slice(piece)) {
                    Ok(decoded) => {
                        let Some(most) = self.most.checked_sub(data.len() as u64) else {
                            return Passed::refused(bytes, to, GivenUp::TooLarge, TOO_LARGE);
                        };
                        self.most = most;
                        let is_news = to.push(&data);
                        return self.passed(decoded.consumed, decoded.ended, is_news, to);
                    }
                    Err(reject) => return Passed::refused(bytes, to, GivenUp::Refused, reject),
                }
            }
        };
        let is_news = to.push(&bytes[..used]);
        self.passed(used, ended, is_news, to)
    }

    fn passed(&mut self, used: usize, ended: bool, is_news: bool, to: &Inbound) -> Passed {
        self.progress.add(used);
        if ended {
            let is_news = to.end(BodyEnd::Whole) || is_news;
            return Passed { used, is_news, state: PassState::Ended };
        }
        let state = if to.room() == 0 { PassState::Full } else { PassState::More };
        Passed { used, is_news, state }
    }
}

impl Passed {
    /// The rest of the body is not passed on.
    fn refused(bytes: &[u8], to: &Inbound, kind: GivenUp, reject: Reject) -> Self {
        let is_news = to.end(BodyEnd::Broken);
        Self { used: bytes.len(), is_news, state: PassState::Refused(kind, reject) }
    }
}

impl Discard {
    /// Drops bytes. Returns how many, and whether the body has ended; `None` when it is
    /// malformed or longer than may be dropped.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Option<BodyStep> {
        let step = match &mut self.left {
            Left::Length(left) => BodyStep::of_length(left, bytes),
            Left::Raw => BodyStep { used: bytes.len(), ended: false },
            Left::Chunks(chunks) => {
                let decoded = chunks.read(bytes, &mut |_| ()).ok()?;
                BodyStep { used: decoded.consumed, ended: decoded.ended }
            }
        };
        self.most = self.most.checked_sub(step.used as u64)?;
        Some(step)
    }
}

/// The used bytes of a body.
pub(crate) struct BodyStep {
    pub(crate) used: usize,
    pub(crate) ended: bool,
}

impl BodyStep {
    /// Takes from `bytes` what is left of a body of known length.
    fn of_length(left: &mut u64, bytes: &[u8]) -> Self {
        let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
        *left -= used as u64;
        Self { used, ended: *left == 0 }
    }
}

/// Why a body cannot be read.
pub(crate) enum Broken {
    Malformed(Reject),
    TooLarge,
    Disk(io::Error),
}

impl Upload {
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        spools: &Spools,
        longest_body: u64,
    ) -> Result<BodyStep, Broken> {
        let body = &mut self.request.body;
        match &mut self.left {
            Left::Length(left) => {
                let announced = Some(body.len() + *left);
                let step = BodyStep::of_length(left, bytes);
                body.push(&bytes[..step.used], announced, spools).map_err(Broken::Disk)?;
                Ok(step)
            }
            Left::Raw => {
                body.push(bytes, None, spools).map_err(Broken::Disk)?;
                Ok(BodyStep { used: bytes.len(), ended: false })
            }
            Left::Chunks(chunks) => {
                // Copied together first: a chunk may be one byte, and the body a file.
                let mut data = Vec::with_capacity(bytes.len());
                let decoded = chunks.read(bytes, &mut |piece| data.extend_from_slice(piece));
                let decoded = decoded.map_err(Broken::Malformed)?;
                if body.len() + data.len() as u64 > longest_body {
                    return Err(Broken::TooLarge);
                }
                body.push(&data, None, spools).map_err(Broken::Disk)?;
                Ok(BodyStep { used: decoded.consumed, ended: decoded.ended })
            }
        }
    }
}
