//! Percent-decoding (RFC 3986 section 2.1) of paths.

use std::borrow::Cow;

/// A path with its percent escapes decoded, as [`percent_decode`] does; without a copy where it
/// has none.
pub fn percent_decoded(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.contains(&b'%') {
        return Cow::Borrowed(path);
    }
    let mut decoded = Vec::with_capacity(path.len());
    percent_decode(path, &mut decoded);
    Cow::Owned(decoded)
}

/// Appends `path` to `out` with its percent escapes decoded, for PATH_INFO. A `%` without two
/// hexadecimal digits after it is kept as it is.
///
/// The result may have any byte, also NUL and CRLF: it is a name for an application, and is never
/// written to a connection.
///
/// ```
/// let mut out = Vec::new();
/// monoceros_http::percent_decode(b"/caf%C3%A9/100%", &mut out);
/// assert_eq!(out, "/café/100%".as_bytes());
/// ```
pub fn percent_decode(path: &[u8], out: &mut Vec<u8>) {
    let mut rest = path;
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = match escape {
            [_, high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex_digit(*high) << 4 | hex_digit(*low));
                after
            }
            [percent, after @ ..] => {
                out.push(*percent);
                after
            }
            [] => escape,
        };
    }
    out.extend_from_slice(rest);
}

/// The value of a hexadecimal digit; without a meaning for other bytes.
pub(crate) fn hex_digit(digit: u8) -> u8 {
    (digit & 0x0f) + 9 * (digit >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(path: &str) -> Vec<u8> {
        let mut out = Vec::new();
        percent_decode(path.as_bytes(), &mut out);
        out
    }

    #[test]
    fn escapes_are_decoded_and_all_else_is_kept() {
        for (path, plain) in [
            ("", &b""[..]),
            ("/", b"/"),
            ("/a%20b", b"/a b"),
            ("%41%5a%5A%7e", b"AZZ~"),
            ("%00%0d%0a%ff", b"\0\r\n\xff"),
            ("%2525", b"%25"),
            ("%", b"%"),
            ("%4", b"%4"),
            ("%zz%4g%g4", b"%zz%4g%g4"),
            ("%%41", b"%A"),
            ("a+b", b"a+b"),
        ] {
            assert_eq!(decoded(path), plain, "{path}");
        }
    }

    #[test]
    fn every_byte_has_two_escapes() {
        for byte in 0..=255u8 {
            assert_eq!(decoded(&format!("%{byte:02x}")), [byte]);
            assert_eq!(decoded(&format!("%{byte:02X}")), [byte]);
        }
    }

    #[test]
    fn a_path_is_decoded_once_and_copied_only_if_it_has_escapes() {
        assert_eq!(percent_decoded(b"/a%252fb").as_ref(), b"/a%2fb");
        assert!(matches!(percent_decoded(b"/a"), Cow::Borrowed(b"/a")));
    }
}
