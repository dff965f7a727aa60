//! Requests that wait for an application thread longer than `queue-timeout`.

use std::time::Duration;

use crate::given_up::given_up;
use crate::support::cases::at_once;
use crate::support::client::{Connection, get};
use crate::support::pipe::{Pipe, Writer};
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// Writes the path of each request into a file, and waits at `/wait` for the named pipe.
const RECORDING: &str = "
from urllib.parse import parse_qs

def application(environ, start_response):
    with open('reached', 'a') as reached:
        reached.write(environ['PATH_INFO'] + '\\n')
    if environ['PATH_INFO'] == '/wait':
        with open(parse_qs(environ['QUERY_STRING'])['pipe'][0], 'rb') as pipe:
            pipe.read()
    start_response('200 OK', [('Content-Length', '6')])
    return [b'served']
";

fn setup(threads: usize, queue_timeout: &str) -> Setup {
    let setup = Setup::of("recording:application").file("recording.py", RECORDING);
    setup.flag("--pythonpath=.").threads(threads).flags(&["--queue-timeout", queue_timeout])
}

/// Gives every thread a request that lasts until its writer is dropped.
fn occupy(server: &Server, threads: usize) -> Vec<(Connection, Writer)> {
    (0..threads).map(|number| server.occupy(&format!("pipe-{number}"))).collect()
}

/// The paths of the requests that the application has had.
fn reached(server: &Server) -> String {
    server.directory.read("reached")
}

#[test]
fn while_every_thread_is_stuck_requests_that_wait_get_503_and_never_reach_the_application() {
    at_once(&[1, 2], |threads| {
        let server = setup(threads, "3").start();
        server.allow("--queue-timeout");
        let mut open = server.connect();
        assert_eq!(open.get("/open").status, 200);
        let held = occupy(&server, threads);
        // More than the worker reads ahead, on an open connection and on new ones.
        let mut waiting: Vec<_> = (0..40).map(|_| server.connect()).collect();
        waiting.push(open);
        waiting.iter_mut().for_each(|connection| connection.send(get("/overdue")));
        for connection in &mut waiting {
            let response = connection.response();
            assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
            assert!(response.closes());
        }
        let count = waiting.len() as u64;
        until::holds("all of them counted", || given_up(&server, "overdue") == count);
        server.wait_for_log("503 it waited longer than --queue-timeout for the application");
        for (mut connection, writer) in held {
            writer.finish();
            assert_eq!(connection.response().text(), "served");
        }
        assert_eq!(server.get("/later").text(), "served");
        assert!(!reached(&server).contains("/overdue"), "{}", reached(&server));
    });
}

#[test]
fn a_request_whose_turn_comes_in_time_is_served() {
    let server = setup(1, "60").start();
    let (mut held, writer) = server.occupy("pipe");
    let mut waiting: Vec<_> = (0..3).map(|_| server.connect()).collect();
    waiting.iter_mut().for_each(|connection| connection.send(get("/next")));
    until::passes(Duration::from_millis(1_500));
    writer.finish();
    assert_eq!(held.response().text(), "served");
    for connection in &mut waiting {
        assert_eq!(connection.response().text(), "served");
    }
    assert_eq!(given_up(&server, "overdue"), 0);
}

#[test]
fn at_a_unix_socket_requests_that_wait_get_503_too() {
    let setup = Setup::bare().apps().flags(&["recording:application", "--pythonpath=."]);
    let setup = setup.file("recording.py", RECORDING).flags(&["--queue-timeout", "3"]);
    let server = setup.flags(&["--bind", "unix:socket"]).start();
    server.allow("--queue-timeout");
    let connect = || Connection::unix(&server.directory.join("socket")).unwrap();
    let pipe = Pipe::new(&server.directory, "pipe");
    let mut held = connect();
    held.send(get(&format!("/wait?{}", pipe.query())));
    let writer = pipe.open();
    let mut waiting = connect();
    waiting.send(get("/overdue"));
    assert_eq!(waiting.response().status, 503);
    writer.finish();
    assert_eq!(held.response().text(), "served");
    assert!(!reached(&server).contains("/overdue"), "{}", reached(&server));
}
