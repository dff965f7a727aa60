//! The header of the PROXY protocol, by which a proxy that passes a connection on names its
//! client (HAProxy, `proxy-protocol.txt`): a line of text (version 1), or a binary block
//! (version 2). Pure: takes the first bytes of a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use monoceros_wire::listener::ProxyProtocol;

/// The beginning of a header of version 1.
const TEXT_START: &[u8] = b"PROXY ";

/// The longest header of version 1, with its line end.
const TEXT_LIMIT: usize = 107;

/// The beginning of a header of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The part of a header of version 2 that is always there: the signature, the version and
/// command, the address family and protocol, and the length of the rest.
const FIXED: usize = 16;

/// The bytes of two addresses of unix sockets, the longest addresses.
const UNIX_ADDRESSES: usize = 216;

/// The most bytes of type-length-value fields (TLV) behind the addresses. They are skipped.
const FIELDS_LIMIT: usize = 6_000;

/// The longest header that is accepted.
pub(crate) const LONGEST: usize = FIXED + UNIX_ADDRESSES + FIELDS_LIMIT;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyRead {
    /// The beginning of a header: more bytes are needed.
    Partial,
    /// Something else.
    Absent,
    /// A whole header.
    Whole(ProxyHeader),
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProxyHeader {
    /// Its length in bytes.
    pub(crate) length: usize,
    /// The addresses of the client, and of what it has connected to. `None` if the proxy
    /// reports none: it has opened the connection itself, or does not know them.
    pub(crate) addresses: Option<(SocketAddr, SocketAddr)>,
}

/// Reads the first bytes of a connection at a listener of this kind.
///
/// # Errors
/// Why the connection cannot be served, as soon as the bytes show it.
pub(crate) fn read(bytes: &[u8], expected: ProxyProtocol) -> Result<ProxyRead, &'static str> {
    let (takes_text, takes_binary) = match expected {
        ProxyProtocol::Off => return Ok(ProxyRead::Absent),
        ProxyProtocol::Auto => (true, true),
        ProxyProtocol::V1 => (true, false),
        ProxyProtocol::V2 => (false, true),
    };
    if takes_text && bytes.starts_with(TEXT_START) {
        return read_text(bytes);
    }
    if takes_binary && bytes.starts_with(SIGNATURE) {
        return read_binary(bytes);
    }
    if takes_text && TEXT_START.starts_with(bytes) || takes_binary && SIGNATURE.starts_with(bytes) {
        return Ok(ProxyRead::Partial);
    }
    match expected {
        ProxyProtocol::Off | ProxyProtocol::Auto => Ok(ProxyRead::Absent),
        ProxyProtocol::V1 => Err("it does not begin with a PROXY header of version 1"),
        ProxyProtocol::V2 => Err("it does not begin with a PROXY header of version 2"),
    }
}

fn read_text(bytes: &[u8]) -> Result<ProxyRead, &'static str> {
    let bytes = &bytes[..bytes.len().min(TEXT_LIMIT)];
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        if bytes.len() == TEXT_LIMIT {
            return Err("its PROXY header is longer than 107 bytes");
        }
        return Ok(ProxyRead::Partial);
    };
    let line = bytes[TEXT_START.len()..end].strip_suffix(b"\r");
    let malformed = "its PROXY header of version 1 is malformed";
    let line = line.filter(|line| !line.contains(&b'\r')).ok_or(malformed)?;
    let addresses = match line.split(|byte| *byte == b' ').collect::<Vec<_>>().as_slice() {
        // The rest of the line has no meaning.
        [b"UNKNOWN", ..] => None,
        [family @ (b"TCP4" | b"TCP6"), client, server, client_port, server_port] => {
            let is_v6 = *family == b"TCP6";
            let address = |host, port| Some(SocketAddr::new(ip(host, is_v6)?, decimal(port)?));
            let addresses = address(client, client_port).zip(address(server, server_port));
            Some(addresses.ok_or(malformed)?)
        }
        _ => return Err(malformed),
    };
    Ok(ProxyRead::Whole(ProxyHeader { length: end + 1, addresses }))
}

/// An address of the family that the header names.
fn ip(text: &[u8], is_v6: bool) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if is_v6 {
        text.parse::<Ipv6Addr>().ok().map(IpAddr::from)
    } else {
        text.parse::<Ipv4Addr>().ok().map(IpAddr::from)
    }
}

/// A port: digits only, without leading zeros.
fn decimal(text: &[u8]) -> Option<u16> {
    let is_plain =
        text.iter().all(u8::is_ascii_digit) && (text.len() == 1 || text.first()? != &b'0');
    std::str::from_utf8(text).ok().filter(|_| is_plain)?.parse().ok()
}

