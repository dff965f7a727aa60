//! Comma-separated lists in field values (RFC 9110 section 5.6.1).

use crate::class::trim;

/// Whether `token` is an element of the comma-separated `list`, in any case and with white space
/// around it.
///
/// For lists of plain tokens, such as Connection: a comma in a quoted string ends an element too.
///
/// ```
/// assert!(monoceros_http::has_token(b"Upgrade, CLOSE", b"close"));
/// assert!(!monoceros_http::has_token(b"close-not", b"close"));
/// ```
pub fn has_token(list: &[u8], token: &[u8]) -> bool {
    elements(list).any(|element| element.eq_ignore_ascii_case(token))
}

/// The elements of a comma-separated list, trimmed, with the empty ones.
pub(crate) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_any_list() {
        for list in
            ["close", "Close", "a,close", "close,a", " close ", "a ,\tclose\t, b", ",,close,"]
        {
            assert!(has_token(list.as_bytes(), b"close"), "{list:?}");
        }
        for list in ["", "clos", "closed", "a close", "close;q=1", "\x0bclose", "clo,se"] {
            assert!(!has_token(list.as_bytes(), b"close"), "{list:?}");
        }
    }
}
