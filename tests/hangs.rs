//! Workers that hang, and workers that die again and again.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::cases::{LIMIT, at_once};
use crate::support::client::{Connection, get};
use crate::support::pipe::{Pipe, Writer};
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

#[test]
fn a_worker_whose_request_takes_too_long_is_replaced_and_the_log_names_the_request() {
    at_once(&[1, 2], |threads| {
        let setup = Setup::of("stream:route").workers(2).threads(threads);
        let server = setup.flags(&LIMIT).flags(&["--graceful-timeout", "1"]).start();
        server.allow("/wait");
        server.allow("SIG");
        let old = server.workers();
        let (mut connection, writer) = server.occupy("pipe");
        assert_eq!(server.get("/").status, 200, "others are served meanwhile");
        assert_eq!(connection.response().status, 504);
        server.wait_for_log("GET /wait");
        server.wait_for_replacement(&old);
        writer.finish();
    });
}

#[test]
fn a_response_that_grows_never_counts_as_stuck() {
    at_once(&[1, 2], |threads| {
        let server = Setup::of("stream:route").threads(threads).flags(&LIMIT).start();
        let old = server.workers();
        let pipe = Pipe::new(&server.directory, "pipe");
        let mut connection = server.connect();
        connection.send(get(&format!("/stream?{}", pipe.query())));
        let mut writer = pipe.open();
        // The head goes with the first piece.
        writer.say("more\n");
        assert_eq!(connection.head().status, 200);
        assert_eq!(connection.chunk().unwrap().unwrap(), b"more\n");
        let begun = std::time::Instant::now();
        until::holds("time to pass", || {
            writer.say("more\n");
            assert_eq!(connection.chunk().unwrap().unwrap(), b"more\n");
            begun.elapsed() > Duration::from_secs(6)
        });
        writer.finish();
        assert_eq!(connection.chunk().unwrap(), None);
        assert_eq!(server.workers(), old);
    });
}

/// A stream that has sent a line, and sends more only through the writer.
fn silent_stream(server: &Server, name: &str) -> (Connection, Writer) {
    let pipe = Pipe::new(&server.directory, name);
    let mut connection = server.connect();
    connection.send(get(&format!("/stream?{}", pipe.query())));
    let mut writer = pipe.open();
    writer.say("first\n");
    assert_eq!(connection.head().status, 200);
    assert_eq!(connection.chunk().unwrap().unwrap(), b"first\n");
    (connection, writer)
}

#[test]
fn a_stream_may_be_silent_as_long_as_its_client_is_there() {
    at_once(&[1, 2], |threads| {
        let server = Setup::of("stream:route").threads(threads).flags(&LIMIT).start();
        let old = server.workers();
        let (mut connection, mut writer) = silent_stream(&server, "pipe");
        until::passes(Duration::from_secs(8));
        writer.say("second\n");
        assert_eq!(connection.chunk().unwrap().unwrap(), b"second\n");
        writer.finish();
        assert_eq!(connection.chunk().unwrap(), None);
        assert_eq!(server.workers(), old);
        assert!(!server.log().contains("/stream"), "{}", server.log());
    });
}

#[test]
fn streams_without_clients_do_not_hold_every_thread_of_a_worker() {
    at_once(&[1, 2], |threads| {
        let setup = Setup::of("stream:route").threads(threads).flags(&LIMIT);
        let server = setup.flags(&["--graceful-timeout", "1"]).start();
        server.allow("/stream");
        server.allow("SIGKILL");
        let old = server.workers();
        let names = ["one", "two"];
        let streams: Vec<_> =
            names[..threads].iter().map(|name| silent_stream(&server, name)).collect();
        let writers: Vec<_> = streams.into_iter().map(|(_, writer)| writer).collect();
        server.wait_for_log("longer than timeout after the clients have left; no thread is free");
        let log = server.log();
        let (_, stacks) = log.split_once("no thread is free").unwrap();
        assert!(stacks.contains("stream.py"), "{log}");
        server.wait_for_replacement(&old);
        assert_eq!(server.get("/").status, 200);
        writers.into_iter().for_each(Writer::finish);
    });
}

#[test]
fn a_stream_without_a_client_is_logged_and_ends_with_its_next_piece() {
    let server = Setup::of("stream:route").threads(2).flags(&LIMIT).start();
    let old = server.workers();
    let (connection, mut writer) = silent_stream(&server, "pipe");
    drop(connection);
    server.wait_for_log("longer than timeout after the client has left");
    assert_eq!(server.get("/").status, 200, "the other thread serves");
    until::holds("the end of the stream", || writer.try_say("more\n").is_err());
    assert_eq!(server.workers(), old);
}