fn read_binary(bytes: &[u8]) -> Result<ProxyRead, &'static str> {
    if let Some(command) = bytes.get(12)
        && !matches!(command, 0x20 | 0x21)
    {
        return Err("its PROXY header has an unassigned version or command");
    }
    let is_local = bytes.get(12) == Some(&0x20);
    // For a connection of the proxy itself the family has no meaning.
    let (family, least) = match bytes.get(13).map(|byte| byte >> 4) {
        _ if is_local => (0, 0),
        Some(1) => (1, 12),
        Some(2) => (2, 36),
        Some(3) => (3, UNIX_ADDRESSES),
        _ => (0, 0),
    };
    if let Some(kind) = bytes.get(13)
        && !is_local
        && !matches!(kind, 0x00 | 0x11 | 0x12 | 0x21 | 0x22 | 0x31 | 0x32)
    {
        return Err("its PROXY header has an unassigned address family or protocol");
    }
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED) else { return Ok(ProxyRead::Partial) };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length < least {
        return Err("its PROXY header is too short for its addresses");
    } else if length > least + FIELDS_LIMIT {
        return Err("its PROXY header is longer than 6,000 bytes behind the addresses");
    }
    let Some(block) = rest.get(..length) else { return Ok(ProxyRead::Partial) };
    let addresses = match family {
        1 => pair_of::<4>(block),
        2 => pair_of::<16>(block),
        _ => None,
    };
    Ok(ProxyRead::Whole(ProxyHeader { length: FIXED + length, addresses }))
}

