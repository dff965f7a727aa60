//! Processes of a server that are killed.

use std::net::TcpListener;

use nix::sys::signal::Signal;

use crate::support::client::{Connection, get};
use crate::support::pipe::Writer;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

#[test]
fn a_killed_worker_is_replaced_and_the_log_names_the_signal() {
    let server = Setup::of("stream:route").workers(2).start();
    server.allow("SIGKILL");
    let old = server.workers();
    process::signal(old[0], Signal::SIGKILL);
    server.wait_for_replacement(&old);
    assert!(server.workers().contains(&old[1]), "the other worker lives on");
    server.wait_for_log("SIGKILL");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_worker_that_ends_within_a_request_is_replaced() {
    for (path, reason) in [("/dies", "exit code 7"), ("/crashes", "SIGSEGV")] {
        let server = Setup::of("faults").start();
        server.allow("[ERROR]");
        let mut connection = server.connect();
        connection.send(get(path));
        assert!(connection.try_response("GET").is_err(), "{path}: there is nobody to answer");
        server.wait_for_log(reason);
        assert_eq!(server.get("/").status, 200, "{path}");
    }
}

#[test]
fn a_connection_that_waits_in_the_queue_outlives_the_worker() {
    let server = Setup::of("stream:route").workers(2).start();
    server.allow("SIGKILL");
    let (mut busy, writers): (Vec<_>, Vec<_>) =
        ["one", "two"].into_iter().map(|name| server.occupy(name)).unzip();
    let old = server.workers();
    let mut waiting = server.connect();
    waiting.send(get("/"));
    process::signal(old[0], Signal::SIGKILL);
    let answer = waiting.response().text();
    assert!(!old.iter().any(|pid| pid.to_string() == answer), "the new worker answers");
    writers.into_iter().for_each(Writer::finish);
    let answers = busy.iter_mut().map(|connection| connection.try_response("GET"));
    assert_eq!(
        answers.filter(Result::is_ok).count(),
        1,
        "only the killed worker's request is lost"
    );
}

/// A worker that ends only at this timeout does not end within a test.
const PATIENT: [&str; 2] = ["--graceful-timeout", "600"];

/// A process that another test is about to start may still have the socket.
fn wait_for_free_port(server: &Server) {
    until::holds("a free port", || TcpListener::bind(server.address()).is_ok());
}

#[test]
fn idle_workers_go_when_the_master_is_killed_and_the_port_is_free() {
    let server = Setup::of("stream:route").apart().workers(3).flags(&PATIENT).start();
    let mut kept = server.connect();
    assert_eq!(kept.get("/").status, 200);
    let workers = server.workers();
    server.signal(Signal::SIGKILL);
    server.wait_for_exit();
    until::holds("the end of all", || !workers.iter().any(|pid| process::is_alive(*pid)));
    kept.assert_closed();
    wait_for_free_port(&server);
}

#[test]
fn a_request_in_flight_is_finished_when_the_master_is_killed() {
    let server = Setup::of("stream:route").apart().workers(2).flags(&PATIENT).start();
    let (mut connection, writer) = server.occupy("pipe");
    let workers = server.workers();
    server.signal(Signal::SIGKILL);
    server.wait_for_exit();
    until::holds("the idle worker's end", || {
        workers.iter().filter(|pid| process::is_alive(**pid)).count() == 1
    });
    until::holds("a closed port", || Connection::tcp(server.address()).is_err());
    writer.finish();
    let response = connection.response();
    assert_eq!(response.status, 200);
    assert!(response.closes());
    until::holds("the end of both", || !workers.iter().any(|pid| process::is_alive(*pid)));
}

#[test]
fn a_worker_without_a_master_ends() {
    let server = Setup::of("stream:stubborn").flags(&["--graceful-timeout", "1"]).start();
    let (mut connection, writer) = server.occupy("pipe");
    let workers = server.workers();
    server.signal(Signal::SIGKILL);
    server.wait_for_exit();
    until::holds("the worker's end", || !process::is_alive(workers[0]));
    assert!(connection.try_response("GET").is_err());
    writer.finish();
}

/// Sleeps with the interpreter's lock as soon as it is asked.
const HOLDING: &str = "
import ctypes

def application(environ, start_response):
    open('holding', 'w').close()
    ctypes.PyDLL(None).sleep(3600)
";

#[test]
fn a_worker_that_cannot_run_python_goes_too_when_the_master_is_killed() {
    let setup = Setup::of("holding:application").apart().file("holding.py", HOLDING);
    let server = setup.flags(&["--pythonpath=.", "--graceful-timeout", "1"]).start();
    let worker = server.workers()[0];
    let mut connection = server.connect();
    connection.send(get("/"));
    until::holds("a worker that holds the lock", || server.directory.join("holding").exists());
    server.signal(Signal::SIGKILL);
    server.wait_for_exit();
    until::holds("the worker's end", || !process::is_alive(worker));
    wait_for_free_port(&server);
}

/// From the second time on it is never loaded.
const LOADING: &str = "
import os, signal

if os.path.exists('again'):
    open('loading', 'w').close()
    while True:
        signal.pause()

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn a_worker_that_still_loads_goes_too_when_the_master_is_killed() {
    for flag in ["--workers=1", "--preload"] {
        let setup = Setup::of("loading:application").apart().file("loading.py", LOADING);
        let server = setup.flags(&["--pythonpath=.", flag]).start();
        server.directory.write("again", "");
        server.signal(Signal::SIGHUP);
        until::holds("another one that loads", || server.directory.join("loading").exists());
        let started = process::children(server.pid());
        server.signal(Signal::SIGKILL);
        server.wait_for_exit();
        until::holds("the end of all", || !started.iter().any(|pid| process::is_alive(*pid)));
        wait_for_free_port(&server);
    }
}

#[test]
fn processes_of_the_application_do_not_hold_the_port() {
    let server = Setup::of("spawning:application")
        .file("spawning.py", SPAWNING)
        .flags(&["--pythonpath", "."])
        .start();
    let child: i32 = server.get("/").text().parse().unwrap();
    let held = process::descriptors(child).unwrap();
    process::signal(child, Signal::SIGKILL);
    until::holds("its end", || !process::is_alive(child));
    assert!(!held.iter().any(|target| target.starts_with("socket:")), "{held:?}");
}

const SPAWNING: &str = "
import subprocess
children = []
def application(environ, start_response):
    children.append(subprocess.Popen(['sleep', '1000'], close_fds=False))
    body = str(children[-1].pid).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";
