//! Which responses are encoded, and what becomes of their fields.

use monoceros_config::{CodingName, CompressLevel, MediaPattern, WorkerSettings};
use monoceros_engine::{BodyEncoder, ResponseDraft, ResponseReviser, Revision};
use monoceros_http::{AcceptedCodings, Coding, Head, has_token};

use crate::brotli_encoder::BrotliEncoder;
use crate::gzip_encoder::GzipEncoder;
use crate::spare::Spare;
use crate::zstd_encoder::ZstdEncoder;

/// The fields that describe the bytes of a body that is not encoded: digests (RFC 1864, RFC 3230,
/// RFC 9530), and that ranges of it can be requested.
const ABOUT_BYTES: [&[u8]; 5] =
    [b"accept-ranges", b"content-digest", b"content-md5", b"digest", b"repr-digest"];

/// The reviser of responses that the settings ask for, if they ask for one.
#[must_use]
pub fn response_reviser(settings: &WorkerSettings) -> Option<ResponseReviser> {
    let coding = |name: &CodingName| match name {
        CodingName::Brotli => Coding::Brotli,
        CodingName::Gzip => Coding::Gzip,
        CodingName::Zstd => Coding::Zstd,
    };
    let codings: Vec<_> = settings.compress().iter().map(coding).collect();
    if codings.is_empty() {
        return None;
    }
    let compression = Compression {
        codings,
        types: settings.compress_types().clone(),
        min_length: settings.compress_min_length().0.max(1),
        ..Compression::at(*settings.compress_level())
    };
    Some(ResponseReviser::encoding(move |asked, draft| compression.revise(asked, draft)))
}

/// Encodes the bodies of responses.
struct Compression {
    /// In the order of preference.
    codings: Vec<Coding>,
    types: Vec<MediaPattern>,
    /// The length from which a body is encoded, in bytes.
    min_length: u64,
    level: CompressLevel,
    gzip: Spare<GzipEncoder>,
    zstd: Spare<ZstdEncoder>,
}

impl Compression {
    /// At this level, by no coding.
    fn at(level: CompressLevel) -> Self {
        let (codings, types, min_length) = (Vec::new(), Vec::new(), 1);
        Self { codings, types, min_length, level, gzip: Spare::default(), zstd: Spare::default() }
    }

    /// Decides about one response. Its fields depend on the codings that the client accepts, also
    /// if the response is not encoded, so that a cache does not give one client's response to
    /// another (RFC 9110 section 12.5.5).
    fn revise(&self, asked: &Head, draft: &mut ResponseDraft) -> Revision {
        if !self.concerns(draft) {
            return Revision::Keep;
        }
        if !has_element(draft, b"vary", &[b"accept-encoding", b"*"]) {
            add(draft, b"Vary", b"Accept-Encoding");
        }
        if draft.length().is_some_and(|length| length < self.min_length) {
            return Revision::Keep;
        }
        let Some(coding) = AcceptedCodings::of(asked).preferred(&self.codings) else {
            return Revision::Keep;
        };
        let Some(encoder) = self.encoder(coding, draft.length()) else { return Revision::Keep };
        add(draft, b"Content-Encoding", coding.token().as_bytes());
        for name in ABOUT_BYTES {
            draft.remove(name);
        }
        weaken_tag(draft);
        Revision::Encode(encoder)
    }

    /// Whether a response is of those that are encoded for clients that accept it.
    fn concerns(&self, draft: &ResponseDraft) -> bool {
        // A part of a body (206) is part of one that is not encoded; the others have no body.
        let has_whole_body = !matches!(draft.status(), ..200 | 204..=206 | 304);
        has_whole_body
            && draft.field(b"content-type").is_some_and(|it| self.has_type(it))
            && draft.field(b"content-encoding").is_none()
            && draft.field(b"content-range").is_none()
            // RFC 9111 section 5.2.2.6.
            && !has_element(draft, b"cache-control", &[b"no-transform"])
    }

