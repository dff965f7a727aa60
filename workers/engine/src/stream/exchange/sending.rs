//! What an application thread sends by itself, and what it leaves to the I/O thread.

use std::io::{self, IoSlice};
use std::sync::Arc;

use monoceros_http::h1;
use monoceros_wire::scoreboard::GivenUp;

use super::{ClientDisconnected, Exchange};
use crate::stream::response::BodyFraming;
use crate::transport::file_range::{Failure, FileRange, is_for_now};
use crate::transport::outgoing::Flushed;
use crate::transport::payload::Payload;

/// Bodies up to this many bytes are copied behind the head, which is cheaper
/// than a second piece.
pub const COPY_LIMIT: usize = 16 * 1024;

/// How much of a file an application thread sends by itself before it leaves
/// the rest to the I/O thread.
const FILE_SHARE: u64 = 4 << 20;

impl Exchange {
    /// Sends the bytes of `piece` and then `bytes`, framed.
    pub(super) fn send(
        &mut self,
        piece: &mut Vec<u8>,
        bytes: &[u8],
        owner: Option<Box<dyn Payload>>,
    ) -> Result<(), ClientDisconnected> {
        let chunked = self.response().framing() == BodyFraming::Chunked && !bytes.is_empty();
        if chunked {
            h1::push_chunk_head(piece, bytes.len());
        }
        let end: &[u8] = if chunked { h1::CHUNK_END } else { b"" };
        if bytes.len() <= COPY_LIMIT {
            piece.extend_from_slice(bytes);
            piece.extend_from_slice(end);
            if self.joins_batch() {
                // The loop gets this now and not only at the end: the application may
                // run for long after the response.
                if let Some(threads) = self.shared.handoff.threads() {
                    threads.batch.add();
                }
                self.link().leave(Box::new(piece.clone()), 0, self.shared.stores());
                self.hand_over();
                return Ok(());
            }
            return self.push_bytes(piece, false);
        }
        self.push_parts([piece, bytes, end], owner)
    }

    /// Sends three parts, of which the middle one is large.
    fn push_parts(
        &mut self,
        parts: [&[u8]; 3],
        mut owner: Option<Box<dyn Payload>>,
    ) -> Result<(), ClientDisconnected> {
        let mut sent = 0;
        if self.may_send()? {
            sent = self.sent(self.link().socket.send_parts(&parts.map(IoSlice::new)))?;
            if sent == parts.iter().map(|part| part.len()).sum::<usize>() {
                return Ok(());
            }
        } else if self.link().has_layer() {
            match self.send_through_layer(&parts)? {
                None => return Ok(()),
                Some(count) => sent = count,
            }
        }
        let stores = self.shared.stores();
        for (index, part) in parts.into_iter().enumerate() {
            let gone = sent.min(part.len());
            sent -= gone;
            match owner.take_if(|_| index == 1) {
                Some(owner) => self.link().leave(owner, gone, stores),
                None => self.link().leave(Box::new(part[gone..].to_vec()), 0, stores),
            }
        }
        self.send_left()
    }

    /// Sends bytes, and lets the rest wait.
    pub(super) fn push_bytes(
        &mut self,
        bytes: &[u8],
        more: bool,
    ) -> Result<(), ClientDisconnected> {
        let mut sent = 0;
        if self.may_send()? {
            sent = self.sent(self.link().socket.send(bytes, more))?;
            if sent == bytes.len() {
                return Ok(());
            }
        } else if self.link().has_layer() {
            match self.send_through_layer(&[bytes])? {
                None => return Ok(()),
                Some(count) => sent = count,
            }
        }
        self.link().leave(Box::new(bytes[sent..].to_vec()), 0, self.shared.stores());
        self.send_left()
    }

    /// Sends parts through the layer. `None` if they have been sent, otherwise how many
    /// bytes the layer has taken: the rest has to wait, and what the layer holds as well.
    fn send_through_layer(&mut self, parts: &[&[u8]]) -> Result<Option<usize>, ClientDisconnected> {
        match self.link().send_through_layer(parts) {
            Ok((count, is_sent)) => {
                self.handed += count as u64;
                Ok((!is_sent).then_some(count))
            }
            Err(_) => self.lose().map(|()| Some(0)),
        }
    }

