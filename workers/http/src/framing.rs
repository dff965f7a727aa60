//! How the body of a request is delimited (RFC 9112 section 6). Request smuggling attacks this
//! decision.

use crate::class::is_token;
use crate::list::elements;
use crate::reject::Reject;
use crate::request_line::Version;

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body: neither Content-Length nor Transfer-Encoding was given (RFC 9112 section 6.3, rule
    /// 7).
    None,
    /// A number of bytes, at most `i64::MAX`.
    Length(u64),
    /// The chunked coding; see [`crate::Chunks`].
    Chunked,
}

/// The fields for framing that have been read so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct FramingFields {
    length: Option<u64>,
    codings: Option<Codings>,
}

/// The codings in the Transfer-Encoding fields that have been read so far.
#[derive(Clone, Copy, Debug, Default)]
struct Codings {
    chunked: bool,
    /// gzip and others: registered, but not supported by this server.
    compressed: bool,
    /// A coding that is not registered.
    unknown: bool,
}

impl FramingFields {
    /// Takes the value of a Content-Length field.
    ///
    /// # Errors
    /// 400 for a second Content-Length, even with the same value (RFC 9112 section 6.3 leaves that
    /// to the recipient), for a value that is not `1*DIGIT` (RFC 9110 section 8.6) or larger than
    /// `i64::MAX`, and beside Transfer-Encoding (RFC 9112 section 6.1).
    pub(crate) fn content_length(&mut self, value: &[u8]) -> Result<(), Reject> {
        if self.length.is_some() {
            return Err(Reject::bad("two Content-Length fields"));
        }
        if self.codings.is_some() {
            return Err(Reject::bad("Content-Length with Transfer-Encoding"));
        }
        self.length = Some(decimal(value)?);
        Ok(())
    }

    /// Takes the value of a Transfer-Encoding field.
    ///
    /// # Errors
    /// 400 with HTTP/1.0 or Content-Length (RFC 9112 section 6.1), for an element that is not a
    /// plain token (empty, quoted or with parameters: section 7.1), for `identity`, which is not a
    /// coding any more (appendix C.3), and for any element after `chunked` (section 6.1).
    pub(crate) fn transfer_encoding(
        &mut self,
        value: &[u8],
        version: Version,
    ) -> Result<(), Reject> {
        if version == Version::Http10 {
            return Err(Reject::bad("Transfer-Encoding in HTTP/1.0"));
        }
        if self.length.is_some() {
            return Err(Reject::bad("Content-Length with Transfer-Encoding"));
        }
        let codings = self.codings.get_or_insert_default();
        elements(value).try_for_each(|coding| codings.add(coding))
    }

    /// Decides on the framing, after the last field.
    ///
    /// # Errors
    /// 501 for a coding that this server does not support (RFC 9112 section 6.1), 400 if `chunked`
    /// is not the last coding (section 6.3).
    pub(crate) fn conclude(&self) -> Result<Framing, Reject> {
        match (self.codings, self.length) {
            (None, None) => Ok(Framing::None),
            (None, Some(length)) => Ok(Framing::Length(length)),
            (Some(Codings { unknown: true, .. }), _) => {
                Err(Reject::new(501, "unknown transfer coding"))
            }
            (Some(Codings { chunked: false, .. }), _) => {
                Err(Reject::bad("Transfer-Encoding without chunked"))
            }
            (Some(Codings { compressed: true, .. }), _) => {
                Err(Reject::new(501, "compressed transfer coding"))
            }
            (Some(_), _) => Ok(Framing::Chunked),
        }
    }
}

impl Codings {
    fn add(&mut self, coding: &[u8]) -> Result<(), Reject> {
        const COMPRESSED: [&[u8]; 5] = [b"gzip", b"deflate", b"compress", b"x-gzip", b"x-compress"];
        if !is_token(coding) {
            return Err(Reject::bad("invalid Transfer-Encoding"));
        }
        if self.chunked {
            return Err(Reject::bad("transfer coding after chunked"));
        }
        if coding.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
        } else if coding.eq_ignore_ascii_case(b"identity") {
            return Err(Reject::bad("identity as a transfer coding"));
        } else if COMPRESSED.iter().any(|known| coding.eq_ignore_ascii_case(known)) {
            self.compressed = true;
        } else {
            self.unknown = true;
        }
        Ok(())
    }
}

/// Reads `1*DIGIT`, at most `i64::MAX`: offsets of files are signed.
fn decimal(digits: &[u8]) -> Result<u64, Reject> {
    const INVALID: Reject = Reject::bad("invalid Content-Length");
    if digits.is_empty() {
        return Err(INVALID);
    }
    let mut value = 0u64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return Err(INVALID);
        }
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit - b'0')))
            .filter(|&value| value <= i64::MAX as u64)
            .ok_or(Reject::bad("Content-Length too large"))?;
    }
    Ok(value)
}
