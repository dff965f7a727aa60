//! The streams of a connection whose protocol carries several. Only the I/O thread has them.

use std::sync::Arc;

use monoceros_http::Head;

use crate::forwarding::forwarded::Forwarded;
use crate::protocol::input::Input;
use crate::protocol::progress::BodyProgress;
use crate::record::access::Draft;
use crate::stream::label::RequestLabel;
use crate::stream::request::Request;
use crate::stream::shared_stream::SharedStream;
use crate::transport::file_range::FileRange;

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
    /// Its head while the application has the request, if the access log needs it, or if it has
    /// the request's identifier.
    pub(crate) head: Head,
    /// When its request's first byte was seen, in microseconds of the monotonic clock.
    pub(crate) begun_us: u64,
    /// Bytes of its request's body that have arrived.
    pub(crate) body_bytes: u64,
    pub(crate) progress: BodyProgress,
}

/// The state of the stream.
#[derive(Debug)]
pub(crate) enum StreamState {
    /// A background thread decides on its request.
    Deciding(UndecidedStream),
    /// Its request's body arrives.
    Arriving(Box<Request>),
    /// The application has its request, of this number, and takes the body as it
    /// arrives.
    Passing(u64),
    /// The application has its request, of this number.
    Running(u64),
    /// The server sends a part of a file as the body of its response.
    Sending(StreamFile),
}

/// A request on which a background thread decides.
#[derive(Debug)]
pub(crate) struct UndecidedStream {
    pub(crate) request: Box<Request>,
    /// The number of the task.
    pub(crate) task: u64,
    /// What has arrived of its body.
    pub(crate) early: Vec<u8>,
    /// The body is complete.
    pub(crate) ends: bool,
    /// When the decision began, in milliseconds of the monotonic clock.
    pub(crate) since_ms: u64,
}

/// A part of a file that is the body of a response.
#[derive(Debug)]
pub(crate) struct StreamFile {
    pub(crate) range: FileRange,
    /// The number of the task that reads the next part.
    pub(crate) task: Option<u64>,
    /// When it began, in milliseconds of the monotonic clock.
    pub(crate) since_ms: u64,
    /// What was sent of the body.
    pub(crate) sent: u64,
    /// The request, in the log.
    pub(crate) label: RequestLabel,
    /// The access log's line, if there is a log.
    pub(crate) draft: Option<Draft>,
}

impl OpenStream {
    /// Its request, before the application has it.
    pub(crate) fn request(&self) -> Option<&Request> {
        match &self.state {
            StreamState::Arriving(request)
            | StreamState::Deciding(UndecidedStream { request, .. }) => Some(request),
            StreamState::Passing(_) | StreamState::Running(_) | StreamState::Sending(_) => None,
        }
    }

    /// The number of its request, once the application has it.
    pub(crate) fn number(&self) -> Option<u64> {
        match self.state {
            StreamState::Deciding(_) | StreamState::Arriving(_) | StreamState::Sending(_) => None,
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

    /// The numbers of those on whose request no decision has been made.
    pub(crate) fn undecided(&self) -> Vec<u32> {
        let is_undecided = |it: &&OpenStream| matches!(it.state, StreamState::Deciding(_));
        self.open.iter().filter(is_undecided).map(|it| it.id).collect()
    }

    /// The number of the stream whose request waits for this decision.
    pub(crate) fn of_decision(&self, task: u64) -> Option<u32> {
        let is_its =
            |it: &&OpenStream| matches!(&it.state, StreamState::Deciding(it) if it.task == task);
        self.open.iter().find(is_its).map(|it| it.id)
    }

    /// The next stream that can send a part of its file. Each of them comes in its turn.
    pub(crate) fn next_file(&mut self) -> Option<(u32, &mut StreamFile)> {
        let is_ready =
            |it: &OpenStream| matches!(&it.state, StreamState::Sending(it) if it.task.is_none());
        let place = self.open.iter().position(is_ready)?;
        let stream = self.open.remove(place);
        self.open.push(stream);
        let OpenStream { id, state: StreamState::Sending(file), .. } = self.open.last_mut()? else {
            return None;
        };
        Some((*id, file))
    }

    /// The files that responses send.
    pub(crate) fn files(&mut self) -> impl Iterator<Item = (u32, &mut StreamFile)> {
        self.open.iter_mut().filter_map(|it| match &mut it.state {
            StreamState::Sending(file) => Some((it.id, file)),
            _ => None,
        })
    }

    /// All streams, mutable.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut OpenStream> {
        self.open.iter_mut()
    }

    /// Whether no stream is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether the application must take some of a body before more is read, or a decision
    /// must be made: the bytes of all streams arrive in one order.
    pub(crate) fn is_full(&self) -> bool {
        let waits = |it: &OpenStream| matches!(&it.state, StreamState::Deciding(it) if !it.ends);
        if self.open.iter().any(waits) {
            return true;
        }
        let passing = self.open.iter().filter(|it| matches!(it.state, StreamState::Passing(_)));
        passing.map(|it| it.shared.inbound.room()).any(|room| room == 0)
    }
}
