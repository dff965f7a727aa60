//! The streams of a connection whose protocol carries several. Only the I/O thread has them.

use std::sync::Arc;

use crate::protocol::input::Input;
use crate::stream::request::Request;
use crate::stream::shared_stream::SharedStream;

/// The streams of one connection, and what was received of the next.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// A part of what the protocol reads as a whole.
    pub(crate) input: Input,
    open: Vec<OpenStream>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct OpenStream {
    /// The number that the protocol gives it.
    pub(crate) id: u32,
    pub(crate) shared: Arc<SharedStream>,
    pub(crate) state: StreamState,
    /// When its request's first byte was seen, in microseconds of the rising clock.
    pub(crate) begun_us: u64,
    /// Bytes of its request's body that were kept.
    pub(crate) body_bytes: u64,
    /// When the current measure of the body's progress began, in milliseconds of the rising
    /// clock.
    pub(crate) window_ms: u64,
    /// Bytes of the body that have come since.
    pub(crate) window_bytes: u64,
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum StreamState {
    /// Its request's body arrives.
    Arriving(Box<Request>),
    /// The application has its request, of this number, and takes the body as it comes.
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
    /// Adds one.
    pub(crate) fn add(&mut self, stream: OpenStream) {
        self.open.push(stream);
    }

    /// The one of this number of the protocol's.
    pub(crate) fn get(&mut self, id: u32) -> Option<&mut OpenStream> {
        self.open.iter_mut().find(|it| it.id == id)
    }

    /// The one with a request of this number.
    pub(crate) fn of_request(&mut self, number: u64) -> Option<&mut OpenStream> {
        self.open.iter_mut().find(|it| it.number() == Some(number))
    }

    /// The one whose shared part this is.
    pub(crate) fn of_shared(&mut self, shared: &Arc<SharedStream>) -> Option<&mut OpenStream> {
        self.open.iter_mut().find(|it| Arc::ptr_eq(&it.shared, shared))
    }

    /// Removes the one of this number of the protocol's.
    pub(crate) fn remove(&mut self, id: u32) -> Option<OpenStream> {
        let place = self.open.iter().position(|it| it.id == id)?;
        Some(self.open.swap_remove(place))
    }

    /// Removes all of them.
    pub(crate) fn take(&mut self) -> Vec<OpenStream> {
        std::mem::take(&mut self.open)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &OpenStream> {
        self.open.iter()
    }

    /// All of them, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut OpenStream> {
        self.open.iter_mut()
    }

    /// Whether none is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Bytes of bodies that are kept for them together.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.open.iter().map(|it| it.body_bytes).sum()
    }

    /// Whether the application has to take some of a body before more is read: the streams of
    /// a connection arrive in one line.
    pub(crate) fn is_full(&self) -> bool {
        let passing = self.open.iter().filter(|it| matches!(it.state, StreamState::Passing(_)));
        passing.map(|it| it.shared.inbound.room()).any(|room| room == 0)
    }
}
