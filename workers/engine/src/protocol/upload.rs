//! The body of a request on its way in: kept for the application, or dropped.

use std::io;

use monoceros_http::{Chunks, Framing, Head, Limits, Reject};

use crate::spool::Spools;
use crate::stream::request::Request;

/// Content Too Large.
pub(crate) const TOO_LARGE: Reject =
    Reject { status: 413, reason: "the body is larger than 1 GiB" };

/// A request whose body is being read.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) request: Box<Request>,
    pub(crate) left: Left,
    /// When the current measure of progress began.
    pub(crate) window_ms: u64,
    /// Bytes that have come since.
    pub(crate) window_bytes: u64,
}

/// A body that is dropped.
#[derive(Debug)]
pub(crate) struct Discard {
    left: Left,
    /// More bytes than these are not waited for.
    most: u64,
}

/// The body of a request that the server responds to by itself.
#[derive(Debug)]
pub(crate) enum LocalBody {
    /// There is none.
    None,
    /// It is dropped, and the connection goes on.
    Discard(Discard),
    /// The connection ends without it.
    Unread,
}

/// What is missing of a body.
#[derive(Debug)]
pub(crate) enum Left {
    Length(u64),
    Chunks(Chunks),
}

impl Left {
    /// What is missing at the end of a head; `None` where there is no body.
    pub(crate) fn of(framing: Framing, limits: &Limits) -> Option<Self> {
        match framing {
            Framing::None | Framing::Length(0) => None,
            Framing::Length(length) => Some(Self::Length(length)),
            Framing::Chunked => Some(Self::Chunks(Chunks::new(limits))),
        }
    }
}

impl LocalBody {
    /// What becomes of the body of a request that the server responds to by itself, where at
    /// most so many bytes may be dropped. A client that waits for 100 may send the body or
    /// not (RFC 9110 section 10.1.1), so that the end of the connection is the only end.
    pub(crate) fn of(head: &Head, most: u64, limits: &Limits) -> Self {
        match Left::of(head.framing(), limits) {
            None => Self::None,
            Some(_) if head.expects_continue() => Self::Unread,
            Some(Left::Length(length)) if length > most => Self::Unread,
            Some(left) => Self::Discard(Discard { left, most }),
        }
    }
}

impl Discard {
    /// Drops bytes: how many, and whether the body has ended. `None` when it is malformed
    /// or longer than may be dropped.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Option<BodyStep> {
        let step = match &mut self.left {
            Left::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= used as u64;
                BodyStep { used, ended: *left == 0 }
            }
            Left::Chunks(chunks) => {
                let decoded = chunks.read(bytes, &mut |_| ()).ok()?;
                BodyStep { used: decoded.consumed, ended: decoded.ended }
            }
        };
        self.most = self.most.checked_sub(step.used as u64)?;
        Some(step)
    }
}

/// What was used of the bytes of a body.
pub(crate) struct BodyStep {
    pub(crate) used: usize,
    pub(crate) ended: bool,
}

/// Why a body cannot be read.
pub(crate) enum Broken {
    Reject(Reject),
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
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                let announced = Some(body.len() + *left);
                body.push(&bytes[..used], announced, spools).map_err(Broken::Disk)?;
                *left -= used as u64;
                Ok(BodyStep { used, ended: *left == 0 })
            }
            Left::Chunks(chunks) => {
                // Put together first: a chunk may be one byte, and the body a
                // file.
                let mut data = Vec::with_capacity(bytes.len());
                let decoded = chunks.read(bytes, &mut |piece| data.extend_from_slice(piece));
                let decoded = decoded.map_err(Broken::Reject)?;
                if body.len() + data.len() as u64 > longest_body {
                    return Err(Broken::Reject(TOO_LARGE));
                }
                body.push(&data, None, spools).map_err(Broken::Disk)?;
                Ok(BodyStep { used: decoded.consumed, ended: decoded.ended })
            }
        }
    }
}
