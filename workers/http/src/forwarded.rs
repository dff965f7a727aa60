//! The addresses that proxies report: `X-Forwarded-For`, and `Forwarded` (RFC 7239).
//!
//! Each proxy adds the address of its own client behind those that it has received. So a client
//! chooses what stands on the left, and only the right end is the nearest proxy's. Both fields are
//! read from the right, and nothing on the left of an element changes how that element is read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::class::{is_token, trim};

/// The field that proxies report addresses in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressField {
    /// `X-Forwarded-For`, which is not standardised: addresses, separated by commas.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// An address that a proxy reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedAddress {
    /// The address; an IPv4 address also where it is written as IPv6 (RFC 4291 section 2.5.5.2).
    pub ip: IpAddr,
    /// The port, if it is reported and is a number.
    pub port: Option<u16>,
}

impl AddressField {
    /// The name of the field, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }

    /// The client's address in `values`, the values of all fields of this name in their order. The
    /// walk begins at the right end, and ends at the first address that is not trusted: a trusted
    /// proxy has reported it. An element that is no address ends it too, and so does the left end;
    /// the result is the last address before. `None` if there is none.
    ///
    /// ```
    /// use monoceros_http::AddressField;
    ///
    /// let is_trusted = |ip: std::net::IpAddr| ip.is_loopback();
    /// let values = [&b"198.51.100.7, 203.0.113.9:4711"[..], b"127.0.0.2"];
    /// let client = AddressField::XForwardedFor.client(values.into_iter(), is_trusted).unwrap();
    /// assert_eq!((client.ip, client.port), ([203, 0, 113, 9].into(), Some(4711)));
    /// ```
    pub fn client<'a>(
        self,
        values: impl DoubleEndedIterator<Item = &'a [u8]>,
        is_trusted: impl Fn(IpAddr) -> bool,
    ) -> Option<ReportedAddress> {
        let mut last = None;
        for value in values.rev() {
            let mut left = Some(value);
            while let Some(rest) = left {
                let (before, element) = match self {
                    Self::XForwardedFor => split_last(rest),
                    Self::Forwarded => split_last_quoted(rest),
                };
                left = before;
                let element = trim(element);
                if element.is_empty() {
                    // A recipient ignores empty elements (RFC 9110 section 5.6.1.2).
                    continue;
                }
                let address = match self {
                    Self::XForwardedFor => address(element, numeric_port),
                    Self::Forwarded => for_node(element),
                };
                let Some(address) = address else { return last };
                last = Some(address);
                if !is_trusted(address.ip) {
                    return last;
                }
            }
        }
        last
    }
}

/// The part before the last comma, if there is one, and the part behind it.
fn split_last(value: &[u8]) -> (Option<&[u8]>, &[u8]) {
    split_at_comma(value, value.iter().rposition(|&byte| byte == b','))
}

