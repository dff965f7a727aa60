//! A request on its way from the I/O thread to the application side.

use std::sync::Arc;

use monoceros_http::Head;
use monoceros_wire::request_id::RequestId;

use crate::forwarding::forwarded::Forwarded;
use crate::record::request_facts::RequestFacts;
use crate::stream::body::Body;
use crate::stream::label::RequestLabel;
use crate::stream::request_ids::RequestIds;
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
    /// Its identifier; none before it has a number.
    pub(crate) id: RequestId,
    /// What trusted proxies have reported about its client.
    pub(crate) forwarded: Forwarded,
    /// When the first byte was seen, in microseconds of the monotonic clock.
    pub(crate) begun_us: u64,
    /// When the request had arrived, as far as is known: its place in the queue.
    pub(crate) ready_us: u64,
    /// Bytes of the server's own still wait to be sent before the response.
    pub(crate) behind: bool,
    /// Bytes behind it have arrived.
    pub(crate) has_more: bool,
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

    /// Its identifier: the client's own, or the one that was made.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// Gives it this number, and the identifier that follows from it.
    pub(crate) fn identify(&mut self, ids: &RequestIds, number: u64) {
        self.number = number;
        ids.identify(&mut self.id, &self.head, number);
    }

    /// What the head of its response depends on, and the response; `keeps_alive` is set when
    /// this worker uses connections again.
    pub(crate) fn asked<'a>(
        &'a mut self,
        keeps_alive: bool,
        own: OwnFields<'a>,
    ) -> (Asked<'a>, &'a mut Response) {
        let asked = Asked {
            version: self.head.version(),
            is_head: self.head.is_head(),
            keep_alive: self.is_kept_alive(keeps_alive),
            is_framed: false,
            own: own.with_id(&self.id),
        };
        (asked, &mut self.response)
    }

    /// As above, for a response on one of several streams of a connection.
    pub(crate) fn asked_on_stream<'a>(
        &'a mut self,
        own: OwnFields<'a>,
    ) -> (Asked<'a>, &'a mut Response) {
        let asked = Asked::on_stream(self.head.is_head(), own.with_id(&self.id));
        (asked, &mut self.response)
    }

    /// Whether its connection can be used again; `keeps_alive` as above.
    pub(crate) fn is_kept_alive(&self, keeps_alive: bool) -> bool {
        self.head.keep_alive() && !self.closes && keeps_alive
    }

    /// Its name in the error log.
    pub(crate) fn label(&self) -> RequestLabel {
        RequestLabel::new(&self.head, &self.id)
    }

    /// What a record of the error log has of it beside the text.
    #[must_use]
    pub fn facts(&self) -> RequestFacts<'_> {
        RequestFacts::new(&self.id, Some(&self.head))
    }

    pub(crate) fn clear(&mut self) {
        trim::note(self.head.bytes().len());
        self.head.clear();
        self.number = 0;
        self.id.clear();
        self.body = Body::Empty;
        self.forwarded = Forwarded::default();
        self.behind = false;
        self.has_more = false;
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
