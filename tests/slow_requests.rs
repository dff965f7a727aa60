//! `slow-request`: the stacks of a request that runs for longer, while it runs.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::cases::at_once;
use crate::support::client::Connection;
use crate::support::pipe::{Pipe, Writer, calling};
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// The trace that each request belongs to, and a span in it.
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN_ID: &str = "00f067aa0ba902b7";

/// Wait in a function of a name that only this request has, or compute.
const FUNCTIONS: &str = "
def waits_here(pipe):
    return len(os.read(pipe, 1))

def computes_here(pipe):
    os.set_blocking(pipe, False)
    while True:
        try:
            return len(os.read(pipe, 1))
        except BlockingIOError:
            sum(range(1000))
";

fn setup() -> Setup {
    let setup = Setup::of("slow:application").file("slow.py", &calling(FUNCTIONS));
    setup.flags(&["--pythonpath=.", "--slow-request", "2"])
}

/// A client whose request does not end before its writer.
fn occupy(server: &Server, name: &str, function: &str) -> (Connection, Writer) {
    let pipe = Pipe::new(&server.directory, name);
    let mut connection = server.connect();
    let target = format!("/{function}?{}", pipe.query());
    let trace = format!("traceparent: 00-{TRACE_ID}-{SPAN_ID}-01\r\n");
    let fields = format!("Host: a\r\nX-Request-ID: {name}\r\n{trace}");
    connection.send(format!("GET {target} HTTP/1.1\r\n{fields}\r\n"));
    (connection, pipe.open())
}

/// The report about the request with this identifier, without what follows it.
fn report(log: &str, id: &str) -> String {
    let begin = log.find(&format!("(request {id}) for ")).unwrap_or_else(|| panic!("{log}"));
    let begin = log[..begin].rfind('\n').map_or(0, |at| at + 1);
    let end = log[begin..].find("\n[").map_or(log.len(), |at| begin + at);
    log[begin..end].to_owned()
}

#[test]
fn the_stacks_of_a_slow_request_are_logged_once_while_it_runs() {
    at_once(&[1, 4], |threads| {
        let server = setup().threads(threads).start();
        server.allow("longer than slow-request");
        let worker = server.workers();
        let (mut connection, writer) = occupy(&server, "slow-1", "waits_here");
        server.wait_for_log("(request slow-1) for ");
        server.wait_for_log("in waits_here");
        let text = report(&server.log(), "slow-1");
        let stacks = text.find("most recent call first").unwrap();
        assert!(text.contains("GET /waits_here?"), "{text}");
        for part in [" s of processor time)", "; client 127.0.0.1; ", "behind it"] {
            assert!(text[..stacks].contains(part), "{part} is not in {text}");
        }
        // The right thread comes first, and below it the others.
        let first = text[stacks..].split("\n\n").next().unwrap();
        let first = first.split("Thread 0x").next().unwrap();
        assert!(first.contains("in waits_here"), "{text}");
        writer.finish();
        assert_eq!(connection.response().body, b"0");
        assert_eq!(server.get("/").body, b"idle");
        assert_eq!(server.log().matches("(request slow-1) for ").count(), 1);
        assert_eq!(server.workers(), worker);
    });
}

#[test]
fn the_report_counts_the_requests_behind_and_the_processor_time() {
    let server = setup().start();
    server.allow("longer than slow-request");
    let (mut connection, writer) = occupy(&server, "busy-1", "computes_here");
    let mut behind: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for client in &mut behind {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    server.wait_for_log("(request busy-1) for ");
    let text = report(&server.log(), "busy-1");
    assert!(text.contains("behind it"), "{text}");
    let (used, _) = text.split_once(" s of processor time").unwrap();
    let used: f64 = used.rsplit('(').next().unwrap().parse().unwrap();
    assert!(used > 0.0, "{text}");
    writer.finish();
    assert_eq!(connection.response().status, 200);
    assert!(behind.iter_mut().all(|client| client.response().body == b"idle"));
}

#[test]
fn slow_requests_have_a_file_of_their_own_which_is_opened_again() {
    let flags = ["--slow-logfile", "slow.log", "--log-format", "json"];
    let server = setup().flags(&flags).spawn();
    // The line is an object here.
    server.wait_for_log("\"message\":\"serving ");
    let path = server.directory.join("slow.log");
    let lines = |path: &std::path::Path| fs::read_to_string(path).unwrap_or_default();
    for (name, moved) in [("one", Some("slow.log.1")), ("two", None)] {
        let (mut connection, writer) = occupy(&server, name, "waits_here");
        let line = until::some("the report", || {
            let text = lines(&path);
            text.ends_with('\n').then_some(text)
        });
        writer.finish();
        connection.response();
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&object["request_id"], &object["level"]), (&name.into(), &"warning".into()));
        assert_eq!((&object["trace_id"], &object["span_id"]), (&TRACE_ID.into(), &SPAN_ID.into()));
        assert!(object["traceback"].as_str().unwrap().contains("in waits_here"), "{line}");
        if let Some(moved) = moved {
            fs::rename(&path, server.directory.join(moved)).unwrap();
            server.signal(Signal::SIGUSR1);
            until::holds("the new file", || path.exists());
        }
    }
    assert!(!server.log().contains("waits_here"), "{}", server.log());
}
