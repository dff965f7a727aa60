//! TLS in the event loop: requests, uploads and ends of connections, with a client of
//! rustls.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;

use monoceros_engine::{Exchange, Options, TlsLayer};
use monoceros_tls::{Material, Pair, TicketKey, TlsServer};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};
use rustls::{SupportedProtocolVersion, pki_types::CertificateDer};

use crate::local_files::{LENGTH, Site, content};
use crate::running::{DEADLINE, RunningEngine, serve};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// Responds with the length of the body, or with as many bytes as the target names. The
/// field `X-Session` has the facts of the connection.
fn answer(mut exchange: Exchange) {
    let target = String::from_utf8(exchange.request().head.path().to_vec()).unwrap();
    let session = exchange.session().unwrap();
    let session = format!("{} {}", session.protocol, session.cipher);
    let body = match target.trim_start_matches('/').parse() {
        Ok(length) => vec![b'x'; length],
        Err(_) => exchange.take_body().len().to_string().into_bytes(),
    };
    exchange.begin(b"200 OK").unwrap();
    exchange.field(b"X-Session", session.as_bytes()).unwrap();
    exchange.write(&body, None, Some(body.len() as u64)).ok();
    exchange.finish(&|_| None);
}

struct TlsEngine {
    engine: RunningEngine,
    certificate: CertificateDer<'static>,
}

fn start(name: &str) -> TlsEngine {
    start_with(name, crate::options::options())
}

fn start_with(name: &str, options: Options) -> TlsEngine {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    let server = TlsServer::new(Material {
        pairs: vec![Pair::from_pem(made.cert.pem().as_bytes(), Some(key.as_bytes())).unwrap()],
        ticket_keys: vec![TicketKey::generate(1)],
        ..Material::default()
    })
    .unwrap();
    let factory = TlsLayer::factory(server, vec![b"http/1.1".to_vec()]);
    let engine = RunningEngine::with_layer(name, options, factory);
    let worker = engine.worker.clone();
    thread::spawn(move || serve(&worker.requests(0), answer));
    TlsEngine { engine, certificate: made.cert.der().clone() }
}

impl TlsEngine {
    fn config(&self, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }

    fn connect(&self, config: &Arc<ClientConfig>) -> TlsClient {
        let socket = TcpStream::connect(self.engine.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let name = "localhost".try_into().unwrap();
        TlsClient(StreamOwned::new(ClientConnection::new(config.clone(), name).unwrap(), socket))
    }
}

struct TlsClient(StreamOwned<ClientConnection, TcpStream>);

impl TlsClient {
    fn send(&mut self, target: &str, fields: &str, body: &[u8]) {
        let length = body.len();
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {length}\r\n\r\n"
        );
        self.0.write_all(head.as_bytes()).unwrap();
        self.0.write_all(body).unwrap();
    }