    /// Whether a Content-Type, with or without parameters, is one of the types.
    fn has_type(&self, content_type: &[u8]) -> bool {
        let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
        let essence = std::str::from_utf8(essence.trim_ascii());
        essence.is_ok_and(|essence| self.types.iter().any(|it| it.matches(essence)))
    }

    /// An encoder for a body of this length, if it is known; `None` if there is no memory for one.
    fn encoder(&self, coding: Coding, length: Option<u64>) -> Option<Box<dyn BodyEncoder>> {
        match coding {
            Coding::Brotli => Some(Box::new(BrotliEncoder::new(self.level, length))),
            Coding::Zstd => self.zstd.lend(|| ZstdEncoder::new(self.level)),
            Coding::Gzip => self.gzip.lend(|| Some(GzipEncoder::new(self.level))),
        }
    }
}

/// Whether one of the fields of this name is a list with one of these elements.
fn has_element(draft: &ResponseDraft, name: &[u8], elements: &[&[u8]]) -> bool {
    let mut fields = draft.fields().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    fields.any(|(_, value)| elements.iter().any(|element| has_token(value, element)))
}

/// Makes the entity tag weak: the encoded body has other bytes, and means the same (RFC 9110
/// section 8.8.1). What is no entity tag is removed.
fn weaken_tag(draft: &mut ResponseDraft) {
    let Some(tag) = draft.field(b"etag") else { return };
    if tag.starts_with(b"W/\"") {
        return;
    }
    let weak = tag.starts_with(b"\"").then(|| [b"W/", tag].concat());
    draft.remove(b"etag");
    if let Some(weak) = weak {
        add(draft, b"ETag", &weak);
    }
}

/// Adds a field that is well-formed.
fn add(draft: &mut ResponseDraft, name: &[u8], value: &[u8]) {
    let added = draft.add(name, value);
    debug_assert!(added.is_ok(), "{}: {added:?}", name.escape_ascii());
}

#[cfg(test)]
mod tests {
    use super::*;
    use monoceros_engine::EncodingStep;
    use std::io::{Read, Write};

    const LEVELS: [CompressLevel; 5] = [
        CompressLevel::Fast,
        CompressLevel::Default,
        CompressLevel::Best,
        CompressLevel::Number(2),
        CompressLevel::Number(5),
    ];

    fn encoder(compression: &Compression, coding: Coding) -> Box<dyn BodyEncoder> {
        compression.encoder(coding, None).unwrap()
    }

    /// Text that is neither all the same nor random.
    fn text(length: usize) -> Vec<u8> {
        let (mut text, mut number) = (Vec::new(), 1u64);
        while text.len() < length {
            number = number.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            text.extend_from_slice(format!("{{\"key\": \"value {}\"}}, ", number >> 40).as_bytes());
        }
        text.truncate(length);
        text
    }

