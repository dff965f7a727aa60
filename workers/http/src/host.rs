//! Host: `uri-host [ ":" port ]` (RFC 9112 section 3.2), in the Host field and in an absolute
//! target.

use std::net::Ipv6Addr;

use crate::class::REG_NAME;

/// The parts of a host. The port is `None` if it is absent or empty, which is the same (RFC 3986
/// section 3.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) port: Option<u16>,
}

/// Splits `value`; `None` for an invalid host, a port without a name, and a port above 65535. An
/// empty host is valid: clients send it for targets without an authority (RFC 9112 section 3.2).
pub(crate) fn split(value: &[u8]) -> Option<Host<'_>> {
    let len = if value.first() == Some(&b'[') {
        value.iter().position(|&byte| byte == b']')? + 1
    } else {
        value.iter().position(|&byte| byte == b':').unwrap_or(value.len())
    };
    let (name, rest) = value.split_at(len);
    if !is_ip_literal(name) && !is_reg_name(name) {
        return None;
    }
    let port = match rest {
        [] => None,
        [b':', digits @ ..] if !name.is_empty() => port(digits)?,
        _ => return None,
    };
    Some(Host { name, port })
}

/// Whether a name is `"[" IPv6address "]"`. RFC 3986 section 3.2.2 also has IPvFuture, which a
/// recipient refuses if it does not know the version; no version is defined.
fn is_ip_literal(name: &[u8]) -> bool {
    let [b'[', address @ .., b']'] = name else { return false };
    std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// Whether a name is a `reg-name` (RFC 3986 section 3.2.2). An IPv4 address is one too.
fn is_reg_name(name: &[u8]) -> bool {
    let is_plain = |byte: &u8| REG_NAME[usize::from(*byte)];
    let plain = name.iter().position(|byte| !is_plain(byte)).unwrap_or(name.len());
    let mut rest = &name[plain..];
    while let [byte, after @ ..] = rest {
        rest = match (byte, after) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                after
            }
            _ if is_plain(byte) => after,
            _ => return false,
        };
    }
    true
}

/// Reads `*DIGIT`, at most 65535; the inner `None` is an empty port.
fn port(digits: &[u8]) -> Option<Option<u16>> {
    let mut port = None;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        port = Some(port.unwrap_or(0u16).checked_mul(10)?.checked_add(u16::from(digit - b'0'))?);
    }
    Some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for (value, name, port) in [
            ("a", "a", None),
            ("", "", None),
            ("a.example:8000", "a.example", Some(8000)),
            ("a:", "a", None),
            ("a:0", "a", Some(0)),
            ("a:65535", "a", Some(65535)),
            ("a:0080", "a", Some(80)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::7]:443", "[2001:db8::7]", Some(443)),
            ("a_b-c~!$&'()*+;=", "a_b-c~!$&'()*+;=", None),
            ("a%2Fb", "a%2Fb", None),
        ] {
            assert_eq!(
                split(value.as_bytes()),
                Some(Host { name: name.as_bytes(), port }),
                "{value:?}"
            );
        }
    }
}