    fn get(&mut self, target: &str) {
        write!(self.0, "GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }

    /// The next response: its head and its body.
    fn response(&mut self) -> (String, Vec<u8>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let (_, length) = head.split_once("Content-Length: ").unwrap();
        let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        (head, body)
    }

    fn ask(&mut self, target: &str, body: &[u8]) -> Vec<u8> {
        self.send(target, "", body);
        self.response().1
    }
}

#[test]
fn files_and_late_decisions_are_sent_over_tls() {
    let site = Site::new();
    let options = Options { local: Some(site.decision()), ..crate::options::options() };
    let served = start_with("tls-files", options);
    for version in VERSIONS {
        let mut client = served.connect(&served.config(version));
        for (target, offset, length) in [
            ("/small", 10, 1024),
            ("/shared", 0, 100_000),
            ("/part", 1000, 5000),
            ("/file", 0, LENGTH),
            ("/empty", 0, 0),
            ("/later/part", 1000, 5000),
            ("/later/small", 10, 1024),
        ] {
            if target.starts_with("/later") {
                site.release.send(()).unwrap();
            }
            client.get(target);
            let body = client.response().1;
            assert!(body == content(offset, length), "{target} has {} bytes", body.len());
        }
        // Several that come together.
        let targets = ["/small", "/part", "/shared", "/small"];
        targets.iter().for_each(|target| client.get(target));
        for length in [1024, 5000, 100_000, 1024] {
            assert_eq!(client.response().1.len(), length);
        }
    }
}

#[test]
fn requests_and_responses_of_every_size_are_served_over_tls() {
    let served = start("tls-sizes");
    for version in VERSIONS {
        let mut client = served.connect(&served.config(version));
        for length in [0, 1, 16_384, 70_000, 2_000_000] {
            assert_eq!(client.ask("/", &vec![b'a'; length]), length.to_string().as_bytes());
        }
        for length in [0, 1, 16_384, 70_000, 5_000_000] {
            assert_eq!(client.ask(&format!("/{length}"), b"").len(), length);
        }
        client.send("/", "", b"");
        let name = format!("{:?}", version.version).replace('_', ".");
        let head = client.response().0;
        assert!(head.contains(&format!("X-Session: {name} ")), "{head}");
    }
}

#[test]
fn requests_that_arrive_together_are_served_over_tls() {
    let served = start("tls-pipelined");
    let mut client = served.connect(&served.config(&TLS13));
    let requests = (1..=300).map(|length| format!("GET /{length} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client.0.write_all(requests.collect::<String>().as_bytes()).unwrap();
    for length in 1..=300 {
        assert_eq!(client.response().1.len(), length);
    }
}

#[test]
fn a_connection_that_the_server_ends_is_announced() {
    let served = start("tls-ended");
    for version in VERSIONS {
        for length in [10, 300_000] {
            let mut client = served.connect(&served.config(version));
            client.send(&format!("/{length}"), "Connection: close\r\n", b"");
            assert_eq!(client.response().1.len(), length);
            // An end without close_notify would be an error.
            assert_eq!(client.0.read(&mut [0]).unwrap(), 0);
        }
    }
}

#[test]
fn a_request_before_the_end_of_the_client_is_answered() {
    let served = start("tls-half-closed");
    for version in VERSIONS {
        for ends_socket in [false, true] {
            let mut client = served.connect(&served.config(version));
            client.send("/100000", "", b"abc");
            client.0.conn.send_close_notify();
            client.0.flush().unwrap();
            if ends_socket {
                client.0.sock.shutdown(Shutdown::Write).unwrap();
            }
            assert_eq!(client.response().1.len(), 100_000);
            assert_eq!(client.0.read(&mut [0]).unwrap(), 0);
        }
    }
}

#[test]
fn a_client_that_ends_without_a_request_gets_an_end() {
    let served = start("tls-idle-end");
    let mut client = served.connect(&served.config(&TLS13));
    assert_eq!(client.ask("/3", b""), b"xxx");
    client.0.conn.send_close_notify();
    client.0.flush().unwrap();
    assert_eq!(client.0.read(&mut [0]).unwrap(), 0);
    let mut rest = Vec::new();
    client.0.sock.read_to_end(&mut rest).unwrap();
}

#[test]
fn a_session_is_resumed_by_the_next_connection() {
    let served = start("tls-resumed");
    for version in VERSIONS {
        let config = served.config(version);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
            let mut client = served.connect(&config);
            assert_eq!(client.ask("/3", b""), b"xxx");
            let found = client.0.conn.handshake_kind();
            // A key exchange that the client has not guessed takes a message more.
            let found = found.map(|found| match found {
                HandshakeKind::FullWithHelloRetryRequest => HandshakeKind::Full,
                found => found,
            });
            assert_eq!(found, Some(kind), "{version:?}");
        }
    }
}

#[test]
fn a_client_without_tls_and_one_that_refuses_the_certificate_are_closed() {
    let served = start("tls-refused");
    let mut socket = TcpStream::connect(served.engine.address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.write_all(b"\x16\x03\x01\x00\x05hello").unwrap();
    let mut rest = Vec::new();
    let end = socket.read_to_end(&mut rest);
    assert!(end.is_ok() || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    assert!(rest.is_empty() || rest[0] == 21, "an alert at most: {rest:?}");
    // This client trusts no certificate.
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut client = served.connect(&Arc::new(config));
    assert!(client.0.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_err());
    // The server goes on.
    assert_eq!(served.connect(&served.config(&TLS13)).ask("/3", b""), b"xxx");
}
