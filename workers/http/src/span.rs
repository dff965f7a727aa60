//! A piece of a head, by position, so that it survives the copy of the bytes that it stands in.

/// From `start` up to, not including, `end`; a head is never larger than
/// [`crate::limits::MAX_HEAD`], so 32 bits do.
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

    /// What stands there; nothing if `bytes` is too short.
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Whether nothing stands there.
    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }
}
