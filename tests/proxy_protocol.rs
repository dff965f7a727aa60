//! The PROXY protocol: which senders may use its header, and what becomes of it.

use crate::given_up::given_up;
use crate::support::cases::at_once;
use crate::support::certificate::Authority;
use crate::support::client::{Connection, get};
use crate::support::proxy::free_address;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::tls::TlsClient;
use crate::support::until;

const TEXT: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n";

/// A header of version 2, with this command and family, and this behind its addresses.
fn binary(command: u8, family: u8, behind: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 1, 0xbb];
    let length = u16::try_from(addresses.len() + behind.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, &addresses, behind].concat()
}

fn serve(mode: &str) -> Server {
    Setup::of("environ").flags(&["--proxy-protocol", mode]).start()
}

/// The environ of a request behind a header.
fn environ(server: &Server, header: &[u8]) -> serde_json::Value {
    let mut connection = server.connect();
    connection.send([header, get("/").as_bytes()].concat());
    connection.response().json()
}

/// Whether the environ is that of the client that the headers of these tests name.
fn is_named(environ: &serde_json::Value) -> bool {
    let expected = [
        ("REMOTE_ADDR", "192.0.2.1"),
        ("REMOTE_PORT", "4711"),
        ("PROXY_PROTOCOL", "TCP4"),
        ("PROXY_ADDR", "198.51.100.1"),
        ("PROXY_PORT", "443"),
    ];
    expected.iter().all(|(name, value)| environ[name] == *value)
}

/// Whether the environ has the address of the socket.
fn is_unnamed(environ: &serde_json::Value) -> bool {
    environ["REMOTE_ADDR"] == "127.0.0.1" && environ["PROXY_PROTOCOL"].is_null()
}

#[test]
fn the_header_names_the_client_of_every_request() {
    let server = serve("auto");
    for header in [TEXT.to_vec(), binary(0x21, 0x11, b""), binary(0x21, 0x11, &[7; 6000])] {
        let mut connection = server.connect();
        connection.send([&header, get("/").as_bytes()].concat());
        assert!(is_named(&connection.response().json()));
        assert!(is_named(&connection.get("/").json()), "a later request");
    }
    for header in [&b"PROXY UNKNOWN\r\n"[..], &binary(0x20, 0x11, b""), &binary(0x21, 0, b"")] {
        assert!(is_unnamed(&environ(&server, header)), "no address is reported");
    }
    assert!(is_unnamed(&environ(&server, b"")), "a connection without a header is served");
    assert_eq!(given_up(&server, "proxy-header"), 0);
}

#[test]
fn a_header_may_arrive_in_pieces() {
    let server = serve("auto");
    for header in [TEXT.to_vec(), binary(0x21, 0x11, b"fields")] {
        let mut connection = server.connect();
        for byte in &header {
            connection.send([*byte]);
        }
        connection.send(get("/"));
        assert!(is_named(&connection.response().json()));
    }
}

