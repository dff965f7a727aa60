//! The layer against a client of rustls, over a pair of sockets.

use std::os::unix::net::UnixStream;

use monoceros_tls::{Material, Pair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use socket2::SockRef;

use super::*;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A client and the layer, with the sockets between them.
struct TlsEnds {
    client: ClientConnection,
    wire: UnixStream,
    layer: TlsLayer,
    socket: Socket,
}

/// A server for `localhost`, and its certificate.
fn server() -> (TlsServer, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    let material = Material {
        pairs: vec![Pair::from_pem(made.cert.pem().as_bytes(), Some(key.as_bytes())).unwrap()],
        ticket_keys: vec![monoceros_tls::TicketKey::generate(1)],
        ..Material::default()
    };
    (TlsServer::new(material).unwrap(), made.cert.der().clone())
}

impl TlsEnds {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        Self::new_for(version, "localhost")
    }

    /// A client that asks for this name.
    fn new_for(version: &'static SupportedProtocolVersion, name: &'static str) -> Self {
        let (server, certificate) = server();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
        let (wire, theirs) = UnixStream::pair().unwrap();
        wire.set_nonblocking(true).unwrap();
        let scratch = Scratch(Arc::new(Mutex::new(vec![0; SCRATCH].into())));
        let layer = TlsLayer::new(&server, &[b"http/1.1".to_vec()], scratch);
        Self { client, wire, layer, socket: Socket::new(theirs.into()) }
    }

    fn open(version: &'static SupportedProtocolVersion) -> Self {
        let mut ends = Self::new(version);
        while ends.client.is_handshaking() || ends.layer.session.is_none() {
            ends.send();
            blocked(ends.layer.open(&ends.socket));
            ends.receive();
        }
        ends
    }

    /// Sends what the client has, as far as the socket has room.
    fn send(&mut self) {
        while self.client.wants_write() {
            match self.client.write_tls(&mut self.wire) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Receives what has arrived at the client. Returns the plain text.
    fn receive(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        loop {
            match self.client.read_tls(&mut self.wire) {
                Ok(0) => return text,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return text,
                Err(error) => panic!("{error}"),
            }
            self.client.process_new_packets().unwrap();
            // An end of the text is no error here.
            self.client.reader().read_to_end(&mut text).ok();
        }
    }

    /// Reads plain text at the server until none is left, `size` bytes at a time. Returns it,
    /// and whether the client has ended its side.
    fn read(&mut self, size: usize) -> (Vec<u8>, bool) {
        let mut text = Vec::new();
        let mut into = vec![0; size];
        loop {
            match self.layer.read(&self.socket, &mut into) {
                Ok(0) => return (text, true),
                Ok(count) => text.extend_from_slice(&into[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(self.layer.ahead.is_empty() && !self.layer.has_plain);
                    return (text, false);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Whether a call has to be repeated.
fn blocked<T>(result: io::Result<T>) -> bool {
    match result {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::WouldBlock => true,
        Err(error) => panic!("{error}"),
    }
}

/// Bytes in which no part repeats soon.
fn text(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
}

#[test]
fn a_handshake_may_arrive_in_single_bytes() {
    for version in VERSIONS {
        let mut ends = TlsEnds::new(version);
        while ends.client.is_handshaking() || ends.layer.session.is_none() {
            let mut bytes = Vec::new();
            while ends.client.wants_write() {
                ends.client.write_tls(&mut bytes).unwrap();
            }
            for byte in bytes {
                assert!(blocked(ends.layer.open(&ends.socket)));
                ends.wire.write_all(&[byte]).unwrap();
            }
            blocked(ends.layer.open(&ends.socket));
            ends.receive();
        }
        let session = ends.layer.session().unwrap();
        let name = format!("{:?}", version.version).replace("_", ".");
        assert_eq!(session.protocol, name);
        assert!(session.cipher.contains("AES") && session.client.is_none());
        assert!(!ends.layer.holds());
    }
}

#[test]
fn a_request_that_follows_the_handshake_at_once_is_read_completely() {
    for version in VERSIONS {
        let mut ends = TlsEnds::new(version);
        // rustls sends it with the last message of the handshake.
        let sent = text(30_000);
        ends.client.writer().write_all(&sent).unwrap();
        while ends.client.is_handshaking() || ends.layer.session.is_none() {
            ends.send();
            blocked(ends.layer.open(&ends.socket));
            ends.receive();
        }
        ends.send();
        assert_eq!(ends.read(SCRATCH), (sent, false), "{version:?}");
    }
}

#[test]
fn plain_text_for_which_there_is_no_room_is_read_later() {
    for version in VERSIONS {
        for size in [1, 100, 5000, SCRATCH] {
            let mut ends = TlsEnds::open(version);
            let sent = text(50_000);
            let mut received = Vec::new();
            for part in sent.chunks(17_000) {
                ends.client.writer().write_all(part).unwrap();
                ends.send();
                received.extend(ends.read(size).0);
            }
            assert!(received == sent, "{size} bytes at a time");
        }
    }
}

#[test]
fn what_is_left_is_announced() {
    let mut ends = TlsEnds::open(&TLS13);
    ends.client.writer().write_all(b"0123456789").unwrap();
    ends.send();
    let mut into = [0; 4];
    assert_eq!(ends.layer.read(&ends.socket, &mut into).unwrap(), 4);
    assert!(ends.layer.has_more());
    assert_eq!(ends.layer.read(&ends.socket, &mut [0; 100]).unwrap(), 6);
    assert!(!ends.layer.has_more());
    ends.client.send_close_notify();
    ends.client.writer().write_all(b"").unwrap();
    ends.send();
    assert_eq!(ends.layer.read(&ends.socket, &mut into).unwrap(), 0);
    assert!(ends.layer.has_more(), "the end can be read again");
}

#[test]
fn a_large_response_passes_a_small_socket() {
    for version in VERSIONS {
        let mut ends = TlsEnds::open(version);
        SockRef::from(&ends.socket).set_send_buffer_size(4096).unwrap();
        let sent = text(1_000_000);
        let mut received = Vec::new();
        let (mut taken, mut blocks) = (0, 0);
        while received.len() < sent.len() {
            while taken < sent.len() {
                match ends.layer.write(&ends.socket, &sent[taken..]) {
                    Ok(count) => taken += count,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock);
                        blocks += 1;
                        break;
                    }
                }
            }
            let is_blocked = blocked(ends.layer.flush(&ends.socket));
            assert_eq!(is_blocked, ends.layer.holds());
            // Twice the limit is enough for records, and for what the socket has.
            assert!(taken - received.len() < 2 * HELD + (1 << 20), "the layer holds too much");
            received.extend(ends.receive());
        }
        assert!(received == sent);
        assert!(blocks > 3, "the socket has taken everything at once");
    }
}

#[test]
fn a_body_with_its_head_is_sent_with_one_call() {
    let mut ends = TlsEnds::open(&TLS13);
    SockRef::from(&ends.socket).set_send_buffer_size(1 << 20).unwrap();
    for part in [text(200), text(64 * 1024)] {
        assert_eq!(ends.layer.write(&ends.socket, &part).unwrap(), part.len());
    }
    assert!(ends.layer.holds());
    // Tickets are sent when the layer has been read, which it was not.
    assert_eq!(ends.wire.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    ends.layer.flush(&ends.socket).unwrap();
    assert_eq!(ends.receive().len(), 200 + 64 * 1024);
}

#[test]
fn both_sides_announce_their_end_and_a_request_before_it_is_answered() {
    for version in VERSIONS {
        let mut ends = TlsEnds::open(version);
        ends.client.writer().write_all(b"request").unwrap();
        ends.client.send_close_notify();
        ends.send();
        ends.wire.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(ends.read(SCRATCH), (b"request".to_vec(), true));
        assert_eq!(ends.layer.write(&ends.socket, b"response").unwrap(), 8);
        ends.layer.end_writing(&ends.socket).unwrap();
        ends.layer.end_writing(&ends.socket).unwrap();
        assert_eq!(ends.receive(), b"response");
        // 0, and no error: the end was announced.
        assert_eq!(ends.client.reader().read(&mut [0; 9]).unwrap(), 0);
    }
}

#[test]
fn an_end_that_was_not_announced_is_one_too() {
    let mut ends = TlsEnds::open(&TLS13);
    ends.client.writer().write_all(b"request").unwrap();
    ends.send();
    ends.wire.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(ends.read(SCRATCH), (b"request".to_vec(), true));
}

#[test]
fn tickets_are_sent_before_the_server_waits_for_a_request() {
    let mut ends = TlsEnds::open(&TLS13);
    assert_eq!(ends.wire.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(!ends.layer.holds(), "no response waits");
    assert_eq!(ends.read(SCRATCH), (Vec::new(), false));
    assert_eq!(ends.wire.read(&mut [0; 1]).unwrap(), 1);
}

#[test]
fn a_damaged_record_ends_the_connection_behind_the_valid_ones() {
    let mut ends = TlsEnds::open(&TLS13);
    ends.client.writer().write_all(b"request").unwrap();
    ends.send();
    ends.wire.write_all(&[23, 3, 3, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    ends.wire.write_all(&[0; 8]).unwrap();
    let mut into = [0; 100];
    assert_eq!(ends.layer.read(&ends.socket, &mut into).unwrap(), 7);
    assert!(ends.layer.has_more());
    let error = ends.layer.read(&ends.socket, &mut into).unwrap_err();
    assert_eq!(error.to_string(), "TLS: the client has sent a record that does not decrypt");
}

#[test]
fn a_client_that_sends_no_tls_or_leaves_is_one_line() {
    for (sent, why) in [
        ("GET / HTTP/1.1\r\n\r\n", "TLS: the client has sent something else than TLS"),
        ("", "TLS: the client has ended the connection during the handshake"),
    ] {
        let mut ends = TlsEnds::new(&TLS13);
        ends.wire.write_all(sent.as_bytes()).unwrap();
        ends.wire.shutdown(std::net::Shutdown::Write).unwrap();
        let error = ends.layer.open(&ends.socket).unwrap_err();
        assert_eq!(error.to_string(), why);
    }
}

#[test]
fn a_name_that_no_host_can_have_is_one_line() {
    // The name of the extension, not of the certificate: a client of rustls sends no such one,
    // so a dot of its first message is replaced. The server reads it before anything is signed.
    let mut ends = TlsEnds::new_for(&TLS13, "a.bcdefgh.test");
    let mut hello = Vec::new();
    ends.client.write_tls(&mut hello).unwrap();
    let at = hello.windows(9).position(|bytes| bytes == b"a.bcdefgh").unwrap();
    hello[at + 2] = b'.';
    ends.wire.write_all(&hello).unwrap();
    let error = ends.layer.open(&ends.socket).unwrap_err();
    assert_eq!(error.to_string(), "TLS: the client asks for a name that no host can have (SNI)");
    // The alert.
    assert_eq!(ends.wire.read(&mut [0; 9]).unwrap(), 7);
}
