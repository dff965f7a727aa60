//! Connections that the application takes over: WebSockets of WSGI libraries, and what remains
//! the server's.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::cases::LIMIT;
use crate::support::certificate::Authority;
use crate::support::client::{Connection, Stream, get, request};
use crate::support::pipe::Pipe;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, apps};
use crate::support::tls::TlsClient;
use crate::support::until;

/// Takes over connections by the plain socket.
const APPLICATION: &str = "
import copy, json, os, socket, urllib.parse

HEAD = b'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: echo\\r\\nConnection: Upgrade\\r\\n\\r\\n'

def wait(environ):
    query = urllib.parse.parse_qs(environ['QUERY_STRING'])
    with open(query['pipe'][0]) as file:
        file.read()

def echo(environ, client):
    while data := client.recv(4096):
        client.sendall(data)

def facts(environ, client):
    answer = [
        client.getpeername()[1], client.getsockname()[1], client.getblocking(),
        isinstance(client, socket.socket), client is environ['werkzeug.socket'],
    ]
    client.sendall(json.dumps(answer).encode() + b'\\n')

def early(environ, client):
    client.sendall(b'bye')
    client.close()
    wait(environ)

def error(environ, client):
    client.sendall(b'bye')
    raise RuntimeError('in a connection')

def response(environ, client):
    client.sendall(b'bye')

def silent(environ, client):
    wait(environ)

def download(environ, client):
    piece = bytes(range(256)) * 256
    for _ in range(128):
        client.sendall(piece)

