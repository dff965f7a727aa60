//! The body of a response that is encoded before it is sent.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::{ClientDisconnected, Exchange};
use crate::stream::encoding::{BodyEncoder, EncodedBody, EncodingStep};

/// How much is encoded at a time, in bytes: 256 KiB. What was encoded is sent before the next
/// part is.
const PART: usize = 256 << 10;

/// How much of a file is read at once, in bytes: 64 KiB.
const FILE_BLOCK: usize = 64 << 10;

impl Exchange {
    /// Whether giving so many bytes of the body takes longer than another thread should wait for
    /// the interpreter's lock: they are encoded, or encrypted while other application threads
    /// exist.
    #[must_use]
    pub fn takes_long(&self, length: usize) -> bool {
        /// The most bytes of a record of TLS (RFC 8446 section 5.1).
        const RECORD: usize = 16 * 1024;
        let encrypts = !self.link().is_plain && self.shared.options.application.capacity() > 1;
        length > RECORD && (encrypts || self.may_encode())
    }

    fn may_encode(&self) -> bool {
        let is_open = || !self.is_committed();
        let reviser = self.shared.options.revise.as_ref();
        self.encoded.is_some() || reviser.is_some_and(|it| it.encodes() && is_open())
    }

    /// Begins to encode the body, whose length is `whole` if it is given at once and whose first
    /// bytes are `first`. Returns the length of the encoded body, if it is known.
    ///
    /// # Errors
    /// The encoder has failed; the response is given up.
    pub(super) fn begin_encoding(
        &mut self,
        encoder: Box<dyn BodyEncoder>,
        whole: Option<u64>,
        first: &[u8],
    ) -> Result<Option<u64>, ClientDisconnected> {
        let response = &mut self.request_mut().response;
        let length = response.promised().or(whole);
        response.remove(b"content-length");
        if self.request().head.is_head() {
            return Ok(None);
        }
        let mut encoded = Box::new(EncodedBody::new(encoder, length));
        let begun = encoded.begin(first);
        self.encoded = Some(encoded);
        begun.or_else(|error| self.give_up_encoding(&error).map(|()| None))
    }

    /// Encodes and sends a piece of the body, with the head if it is due. `is_stream` is set
    /// when the application may take its time for the next piece.
    pub(super) fn write_encoded(
        &mut self,
        mut with_head: bool,
        bytes: &[u8],
        is_stream: bool,
    ) -> Result<(), ClientDisconnected> {
        if with_head && self.encoded.as_ref().is_some_and(|it| it.is_finished()) {
            return self.send_encoded(true);
        }
        let mut parts = bytes.chunks(PART).peekable();
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            let step =
                if is_last && is_stream { EncodingStep::Flush } else { EncodingStep::Continue };
            self.encode(part, step)?;
            self.send_encoded(std::mem::take(&mut with_head))?;
        }
        if with_head { self.send_encoded(true) } else { Ok(()) }
    }

    /// Encodes and sends a range of a file as the whole body, with the head.
    pub(super) fn write_encoded_file(
        &mut self,
        source: &File,
        offset: u64,
        length: u64,
    ) -> Result<(), ClientDisconnected> {
        let (mut with_head, mut at, end) = (true, offset, offset.saturating_add(length));
        let mut block = vec![0; FILE_BLOCK];
        while at < end {
            while self.shared.handoff.threads().is_some() && self.is_crowded() {
                self.wait_for_room()?;
            }
            let most = usize::try_from(end - at).unwrap_or(FILE_BLOCK).min(FILE_BLOCK);
            let count = match source.read_at(&mut block[..most], at) {
                Ok(0) => return self.give_up_file("its file has become shorter"),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return self.give_up_file(&monoceros_sys::reason(&error)),
            };
            at += count as u64;
            self.encode(&block[..count], EncodingStep::Continue)?;
            self.send_encoded(std::mem::take(&mut with_head))?;
        }
        Ok(())
    }

    /// Ends the encoded body. Returns the bytes that are still to be sent; none without an
    /// encoder.
    ///
    /// # Errors
    /// The encoder has failed; the response is given up.
    pub(super) fn finish_encoding(&mut self) -> Result<Vec<u8>, ClientDisconnected> {
        let Some(encoded) = &mut self.encoded else { return Ok(Vec::new()) };
        match encoded.finish() {
            Ok(()) => Ok(encoded.take()),
            Err(error) => self.give_up_encoding(&error).map(|()| Vec::new()),
        }
    }

    fn encode(&mut self, bytes: &[u8], step: EncodingStep) -> Result<(), ClientDisconnected> {
        if self.gone {
            return Err(ClientDisconnected);
        }
        let Some(encoded) = &mut self.encoded else { return Ok(()) };
        encoded.encode(bytes, step).or_else(|error| self.give_up_encoding(&error))
    }

    /// Sends what was encoded, with the head if it is due.
    fn send_encoded(&mut self, with_head: bool) -> Result<(), ClientDisconnected> {
        let Some(encoded) = &mut self.encoded else { return Ok(()) };
        let made = encoded.take();
        let sent = self.put(with_head, &made, None);
        if let Some(encoded) = &mut self.encoded {
            encoded.recycle(made);
        }
        sent
    }
}
