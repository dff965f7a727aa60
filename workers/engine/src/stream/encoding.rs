//! The body of an application's response that is sent in a content coding (RFC 9110 section 8.4):
//! what encodes it, and how much of it the application has still to give.

use std::fmt;
use std::io;

/// The largest body that is encoded before its head is sent, so that the head has the length, in
/// bytes: 1 MiB. Of a larger one the client gets the beginning earlier.
const WHOLE_LIMIT: u64 = 1 << 20;

/// The memory that is kept for the next encoded piece, in bytes: 64 KiB.
const KEPT: usize = 64 << 10;

/// What happens behind the bytes of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodingStep {
    /// More follows at once: the encoder may keep bytes back.
    Continue,
    /// More may follow later: the client can decode everything up to here.
    Flush,
    /// Nothing follows.
    Finish,
}

/// Encodes the body of one response, piece by piece. It runs on the application's thread.
pub trait BodyEncoder: Send {
    /// Encodes the next bytes, and appends the result to `out`, as far as there is one. It is
    /// called once with [`EncodingStep::Finish`], and not afterwards.
    ///
    /// # Errors
    /// When the encoder has failed: the response cannot be completed.
    fn encode(&mut self, bytes: &[u8], step: EncodingStep, out: &mut Vec<u8>) -> io::Result<()>;
}

impl fmt::Debug for dyn BodyEncoder {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("BodyEncoder")
    }
}

/// A body that is encoded.
#[derive(Debug)]
pub(crate) struct EncodedBody {
    encoder: Box<dyn BodyEncoder>,
    /// The length of the body before it is encoded, if it is known.
    length: Option<u64>,
    /// The rest of that length: bytes that the application has still to give.
    left: Option<u64>,
    /// Bytes were cut because they follow that length.
    cut: bool,
    is_finished: bool,
    /// Encoded bytes that are not sent.
    made: Vec<u8>,
}

impl EncodedBody {
    /// A body of this length, if it is known, of which no byte was given.
    pub(crate) fn new(encoder: Box<dyn BodyEncoder>, length: Option<u64>) -> Self {
        let (cut, is_finished, made) = (false, false, Vec::new());
        Self { encoder, length, left: length, cut, is_finished, made }
    }

    /// Encodes the body if these first bytes are all of it. Returns the length of the encoded
    /// body, if it is known.
    ///
    /// # Errors
    /// When the encoder has failed.
    pub(crate) fn begin(&mut self, first: &[u8]) -> io::Result<Option<u64>> {
        let is_all = |length: &u64| *length <= WHOLE_LIMIT.min(first.len() as u64);
        if self.length.filter(is_all).is_none() {
            return Ok(None);
        }
        self.encode(first, EncodingStep::Continue)?;
        Ok(Some(self.made.len() as u64))
    }

    /// Encodes bytes, as far as they belong to the body. The last bytes of a known length are its
    /// end, whatever `step` is.
    ///
    /// # Errors
    /// When the encoder has failed.
    pub(crate) fn encode(&mut self, bytes: &[u8], step: EncodingStep) -> io::Result<()> {
        let left = self.left.unwrap_or(u64::MAX);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.cut |= count < bytes.len();
        self.left = self.left.map(|left| left - count as u64);
        let step = if self.left == Some(0) { EncodingStep::Finish } else { step };
        let has_work = count > 0 || step == EncodingStep::Finish;
        if self.is_finished || !has_work {
            return Ok(());
        }
        self.is_finished = step == EncodingStep::Finish;
        self.encoder.encode(&bytes[..count], step, &mut self.made)
    }

    /// Encodes the end, unless the application has given less than its Content-Length.
    ///
    /// # Errors
    /// When the encoder has failed.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if self.is_short() { Ok(()) } else { self.encode(b"", EncodingStep::Finish) }
    }

    /// Whether the application has given less than its Content-Length.
    pub(crate) fn is_short(&self) -> bool {
        self.left.is_some_and(|left| left > 0)
    }

    /// Whether the application has given more than its Content-Length.
    pub(crate) fn was_cut(&self) -> bool {
        self.cut
    }

    /// Whether all of it is encoded.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Takes the encoded bytes that are not sent.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.made)
    }

    /// Takes back the memory of bytes that were sent.
    pub(crate) fn recycle(&mut self, mut sent: Vec<u8>) {
        sent.clear();
        sent.shrink_to(KEPT);
        self.made = sent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows each step.
    struct Marking;

    impl BodyEncoder for Marking {
        fn encode(
            &mut self,
            bytes: &[u8],
            step: EncodingStep,
            out: &mut Vec<u8>,
        ) -> io::Result<()> {
            out.extend_from_slice(bytes);
            out.push(match step {
                EncodingStep::Continue => b'+',
                EncodingStep::Flush => b'|',
                EncodingStep::Finish => b'.',
            });
            Ok(())
        }
    }

    fn body(length: Option<u64>) -> EncodedBody {
        EncodedBody::new(Box::new(Marking), length)
    }

    fn text(body: &mut EncodedBody) -> String {
        String::from_utf8(body.take()).unwrap()
    }

    #[test]
    fn a_body_that_is_known_as_a_whole_has_a_length() {
        let mut whole = body(Some(3));
        assert_eq!(whole.begin(b"abc").unwrap(), Some(4));
        assert!(whole.is_finished() && !whole.is_short() && !whole.was_cut());
        assert_eq!(text(&mut whole), "abc.");
        whole.finish().unwrap();
        assert_eq!(text(&mut whole), "");
        let mut longer = body(Some(2));
        assert_eq!(longer.begin(b"abc").unwrap(), Some(3));
        assert!(longer.was_cut());
        assert_eq!(body(Some(4)).begin(b"abc").unwrap(), None);
        assert_eq!(body(None).begin(b"abc").unwrap(), None);
        let large = vec![b'a'; usize::try_from(WHOLE_LIMIT).unwrap() + 1];
        assert_eq!(body(Some(WHOLE_LIMIT)).begin(&large).unwrap(), Some(WHOLE_LIMIT + 1));
        assert_eq!(body(Some(WHOLE_LIMIT + 1)).begin(&large).unwrap(), None);
    }

    #[test]
    fn each_piece_of_a_stream_is_flushed_and_the_last_one_ends_it() {
        let mut stream = body(None);
        for piece in ["ab", "", "c"] {
            stream.encode(piece.as_bytes(), EncodingStep::Flush).unwrap();
        }
        assert_eq!(text(&mut stream), "ab|c|");
        stream.finish().unwrap();
        assert_eq!(text(&mut stream), ".");
        let mut known = body(Some(3));
        known.encode(b"ab", EncodingStep::Flush).unwrap();
        assert!(known.is_short());
        known.encode(b"cd", EncodingStep::Flush).unwrap();
        known.encode(b"e", EncodingStep::Flush).unwrap();
        assert_eq!(text(&mut known), "ab|c.");
        assert!(known.was_cut() && !known.is_short());
    }

    #[test]
    fn a_body_that_is_too_short_has_no_end() {
        let mut short = body(Some(3));
        short.encode(b"ab", EncodingStep::Continue).unwrap();
        short.finish().unwrap();
        assert_eq!(text(&mut short), "ab+");
        assert!(short.is_short() && !short.is_finished());
    }
}