/// Two addresses of `N` bytes each, and their ports.
fn pair_of<const N: usize>(block: &[u8]) -> Option<(SocketAddr, SocketAddr)>
where
    IpAddr: From<[u8; N]>,
{
    let (client, block) = block.split_first_chunk::<N>()?;
    let (server, block) = block.split_first_chunk::<N>()?;
    let (client_port, block) = block.split_first_chunk()?;
    let server_port = block.first_chunk()?;
    let address = |ip: &[u8; N], port| SocketAddr::new((*ip).into(), u16::from_be_bytes(port));
    Some((address(client, *client_port), address(server, *server_port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses that a header names.
    type Named = Option<(SocketAddr, SocketAddr)>;

    const MODES: [ProxyProtocol; 3] = [ProxyProtocol::Auto, ProxyProtocol::V1, ProxyProtocol::V2];

    fn text(line: &str) -> Vec<u8> {
        line.as_bytes().to_vec()
    }

    fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, block].concat()
    }

    fn v4_block() -> Vec<u8> {
        [&[192, 0, 2, 1, 10, 0, 0, 1][..], &[0x1f, 0x90, 1, 0xbb]].concat()
    }

    fn v6_block() -> Vec<u8> {
        let [client, server] =
            ["2001:db8::1", "2001:db8::2"].map(|text| text.parse::<Ipv6Addr>().unwrap().octets());
        [&client[..], &server, &[0x1f, 0x90, 1, 0xbb]].concat()
    }

    fn addresses(client: &str, server: &str) -> Named {
        Some((client.parse().unwrap(), server.parse().unwrap()))
    }

    /// Headers that are accepted, and what they name.
    fn good() -> Vec<(ProxyProtocol, Vec<u8>, Named)> {
        let v4 = addresses("192.0.2.1:8080", "10.0.0.1:443");
        let v6 = addresses("[2001:db8::1]:8080", "[2001:db8::2]:443");
        let (one, two) = (ProxyProtocol::V1, ProxyProtocol::V2);
        let fields = |block: Vec<u8>, count| [block, vec![7; count]].concat();
        vec![
            (one, text("PROXY TCP4 192.0.2.1 10.0.0.1 8080 443\r\n"), v4),
            (one, text("PROXY TCP6 2001:db8::1 2001:db8::2 8080 443\r\n"), v6),
            (one, text("PROXY UNKNOWN\r\n"), None),
            (one, text("PROXY UNKNOWN ffff::1 whatever 1 2\r\n"), None),
            (one, text("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), addresses("0.0.0.0:0", "0.0.0.0:0")),
            (two, binary(0x21, 0x11, &v4_block()), v4),
            (two, binary(0x21, 0x12, &v4_block()), v4),
            (two, binary(0x21, 0x21, &v6_block()), v6),
            (two, binary(0x21, 0x22, &v6_block()), v6),
            (two, binary(0x21, 0x11, &fields(v4_block(), FIELDS_LIMIT)), v4),
            (two, binary(0x21, 0x21, &fields(v6_block(), 7)), v6),
            (two, binary(0x21, 0x31, &[b'/'; UNIX_ADDRESSES]), None),
            (two, binary(0x21, 0x00, b""), None),
            (two, binary(0x21, 0x00, &[1; 9]), None),
            (two, binary(0x20, 0x00, b""), None),
            (two, binary(0x20, 0x11, &v4_block()), None),
            (two, binary(0x20, 0xff, b"x"), None),
        ]
    }

    #[test]
    fn headers_name_the_client_and_what_it_has_connected_to() {
        for (mode, header, addresses) in good() {
            for expected in [mode, ProxyProtocol::Auto] {
                let followed = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
                for bytes in [&header, &followed] {
                    let whole = ProxyHeader { length: header.len(), addresses };
                    assert_eq!(read(bytes, expected), Ok(ProxyRead::Whole(whole)), "{header:?}");
                }
            }
        }
        assert!(good().iter().all(|(_, header, _)| header.len() <= LONGEST));
    }

    #[test]
    fn a_header_that_is_cut_anywhere_needs_more() {
        for (mode, header, _) in good() {
            for expected in [mode, ProxyProtocol::Auto] {
                for cut in 0..header.len() {
                    assert_eq!(read(&header[..cut], expected), Ok(ProxyRead::Partial), "{cut}");
                }
            }
        }
    }

    #[test]
    fn a_header_with_any_byte_changed_never_names_more_than_it_has() {
        for (mode, header, _) in good() {
            // Fields that are skipped have no structure.
            for at in 0..header.len().min(64) {
                for change in [0x01, 0x20, 0x80, 0xff] {
                    let mut bytes = header.clone();
                    bytes[at] ^= change;
                    for expected in MODES {
                        if let Ok(ProxyRead::Whole(found)) = read(&bytes, expected) {
                            assert!(found.length <= bytes.len(), "{mode:?} {at} {change}");
                            assert!((expected != ProxyProtocol::V1) || bytes[0] == b'P');
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(TEXT_LIMIT));
        let texts = [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 8080\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 8080 443 \r\n",
            "PROXY TCP4  192.0.2.1 10.0.0.1 8080 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 8080 443\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1\r 8080 443\r\n",
            "PROXY TCP4 192.0.2.01 10.0.0.1 8080 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 08080 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 +80 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 65536 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 80 \r\n",
            "PROXY TCP4 ::1 ::1 8080 443\r\n",
            "PROXY TCP6 192.0.2.1 10.0.0.1 8080 443\r\n",
            "PROXY TCP6 ::1%lo ::1 8080 443\r\n",
            "PROXY UDP4 192.0.2.1 10.0.0.1 8080 443\r\n",
            "PROXY tcp4 192.0.2.1 10.0.0.1 8080 443\r\n",
            "PROXY UNKNOWNX\r\n",
            "PROXY UNKNOWN\n",
            "PROXY UNKNOWN a\rb\r\n",
            &long,
        ];
        let binaries = [
            binary(0x11, 0x11, &v4_block()),
            binary(0x31, 0x11, &v4_block()),
            binary(0x22, 0x11, &v4_block()),
            binary(0x21, 0x10, &v4_block()),
            binary(0x21, 0x01, &v4_block()),
            binary(0x21, 0x13, &v4_block()),
            binary(0x21, 0x41, &v4_block()),
            binary(0x21, 0x11, &v4_block()[..11]),
            binary(0x21, 0x21, &v6_block()[..35]),
            binary(0x21, 0x31, &[0; UNIX_ADDRESSES - 1]),
            binary(0x21, 0x11, &[0; 12 + FIELDS_LIMIT + 1]),
            binary(0x20, 0x00, &[0; FIELDS_LIMIT + 1]),
        ];
        for bytes in texts.map(text) {
            assert!(read(&bytes, ProxyProtocol::V1).is_err(), "{}", bytes.escape_ascii());
            assert!(read(&bytes, ProxyProtocol::Auto).is_err(), "{}", bytes.escape_ascii());
        }
        for bytes in binaries {
            assert!(read(&bytes, ProxyProtocol::V2).is_err(), "{}", bytes.escape_ascii());
        }
        // As soon as the bytes show it.
        assert!(read(&binary(0x11, 0, b"")[..13], ProxyProtocol::V2).is_err());
        assert!(read(&binary(0x21, 0x41, b"")[..14], ProxyProtocol::V2).is_err());
    }

    #[test]
    fn a_connection_without_a_header_is_served_only_where_that_is_allowed() {
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"POST", b"PROXYX", b"\r\nGET", b"\x16\x03"] {
            assert_eq!(read(bytes, ProxyProtocol::Auto), Ok(ProxyRead::Absent));
            assert_eq!(read(bytes, ProxyProtocol::Off), Ok(ProxyRead::Absent));
            assert!(read(bytes, ProxyProtocol::V1).is_err());
            assert!(read(bytes, ProxyProtocol::V2).is_err());
        }
        let (one, two) = (text("PROXY UNKNOWN\r\n"), binary(0x20, 0, b""));
        assert!(read(&one, ProxyProtocol::V2).is_err() && read(&two, ProxyProtocol::V1).is_err());
        assert_eq!(read(&one, ProxyProtocol::Off), Ok(ProxyRead::Absent), "it was not asked for");
    }
}
