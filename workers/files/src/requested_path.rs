//! The paths of requests: refused where they are not the names of files.

/// The only name with a dot at its beginning that is served (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// The longest path that the kernel takes, in bytes (`PATH_MAX` without its NUL).
const LONGEST: usize = 4095;

/// Whether each escape of a path stands for a byte that the name of a file may have here. A slash
/// or backslash that is written as an escape is a part of a name for one program and a separator
/// for another one; NUL ends a name for the kernel. Bytes that are not UTF-8, such as an overlong
/// slash, are refused too, and so is `%` without two digits.
pub(crate) fn has_plain_escapes(path: &[u8], decoded: &[u8]) -> bool {
    let mut rest = path;
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        let [_, high, low, after @ ..] = &rest[at..] else { return false };
        let digit = |digit: &u8| char::from(*digit).to_digit(16);
        let (Some(high), Some(low)) = (digit(high), digit(low)) else { return false };
        let byte = (high << 4 | low) as u8;
        if byte < b' ' || matches!(byte, b'/' | b'\\' | 0x7f) {
            return false;
        }
        rest = after;
    }
    std::str::from_utf8(decoded).is_ok()
}

/// Whether a decoded path below a directory is one that is served: no segment is empty or begins
/// with a dot, but `.well-known`, and none has a backslash or a control character.
pub(crate) fn is_served_name(relative: &[u8]) -> bool {
    let is_plain = |byte: &u8| *byte >= b' ' && !matches!(byte, b'\\' | 0x7f);
    relative.len() <= LONGEST
        && relative.iter().all(is_plain)
        && relative
            .split(|&byte| byte == b'/')
            .all(|segment| !matches!(segment, [] | [b'.', ..]) || segment == WELL_KNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use monoceros_http::percent_decoded;

    fn is_accepted(path: &str) -> bool {
        let decoded = percent_decoded(path.as_bytes());
        has_plain_escapes(path.as_bytes(), &decoded) && is_served_name(&decoded)
    }

    #[test]
    fn ordinary_names_are_served() {
        for path in [
            "a",
            "a.css",
            "a/b/c.js",
            "a..b.txt",
            "a.",
            "a..",
            "[...slug].js",
            "%61.css",
            "a%20b",
            "caf%C3%A9.txt",
            "%e2%82%ac",
            "100%25",
            "a%2eb",
            "a+b",
            "a;b=c",
            "a:b",
            "~a",
            "-a",
            ".well-known/security.txt",
            "%2ewell-known/a",
            "a%3fb%23c",
            "con",
            "a b",
        ] {
            assert!(is_accepted(path), "{path}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for path in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "./a",
            "../a",
            "a/.",
            "a/..",
            "a/./b",
            "a/../b",
            "...",
            ".a",
            ".git/config",
            "a/.env",
            ".well-known2",
            ".well-known.",
            "%2e",
            "%2e%2e",
            "%2e%2e/a",
            ".%2e/a",
            "%2E./a",
            "a/%2e%2e/b",
            "%2f",
            "a%2fb",
            "a%2Fb",
            "..%2fa",
            "%5c",
            "..\\a",
            "..%5ca",
            "a\\b",
            "%00",
            "a%00.css",
            "a%0ab",
            "a%0d%0ab",
            "%7f",
            "%c0%af",
            "%c0%ae%c0%ae/a",
            "%e0%80%af",
            "%f0%80%80%af",
            "%c1%9c",
            "%ff",
            "%80",
            "%ed%a0%80",
            "%",
            "%2",
            "%zz",
            "%%32%65",
            "a%",
            "%u002e",
            "%2%65",
        ] {
            assert!(!is_accepted(path), "{path}");
        }
        assert!(!is_served_name(&b"a/".repeat(2048)) && !is_served_name(&[b'a'; 4096]));
    }
}
