//! Brotli (RFC 7932).

use std::io::{self, Write};

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use monoceros_config::CompressLevel;
use monoceros_engine::{BodyEncoder, EncodingStep};

use crate::effort;

/// The window, as a power of two: 256 KiB.
const WINDOW_BITS: i32 = 18;

/// The buffer between the encoder and the bytes that it makes, in bytes.
const BUFFER: usize = 4 << 10;

/// An encoder, with 3 MiB, or 10 MiB at quality 7. The crate has no means to use one again.
pub(crate) struct BrotliEncoder(Option<CompressorWriter<Vec<u8>>>);

impl BrotliEncoder {
    /// For a body of this length, if it is known.
    pub(crate) fn new(level: CompressLevel, length: Option<u64>) -> Self {
        let params = BrotliEncoderParams {
            quality: effort::of_brotli(level),
            lgwin: WINDOW_BITS,
            size_hint: usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX),
            ..BrotliEncoderParams::default()
        };
        Self(Some(CompressorWriter::with_params(Vec::new(), BUFFER, &params)))
    }
}

impl BodyEncoder for BrotliEncoder {
    fn encode(&mut self, bytes: &[u8], step: EncodingStep, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(writer) = &mut self.0 else { return Err(io::Error::other("it has ended")) };
        writer.write_all(bytes)?;
        match step {
            EncodingStep::Continue => {}
            EncodingStep::Flush => writer.flush()?,
            EncodingStep::Finish => {
                let mut made = self.0.take().map(CompressorWriter::into_inner).unwrap_or_default();
                out.append(&mut made);
                return Ok(());
            }
        }
        out.append(writer.get_mut());
        Ok(())
    }
}
