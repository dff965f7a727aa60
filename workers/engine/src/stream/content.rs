//! The content of a response of the server itself: bytes, or a part of a file.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use crate::transport::payload::Payload;

/// The content of a response of the server itself.
#[derive(Clone, Debug)]
pub enum LocalContent {
    /// Bytes of this response only.
    Bytes(Vec<u8>),
    /// Bytes that several responses share: they are sent without a copy.
    Shared(SharedBytes),
    /// A part of a file, which is never read as a whole into memory.
    File(FilePart),
}

/// A range of bytes that several responses share.
#[derive(Clone)]
pub struct SharedBytes {
    bytes: Arc<[u8]>,
    range: Range<usize>,
}

/// A part of a file.
#[derive(Clone, Debug)]
pub struct FilePart {
    /// The file, which is open for reading.
    pub file: Arc<File>,
    /// The offset of the first byte.
    pub offset: u64,
    /// How many bytes. A file that ends before breaks the response.
    pub length: u64,
}

impl LocalContent {
    /// No content.
    pub const EMPTY: Self = Self::Bytes(Vec::new());

    /// Its length.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Shared(shared) => shared.range.len() as u64,
            Self::File(part) => part.length,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The content, as far as it is in memory.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Shared(shared) => shared.bytes(),
            Self::File(_) => b"",
        }
    }

    /// Cuts what is beyond `length`.
    pub(crate) fn truncate(&mut self, length: u64) {
        let most = usize::try_from(length).unwrap_or(usize::MAX);
        match self {
            _ if length == 0 => *self = Self::EMPTY,
            Self::Bytes(bytes) => bytes.truncate(most),
            Self::Shared(shared) => *shared = shared.part(0..most),
            Self::File(part) => part.length = part.length.min(length),
        }
    }
}

impl SharedBytes {
    /// All of these bytes.
    #[must_use]
    pub fn new(bytes: Arc<[u8]>) -> Self {
        let range = 0..bytes.len();
        Self { bytes, range }
    }

    /// A part of them; what is beyond their end is left out.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        let end = self.range.start.saturating_add(range.end).min(self.range.end);
        let start = self.range.start.saturating_add(range.start).min(end);
        Self { bytes: Arc::clone(&self.bytes), range: start..end }
    }
}

impl Payload for SharedBytes {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(self.range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "SharedBytes({} bytes)", self.range.len())
    }
}

impl From<Vec<u8>> for LocalContent {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<SharedBytes> for LocalContent {
    fn from(shared: SharedBytes) -> Self {
        Self::Shared(shared)
    }
}

impl From<FilePart> for LocalContent {
    fn from(part: FilePart) -> Self {
        Self::File(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_shared_bytes_stays_within_them() {
        let shared = SharedBytes::new(Arc::from(&b"0123456789"[..]));
        assert_eq!(shared.part(2..5).bytes(), b"234");
        assert_eq!(shared.part(2..5).part(1..9).bytes(), b"34");
        assert_eq!(shared.part(20..30).bytes(), b"");
        let backwards = Range { start: 5, end: 2 };
        assert_eq!(shared.part(backwards).bytes(), b"");
    }

    #[test]
    fn content_is_cut() {
        let shared = SharedBytes::new(Arc::from(&b"0123456789"[..]));
        for mut content in [LocalContent::from(b"0123456789".to_vec()), shared.into()] {
            content.truncate(20);
            assert_eq!(content.len(), 10);
            content.truncate(4);
            assert_eq!((content.bytes(), content.len()), (&b"0123"[..], 4));
            content.truncate(0);
            assert!(content.is_empty());
        }
    }
}
