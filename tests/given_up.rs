//! What the server gives up by its own decision: told in the log, and counted.

use std::process::Command;

use crate::support::server::Server;
use crate::support::setup::{Setup, program};
use crate::support::until;

/// How often the server has given up something of a kind, as it says itself.
pub(crate) fn given_up(server: &Server, kind: &str) -> u64 {
    let mut command = Command::new(program());
    command.current_dir("/").args(["status", "--json", &server.pid().to_string()]);
    let said = command.output().unwrap().stdout;
    let status: serde_json::Value = serde_json::from_slice(&said).unwrap();
    status["given_up"][kind].as_u64().unwrap_or(0)
}

#[test]
fn what_is_refused_is_counted_but_fills_no_log() {
    let server = Setup::of("environ").start();
    let count = 50;
    for _ in 0..count {
        assert_eq!(server.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").status, 400);
    }
    until::holds("all of them counted", || given_up(&server, "refused") == count);
    let told = server.log().matches("refused 127.0.0.1:").count() as u64;
    // A machine that stands still for a minute has one more time for lines.
    assert!((1..count).contains(&told), "{told} lines");
    let worker = server.workers();
    server.signal(nix::sys::signal::Signal::SIGHUP);
    until::holds("another worker alone", || {
        server.workers().len() == 1 && server.workers() != worker
    });
    server.wait_for_log("refused: 40 more within a minute");
    assert_eq!(given_up(&server, "refused"), count, "the counts outlive the worker");
}
