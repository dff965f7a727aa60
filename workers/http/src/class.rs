//! Classes of bytes: one lookup table for each rule of the grammar, and the search for control
//! characters.

/// `tchar` (RFC 9110 section 5.6.2): method, field name, chunk extension name.
pub(crate) const TOKEN: [bool; 256] = token();

/// The bytes of a method: `tchar` without `#` and without lower case. No registered method has
/// lower case, and a request that begins with it is mostly garbage. gunicorn refuses the same
/// bytes.
pub(crate) const METHOD: [bool; 256] = method();

/// The bytes of a request target (RFC 9112 section 3.2, RFC 3986 section 2): visible ASCII without
/// `#`, since a fragment is never sent. Characters that a URI has to escape, such as `|`, are
/// accepted: browsers send them.
pub(crate) const TARGET: [bool; 256] = target();

/// The bytes of a name in Host, besides percent escapes: `unreserved` and `sub-delims` (RFC 3986
/// section 3.2.2) without the comma. Two Host fields that an intermediary has joined look like one
/// name with a comma.
pub(crate) const REG_NAME: [bool; 256] = reg_name();

const fn token() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
}

const fn method() -> [bool; 256] {
    let mut table = token();
    table[b'#' as usize] = false;
    let mut byte = b'a';
    while byte <= b'z' {
        table[byte as usize] = false;
        byte += 1;
    }
    table
}

const fn target() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte as usize] = byte != b'#';
        byte += 1;
    }
    table
}

const fn reg_name() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b';'
                    | b'='
            );
        byte += 1;
    }
    table
}

/// Whether every byte is in `table`; true for an empty slice.
pub(crate) fn all(bytes: &[u8], table: &[bool; 256]) -> bool {
    bytes.iter().all(|&byte| table[usize::from(byte)])
}

/// Whether these bytes are a token (RFC 9110 section 5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all(bytes, &TOKEN)
}

/// Whether a field value must not contain this byte (RFC 9110 section 5.5): a control character
/// other than HTAB.
pub(crate) const fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

/// The position of the first control character other than HTAB, at or after `from`; `bytes.len()`
/// if there is none.
///
/// One pass, eight bytes at a time, finds the end of a line and checks its bytes.
pub(crate) fn find_control(bytes: &[u8], from: usize) -> usize {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let mut at = from;
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*word);
        let del = word ^ (ONES * 0x7f);
        // The subtraction borrows from the next byte where a byte is below the bound. So the lowest
        // mark of each half is exact. The marks above it may be false, and are not used.
        let low = word.wrapping_sub(ONES * 0x20) & !word;
        let marks = (low | (del.wrapping_sub(ONES) & !del)) & HIGH;
        if marks == 0 {
            at += 8;
            continue;
        }
        at += marks.trailing_zeros() as usize / 8;
        if bytes[at] != b'\t' {
            return at;
        }
        at += 1;
    }
    while at < bytes.len() && !is_control(bytes[at]) {
        at += 1;
    }
    at
}

/// Removes SP and HTAB at both ends (OWS, RFC 9110 section 5.6.3). No other character is white
/// space.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_scan_finds_what_the_slow_one_finds() {
        for filler in [b'a', b' ', b'\t', 0x80, 0xff, 0x7e, 0xa0] {
            for byte in 0..=255 {
                for at in 0..20 {
                    let mut bytes = [filler; 20];
                    bytes[at] = byte;
                    let slow =
                        bytes.iter().position(|&byte| is_control(byte)).unwrap_or(bytes.len());
                    assert_eq!(
                        find_control(&bytes, 0),
                        slow,
                        "{byte:#x} at {at} among {filler:#x}"
                    );
                    assert_eq!(find_control(&bytes, at.min(slow)), slow);
                }
            }
        }
    }

    #[test]
    fn two_marks_in_one_word_do_not_hide_each_other() {
        assert_eq!(find_control(b"a\x7f\x1fbcdefgh", 0), 1);
        assert_eq!(find_control(b"a\x1f\x20\x7fcdefgh", 0), 1);
        assert_eq!(find_control(b"\t\t\t\r\tdefgh", 0), 3);
        assert_eq!(find_control(b"\t\x20\x21\x22\x23\x24\x25\x26\x27\n", 0), 9);
    }

    #[test]
    fn a_scan_past_the_end_finds_the_end() {
        assert_eq!(find_control(b"", 0), 0);
        assert_eq!(find_control(b"abc", 3), 3);
    }

    #[test]
    fn trimming_takes_space_and_tab_only() {
        for (from, to) in [
            (&b" \t a b \t"[..], &b"a b"[..]),
            (b"\x0ba\x0c", b"\x0ba\x0c"),
            (b"\xa0a", b"\xa0a"),
            (b" \t ", b""),
            (b"", b""),
        ] {
            assert_eq!(trim(from), to);
        }
    }
}
