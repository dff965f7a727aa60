//! A part of a head, by its position: it stays valid when the bytes of the head are copied.

/// The bytes from `start` up to, not including, `end`. 32 bits are enough: a head has at most
/// [`crate::limits::MAX_HEAD`] bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The `len` bytes at `start`.
    pub(crate) fn new(start: usize, len: usize) -> Span {
        Span { start: start as u32, end: (start + len) as u32 }
    }

    /// The same piece of bytes that stand `at` bytes further on.
    pub(crate) fn moved_by(self, at: usize) -> Span {
        Span { start: self.start + at as u32, end: self.end + at as u32 }
    }

    /// Where it begins.
    pub(crate) fn start(self) -> usize {
        self.start as usize
    }

    /// The bytes at this position; an empty slice if `bytes` is too short.
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Whether it has no bytes.
    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }
}
