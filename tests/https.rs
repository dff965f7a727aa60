//! HTTPS: what precedes the first request of a connection, and what is refused there.

use std::fs;
use std::time::Duration;

use crate::given_up::given_up;
use crate::support::certificate::Authority;
use crate::support::client::{Connection, get};
use crate::support::pipe::Pipe;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::tls::TlsClient;
use crate::support::until;

/// The beginning of a TLS handshake: a record of type 22.
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// A server of this application with a certificate, and a client that trusts it.
fn https(application: &str) -> (Setup, TlsClient) {
    let authority = Authority::new("Test");
    let certificate = authority.server(&["localhost"]).issue();
    (Setup::of(application).certificate(&certificate), TlsClient::new(&authority))
}

#[test]
fn plain_http_at_an_https_port_gets_an_explanation() {
    let (setup, client) = https("environ");
    let server = setup.start();
    for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "G", "POST / HTTP/1.1\r\n\r\nbody"] {
        let mut connection = server.connect();
        connection.send(request);
        let response = connection.response();
        assert_eq!((response.status, response.closes()), (400, true), "{request:?}");
        assert_eq!(
            response.text(),
            "400 Bad Request\nThis port uses HTTPS: begin the address with https:// instead of \
             http://.\n"
        );
        connection.finish_sending();
        connection.assert_closed();
    }
    server.wait_for_log_times("400 plain HTTP at an https port", 3);
    until::holds("three counted", || given_up(&server, "refused") == 3);
    let mut connection = client.connect(server.address()).unwrap();
    assert_eq!(connection.get("/").json()["wsgi.url_scheme"], "https");
}

#[test]
fn a_tls_handshake_at_a_plain_port_gets_an_error_in_plain_text() {
    let server = Setup::of("environ").start();
    let response = server.ask(HELLO);
    assert_eq!((response.status, response.closes()), (400, true));
    assert_eq!(response.text(), "400 Bad Request\n");
    server.wait_for_log("400 a TLS handshake at a plain http port");
    until::holds("it counted", || given_up(&server, "refused") == 1);
}

#[test]
fn a_handshake_that_fails_is_one_event_and_a_client_that_leaves_is_none() {
    let (setup, _) = https("environ");
    let server = setup.start();
    drop(server.connect());
    let mut damaged = server.connect();
    damaged.send(b"\x16\x03\x01\x00\x02no");
    damaged.rest().ok();
    until::holds("it counted", || given_up(&server, "handshake") == 1);
    let mut left = server.connect();
    left.send(HELLO);
    drop(left);
    until::holds("the one that left is counted", || given_up(&server, "handshake") == 2);
    // This client does not trust the certificate.
    let stranger = TlsClient::new(&Authority::new("Other"));
    assert!(stranger.connect(server.address()).is_err());
    until::holds("it counted too", || given_up(&server, "handshake") == 3);
    server.wait_for_log_times(": closed 127.0.0.1:", 3);
    assert_eq!(server.log().matches(": closed 127.0.0.1:").count(), 3, "{}", server.log());
}

#[test]
fn a_handshake_that_stalls_is_given_up_and_silence_is_not_counted() {
    let (setup, client) = https("environ");
    let server = setup.flags(&["--tls-handshake-timeout", "4"]).start();
    let (mut silent, mut stalled) = (server.connect(), server.connect());
    stalled.send(HELLO);
    stalled.assert_closed();
    silent.assert_closed();
    server.wait_for_log("its handshake took longer than --tls-handshake-timeout");
    until::holds("one counted", || given_up(&server, "handshake") == 1);
    assert_eq!(client.connect(server.address()).unwrap().get("/").status, 200);
}

/// Connections that have begun a handshake and stall.
fn stalled(server: &Server, count: usize) -> Vec<Connection> {
    let connect = |_| {
        let mut connection = server.connect();
        connection.send(HELLO);
        connection
    };
    (0..count).map(connect).collect()
}

#[test]
fn handshakes_that_stall_keep_no_other_client_waiting() {
    for workers in [1, 2] {
        let (setup, client) = https("environ");
        let server = setup.workers(workers).flags(&["--tls-handshake-timeout", "60"]).start();
        let _stalled = stalled(&server, 50);
        let client = client.without_resumption();
        let late = until::within(Duration::from_secs(20), || {
            (0..20)
                .all(|_| client.connect(server.address()).unwrap().get("/").status == 200)
                .then_some(())
        });
        assert!(late.is_some(), "with {workers} workers");
    }
}

#[test]
fn handshakes_that_stall_are_displaced_like_idle_connections() {
    let (setup, client) = https("environ");
    let flags = ["--worker-connections", "8", "--tls-handshake-timeout", "60"];
    let server = setup.flags(&flags).start();
    let _stalled = stalled(&server, 8);
    // It waits until one of them has stalled for long enough to be closed.
    assert_eq!(client.connect(server.address()).unwrap().get("/").status, 200);
    server.wait_for_log("which was idle, to make room for others");
    until::holds("it counted", || given_up(&server, "displaced") > 0);
}

#[test]
fn handshakes_and_local_responses_go_on_while_every_thread_is_stuck() {
    let (setup, client) = https("stream:route");
    let setup = setup.flags(&["--acme-webroot", "webroot", "--bind", "http://127.0.0.1:0"]);
    let path = setup.directory.join("webroot/.well-known/acme-challenge");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("token"), "key").unwrap();
    let server = setup.start();
    let pipe = Pipe::new(&server.directory, "stuck");
    let mut stuck = client.connect(server.address()).unwrap();
    stuck.send(get(&format!("/wait?{}", pipe.query())));
    let writer = pipe.open();
    let plain = server.address_of("http");
    for _ in 0..40 {
        client.connect(server.address()).unwrap();
        let mut connection = Connection::tcp(plain).unwrap();
        assert_eq!(connection.get("/.well-known/acme-challenge/token").text(), "key");
    }
    let mut behind = client.connect(server.address()).unwrap();
    behind.send(get("/"));
    drop(writer);
    assert_eq!((stuck.response().status, behind.response().status), (200, 200));
}
