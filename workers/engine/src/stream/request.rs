//! A request on its way from the I/O thread to the application side.

use std::sync::Arc;

use monoceros_http::Head;
use monoceros_wire::scoreboard::{ID_LIMIT, made_id};

use crate::forwarding::forwarded::Forwarded;
use crate::stream::body::Body;
use crate::stream::response::{Asked, OwnFields, Response};
use crate::stream::shared_stream::SharedStream;
use crate::trim;

/// A request: its head, and its body where that is complete before the application gets it.
/// Its memory is used again.
#[derive(Debug, Default)]
pub struct Request {
    /// Request line and header fields.
    pub head: Head,
    /// The whole body; empty where the application takes it as it arrives.
    pub body: Body,
    /// Its number in the worker, from 1.
    pub(crate) number: u64,
    /// What trusted proxies have reported about its client.
    pub(crate) forwarded: Forwarded,
    /// When the first byte was seen, in microseconds of the monotonic clock.
    pub(crate) begun_us: u64,
    /// When the request had arrived, as far as is known: its place in the queue.
    pub(crate) ready_us: u64,
    /// Bytes of the server's own still wait to be sent before the response.
    pub(crate) behind: bool,
    /// The response has `Connection: close`.
    pub(crate) closes: bool,
    /// The response, as far as it is made.
    pub(crate) response: Response,
}

impl Request {
    /// Its number in the worker, from 1: the name of its stream in events.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The identifier of the request: the client's own, or one of the worker's pid and
    /// the request's number.
    #[must_use]
    pub fn id(&self) -> String {
        match self.own_id() {
            Some(id) => String::from_utf8_lossy(id).into_owned(),
            None => made_id(std::process::id().into(), self.number),
        }
    }

    /// What the head of its response depends on; `keeps_alive` is set when this worker
    /// uses connections again.
    pub(crate) fn asked<'a>(&self, keeps_alive: bool, own: OwnFields<'a>) -> Asked<'a> {
        Asked {
            version: self.head.version(),
            is_head: self.head.is_head(),
            keep_alive: self.is_kept_alive(keeps_alive),
            is_framed: false,
            own,
        }
    }

    /// Whether its connection can be used again; `keeps_alive` as above.
    pub(crate) fn is_kept_alive(&self, keeps_alive: bool) -> bool {
        self.head.keep_alive() && !self.closes && keeps_alive
    }

    /// The request's identifier in the error log.
    pub(crate) fn label(&self) -> String {
        let (method, path) = (self.head.method(), self.head.path());
        let (method, path) = (method.escape_ascii(), path.escape_ascii());
        if self.number == 0 {
            // The application does not have it.
            return format!("{method} {path}");
        }
        format!("{method} {path} (request {})", self.id())
    }

    /// The client's `X-Request-ID`, if it is plain text.
    pub(crate) fn own_id(&self) -> Option<&[u8]> {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
        let is_short = |id: &&[u8]| (1..=ID_LIMIT).contains(&id.len());
        self.head.request_id().filter(is_short).filter(|id| id.iter().all(is_plain))
    }

    pub(crate) fn clear(&mut self) {
        trim::note(self.head.bytes().len());
        self.head.clear();
        self.body = Body::Empty;
        self.forwarded = Forwarded::default();
        self.behind = false;
        self.closes = false;
        self.response.clear();
    }
}

/// A request and the stream for its response.
#[derive(Debug)]
pub(crate) struct QueuedRequest {
    pub(crate) request: Box<Request>,
    pub(crate) stream: Arc<SharedStream>,
}

/// Requests whose memory is used again, in the boxes in which they pass between
/// threads.
pub(crate) type SpareRequests = Vec<Box<Request>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_options::LIMITS;

    fn id(given: &str) -> String {
        let mut request = Request { number: 255, ..Request::default() };
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: {given}\r\n\r\n");
        request.head.read(head.as_bytes(), &LIMITS).unwrap().unwrap();
        request.id()
    }

    #[test]
    fn a_plain_identifier_of_the_client_is_kept_and_another_replaced() {
        let own = format!("{:x}-ff", std::process::id());
        assert_eq!(id("4bf9:2f.3_5-7"), "4bf9:2f.3_5-7");
        assert_eq!(id(&"a".repeat(64)), "a".repeat(64));
        for odd in ["", "a b", "a\u{e9}", "<a>", &"a".repeat(65)] {
            assert_eq!(id(odd), own, "{odd}");
        }
    }
}
