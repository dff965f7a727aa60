//! How large a request head may be.

/// No head is read beyond this many bytes, whatever the settings allow: 1 MiB.
pub(crate) const MAX_HEAD: usize = 1 << 20;

/// The limits of a request head, and of the trailer section of a chunked body. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest request line, without its CRLF; `usize::MAX` leaves only the limit of the whole
    /// head, 1 MiB.
    pub request_line: usize,
    /// The most field lines.
    pub fields: usize,
    /// The longest field line, with its CRLF.
    pub field_size: usize,
}