def kept(environ, client):
    client.sendall(b'kept %d' % client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

ROUTES = {'/' + it.__name__: it for it in (
    echo, facts, early, error, response, silent, download, kept)}

def application(environ, start_response):
    path = environ['PATH_INFO']
    if path in ROUTES:
        client = environ['gunicorn.socket']
        client.sendall(HEAD)
        ROUTES[path](environ, client)
        if path == '/response':
            write = start_response('200 OK', [('Content-Length', '7')])
            write(b'written')
            return [b'returned']
        raise StopIteration
    if path == '/look':
        same = copy.copy(environ)
        body = repr(same.get('gunicorn.socket')).encode()
    elif path == '/late':
        start_response('200 OK', [])(b'late')
        try:
            environ['gunicorn.socket'].recv(1)
        except OSError as error:
            body = str(error).encode()
        return [b' ' + body]
    elif path == '/wait':
        wait(environ)
        body = b''
    else:
        body = json.dumps(sorted(it for it in environ if it.endswith('.socket'))).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

/// The frame by which a WebSocket is closed without a fault (RFC 6455 section 7.4.1: 1000).
const CLOSE: &[u8] = b"\x88\x02\x03\xe8";

fn plain_server() -> Setup {
    let setup = Setup::of("taken:application").file("taken.py", APPLICATION);
    setup.flags(&["--pythonpath", ".", "--access-logfile", "access"])
}

fn flask_server() -> Setup {
    let path = format!("--pythonpath={}", apps("flaskapp").display());
    Setup::of("sockets:app").flag(path).flags(&["--access-logfile", "access"])
}

/// A server, and how its clients connect.
struct Ways {
    server: Server,
    tls: Option<TlsClient>,
}

impl Ways {
    /// The same server without and with TLS.
    fn both(setup: impl Fn() -> Setup) -> [Self; 2] {
        let authority = Authority::new("Test");
        let certificate = authority.server(&["localhost"]).issue();
        let plain = Self { server: setup().start(), tls: None };
        let server = setup().certificate(&certificate).start();
        [plain, Self { server, tls: Some(TlsClient::new(&authority)) }]
    }

    fn connect(&self) -> Connection {
        match &self.tls {
            None => self.server.connect(),
            Some(client) => client.connect(self.server.address()).unwrap(),
        }
    }

    /// A connection that the application has taken over.
    fn take(&self, target: &str) -> Connection {
        let mut connection = self.connect();
        connection.send(asking(target));
        let head = connection.head();
        assert_eq!((head.status, head.header("upgrade")), (101, Some("echo")), "{target}");
        assert_eq!(head.headers.len(), 2, "all of it is the application's");
        connection
    }
}

/// A request for another protocol.
fn asking(target: &str) -> String {
    request("GET", target, &[("Connection", "Upgrade"), ("Upgrade", "echo")], "")
}

/// A frame of a client with this payload; its mask is zero.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    assert!(length < 126);
    [&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

/// Opens a WebSocket of flask-sock.
fn open(connection: &mut Connection, target: &str) {
    let key = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let fields = [
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        key,
    ];
    connection.send(request("GET", target, &fields, ""));
    let head = connection.head();
    assert_eq!(head.status, 101);
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

fn echo(connection: &mut Connection, text: &str) {
    connection.send(frame(1, text.as_bytes()));
    let expected = [&[0x81, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    assert_eq!(connection.exactly(expected.len()).unwrap(), expected);
}

/// The client's own port.
fn port(connection: &mut Connection) -> u16 {
    let stream = match &mut connection.stream {
        Stream::Tls(stream) => stream.socket(),
        plain => plain,
    };
    let Stream::Tcp(stream) = stream else { panic!("a connection over TCP") };
    stream.local_addr().unwrap().port()
}

/// The line of the access log about this target, once it is there.
fn line(server: &Server, target: &str) -> String {
    let wanted = format!("\"GET {target} HTTP/1.1\" ");
    until::some("a line", || {
        let log = fs::read_to_string(server.directory.join("access")).unwrap_or_default();
        log.lines().find(|line| line.contains(&wanted)).map(str::to_owned)
    })
}

#[test]
fn a_websocket_of_flask_sock_carries_messages_until_either_side_closes_it() {
    for flags in [&["--threads=1"], &["--threads=4"]] {
        for ways in Ways::both(|| flask_server().flags(flags)) {
            let mut connection = ways.connect();
            assert_eq!(connection.get("/").status, 200);
            open(&mut connection, "/echo");
            echo(&mut connection, "one");
            echo(&mut connection, "two");
            connection.send(frame(8, b"\x03\xe8"));
            assert_eq!(connection.rest().unwrap(), CLOSE, "and nothing behind it");
            let mut connection = ways.connect();
            open(&mut connection, "/echo?2");
            connection.send(frame(1, b"leave"));
            assert_eq!(connection.rest().unwrap(), CLOSE, "and nothing behind it");
            for target in ["/echo", "/echo?2"] {
                assert!(line(&ways.server, target).contains("\" 101 "), "{target}");
            }
            drop(connection);
            ways.server.signal(Signal::SIGTERM);
            assert_eq!(ways.server.wait_for_exit(), 0);
            assert!(!ways.server.log().contains("Traceback"), "{}", ways.server.log());
        }
    }
}

#[test]
fn a_browser_uses_a_websocket_with_and_without_tls() {
    let Some(mut browser) = Browser::start() else { return };
    browser.send("Security.setIgnoreCertificateErrors", json!({ "ignore": true }));
    for ways in Ways::both(|| flask_server().threads(4)) {
        let scheme = if ways.tls.is_some() { "https" } else { "http" };
        browser.open(&format!("{scheme}://{}/", ways.server.address()));
        browser.wait_for("window.received?.length >= 4");
        assert_eq!(browser.value("received"), json!(["one", "two \u{2603}", 1000, true]));
        assert!(line(&ways.server, "/echo").contains("\" 101 "));
        browser.open("about:blank");
    }
}

#[test]
fn an_application_notices_that_its_client_has_gone() {
    for ways in Ways::both(flask_server) {
        let mut connection = ways.connect();
        open(&mut connection, "/notify");
        assert_eq!(connection.exactly(7).unwrap(), b"\x81\x05ready");
        drop(connection);
        until::holds("a note", || ways.server.directory.join("gone").exists());
        assert!(line(&ways.server, "/notify").contains("\" 101 "));
    }
}

#[test]
fn what_the_application_sends_is_all_that_the_client_gets() {
    for ways in Ways::both(plain_server) {
        ways.server.allow("the application failed");
        ways.server.allow("Traceback");
        for target in ["/response", "/error"] {
            let mut connection = ways.take(target);
            assert_eq!(connection.rest().unwrap(), b"bye", "{target}");
            assert!(line(&ways.server, target).contains("\" 101 "), "{target}");
        }
        assert_eq!(ways.server.log().matches("RuntimeError: in a connection").count(), 1);
        assert!(!ways.server.log().contains("StopIteration"));
        let mut connection = ways.take("/facts");
        let ports = (port(&mut connection), ways.server.address().port());
        let facts = String::from_utf8(connection.rest().unwrap()).unwrap();
        assert_eq!(facts, format!("[{}, {}, true, true, true]\n", ports.0, ports.1));
    }
    // With TLS the application has one end of a pair of sockets.
    let server = plain_server().start();
    let ways = Ways { server, tls: None };
    assert_eq!(ways.take("/kept").rest().unwrap(), b"kept 1");
}

#[test]
fn an_end_that_the_application_makes_reaches_the_client_before_its_request_ends() {
    for ways in Ways::both(plain_server) {
        let pipe = Pipe::new(&ways.server.directory, "pipe");
        let mut connection = ways.take(&format!("/early?{}", pipe.query()));
        assert_eq!(connection.rest().unwrap(), b"bye");
        pipe.open().finish();
        until::holds("a line", || ways.server.directory.read("access").contains("\" 101 "));
    }
}

#[test]
fn much_passes_in_both_directions() {
    for ways in Ways::both(plain_server) {
        let mut connection = ways.take("/download");
        let expected: Vec<_> = (0..128 * 256 * 256).map(|it| (it % 256) as u8).collect();
        assert!(connection.rest().unwrap() == expected, "the same bytes");
        let mut connection = ways.take("/echo");
        // As much as the buffers of all sockets hold: neither side waits for the other.
        for part in expected.chunks(32 * 1024).take(64) {
            connection.send(part);
            assert!(connection.exactly(part.len()).unwrap() == part, "the same bytes");
        }
        connection.finish_sending();
        connection.assert_closed();
    }
}

#[test]
fn a_connection_stays_the_servers_until_the_application_uses_its_socket() {
    for ways in Ways::both(plain_server) {
        let mut connection = ways.connect();
        connection.send(asking("/look"));
        let response = connection.response();
        assert!(response.text().starts_with("<the socket of the client's"), "{response:?}");
        assert_eq!(connection.get("/").text(), "[]", "without a request for another protocol");
        connection.send(asking("/any"));
        assert_eq!(connection.response().text(), r#"["gunicorn.socket", "werkzeug.socket"]"#);
        connection.send(asking("/late"));
        let text = connection.response().text();
        assert!(text.starts_with("late the connection cannot be taken over"), "{text}");
        connection.send(asking("/any").replace("HTTP/1.1", "HTTP/1.0"));
        assert_eq!(connection.response().text(), "[]", "HTTP/1.0 has no upgrade");
        let mut connection = ways.connect();
        connection.send(asking("/any") + &get("/"));
        assert_eq!(connection.response().text(), "[]", "the client has sent more already");
        assert_eq!(connection.response().text(), "[]");
    }
}

#[test]
fn a_silent_connection_is_not_ended_by_the_timeout_of_requests() {
    for ways in Ways::both(|| plain_server().threads(2).flags(&LIMIT)) {
        ways.server.allow("/wait");
        ways.server.allow("timeout");
        let mut taken = ways.take("/echo");
        let pipe = Pipe::new(&ways.server.directory, "pipe");
        // This request begins later, and its time ends.
        let mut stuck = ways.connect();
        stuck.send(get(&format!("/wait?{}", pipe.query())));
        assert_eq!(stuck.response().status, 504);
        taken.send("still there");
        assert_eq!(taken.exactly(11).unwrap(), b"still there");
        taken.finish_sending();
        taken.assert_closed();
        assert!(line(&ways.server, "/echo").contains("\" 101 "));
        pipe.open().finish();
    }
}

#[test]
fn a_drain_waits_for_a_connection_and_closes_it_at_its_end() {
    for ways in Ways::both(|| plain_server().flags(&["--graceful-timeout", "8"])) {
        let worker = ways.server.workers()[0];
        let mut taken = ways.take("/echo");
        ways.server.signal(Signal::SIGHUP);
        ways.server.wait_for_log("reloaded: gen=2 serves");
        taken.send("still there");
        assert_eq!(taken.exactly(11).unwrap(), b"still there");
        taken.assert_closed();
        until::holds("its end", || !process::is_alive(worker));
        assert!(line(&ways.server, "/echo").contains("\" 101 "), "the application could finish");
    }
}
