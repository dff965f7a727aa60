//! The limits of a request head.

/// The maximum length of a head in bytes, for every limit of the settings: 1 MiB.
pub(crate) const MAX_HEAD: usize = 1 << 20;

/// The limits of a request head, and of the trailer section of a chunked body. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum length of the request line, without its CRLF. With `usize::MAX` only the limit
    /// of the whole head applies.
    pub request_line: usize,
    /// The maximum number of field lines.
    pub fields: usize,
    /// The maximum length of a field line, with its CRLF. With `usize::MAX` only the limit of the
    /// whole head, or of the trailer section, applies.
    pub field_size: usize,
}
