//! What the keys of a terminal mean: the bytes that it sends become keys of the view.

use crate::top::view::TopKey;

/// Rows that a page key moves by.
const PAGE: i16 = 10;
/// ESC: the key, or the beginning of the sequence of another key.
const ESCAPE: u8 = 0x1b;

/// The keys in what was read at once. ESC at its end is the key.
pub(crate) fn keys(mut bytes: &[u8]) -> Vec<TopKey> {
    let mut found = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        let (key, rest) = match (*first, rest) {
            (ESCAPE, [b'[', rest @ ..]) => sequence(rest),
            (ESCAPE, [b'O', last, rest @ ..]) => (named(*last), rest),
            // With Alt.
            (ESCAPE, [_, rest @ ..]) => (TopKey::Other, rest),
            (byte, rest) => (plain(byte), rest),
        };
        found.push(key);
        bytes = rest;
    }
    found
}

/// A key of one byte.
fn plain(byte: u8) -> TopKey {
    match byte {
        // Ctrl-C, which makes no signal while input is raw.
        b'q' | ESCAPE | 0x03 => TopKey::Quit,
        b'?' | b'h' => TopKey::Help,
        b's' => TopKey::Sort,
        b'p' => TopKey::Pause,
        b'j' => TopKey::Scroll(1),
        b'k' => TopKey::Scroll(-1),
        b' ' => TopKey::Scroll(PAGE),
        _ => TopKey::Other,
    }
}

/// The key of a control sequence (ECMA-48: parameters, and a last byte), and what follows it.
fn sequence(bytes: &[u8]) -> (TopKey, &[u8]) {
    let Some(end) = bytes.iter().position(|byte| matches!(byte, 0x40..=0x7e)) else {
        return (TopKey::Other, &[]);
    };
    let (parameters, rest) = bytes.split_at(end);
    let key = match (rest[0], parameters) {
        (b'~', b"5") => TopKey::Scroll(-PAGE),
        (b'~', b"6") => TopKey::Scroll(PAGE),
        (b'~', b"1" | b"7") => TopKey::First,
        (b'~', b"4" | b"8") => TopKey::Last,
        (last, b"") => named(last),
        _ => TopKey::Other,
    };
    (key, &rest[1..])
}

/// A key whose sequence is one letter: an arrow, Home or End.
fn named(letter: u8) -> TopKey {
    match letter {
        b'A' => TopKey::Scroll(-1),
        b'B' => TopKey::Scroll(1),
        b'H' => TopKey::First,
        b'F' => TopKey::Last,
        _ => TopKey::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_a_meaning_each() {
        for (bytes, expected) in [
            ("q", TopKey::Quit),
            ("\x1b", TopKey::Quit),
            ("\x03", TopKey::Quit),
            ("?", TopKey::Help),
            ("h", TopKey::Help),
            ("s", TopKey::Sort),
            ("p", TopKey::Pause),
            ("j", TopKey::Scroll(1)),
            ("\x1b[B", TopKey::Scroll(1)),
            ("\x1bOA", TopKey::Scroll(-1)),
            ("\x1b[5~", TopKey::Scroll(-PAGE)),
            ("\x1b[6~", TopKey::Scroll(PAGE)),
            ("\x1b[H", TopKey::First),
            ("\x1b[1~", TopKey::First),
            ("\x1bOF", TopKey::Last),
            ("\x1b[8~", TopKey::Last),
            ("\x1b[1;5A", TopKey::Other),
            ("\x1b[3", TopKey::Other),
            ("\x1bq", TopKey::Other),
            ("\x11", TopKey::Other),
            ("x", TopKey::Other),
        ] {
            assert_eq!(keys(bytes.as_bytes()), [expected], "{bytes:?}");
        }
    }

    #[test]
    fn several_keys_are_taken_in_their_order() {
        assert_eq!(keys(b"s\x1b[Bp"), [TopKey::Sort, TopKey::Scroll(1), TopKey::Pause]);
        assert_eq!(keys("é".as_bytes()), [TopKey::Other, TopKey::Other]);
        assert_eq!(keys(b""), []);
    }
}
