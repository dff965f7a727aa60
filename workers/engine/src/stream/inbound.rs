//! The body of a request that the application takes as it arrives: the bytes that have
//! arrived and were not taken. The buffer is bounded. When it is full, the I/O thread
//! stops reading from the client, and the body's deadline stops as well, because the
//! client is not slow then. Taking bytes lets the I/O thread read again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The result of asking for more of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyPiece {
    /// The next bytes; at least one.
    Bytes(Vec<u8>),
    /// None have arrived. An event announces more.
    Nothing,
    /// The body is complete.
    End,
    /// The rest of the body will not arrive: the client has gone or is too slow, or the
    /// body is malformed.
    Broken,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    Whole,
    Broken,
}

/// The buffer between both sides.
#[derive(Debug, Default)]
pub(crate) struct Inbound(Mutex<InboundState>);

#[derive(Debug, Default)]
struct InboundState {
    bytes: VecDeque<u8>,
    /// The most bytes that wait.
    limit: usize,
    end: Option<BodyEnd>,
    /// The application has found nothing, and waits for an event.
    is_awaited: bool,
    /// The I/O thread has stopped reading because the buffer was full.
    is_paused: bool,
    /// The client sends the body only when it is asked to (RFC 9110 section 10.1.1).
    asks: bool,
}

impl Inbound {
    fn state(&self) -> MutexGuard<'_, InboundState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A body begins, of which at most `limit` bytes wait; `asks` is set when the
    /// client waits for `100 Continue`.
    pub(crate) fn open(&self, limit: usize, asks: bool) {
        *self.state() = InboundState { limit, asks, ..InboundState::default() };
    }

    /// There is no body, or nothing more of one.
    pub(crate) fn close(&self) {
        *self.state() = InboundState { end: Some(BodyEnd::Whole), ..InboundState::default() };
    }

    /// How many bytes may be added; 0 pauses reading.
    pub(crate) fn room(&self) -> usize {
        let mut state = self.state();
        let room = state.limit.saturating_sub(state.bytes.len());
        state.is_paused = room == 0;
        room
    }

    /// Adds bytes. Returns whether the application must be notified.
    pub(crate) fn push(&self, bytes: &[u8]) -> bool {
        let mut state = self.state();
        state.bytes.extend(bytes);
        !bytes.is_empty() && std::mem::take(&mut state.is_awaited)
    }

    /// The body ends. Returns whether the application must be notified. The first end
    /// counts.
    pub(crate) fn end(&self, end: BodyEnd) -> bool {
        let mut state = self.state();
        state.end.get_or_insert(end);
        std::mem::take(&mut state.is_awaited)
    }

    /// Whether the rest of the body will not arrive.
    pub(crate) fn is_broken(&self) -> bool {
        self.state().end == Some(BodyEnd::Broken)
    }

    /// Whether reading has stopped until the application takes some.
    pub(crate) fn is_paused(&self) -> bool {
        self.state().is_paused
    }

    /// Whether the whole body has arrived and was taken.
    pub(crate) fn is_through(&self) -> bool {
        let state = self.state();
        state.bytes.is_empty() && state.end == Some(BodyEnd::Whole)
    }

    /// Takes at most `most` bytes. Returns whether the I/O thread must be notified.
    pub(crate) fn take(&self, most: usize) -> (BodyPiece, bool) {
        let mut state = self.state();
        let count = most.min(state.bytes.len());
        if count > 0 {
            let piece = state.bytes.drain(..count).collect();
            let has_room = state.bytes.len() <= state.limit / 2;
            if state.bytes.is_empty() {
                state.bytes = VecDeque::new();
            }
            let goes_on = state.is_paused && has_room;
            state.is_paused &= !goes_on;
            return (BodyPiece::Bytes(piece), goes_on);
        }
        match state.end {
            Some(BodyEnd::Whole) => (BodyPiece::End, false),
            Some(BodyEnd::Broken) => (BodyPiece::Broken, false),
            None => {
                state.is_awaited = true;
                (BodyPiece::Nothing, state.asks)
            }
        }
    }

    /// Whether the server must ask the client for the body now, because the application
    /// waits for it.
    pub(crate) fn is_to_ask(&self) -> bool {
        let mut state = self.state();
        state.is_awaited && std::mem::take(&mut state.asks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_buffer_pauses_reading_until_half_is_taken() {
        let inbound = Inbound::default();
        inbound.open(4, false);
        assert_eq!(inbound.room(), 4);
        assert!(!inbound.push(b"abcd"));
        assert_eq!(inbound.room(), 0);
        assert_eq!(inbound.take(1), (BodyPiece::Bytes(b"a".to_vec()), false));
        assert_eq!(inbound.take(1), (BodyPiece::Bytes(b"b".to_vec()), true));
        assert_eq!(inbound.room(), 2);
        assert_eq!(inbound.take(9), (BodyPiece::Bytes(b"cd".to_vec()), false));
    }

    #[test]
    fn an_application_that_waits_is_notified_once() {
        let inbound = Inbound::default();
        inbound.open(4, true);
        assert!(!inbound.is_to_ask(), "the application has not asked");
        assert_eq!(inbound.take(1), (BodyPiece::Nothing, true));
        assert!(inbound.is_to_ask() && !inbound.is_to_ask());
        assert!(inbound.push(b"a") && !inbound.push(b"b"));
        assert!(!inbound.end(BodyEnd::Whole) && !inbound.is_through());
        assert_eq!(inbound.take(9), (BodyPiece::Bytes(b"ab".to_vec()), false));
        assert_eq!(inbound.take(9), (BodyPiece::End, false));
        assert!(inbound.is_through());
        inbound.end(BodyEnd::Broken);
        assert_eq!(inbound.take(9), (BodyPiece::End, false), "the first end counts");
    }
}