#[test]
fn a_request_that_takes_too_long_gets_504_while_its_worker_drains() {
    at_once(&[Signal::SIGHUP, Signal::SIGTERM], |signal| {
        let server = Setup::of("stream:route").flags(&LIMIT).start();
        server.allow("/wait");
        let (mut connection, writer) = server.occupy("pipe");
        server.signal(signal);
        assert_eq!(connection.response().status, 504);
        server.wait_for_log("GET /wait");
        writer.finish();
    });
}

/// `/lock` waits with the interpreter's lock for a lock that it has itself.
const LOCKED: &str = "
import ctypes

def application(environ, start_response):
    if environ['PATH_INFO'] == '/lock':
        lock = ctypes.PyDLL(None).pthread_mutex_lock
        mutex = ctypes.create_string_buffer(64)
        lock(mutex)
        lock(mutex)
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn a_request_that_holds_the_interpreters_lock_gets_504_and_its_worker_is_replaced() {
    at_once(&[1, 3], |threads| {
        let setup = Setup::of("locked:application").file("locked.py", LOCKED).threads(threads);
        let flags = ["--pythonpath=.", "--graceful-timeout", "1"];
        let server = setup.flags(&LIMIT).flags(&flags).start();
        server.allow("/lock");
        server.allow("SIGKILL");
        let old = server.workers();
        let mut stuck = server.connect();
        stuck.send("GET /lock HTTP/1.1\r\nHost: a\r\n\r\n");
        server.wait_for_log("GET /lock");
        // Its thread waits for the lock; to the server it looks free.
        let mut waiting = server.connect();
        waiting.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(stuck.response().status, 504);
        server.wait_for_replacement(&old);
        assert_eq!(server.get("/").status, 200);
    });
}

/// `/lock` makes the file `begun`, and sleeps with the interpreter's lock.
const SLEEPING: &str = "
import ctypes, sys, time

C = ctypes.PyDLL(None)

def application(environ, start_response):
    if environ['PATH_INFO'] == '/lock':
        sys.setswitchinterval(3600)
        C.creat(b'begun', 0o600)
        C.sleep(3600)
    if environ['PATH_INFO'] == '/slow':
        time.sleep(0.05)
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn requests_behind_one_that_is_stuck_are_refused_with_503() {
    at_once(&[1, 2], |threads| {
        let setup = Setup::of("sleeping:application").file("sleeping.py", SLEEPING);
        // The answers take a quarter of the last of these before it is over.
        let flags = ["--pythonpath=.", "--header-timeout", "60", "--graceful-timeout", "12"];
        let server = setup.threads(threads).flags(&LIMIT).flags(&flags).start();
        server.allow("/lock");
        server.allow("SIGKILL");
        let old = server.workers();
        // Kept connections, of an application that is quick so far.
        let mut kept: Vec<_> = (0..4).map(|_| server.connect()).collect();
        for _ in 0..25 {
            assert!(kept.iter_mut().all(|connection| connection.get("/").status == 200));
        }
        let mut stuck = server.connect();
        stuck.send(get("/lock"));
        until::holds("a stuck request", || server.directory.join("begun").exists());
        kept[0].send("GET / HTTP/1.1\r\nHo");
        kept.iter_mut().skip(1).for_each(|connection| connection.send(get("/")));
        assert_eq!(stuck.response().status, 504);
        for connection in &mut kept {
            let response = connection.response();
            assert_eq!((response.status, response.closes()), (503, true));
            assert_eq!(response.header("retry-after"), Some("1"));
        }
        server.wait_for_replacement(&old);
        assert_eq!(server.get("/").status, 200);
    });
}

#[test]
fn connections_that_wait_for_a_stuck_worker_are_served_by_the_next_one() {
    let setup = Setup::of("sleeping:application").file("sleeping.py", SLEEPING);
    let flags = ["--pythonpath=.", "--graceful-timeout", "1"];
    let server = setup.flags(&LIMIT).flags(&flags).start();
    server.allow("/lock");
    server.allow("SIGKILL");
    let old = server.workers();
    // An application that is not quick: its worker accepts no connection ahead.
    for _ in 0..5 {
        assert_eq!(server.get("/slow").status, 200);
    }
    let mut stuck = server.connect();
    stuck.send(get("/lock"));
    until::holds("a stuck request", || server.directory.join("begun").exists());
    until::holds("a worker that waits", || process::is_asleep(old[0]));
    let mut new: Vec<_> = (0..4).map(|_| server.connect()).collect();
    new.iter_mut().for_each(|connection| connection.send(get("/")));
    assert_eq!(stuck.response().status, 504);
    for connection in &mut new {
        assert_eq!(connection.response().status, 200);
    }
    server.wait_for_replacement(&old);
}

