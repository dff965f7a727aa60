//! Threads of the application, and those beside it.

use nix::sys::signal::Signal;

use crate::support::client::get;
use crate::support::pipe::{Pipe, Writer};
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// Sends as many requests as there are threads, all of which wait; `pace` is
/// called after each of them.
fn fill(server: &Server, count: usize, pace: impl Fn(&Pipe)) {
    let names: Vec<_> = (0..count).map(|n| format!("pipe-{n}")).collect();
    let pipes: Vec<_> = names.iter().map(|name| Pipe::new(&server.directory, name)).collect();
    let mut clients = Vec::new();
    for pipe in &pipes {
        let mut connection = server.connect();
        connection.send(get(&format!("/wait?{}", pipe.query())));
        clients.push(connection);
        pace(pipe);
    }
    let writers: Vec<_> = pipes.iter().map(Pipe::open).collect();
    let started = |name: &String| server.directory.read(&format!("{name}.started"));
    let mut threads: Vec<_> = names.iter().map(started).collect();
    threads.sort();
    threads.dedup();
    assert_eq!(threads.len(), count, "each on its own thread: {threads:?}");
    writers.into_iter().for_each(Writer::finish);
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
}

#[test]
fn as_many_requests_run_at_once_as_there_are_threads() {
    let server = Setup::of("stream:route").threads(4).start();
    fill(&server, 4, |pipe| until::holds("a start", || pipe.is_started()));
}

#[test]
fn requests_that_come_together_run_together() {
    let server = Setup::of("stream:route").threads(4).start();
    fill(&server, 4, |_| ());
}

#[test]
fn a_request_that_waits_does_not_delay_others_while_a_thread_is_free() {
    let server = Setup::of("stream:route").threads(2).start();
    let (mut busy, writer) = server.occupy("pipe");
    let mut kept = server.connect();
    for _ in 0..50 {
        assert_eq!(server.get("/").status, 200);
        assert_eq!(kept.get("/").status, 200);
    }
    writer.finish();
    assert_eq!(busy.response().status, 200);
}

#[test]
fn background_threads_run_while_the_worker_is_idle_and_while_it_serves() {
    for threads in [1, 2] {
        let server = Setup::of("background").threads(threads).start();
        let ticks = |path: &str| server.get(path).json()["ticks"].as_u64().unwrap();
        let first = ticks("/");
        until::holds("ticks while idle", || ticks("/") > first + 20);
        // Answers only after the thread went on while the request was running.
        assert!(ticks("/spin") > first);
    }
}

#[test]
fn python_handles_signals_on_the_main_thread_while_it_waits_and_while_it_serves() {
    let server = Setup::of("background").start();
    assert_eq!(server.get("/ring").json()["alarms"][0], true);
    let server = Setup::of("background").start();
    assert_eq!(server.get("/alarm").status, 200);
    until::holds("the alarm", || server.get("/").json()["alarms"][0] == true);
}

#[test]
fn an_alarm_rings_in_an_idle_worker_without_any_request() {
    let server = Setup::of("ringing:application")
        .file("ringing.py", RINGING)
        .flags(&["--pythonpath", "."])
        .start();
    process::signal(server.workers()[0], Signal::SIGALRM);
    until::holds("the handler", || server.directory.read("rang") == "rang");
}

const RINGING: &str = "
import signal

def ring(number, frame):
    with open('rang', 'w') as file:
        file.write('rang')

signal.signal(signal.SIGALRM, ring)

def application(environ, start_response):
    start_response('200 OK', [])
    return []
";
