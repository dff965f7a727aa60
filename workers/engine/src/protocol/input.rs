//! Bytes that a connection has received and not used yet.

use crate::trim;

/// The memory that a connection keeps for what it may read next, in bytes.
pub(crate) const KEPT: usize = 1024;

/// Bytes in order of arrival, with a cursor, so that used bytes need not be moved away
/// each time.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// How many of them are used.
    used: usize,
}

impl Input {
    /// The bytes that are not used.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used == self.bytes.len()
    }

    /// Adds bytes.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        if self.used > 0 && !bytes.is_empty() {
            self.compact();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Uses so many bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.used = (self.used + count).min(self.bytes.len());
        if self.is_empty() {
            self.clear();
        }
    }

    /// Releases memory: a connection may wait long for its client.
    pub(crate) fn settle(&mut self) {
        if self.used > 0 {
            self.compact();
        }
        if self.bytes.len() <= KEPT && self.bytes.capacity() > KEPT {
            trim::note(self.bytes.capacity());
            self.bytes.shrink_to(KEPT);
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        trim::note(self.bytes.capacity());
        self.bytes = Vec::new();
        self.used = 0;
    }

    fn compact(&mut self) {
        self.bytes.drain(..self.used);
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_bytes_are_removed_and_the_rest_stays_in_order() {
        let mut input = Input::default();
        input.append(b"abc");
        input.consume(1);
        assert_eq!(input.rest(), b"bc");
        input.append(b"d");
        assert_eq!(input.rest(), b"bcd");
        input.consume(3);
        assert!(input.is_empty());
        assert_eq!(input.bytes.capacity(), 0);
    }

    #[test]
    fn little_memory_is_kept_for_a_part_of_a_request() {
        let mut input = Input::default();
        input.append(&[b'a'; 100 * KEPT]);
        input.consume(100 * KEPT - 3);
        input.settle();
        assert_eq!(input.rest(), b"aaa");
        assert!(input.bytes.capacity() <= 2 * KEPT);
    }
}
