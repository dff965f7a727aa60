//! Gzip (RFC 1952).

use std::io;

use flate2::{Compress, FlushCompress, Status};
use monoceros_config::CompressLevel;
use monoceros_engine::{BodyEncoder, EncodingStep};

use crate::effort;
use crate::spare::Renewable;

/// The window, as a power of two: 32 KiB, the largest of the format.
const WINDOW_BITS: u8 = 15;

/// The least room for the next output, in bytes. The end of a flush is written anew if there are
/// fewer than 6.
const LEAST_ROOM: usize = 1024;

/// The most room for the next output, in bytes: 64 KiB.
const MOST_ROOM: usize = 64 << 10;

/// An encoder, with about 300 KiB.
pub(crate) struct GzipEncoder(Compress);

impl GzipEncoder {
    pub(crate) fn new(level: CompressLevel) -> Self {
        Self(Compress::new_gzip(flate2::Compression::new(effort::of_gzip(level)), WINDOW_BITS))
    }
}

impl BodyEncoder for GzipEncoder {
    fn encode(
        &mut self,
        mut bytes: &[u8],
        step: EncodingStep,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let flush = match step {
            EncodingStep::Continue => FlushCompress::None,
            EncodingStep::Flush => FlushCompress::Sync,
            EncodingStep::Finish => FlushCompress::Finish,
        };
        loop {
            out.reserve((bytes.len() / 4).clamp(LEAST_ROOM, MOST_ROOM));
            let (read, made) = (self.0.total_in(), out.len());
            let status = self.0.compress_vec(bytes, out, flush).map_err(io::Error::other)?;
            let read = self.0.total_in() - read;
            bytes = &bytes[usize::try_from(read).unwrap_or(bytes.len())..];
            let has_room = out.len() < out.capacity();
            match status {
                Status::StreamEnd => return Ok(()),
                // Room that is left means that nothing waits for it.
                _ if has_room && bytes.is_empty() && step != EncodingStep::Finish => return Ok(()),
                _ if read == 0 && out.len() == made => {
                    return Err(io::Error::other("gzip makes no progress"));
                }
                _ => {}
            }
        }
    }
}

impl Renewable for GzipEncoder {
    fn renew(&mut self) -> io::Result<()> {
        self.0.reset();
        Ok(())
    }
}
