//! The identifier of a request: the text that names it in every log line, on the scoreboard, in
//! the application's environment and in the response. It is the client's own, or made of the
//! worker's prefix and the request's number.

use std::fmt;

/// The most bytes of an identifier.
pub const ID_LIMIT: usize = 128;

/// Digits of a worker's prefix: 48 bits, so that two workers with the same prefix are unlikely
/// on any number of machines.
const TAG_DIGITS: usize = 12;

/// The prefix with its hyphen.
const PREFIX: usize = TAG_DIGITS + 1;

/// The beginning of each identifier that a worker makes. The pid of a worker would not do: in
/// every container it is one of the same few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdPrefix([u8; PREFIX]);

impl IdPrefix {
    /// The prefix of the worker with this random number, of which the lower 48 bits count.
    #[must_use]
    pub fn of(tag: u64) -> Self {
        let mut text = [b'-'; PREFIX];
        for (index, digit) in text[..TAG_DIGITS].iter_mut().enumerate() {
            *digit = hex_digit(tag >> (4 * (TAG_DIGITS - 1 - index)));
        }
        Self(text)
    }
}

/// An identifier, in memory of a fixed size.
#[derive(Clone)]
pub struct RequestId {
    text: [u8; ID_LIMIT],
    length: u8,
    is_made: bool,
}

impl RequestId {
    /// No identifier.
    pub const NONE: Self = Self { text: [0; ID_LIMIT], length: 0, is_made: false };

    /// Whether bytes of a client can be an identifier: 1 to 128 letters, digits, dots, hyphens
    /// and underscores. These can neither break a log line nor need an escape in JSON or HTML.
    #[must_use]
    pub fn is_valid(bytes: &[u8]) -> bool {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        (1..=ID_LIMIT).contains(&bytes.len()) && bytes.iter().all(is_plain)
    }

    /// Becomes a client's identifier. Returns false, and stays, if it is not a valid one.
    pub fn take(&mut self, bytes: &[u8]) -> bool {
        let is_valid = Self::is_valid(bytes);
        if is_valid {
            self.text[..bytes.len()].copy_from_slice(bytes);
            self.length = bytes.len() as u8;
            self.is_made = false;
        }
        is_valid
    }

    /// Becomes the identifier that a worker makes for the request of this number.
    pub fn make(&mut self, prefix: &IdPrefix, number: u64) {
        self.text[..PREFIX].copy_from_slice(&prefix.0);
        let digits = (number | 1).ilog2() as usize / 4 + 1;
        for (index, digit) in self.text[PREFIX..PREFIX + digits].iter_mut().enumerate() {
            *digit = hex_digit(number >> (4 * (digits - 1 - index)));
        }
        self.length = (PREFIX + digits) as u8;
        self.is_made = true;
    }

    /// The identifier that a worker makes for the request of this number.
    #[must_use]
    pub fn made(prefix: &IdPrefix, number: u64) -> Self {
        let mut id = Self::NONE;
        id.make(prefix, number);
        id
    }

    /// Becomes none.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.length == 0
    }

    /// The client's own; `None` if the worker has made it.
    #[must_use]
    pub fn given(&self) -> Option<&[u8]> {
        (!self.is_made && self.length > 0).then_some(self.as_bytes())
    }

    /// The text, which is ASCII; empty if there is none.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }

    /// As above.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

/// The lowest four bits as a digit.
fn hex_digit(value: u64) -> u8 {
    b"0123456789abcdef"[(value & 15) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_identifier_is_the_prefix_and_the_number() {
        for (tag, number, text) in [
            (0, 0, "000000000000-0"),
            (0x1f, 1, "00000000001f-1"),
            (0xabc_9f3a_c41b_07de, 0x2c, "9f3ac41b07de-2c"),
            (u64::MAX, u64::MAX, "ffffffffffff-ffffffffffffffff"),
        ] {
            let id = RequestId::made(&IdPrefix::of(tag), number);
            assert_eq!((id.as_str(), id.given()), (text, None));
            assert!(RequestId::is_valid(id.as_bytes()));
        }
        for number in (0..300).chain((0..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit])) {
            let id = RequestId::made(&IdPrefix::of(7), number);
            assert_eq!(id.to_string(), format!("000000000007-{number:x}"));
        }
    }

    #[test]
    fn only_a_plain_identifier_of_a_client_is_taken() {
        let longest = "a".repeat(ID_LIMIT);
        let mut id = RequestId::NONE;
        assert!(id.is_none() && id.given().is_none());
        for plain in ["4bf9.2f_3-7", "-", &longest] {
            assert!(id.take(plain.as_bytes()));
            assert_eq!((id.as_str(), id.given()), (plain, Some(plain.as_bytes())));
        }
        for odd in ["", "a b", "a:b", "a\u{e9}", "<a>", "a\n", "a,b", &"a".repeat(ID_LIMIT + 1)] {
            assert!(!id.take(odd.as_bytes()), "{odd}");
            assert_eq!(id.as_str(), longest);
        }
        id.clear();
        assert!(id.is_none() && id.as_str().is_empty());
    }
}