    /// What a client can decode of the bytes so far.
    fn decoded_so_far(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Gzip => {
                let mut decoder = flate2::write::GzDecoder::new(Vec::new());
                decoder.write_all(bytes).unwrap();
                decoder.flush().unwrap();
                decoder.get_ref().clone()
            }
            Coding::Zstd => {
                let mut decoder = zstd::stream::write::Decoder::new(Vec::new()).unwrap();
                decoder.write_all(bytes).unwrap();
                decoder.flush().unwrap();
                decoder.get_ref().clone()
            }
            Coding::Brotli => {
                // It writes no more than one buffer behind the last byte that it gets.
                let mut decoder = brotli::DecompressorWriter::new(Vec::new(), 1 << 20);
                decoder.write_all(bytes).unwrap();
                decoder.flush().unwrap();
                decoder.get_ref().clone()
            }
        }
    }

    /// A complete body, decoded.
    fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut decoder: Box<dyn Read> = match coding {
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
            Coding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).unwrap();
                decoder.window_log_max(18).unwrap();
                Box::new(decoder)
            }
            Coding::Brotli => Box::new(brotli::Decompressor::new(bytes, 4096)),
        };
        let mut body = Vec::new();
        decoder.read_to_end(&mut body).unwrap();
        body
    }

    #[test]
    fn whole_bodies_of_any_length_can_be_decoded_and_are_smaller() {
        for coding in Coding::ALL {
            for level in LEVELS {
                let compression = Compression::at(level);
                for length in [0, 1, 100, 4_096, 100_000] {
                    let (body, mut out) = (text(length), Vec::new());
                    let mut encoder = encoder(&compression, coding);
                    encoder.encode(&body, EncodingStep::Finish, &mut out).unwrap();
                    assert!(decoded(coding, &out) == body, "{coding:?} {level:?} {length}");
                    assert!(length < 4_096 || out.len() < length / 2, "{}", out.len());
                }
            }
        }
    }

    #[test]
    fn a_number_above_the_highest_level_of_a_coding_means_that_level() {
        for coding in Coding::ALL {
            let [high, low] = [19, 1].map(|number| {
                let compression = Compression::at(CompressLevel::Number(number));
                let (body, mut out) = (text(20_000), Vec::new());
                let mut encoder = encoder(&compression, coding);
                encoder.encode(&body, EncodingStep::Finish, &mut out).unwrap();
                assert!(decoded(coding, &out) == body, "{coding:?} {number}");
                out.len()
            });
            assert!(high < low, "{coding:?}: {high} {low}");
        }
    }

    #[test]
    fn each_flushed_piece_can_be_decoded_at_once() {
        for coding in Coding::ALL {
            for level in LEVELS {
                let compression = Compression::at(level);
                let (mut body, mut out) = (Vec::new(), Vec::new());
                let mut encoder = encoder(&compression, coding);
                for length in [1, 20, 1_000, 300_000, 7, 70_000] {
                    let piece = text(length);
                    body.extend_from_slice(&piece);
                    let before = out.len();
                    encoder.encode(&piece, EncodingStep::Flush, &mut out).unwrap();
                    assert!(out.len() > before);
                    assert!(decoded_so_far(coding, &out) == body, "{coding:?} {level:?}");
                }
                encoder.encode(b"", EncodingStep::Finish, &mut out).unwrap();
                assert!(decoded(coding, &out) == body, "{coding:?} {level:?}");
            }
        }
    }

    #[test]
    fn pieces_without_a_flush_are_one_body_also_if_they_do_not_shrink() {
        for coding in Coding::ALL {
            let compression = Compression::at(CompressLevel::Default);
            let mut number = 1u64;
            let mut byte = || {
                number = number.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (number >> 56) as u8
            };
            let body: Vec<u8> = (0..1_000_000).map(|_| byte()).collect();
            let mut out = Vec::new();
            let mut encoder = encoder(&compression, coding);
            for piece in body.chunks(64 << 10) {
                encoder.encode(piece, EncodingStep::Continue, &mut out).unwrap();
            }
            encoder.encode(b"", EncodingStep::Finish, &mut out).unwrap();
            assert!(decoded(coding, &out) == body, "{coding:?}");
            assert!(out.len() < body.len() + 4096, "{coding:?}: {}", out.len());
        }
    }

    #[test]
    fn an_encoder_that_was_left_in_the_middle_begins_anew() {
        for coding in Coding::ALL {
            let compression = Compression::at(CompressLevel::Default);
            for _ in 0..3 {
                let mut left = encoder(&compression, coding);
                left.encode(&text(100_000), EncodingStep::Flush, &mut Vec::new()).unwrap();
                drop(left);
                let mut out = Vec::new();
                let mut encoder = encoder(&compression, coding);
                encoder.encode(b"small", EncodingStep::Finish, &mut out).unwrap();
                assert_eq!(decoded(coding, &out), b"small", "{coding:?}");
            }
        }
    }
}