#[test]
fn what_is_no_header_of_the_expected_version_is_closed_and_counted() {
    let text = |line: &[u8]| line.to_vec();
    let cases: [(&str, Vec<Vec<u8>>); 3] = [
        (
            "auto",
            vec![
                text(b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 99999\r\n"),
                text(b"PROXY TCP6 192.0.2.1 198.51.100.1 4711 443\r\n"),
                binary(0x11, 0x11, b""),
                binary(0x22, 0x11, b""),
                binary(0x21, 0x41, b""),
                binary(0x21, 0x11, &[0; 6001]),
            ],
        ),
        ("v1", vec![text(b""), binary(0x21, 0x11, b"")]),
        ("v2", vec![text(b""), TEXT.to_vec()]),
    ];
    for (mode, headers) in cases {
        let server = serve(mode);
        for header in &headers {
            let mut connection = server.connect();
            connection.send([header, get("/").as_bytes()].concat());
            // A reset, as bytes were not read, or an end.
            assert!(connection.rest().unwrap_or_default().is_empty());
        }
        let count = headers.len() as u64;
        until::holds("all of them counted", || given_up(&server, "proxy-header") == count);
        server.wait_for_log_times(": closed 127.0.0.1:", headers.len());
        assert_eq!(server.log().matches(": closed 127.0.0.1:").count(), headers.len());
        // A client that leaves without having sent anything is nothing to report.
        drop(server.connect());
        let good = if mode == "v2" { binary(0x21, 0x11, b"") } else { TEXT.to_vec() };
        assert!(is_named(&environ(&server, &good)));
        assert_eq!(given_up(&server, "proxy-header"), count);
    }
}

#[test]
fn a_sender_that_is_not_allowed_is_closed() {
    let setup = Setup::of("environ").flags(&["--proxy-protocol", "--proxy-allow-ips", "10.0.0.1"]);
    let server = setup.start();
    let mut connection = server.connect();
    connection.send([TEXT, get("/").as_bytes()].concat());
    assert!(connection.rest().unwrap_or_default().is_empty());
    server.wait_for_log("it sends a PROXY header, and --proxy-allow-ips does not name it");
    until::holds("it counted", || given_up(&server, "proxy-header") == 1);
    assert!(is_unnamed(&environ(&server, b"")), "without a header it is a client");
}

#[test]
fn a_sender_without_a_header_is_not_reported_as_one_that_sends_it() {
    let flags = ["--proxy-protocol", "v2", "--proxy-allow-ips", "10.0.0.1"];
    let server = Setup::of("environ").flags(&flags).start();
    let mut connection = server.connect();
    connection.send(get("/"));
    assert!(connection.rest().unwrap_or_default().is_empty());
    server.wait_for_log("it does not begin with a PROXY header of version 2");
    until::holds("it counted", || given_up(&server, "proxy-header") == 1);
}

#[test]
fn without_the_setting_a_header_is_no_request() {
    let server = Setup::of("environ").start();
    let response = server.ask([TEXT, get("/").as_bytes()].concat());
    assert_eq!(response.status, 400);
}

#[test]
fn the_header_precedes_the_handshake() {
    let authority = Authority::new("Test");
    let certificate = authority.server(&["localhost"]).issue();
    let setup = Setup::of("environ").certificate(&certificate).flags(&["--proxy-protocol", "v2"]);
    let server = setup.start();
    let mut connection = server.connect();
    connection.send(binary(0x21, 0x11, b""));
    let mut connection = TlsClient::new(&authority).over(connection).unwrap();
    let environ = connection.get("/").json();
    assert!(is_named(&environ) && environ["HTTPS"] == "on", "{environ}");
    // Without the header the handshake fails.
    assert!(TlsClient::new(&authority).connect(server.address()).is_err());
    until::holds("it counted", || given_up(&server, "proxy-header") == 1);
}

#[test]
fn an_address_has_its_own_mode() {
    let address = free_address();
    let bind = format!("http://{address}?proxy-protocol=v1");
    let server = Setup::bare()
        .apps()
        .flag("environ")
        .flags(&["-b", &bind])
        .flags(&["-b", "unix:socket?proxy-protocol=auto"]);
    let server = server.start();
    let ask = |mut connection: Connection, header: &[u8]| {
        connection.send([header, get("/").as_bytes()].concat());
        connection.try_response("GET").map(|response| response.json()).ok()
    };
    let tcp = || Connection::tcp(address).unwrap();
    let unix = || Connection::unix(&server.directory.join("socket")).unwrap();
    assert!(ask(tcp(), TEXT).is_some_and(|environ| is_named(&environ)));
    assert!(ask(tcp(), b"").is_none());
    assert!(ask(unix(), TEXT).is_some_and(|environ| is_named(&environ)));
    assert!(ask(unix(), b"").is_some_and(|environ| environ["PROXY_PROTOCOL"].is_null()));
}

#[test]
fn a_header_that_takes_too_long_is_given_up_and_silence_is_not_counted() {
    at_once(&["v1", "auto"], |mode| {
        let setup = Setup::of("environ").flags(&["--proxy-protocol", mode]);
        let server = setup.flags(&["--tls-handshake-timeout", "4"]).start();
        let (mut silent, mut slow) = (server.connect(), server.connect());
        slow.send("PROXY TCP4 192.0");
        assert!(slow.rest().unwrap_or_default().is_empty());
        silent.assert_closed();
        server.wait_for_log("its PROXY header took longer than --tls-handshake-timeout");
        until::holds("one counted", || given_up(&server, "proxy-header") == 1);
        let mut ended = server.connect();
        ended.send("PROXY TCP4 192.0");
        ended.finish_sending();
        assert!(ended.rest().unwrap_or_default().is_empty());
        server.wait_for_log("it ended within its PROXY header");
    });
}
