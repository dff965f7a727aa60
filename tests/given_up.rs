//! What the server gives up by its own decision: it is logged and counted.

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::cases::at_once;
use crate::support::client::{Connection, get};
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, program};
use crate::support::until;

/// The number of things of a kind that the server has given up, by its own status.
pub(crate) fn given_up(server: &Server, kind: &str) -> u64 {
    let mut command = Command::new(program());
    command.current_dir("/").args(["status", "--json", &server.pid().to_string()]);
    let said = command.output().unwrap().stdout;
    let status: serde_json::Value = serde_json::from_slice(&said).unwrap();
    status["totals"]["refused"][kind].as_u64().unwrap_or(0)
}

#[test]
fn refused_requests_are_counted_and_their_log_lines_are_limited() {
    let server = Setup::of("environ").start();
    let count = 50;
    for _ in 0..count {
        assert_eq!(server.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").status, 400);
    }
    until::holds("all of them counted", || given_up(&server, "refused") == count);
    assert_eq!(server.log().matches("refused 127.0.0.1:").count(), 10, "lines within a minute");
    let worker = server.workers();
    server.signal(Signal::SIGHUP);
    server.wait_for_replacement(&worker);
    server.wait_for_log("refused: 40 more within a minute");
    assert_eq!(given_up(&server, "refused"), count, "the counts outlive the worker");
}

/// An answer of 20 MB whose end is the end of the connection, piece by piece.
const OPEN_ENDED: &str = "
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return (bytes(100_000) for _ in range(200))
";

const OPEN_ENDED_LENGTH: usize = 20_000_000;

/// A client that has read the beginning of such an answer and reads no more.
fn begun(server: &Server) -> Connection {
    let mut connection = Connection::narrow(server.address()).unwrap();
    connection.send("GET /report HTTP/1.0\r\n\r\n");
    let head = connection.head();
    assert_eq!((head.header("content-length"), head.closes()), (None, true));
    connection.exactly(1000).unwrap();
    connection
}

fn open_ended(flags: &[&str]) -> Server {
    let setup = Setup::of("open:application").file("open.py", OPEN_ENDED).narrow();
    let format = ["--pythonpath=.", "--access-logfile", "-", "--access-logformat", "%(s)s %(B)s"];
    setup.flags(&format).flags(flags).start()
}

#[test]
fn an_open_ended_response_that_is_given_up_ends_with_a_reset() {
    let ends: [(&[&str], Option<Signal>); 5] = [
        (&["--write-timeout", "1"], None),
        (&["--graceful-timeout", "2"], Some(Signal::SIGTERM)),
        (&["--graceful-timeout", "0"], Some(Signal::SIGTERM)),
        (&[], Some(Signal::SIGINT)),
        (&[], Some(Signal::SIGQUIT)),
    ];
    at_once(&ends, |(flags, signal)| {
        let server = open_ended(flags);
        server.allow("SIGKILL");
        let mut connection = begun(&server);
        if let Some(signal) = signal {
            server.signal(signal);
        }
        // What is lost is lost visibly.
        if signal.is_some() {
            until::holds("the end of the server", || server.has_ended());
        } else {
            server.wait_for_log("gave up the response to GET /report (request ");
        }
        let got = connection.until_reset();
        assert!(got.len() < OPEN_ENDED_LENGTH, "{flags:?} {signal:?}");
    });
}

#[test]
fn an_open_ended_response_ends_with_a_reset_when_its_worker_is_killed() {
    at_once(&[1, 2], |threads: usize| {
        let server = open_ended(&["--threads", &threads.to_string()]);
        server.allow("[ERROR]");
        let mut connection = begun(&server);
        let worker = server.workers()[0];
        process::signal(worker, Signal::SIGKILL);
        until::holds("the end of the worker", || !process::is_alive(worker));
        assert!(connection.until_reset().len() < OPEN_ENDED_LENGTH);
    });
}

#[test]
fn an_open_ended_response_over_a_unix_socket_fails_when_its_worker_is_killed() {
    let setup = Setup::bare().apps().flags(&["open:application", "--pythonpath=."]);
    let server = setup.file("open.py", OPEN_ENDED).flags(&["--bind", "unix:socket"]).start();
    server.allow("[ERROR]");
    let ask = || {
        let mut connection = Connection::unix(&server.directory.join("socket")).unwrap();
        connection.send("GET /report HTTP/1.0\r\nConnection: close\r\n\r\n");
        assert_eq!(connection.head().status, 200);
        connection
    };
    assert_eq!(ask().rest().unwrap().len(), OPEN_ENDED_LENGTH, "a whole one does not fail");
    let mut connection = ask();
    let worker = server.workers()[0];
    process::signal(worker, Signal::SIGKILL);
    until::holds("the end of the worker", || !process::is_alive(worker));
    assert!(connection.until_reset().len() < OPEN_ENDED_LENGTH);
    let mut connection = ask();
    server.signal(Signal::SIGINT);
    until::holds("the end of the server", || server.has_ended());
    assert!(connection.until_reset().len() < OPEN_ENDED_LENGTH);
}

#[test]
fn an_open_ended_response_that_is_complete_ends_without_a_reset() {
    let server = open_ended(&[]);
    let mut connection = begun(&server);
    assert_eq!(connection.rest().unwrap().len() + 1000, OPEN_ENDED_LENGTH);
    until::holds("the line", || server.directory.read("stdout").contains("200 20000000"));
    assert_eq!(given_up(&server, "untaken"), 0);
}

#[test]
fn the_access_log_has_the_bytes_that_the_client_can_have_received() {
    let server = open_ended(&["--write-timeout", "1"]);
    let mut connection = begun(&server);
    server.wait_for_log("its client has taken nothing for --write-timeout");
    until::holds("its count", || given_up(&server, "untaken") == 1);
    let line = until::some("the line", || {
        let log = server.directory.read("stdout");
        log.lines().next().map(str::to_owned)
    });
    let logged: usize = line.strip_prefix("200 ").unwrap().parse().unwrap();
    let got = 1000 + connection.until_reset().len();
    assert!((got..OPEN_ENDED_LENGTH / 2).contains(&logged), "{got} bytes of {logged}");
}

#[test]
fn responses_that_a_worker_cannot_send_before_its_end_are_logged() {
    let server = open_ended(&["--graceful-timeout", "8"]);
    server.allow("SIGKILL");
    let _client = begun(&server);
    server.signal(Signal::SIGHUP);
    server.wait_for_log(" bytes: the worker ends");
    until::holds("its count", || given_up(&server, "unfinished") == 1);
}

#[test]
fn a_connection_is_idle_only_when_its_client_has_the_response() {
    let setup = Setup::of("stream:large").flags(&["--drain-idle", "2"]);
    let server = setup.start();
    let mut connection = Connection::narrow(server.address()).unwrap();
    let length = 500_000;
    connection.send(get(&format!("/?{length}")));
    let worker = server.workers()[0];
    // The kernel has the whole answer when another request is answered.
    assert_eq!(server.get("/?1").text(), "x");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded: gen=2");
    until::passes(Duration::from_secs(4));
    assert!(process::is_alive(worker), "it serves its slow client");
    assert_eq!(connection.response().body.len(), length);
    assert_eq!(connection.get("/?2").text(), "xx", "the next request is not lost");
    until::holds("the end of the worker", || !process::is_alive(worker));
}

#[test]
fn files_that_sendfile_cannot_send_are_read_and_unreadable_ones_are_logged() {
    let server = Setup::of("responses").shim("sendfile").start();
    let content = "0123456789".repeat(300_000);
    let path = server.directory.write("file", &content);
    let ask = |connection: &mut Connection| {
        let request =
            format!("GET /real_file HTTP/1.1\r\nHost: a\r\nX-File: {}\r\n\r\n", path.display());
        connection.send(request);
    };
    for error in [nix::libc::EINVAL, nix::libc::ENOSYS, nix::libc::EOPNOTSUPP] {
        server.directory.write("fault", &error.to_string());
        let mut connection = server.connect();
        ask(&mut connection);
        assert!(connection.response().text() == content, "error {error}");
        assert_eq!(connection.get("/one_piece").text(), "hello");
    }
    assert_eq!(given_up(&server, "unreadable"), 0);
    server.directory.write("fault", &nix::libc::EIO.to_string());
    let mut connection = server.connect();
    ask(&mut connection);
    assert!(connection.try_response("GET").is_err(), "it is not taken for a whole answer");
    server.wait_for_log("its file cannot be read: ");
    until::holds("its count", || given_up(&server, "unreadable") == 1);
    assert_eq!(server.get("/one_piece").text(), "hello");
}

/// Yields frames, and writes their number to a file.
const FRAMES: &str = "
import os

def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain'), ('X-Accel-Buffering', 'no')])
    for number in range(2000):
        with open('draft', 'w') as file:
            file.write(str(number + 1))
        os.replace('draft', 'taken')
        yield b'%10d' % number + bytes(65526)
";

#[test]
fn a_response_that_is_not_to_be_buffered_waits_for_its_client() {
    let setup = Setup::of("frames:application").file("frames.py", FRAMES).file("taken", "0");
    let server = setup.flags(&["--pythonpath=."]).narrow().start();
    let mut connection = Connection::narrow(server.address()).unwrap();
    connection.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(connection.head().header("x-accel-buffering"), Some("no"));
    let taken = || server.directory.read("taken").parse::<usize>().unwrap_or(0);
    let many = until::within(Duration::from_secs(2), || (taken() > 20).then(taken));
    assert_eq!(many, None, "frames were made of which the client has none");
    for _ in 0..100 {
        connection.exactly(65536).unwrap();
    }
    let last = taken();
    assert!((100..140).contains(&last), "{last}");
    until::holds("more", || {
        connection.exactly(65536).unwrap();
        taken() > 150
    });
}

/// A page of 10 MB, made anew for each request; and a small one.
const PAGES: &str = "
import os

def application(environ, start_response):
    body = b'small'
    if environ['PATH_INFO'] == '/page':
        body = os.urandom(1) * 10_000_000
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

fn pages(flags: &[&str]) -> Server {
    let setup = Setup::of("pages:application").file("pages.py", PAGES);
    setup.flags(&["--pythonpath=."]).flags(flags).start()
}

#[test]
fn large_responses_for_slow_clients_take_a_bounded_amount_of_memory() {
    // The disk may be slow.
    let server = pages(&["--response-memory", "16M", "--write-timeout", "600"]);
    let worker = server.workers()[0];
    let resident = || process::status(worker, "VmRSS")[0].parse::<u64>().unwrap() >> 10;
    assert_eq!(server.get("/page").body.len(), 10_000_000);
    let before = resident();
    let mut clients: Vec<_> = (0..40)
        .map(|_| {
            let mut connection = server.connect();
            connection.send(get("/page"));
            connection
        })
        .collect();
    assert_eq!(server.get("/small").text(), "small", "no client holds the thread");
    let grown = resident().saturating_sub(before);
    assert!(grown < 100, "{grown} MiB");
    for client in &mut clients {
        assert_eq!(client.response().body.len(), 10_000_000);
    }
}

#[test]
fn without_room_the_slowest_responses_are_given_up() {
    let server = pages(&["--response-memory", "8M", "--response-disk", "0"]);
    let mut clients: Vec<_> = (0..3)
        .map(|_| {
            let mut connection = Connection::narrow(server.address()).unwrap();
            connection.send(get("/page"));
            connection
        })
        .collect();
    assert_eq!(server.get("/small").text(), "small");
    server.wait_for_log("too much waits for slow clients");
    until::holds("its count", || given_up(&server, "slowest") > 0);
    let lost = clients.iter_mut().filter_map(|it| it.try_response("GET").err());
    assert!(lost.into_iter().all(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
}