/// As above, without the commas in quoted strings (RFC 9110 section 5.6.4). A quote is read from
/// the right as well: an open one on the left must not hide what a proxy has added.
fn split_last_quoted(value: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut is_quoted = false;
    let mut at = value.len();
    while let Some(before) = at.checked_sub(1) {
        at = before;
        match value[at] {
            b'"' => {
                let slashes = value[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
                // In a quoted string a backslash escapes the next byte.
                is_quoted ^= !is_quoted || slashes % 2 == 0;
                at -= slashes;
            }
            b',' if !is_quoted => return split_at_comma(value, Some(at)),
            _ => {}
        }
    }
    (None, value)
}

fn split_at_comma(value: &[u8], comma: Option<usize>) -> (Option<&[u8]>, &[u8]) {
    match comma {
        Some(at) => (Some(&value[..at]), &value[at + 1..]),
        None => (None, value),
    }
}

/// The address of the `for` parameter of a `forwarded-element` (RFC 7239 section 4). `None` if the
/// element is malformed, has no such parameter or two, or names a node that is no address
/// (section 6): `unknown`, or an identifier that the proxy has made up.
fn for_node(element: &[u8]) -> Option<ReportedAddress> {
    let mut found = None;
    let mut rest = element;
    while !rest.is_empty() {
        let equals = rest.iter().position(|&byte| byte == b'=');
        let (name, after) = (&rest[..equals?], &rest[equals? + 1..]);
        if !is_token(name) {
            return None;
        }
        let mut value = Vec::new();
        let after = take_value(after, &mut value)?;
        if name.eq_ignore_ascii_case(b"for") {
            if found.is_some() {
                return None;
            }
            found = Some(address(&value, reported_port)?);
        }
        // Some proxies write white space behind the semicolon, which the grammar does not have.
        rest = match trim(after) {
            [] => &[],
            [b';', next @ ..] => trim(next),
            _ => return None,
        };
    }
    found
}

/// Appends the value at the beginning of `bytes`, a token or the content of a quoted string.
/// Returns what follows it; `None` for a malformed value.
fn take_value<'a>(bytes: &'a [u8], value: &mut Vec<u8>) -> Option<&'a [u8]> {
    let Some(mut rest) = bytes.strip_prefix(b"\"") else {
        let len = bytes.iter().position(|byte| b"; \t".contains(byte)).unwrap_or(bytes.len());
        let (token, rest) = bytes.split_at(len);
        value.extend_from_slice(token);
        return is_token(token).then_some(rest);
    };
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', byte, after @ ..] | [byte, after @ ..] => {
                value.push(*byte);
                after
            }
            [] => return None,
        };
    }
}

/// Reads an IPv4 or IPv6 address, with or without a port. An IPv6 address needs brackets only with
/// a port: many proxies write it without.
fn address(bytes: &[u8], port: fn(&str) -> Option<Option<u16>>) -> Option<ReportedAddress> {
    let text = std::str::from_utf8(bytes).ok()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ReportedAddress { ip: ip.to_canonical(), port: None });
    }
    let (ip, rest) = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, rest) = rest.split_once(']')?;
            (IpAddr::from(ip.parse::<Ipv6Addr>().ok()?), rest)
        }
        None => {
            let (ip, _) = text.split_once(':')?;
            (IpAddr::from(ip.parse::<Ipv4Addr>().ok()?), &text[ip.len()..])
        }
    };
    let port = match rest.strip_prefix(':') {
        Some(digits) => port(digits)?,
        None if rest.is_empty() => None,
        None => return None,
    };
    Some(ReportedAddress { ip: ip.to_canonical(), port })
}

/// A port of one to five digits; `None` if it is malformed.
fn numeric_port(digits: &str) -> Option<Option<u16>> {
    let is_number = (1..=5).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten().map(Some)
}