/// Once there is a file `hold`, a thread beside the requests takes the
/// interpreter's lock, removes the file, and sleeps. These calls keep the lock, and
/// another thread that waits for it in between waits for an hour.
const HOLDING: &str = "
import ctypes, os, sys, threading, time

C = ctypes.PyDLL(None)

def hold():
    while not os.path.exists('hold'):
        time.sleep(0.01)
    sys.setswitchinterval(3600)
    C.unlink(b'hold')
    C.sleep(3600)

threading.Thread(target=hold, daemon=True).start()

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn a_worker_that_cannot_take_requests_is_replaced() {
    at_once(&[1, 2], |threads| {
        let setup = Setup::of("holding:application").file("holding.py", HOLDING).threads(threads);
        let server = setup.flags(&LIMIT).flag("--pythonpath=.").start();
        server.allow("interpreter's lock");
        server.allow("SIG");
        let old = server.workers();
        server.directory.write("hold", "");
        until::holds("a thread that holds the lock", || !server.directory.join("hold").exists());
        assert_eq!(server.get("/").status, 503, "nobody takes it");
        server.wait_for_log("has not taken a request for");
        server.wait_for_replacement(&old);
        assert_eq!(server.get("/").status, 200);
    });
}

#[test]
fn a_worker_that_is_stopped_is_replaced() {
    let server = Setup::of("stream:route").flags(&LIMIT).start();
    server.allow("SIGKILL");
    server.allow("was stopped by a signal (SIGSTOP)");
    let old = server.workers();
    process::signal(old[0], Signal::SIGSTOP);
    server.wait_for_replacement(&old);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_master_that_was_stopped_kills_no_worker_afterwards() {
    let server = Setup::of("stream:route").workers(2).flags(&LIMIT).start();
    let old = server.workers();
    server.signal(Signal::SIGSTOP);
    until::holds("a stopped master", || {
        process::state(server.pid()).is_some_and(|(s, _)| s == 'T')
    });
    // The workers serve on, for longer than they may be silent.
    let begun = std::time::Instant::now();
    until::holds("time to pass", || {
        server.get("/").status == 200 && begun.elapsed() > Duration::from_secs(6)
    });
    server.signal(Signal::SIGCONT);
    server.signal(Signal::SIGTTIN);
    server.wait_for_workers(3);
    assert!(old.iter().all(|pid| process::is_alive(*pid)));
}

#[test]
fn no_worker_is_killed_after_a_suspend_of_the_machine() {
    let server = Setup::of("stream:route").workers(2).flags(&LIMIT).start();
    let (mut connection, writer) = server.occupy("pipe");
    let old = server.workers();
    // Of the group that the master leads, as its workers are in it too.
    process::signal(-server.pid(), Signal::SIGSTOP);
    let is_stopped = |pid: &i32| process::state(*pid).is_some_and(|(state, _)| state == 'T');
    until::holds("everybody stopped", || old.iter().all(is_stopped) && is_stopped(&server.pid()));
    // Longer than a request may take, and a worker be silent.
    until::passes(Duration::from_secs(6));
    process::signal(-server.pid(), Signal::SIGCONT);
    server.signal(Signal::SIGTTIN);
    server.wait_for_workers(3);
    writer.finish();
    assert_eq!(connection.response().status, 200);
    assert!(old.iter().all(|pid| process::is_alive(*pid)), "{:?}", server.workers());
}

/// While there is a file `sick`, those that are loaded end as soon as the master
/// knows that they are ready.
const SHORT_LIVED: &str = "
import os, threading, time

def end():
    while f'pid={os.getpid()} ready' not in open('stderr').read():
        time.sleep(0.01)
    os._exit(7)

if os.path.exists('sick'):
    threading.Thread(target=end, daemon=True).start()

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn workers_that_die_again_and_again_are_replaced_with_pauses_until_they_are_well() {
    let setup = Setup::of("short_lived:application").file("short_lived.py", SHORT_LIVED);
    let server = setup.flag("--pythonpath=.").start();
    server.allow("exit code 7");
    server.directory.write("sick", "");
    process::signal(server.workers()[0], Signal::SIGKILL);
    server.allow("SIGKILL");
    server.wait_for_log_times("exit code 7", 4);
    std::fs::remove_file(server.directory.join("sick")).unwrap();
    // One more may have been loaded before.
    until::holds("a worker that stays", || {
        let before = server.workers();
        let mut connection = server.connect();
        connection.send(get("/"));
        let is_answered = connection.try_response("GET").is_ok_and(|it| it.status == 200);
        before.len() == 1 && is_answered && server.workers() == before
    });
    assert!(!server.has_ended(), "the master lives on");
}