    /// Has the loop write the bytes that were left. With a layer, those that waited before
    /// have not been tried.
    fn send_left(&mut self) -> Result<(), ClientDisconnected> {
        if !self.link().is_plain && !self.handed_over {
            match self.link().flush() {
                Ok(Flushed::All) => return Ok(()),
                Ok(Flushed::Paused(_) | Flushed::Blocked(_) | Flushed::Cold(_)) => {}
                Err(Failure::File(text)) => return self.give_up_file(&text),
                Err(Failure::Client(_)) => return self.lose(),
            }
        }
        self.slow_down();
        Ok(())
    }

    /// Whether this is a whole response that is cheaper to write in a batch.
    fn joins_batch(&self) -> bool {
        let is_whole =
            matches!(self.response().framing(), BodyFraming::Length(0) | BodyFraming::NoBody);
        is_whole
            && !self.handed_over
            && self.shared.handoff.threads().is_some_and(|it| it.is_batching(self.thread))
    }

    /// Sends a range of a file, and lets the rest wait.
    pub(super) fn push_file(&mut self, mut range: FileRange) -> Result<(), ClientDisconnected> {
        let mut share = FILE_SHARE;
        while range.left > 0 && share > 0 && self.may_send()? {
            let sent = match range.send(&self.link().socket, share) {
                Err(Failure::File(text)) => return self.give_up_file(&text),
                Err(Failure::Client(error)) => self.sent(Err(error))? as u64,
                Ok(sent) => {
                    self.handed += sent;
                    sent
                }
            };
            if sent == 0 {
                break;
            }
            share = share.saturating_sub(sent);
        }
        if range.left > 0 {
            self.link().leave_file(range);
            return self.send_left();
        }
        Ok(())
    }

    /// Gives up the response: its file has failed, not the client.
    pub(super) fn give_up_file(&mut self, why: &str) -> Result<(), ClientDisconnected> {
        let (label, peer) = (self.request().label(), self.link().peer());
        let line = format_args!("gave up the response to {label} for {peer}: {why}");
        self.shared.give_up(GivenUp::Unreadable, Some(label.facts()), line);
        self.lose()
    }

    /// Gives up the response: the encoder of its body has failed.
    pub(super) fn give_up_encoding(&mut self, error: &io::Error) -> Result<(), ClientDisconnected> {
        let (label, peer) = (self.request().label(), self.link().peer());
        let line =
            format_args!("gave up the response to {label} for {peer}: cannot encode it: {error}");
        self.shared.give_up(GivenUp::Unencoded, Some(label.facts()), line);
        self.lose()
    }

    /// Whether this thread may write to the socket: no earlier byte waits.
    fn may_send(&mut self) -> Result<bool, ClientDisconnected> {
        if self.gone {
            return Err(ClientDisconnected);
        }
        if !self.link().sends_directly() {
            // The bytes of a layer are sent in the order in which they are made: under
            // the connection's lock.
            return Ok(false);
        }
        if !self.handed_over {
            return Ok(true);
        }
        let outlet = self.link().outlet();
        let (failed, is_empty) = (outlet.failed, outlet.outgoing.is_empty());
        drop(outlet);
        if failed { self.lose().map(|()| false) } else { Ok(is_empty) }
    }

    /// The result of a call of the send family; a full socket took nothing.
    fn sent(&mut self, result: io::Result<usize>) -> Result<usize, ClientDisconnected> {
        match result {
            Ok(count) => {
                self.handed += count as u64;
                Ok(count)
            }
            Err(error) if is_for_now(&error) => Ok(0),
            Err(_) => self.lose().map(|()| 0),
        }
    }

    /// Has the I/O thread write the bytes for which the socket has no room.
    fn slow_down(&mut self) {
        let label = (!self.is_slow).then(|| self.request().label());
        self.is_slow = true;
        let handed = std::mem::take(&mut self.handed);
        self.link().outlet().handed += handed;
        if label.is_some() {
            self.stream.tail().label = label;
        }
        self.hand_over();
    }

    /// Has the I/O thread write the waiting bytes.
    pub(super) fn hand_over(&mut self) {
        self.handed_over = true;
        self.shared.handoff.call_back(Arc::clone(&self.stream));
    }
}
