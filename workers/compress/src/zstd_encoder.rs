//! Zstandard (RFC 8878).

use std::io;

use monoceros_config::CompressLevel;
use monoceros_engine::{BodyEncoder, EncodingStep};
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd::zstd_safe::{
    CCtx, CParameter, ErrorCode, InBuffer, OutBuffer, ResetDirective, compress_bound,
    get_error_name,
};

use crate::effort;
use crate::spare::Renewable;

/// The window, as a power of two: 256 KiB. Clients accept up to 8 MiB (RFC 9659 section 3), but
/// encoder and decoder have memory for it.
const WINDOW_LOG: u32 = 18;

/// The most room for the next output, in bytes: 64 KiB.
const MOST_ROOM: usize = 64 << 10;

/// An encoder, with up to 3 MiB.
pub(crate) struct ZstdEncoder(CCtx<'static>);

impl ZstdEncoder {
    /// `None` if there is no memory for one.
    pub(crate) fn new(level: CompressLevel) -> Option<Self> {
        let mut context = CCtx::try_create()?;
        context.set_parameter(CParameter::CompressionLevel(effort::of_zstd(level))).ok()?;
        context.set_parameter(CParameter::WindowLog(WINDOW_LOG)).ok()?;
        Some(Self(context))
    }
}

impl BodyEncoder for ZstdEncoder {
    fn encode(&mut self, bytes: &[u8], step: EncodingStep, out: &mut Vec<u8>) -> io::Result<()> {
        let directive = match step {
            EncodingStep::Continue => ZSTD_EndDirective::ZSTD_e_continue,
            EncodingStep::Flush => ZSTD_EndDirective::ZSTD_e_flush,
            EncodingStep::Finish => ZSTD_EndDirective::ZSTD_e_end,
        };
        let mut input = InBuffer::around(bytes);
        loop {
            // With room for everything, a whole body is encoded without another copy.
            out.reserve(compress_bound(bytes.len() - input.pos()).min(MOST_ROOM.max(bytes.len())));
            let made = out.len();
            let mut output = OutBuffer::around_pos(out, made);
            let left =
                self.0.compress_stream2(&mut output, &mut input, directive).map_err(failure)?;
            let is_read = input.pos() == bytes.len();
            if is_read && (left == 0 || step == EncodingStep::Continue) {
                return Ok(());
            }
        }
    }
}

impl Renewable for ZstdEncoder {
    fn renew(&mut self) -> io::Result<()> {
        self.0.reset(ResetDirective::SessionOnly).map(drop).map_err(failure)
    }
}

fn failure(code: ErrorCode) -> io::Error {
    io::Error::other(get_error_name(code))
}