/// As above; the port of a node may also be an identifier that begins with an underscore (RFC 7239
/// section 6.2), which is no number.
fn reported_port(port: &str) -> Option<Option<u16>> {
    match port.strip_prefix('_') {
        Some(name) => {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            (!name.is_empty() && name.bytes().all(is_plain)).then_some(None)
        }
        None => numeric_port(port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses of 10.0.0.0/8 and loopback addresses are trusted.
    fn is_trusted(ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => ip.octets()[0] == 10 || ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_loopback(),
        }
    }

    /// The client's address, with its port if that is known.
    fn client(field: AddressField, values: &[&str]) -> String {
        let values = values.iter().map(|value| value.as_bytes());
        match field.client(values, is_trusted) {
            Some(ReportedAddress { ip, port: Some(port) }) => format!("{ip} {port}"),
            Some(ReportedAddress { ip, port: None }) => ip.to_string(),
            None => String::new(),
        }
    }

    #[test]
    fn the_rightmost_address_that_is_not_trusted_is_the_clients() {
        for (values, expected) in [
            (&["1.2.3.4"][..], "1.2.3.4"),
            (&["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            (&["6.6.6.6,1.2.3.4, 10.0.0.1\t,10.0.0.2"], "1.2.3.4"),
            (&["6.6.6.6", "1.2.3.4", "10.0.0.1"], "1.2.3.4"),
            (&["6.6.6.6, 1.2.3.4", "10.0.0.1, 10.0.0.2"], "1.2.3.4"),
            // All of them are trusted: the left one is the client.
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (&["10.0.0.3", "10.0.0.2"], "10.0.0.3"),
            (&["1.2.3.4:80"], "1.2.3.4 80"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["[2001:DB8::7]:65535"], "2001:db8::7 65535"),
            // An IPv4 address in IPv6 is an IPv4 address, also for trust.
            (&["1.2.3.4, ::ffff:10.0.0.1"], "1.2.3.4"),
            (&["::ffff:1.2.3.4, [::ffff:a00:1]:9"], "1.2.3.4"),
            // Empty elements name nothing.
            (&["1.2.3.4, ,", "", " , 10.0.0.1,"], "1.2.3.4"),
            (&[], ""),
            (&[""], ""),
            (&[" ,, "], ""),
        ] {
            assert_eq!(client(AddressField::XForwardedFor, values), expected, "{values:?}");
        }
    }

    #[test]
    fn what_is_no_address_ends_the_walk() {
        for garbage in [
            "unknown",
            "localhost",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "01.2.3.4",
            "0x1.2.3.4",
            "1.2.3.4:",
            "1.2.3.4:-1",
            "1.2.3.4:+1",
            "1.2.3.4:65536",
            "1.2.3.4:000080",
            "1.2.3.4:_a",
            "1.2.3.4 1.2.3.4",
            "1.2.3.4;",
            "[1.2.3.4]",
            "[::1",
            "::1]",
            "[::1]80",
            "[::1]:",
            "[::1]:99999",
            "fe80::1%eth0",
            "[fe80::1%25eth0]:1",
            "\"1.2.3.4\"",
            "for=1.2.3.4",
            "1.2.3.4\u{a0}",
            "\u{661}.2.3.4",
            "_hidden",
            ":",
            ":80",
            "[]",
            "[",
        ] {
            let values = [format!("6.6.6.6, {garbage}, 10.0.0.2, 10.0.0.1")];
            let values = values.each_ref().map(String::as_str);
            assert_eq!(client(AddressField::XForwardedFor, &values), "10.0.0.2", "{garbage}");
            assert_eq!(client(AddressField::XForwardedFor, &["6.6.6.6", garbage]), "", "{garbage}");
        }
        let bytes = [&b"6.6.6.6, 1.2.3.\xff, 10.0.0.1"[..]];
        let found = AddressField::XForwardedFor.client(bytes.into_iter(), is_trusted);
        assert_eq!(found.unwrap().ip, IpAddr::from([10, 0, 0, 1]));
    }

    #[test]
    fn a_forwarded_element_names_its_client_by_for() {
        for (values, expected) in [
            (&["for=1.2.3.4"][..], "1.2.3.4"),
            (&["For=1.2.3.4;proto=https;by=10.0.0.1"], "1.2.3.4"),
            (&["proto=https; by=_x ;FOR=1.2.3.4"], "1.2.3.4"),
            (&["for=6.6.6.6, for=1.2.3.4,for=10.0.0.1"], "1.2.3.4"),
            (&["for=6.6.6.6, for=1.2.3.4", "for=10.0.0.1"], "1.2.3.4"),
            (&["for=\"1.2.3.4:80\""], "1.2.3.4 80"),
            (&["for=\"1.2.3.4\""], "1.2.3.4"),
            (&["for=\"[2001:db8::7]:4711\""], "2001:db8::7 4711"),
            (&["for=\"[2001:db8::7]\""], "2001:db8::7"),
            // No port is known where it is hidden.
            (&["for=\"1.2.3.4:_a.B-9\""], "1.2.3.4"),
            (&["for=\"\\1.2.\\3.4\""], "1.2.3.4"),
            (&["for=1.2.3.4, for=\"[::ffff:10.0.0.1]\""], "1.2.3.4"),
            (&["for=1.2.3.4;", ", ,"], "1.2.3.4"),
            (&["for=10.0.0.3, for=10.0.0.2"], "10.0.0.3"),
            // Commas, semicolons and quotes in a quoted string separate nothing.
            (&["for=1.2.3.4;host=\"a, for=6.6.6.6;\\\", for=6.6.6.6\""], "1.2.3.4"),
            (&["host=\"\\\\\";for=1.2.3.4"], "1.2.3.4"),
            (&["host=\"\";for=1.2.3.4, host=\"\";for=10.0.0.1"], "1.2.3.4"),
            (&[], ""),
            (&[""], ""),
        ] {
            assert_eq!(client(AddressField::Forwarded, values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_malformed_or_hidden_element_ends_the_walk() {
        for garbage in [
            "for=unknown",
            "for=_hidden",
            "for=\"_hidden:80\"",
            "for=\"unknown:80\"",
            "proto=https",
            "for=",
            "for",
            "=1.2.3.4",
            "for=1.2.3.4;for=1.2.3.4",
            "for = 1.2.3.4",
            "for=1.2.3.4:80",
            "for=[::1]",
            "for=\"1.2.3.4",
            "for=1.2.3.4\"",
            "for=\"1.2.3.4\\\"",
            "for=\"1.2.3.4\"x",
            "for=\"1.2.3.4\" \"5\"",
            "for=\"1.2.3.4:_\"",
            "for=\"1.2.3.4:_a b\"",
            "for=\"1.2.3.4:65536\"",
            "for=1.2.3.4 for=1.2.3.4",
            "for=1.2.3.4;;proto=https",
            "for=1.2.3.4;pro\"to=https",
            ";for=1.2.3.4",
            "1.2.3.4",
            "for=\"\"",
            "\"",
            "\\\"",
            "\\",
            ";",
            "=",
        ] {
            let values = [format!("for=6.6.6.6, {garbage}, for=10.0.0.2, for=10.0.0.1")];
            let values = values.each_ref().map(String::as_str);
            assert_eq!(client(AddressField::Forwarded, &values), "10.0.0.2", "{garbage}");
            let fields = ["for=6.6.6.6", garbage, "for=10.0.0.2"];
            assert_eq!(client(AddressField::Forwarded, &fields), "10.0.0.2", "{garbage}");
        }
    }

    /// A client chooses everything on the left of what the nearest proxy adds.
    #[test]
    fn nothing_on_the_left_changes_how_an_element_is_read() {
        let pieces = ["\"", "\\", ",", "for=6.6.6.6", ";", "=", " ", "10.0.0.9", "["];
        let added = ["for=1.2.3.4", "for=\"1.2.3.4\"", "for=1.2.3.4;host=\"a\\\\\\\", b\""];
        let mut lefts = vec![String::new()];
        for _ in 0..4 {
            let more = lefts.iter().flat_map(|left| pieces.map(|it| left.clone() + it));
            lefts = [String::new()].into_iter().chain(more).collect();
        }
        for left in &lefts {
            for right in added {
                let value = format!("{left}, {right}");
                assert_eq!(client(AddressField::Forwarded, &[&value]), "1.2.3.4", "{value}");
            }
            let value = format!("{left}, 1.2.3.4");
            assert_eq!(client(AddressField::XForwardedFor, &[&value]), "1.2.3.4", "{value}");
        }
    }

    #[test]
    fn a_long_field_is_read_in_linear_time() {
        let elements = "10.0.0.1,".repeat(100_000);
        assert_eq!(client(AddressField::XForwardedFor, &[&elements]), "10.0.0.1");
        let quotes = format!("for=6.6.6.6, {}for=10.0.0.1", "\\\"".repeat(500_000));
        assert_eq!(client(AddressField::Forwarded, &[&quotes]), "");
        let slashes = format!("host=\"{}\";for=1.2.3.4", "\\".repeat(1_000_000));
        assert_eq!(client(AddressField::Forwarded, &[&slashes]), "1.2.3.4");
    }
}
