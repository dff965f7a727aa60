//! How a client at a unix socket notices that a response is not complete, if the
//! response ends with the connection. A unix socket cannot be reset. But when a socket
//! is closed while unread bytes wait in it, its peer gets `ECONNRESET` (Linux,
//! `unix_release_sock`), also when the process is killed. So the last byte of a request
//! whose response may end like that (a proxy's with HTTP/1.0) is used without being
//! read: the pledge. It is read when the response is complete.

use std::io;

use crate::transport::socket::Socket;

/// Receives what may be the only request of a connection. Returns how many bytes, and
/// whether the last one was left as a pledge.
///
/// # Errors
/// Those of `recv(2)`.
pub(crate) fn receive(from: &Socket, into: &mut [u8]) -> io::Result<(usize, bool)> {
    let count = from.peek(into)?;
    if !is_last_request(&into[..count]) {
        return Ok((from.receive(into)?, false));
    }
    // The same bytes are read, but for the last one, which is in `bytes` already.
    let read = from.receive(&mut into[..count - 1])?;
    if read == count - 1 { Ok((count, true)) } else { Ok((read, false)) }
}

/// Reads a pledge.
pub(crate) fn redeem(from: &Socket) {
    // One byte is there.
    from.receive(&mut [0]).ok();
}

/// Whether these bytes are one whole request with HTTP/1.0, after which the connection
/// is not used again. An unusual request does not count as one.
fn is_last_request(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let mut lines = bytes[..end].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    if !lines.next().is_some_and(|line| line.ends_with(b" HTTP/1.0")) {
        return false;
    }
    let mut length = 0;
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(at);
        match name.to_ascii_lowercase().as_slice() {
            b"content-length" => {
                let digits = value.get(1..).unwrap_or_default().trim_ascii();
                let text = std::str::from_utf8(digits).unwrap_or_default();
                length = text.parse().unwrap_or(usize::MAX);
            }
            b"transfer-encoding" => return false,
            b"connection" if !value.trim_ascii_end().eq_ignore_ascii_case(b": close") => {
                return false;
            }
            _ => {}
        }
    }
    Some(bytes.len()) == (end + 4).checked_add(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn only_a_complete_last_request_leaves_a_pledge() {
        for whole in [
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\nConnection: close\r\n\r\n",
            "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab",
        ] {
            assert!(is_last_request(whole.as_bytes()), "{whole:?}");
        }
        for other in [
            "",
            "GET / HTTP/1.0\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
            "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nab",
            "POST / HTTP/1.0\r\nContent-Length: 18446744073709551615\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            assert!(!is_last_request(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn closing_fails_for_the_peer_only_while_the_pledge_is_unread() {
        for is_redeemed in [false, true] {
            let (mut client, server) = UnixStream::pair().unwrap();
            let server = Socket::new(server.into());
            client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            let mut bytes = [0; 100];
            assert_eq!(receive(&server, &mut bytes).unwrap(), (18, true));
            assert_eq!(&bytes[..18], b"GET / HTTP/1.0\r\n\r\n");
            server.send(b"part", false).unwrap();
            if is_redeemed {
                redeem(&server);
            }
            drop(server);
            let mut received = Vec::new();
            let end = client.read_to_end(&mut received).map_err(|error| error.kind());
            assert_eq!(received, b"part");
            assert_eq!(end, if is_redeemed { Ok(4) } else { Err(ErrorKind::ConnectionReset) });
        }
    }
}
