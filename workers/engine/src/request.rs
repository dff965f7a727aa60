//! A request on its way from the I/O thread to the application side.

use std::sync::Arc;

use monoceros_http::Head;

use crate::answer::Answer;
use crate::body::Body;
use crate::link::Link;

/// A request, complete: head and body. Its memory is used again.
#[derive(Debug, Default)]
pub struct Request {
    /// Request line and fields.
    pub head: Head,
    /// The body; the application never sees a part of one.
    pub body: Body,
    /// When the first byte was seen, in microseconds of the rising clock.
    pub(crate) begun_us: u64,
    /// Bytes of ours still wait to go out before the answer.
    pub(crate) behind: bool,
    /// The answer, as far as it is made.
    pub(crate) answer: Answer,
}

impl Request {
    pub(crate) fn clear(&mut self) {
        self.head.clear();
        self.body = Body::Empty;
        self.behind = false;
        self.answer.clear();
    }
}

/// A request and where its answer goes.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) request: Box<Request>,
    pub(crate) link: Arc<Link>,
}

/// Requests whose memory is to be used again, in the boxes in which they go
/// from hand to hand.
pub(crate) type Spare = Vec<Box<Request>>;
