//! Keeps bytes that are not UTF-8 in texts: names of files may have any bytes.
//!
//! Settings are texts between the command line and the worker. A byte that is not part of
//! valid UTF-8 becomes a character from the end of the last plane for private use. The
//! bytes of these characters themselves are replaced in the same way. So the bytes can be
//! restored, as with Python's `surrogateescape` (PEP 383).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The character of the byte 0; the byte 0x80 becomes U+10FF80.
const BASE: u32 = 0x10_FF00;
const FIRST: char = '\u{10FF80}';

/// The text that stands for these bytes.
#[must_use]
pub fn text_of(bytes: &OsStr) -> String {
    let mut text = String::new();
    let stand_in = |byte: &u8| char::from_u32(BASE + u32::from(*byte)).unwrap_or_default();
    for chunk in bytes.as_bytes().utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter < FIRST {
                text.push(letter);
            } else {
                text.extend(letter.encode_utf8(&mut [0; 4]).as_bytes().iter().map(stand_in));
            }
        }
        text.extend(chunk.invalid().iter().map(stand_in));
    }
    text
}

/// The bytes that a text stands for.
#[must_use]
pub fn bytes_of(text: &str) -> OsString {
    let mut bytes = Vec::new();
    for letter in text.chars() {
        match u8::try_from(u32::from(letter).wrapping_sub(BASE)) {
            Ok(byte) if letter >= FIRST => bytes.push(byte),
            Ok(_) | Err(_) => bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    OsString::from_vec(bytes)
}

/// Whether a text stands for bytes that are not UTF-8.
pub(crate) fn is_raw(text: &str) -> bool {
    text.chars().any(|letter| letter >= FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_restored() {
        for bytes in
            [&b"/srv/shop"[..], b"/srv/sh\xf6p", b"\xff\xc3", "\u{10ff80}\u{10ffff}ä".as_bytes()]
        {
            let name = OsStr::from_bytes(bytes);
            let text = text_of(name);
            assert_eq!(bytes_of(&text), name, "{text:?}");
            assert_eq!(bytes_of(&text_of(&bytes_of(&text))), name);
        }
        assert_eq!(text_of(OsStr::new("/srv/ä")), "/srv/ä");
        assert!(is_raw(&text_of(OsStr::from_bytes(b"\xff"))) && !is_raw("/srv/ä"));
    }
}
