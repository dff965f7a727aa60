//! The streams of a connection whose protocol carries several. Only the I/O thread has them.

use std::sync::Arc;

use monoceros_http::Head;

use crate::forwarding::forwarded::Forwarded;
use crate::protocol::input::Input;
use crate::protocol::progress::BodyProgress;
use crate::stream::request::Request;
use crate::stream::shared_stream::SharedStream;

/// The streams of one connection, and the bytes that the protocol has not used.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// An incomplete unit of the protocol.
    pub(crate) input: Input,
    open: Vec<OpenStream>,
    /// There was a stream.
    pub(crate) is_used: bool,
}

/// A stream.
#[derive(Debug)]
pub(crate) struct OpenStream {
    /// The number that the protocol gives it.
    pub(crate) id: u32,
    pub(crate) shared: Arc<SharedStream>,
    pub(crate) state: StreamState,
    /// It is a HEAD request: its response has no body.
    pub(crate) is_head: bool,
    /// What trusted proxies have reported about its client.
    pub(crate) forwarded: Forwarded,
    /// Its head, if the access log needs it while the application has the request.
    pub(crate) head: Head,
    /// When its request's first byte was seen, in microseconds of the monotonic clock.
    pub(crate) begun_us: u64,
    /// Bytes of its request's body that were kept.
    pub(crate) body_bytes: u64,
    pub(crate) progress: BodyProgress,
}

/// The state of the stream.
#[derive(Debug)]
pub(crate) enum StreamState {
    /// Its request's body arrives.
    Arriving(Box<Request>),
    /// The application has its request, of this number, and takes the body as it
    /// arrives.
    Passing(u64),
    /// The application has its request, of this number.
    Running(u64),
}

impl OpenStream {
    /// The number of its request, once the application has it.
    pub(crate) fn number(&self) -> Option<u64> {
        match self.state {
            StreamState::Arriving(_) => None,
            StreamState::Passing(number) | StreamState::Running(number) => Some(number),
        }
    }
}

impl Streams {
    /// Adds a stream.
    pub(crate) fn add(&mut self, stream: OpenStream) {
        self.is_used = true;
        self.open.push(stream);
    }

    /// The stream of this number of the protocol's, to be read.
    pub(crate) fn find(&self, id: u32) -> Option<&OpenStream> {
        self.open.iter().find(|it| it.id == id)
    }

    /// The stream of this number of the protocol.
    pub(crate) fn get(&mut self, id: u32) -> Option<&mut OpenStream> {
        self.open.iter_mut().find(|it| it.id == id)
    }

    /// The stream with a request of this number.
    pub(crate) fn of_request(&mut self, number: u64) -> Option<&mut OpenStream> {
        self.open.iter_mut().find(|it| it.number() == Some(number))
    }

    /// The stream with this shared part.
    pub(crate) fn of_shared(&mut self, shared: &Arc<SharedStream>) -> Option<&mut OpenStream> {
        self.open.iter_mut().find(|it| Arc::ptr_eq(&it.shared, shared))
    }

    /// Removes the stream of this number of the protocol.
    pub(crate) fn remove(&mut self, id: u32) -> Option<OpenStream> {
        let place = self.open.iter().position(|it| it.id == id)?;
        Some(self.open.swap_remove(place))
    }

    /// Removes all streams.
    pub(crate) fn take(&mut self) -> Vec<OpenStream> {
        std::mem::take(&mut self.open)
    }

    /// All streams.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &OpenStream> {
        self.open.iter()
    }

    /// The numbers of those whose request is still arriving.
    pub(crate) fn arriving(&self) -> Vec<u32> {
        let is_arriving = |it: &&OpenStream| matches!(it.state, StreamState::Arriving(_));
        self.open.iter().filter(is_arriving).map(|it| it.id).collect()
    }

    /// All streams, mutable.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut OpenStream> {
        self.open.iter_mut()
    }

    /// Whether no stream is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The bytes of bodies that are kept for all streams.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.open.iter().map(|it| it.body_bytes).sum()
    }

    /// Whether the application must take some of a body before more is read: the bytes
    /// of all streams arrive in one order.
    pub(crate) fn is_full(&self) -> bool {
        let passing = self.open.iter().filter(|it| matches!(it.state, StreamState::Passing(_)));
        passing.map(|it| it.shared.inbound.room()).any(|room| room == 0)
    }
}
