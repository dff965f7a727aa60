//! Rollouts: the number of workers that are replaced at a time, when the next ones follow,
//! and when a rollout is given up; and clients during many rollouts.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::client::get;
use crate::support::load::Load;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// The greatest number of new workers that were not ready at a time, by the log:
/// an old one goes for each that is, so that no others are beyond the number.
fn most_that_boot(server: &Server) -> usize {
    let (mut now, mut most) = (0usize, 0);
    for line in server.log().lines().filter(|line| line.contains(" gen=2 pid=")) {
        if line.ends_with(" spawned") {
            now += 1;
        } else if line.ends_with(" ready") {
            now -= 1;
        }
        most = most.max(now);
    }
    most
}

fn reload(server: &Server, generation: usize) {
    server.signal(Signal::SIGHUP);
    server.wait_for_log(&format!("reloaded: gen={generation} serves"));
}

/// Imports for as long as there is a file.
const SLOW: &str = "
import os, time
while os.path.exists('slow'):
    time.sleep(0.005)

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn a_reload_needs_no_more_workers_than_max_surge_allows() {
    for (surge, most) in [("1", 1), ("4", 4)] {
        let flags = ["--log-level", "debug", "--max-surge", surge];
        let server = Setup::of("stream:route").workers(4).flags(&flags).start();
        reload(&server, 2);
        assert_eq!(most_that_boot(&server), most, "{}", server.log());
    }
}

#[test]
fn without_surge_old_workers_go_first() {
    let flags = ["--log-level", "debug", "--max-surge", "0", "--max-unavailable", "1"];
    let setup = Setup::of("slow_import:application").file("slow_import.py", SLOW).workers(2);
    let server = setup.flag("--pythonpath=.").flags(&flags).start();
    server.directory.write("slow", "");
    server.signal(Signal::SIGHUP);
    // No worker has been started for the one that leaves.
    server.wait_for_log(" left: exit code 0");
    server.wait_for_log(" gen=2 pid=");
    assert_eq!(most_that_boot(&server), 1, "{}", server.log());
    fs::remove_file(server.directory.join("slow")).unwrap();
    server.wait_for_log("reloaded: gen=2 serves");
    assert_eq!(most_that_boot(&server), 1, "{}", server.log());
}

/// Ends when there is a file, if there was another when it began.
const FLEETING: &str = "
import os, threading, time
def fleet():
    while not os.path.exists('end'):
        time.sleep(0.005)
    os._exit(9)
if os.path.exists('fleeting'):
    threading.Thread(target=fleet).start()

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn a_new_worker_that_does_not_last_ends_the_reload() {
    let setup = Setup::of("fleeting:application").workers(2).file("fleeting.py", FLEETING);
    let server = setup.flags(&["--pythonpath=.", "--min-ready-seconds", "60"]).start();
    server.allow("exit code 9");
    server.allow("reload failed");
    let old = server.workers();
    server.directory.write("fleeting", "");
    server.signal(Signal::SIGHUP);
    until::holds("a new worker that is ready", || {
        server.log().lines().any(|line| line.contains(" gen=2 pid=") && line.ends_with(" ready"))
    });
    server.directory.write("end", "");
    server.wait_for_log("reload failed: gen=2 does not last; gen=1 goes on");
    until::holds("the old workers alone", || server.workers() == old);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_reload_that_makes_no_progress_is_given_up() {
    let setup = Setup::of("slow_import:application").file("slow_import.py", SLOW);
    let server = setup.flag("--pythonpath=.").start();
    server.allow("reload failed");
    let old = server.workers();
    server.directory.write("slow", "");
    server.directory.write("monoceros.yaml", "progress-deadline: 1\n");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("gen=2 made no progress within progress-deadline; gen=1 goes on");
    until::holds("the old worker alone", || server.workers() == old);
    fs::remove_file(server.directory.join("slow")).unwrap();
    // A second may be too short for a worker that only has to start.
    server.directory.write("monoceros.yaml", "");
    reload(&server, 3);
}

#[test]
fn no_request_fails_during_any_operation_on_workers() {
    for flags in [&[][..], &["--preload"], &["--threads", "4"]] {
        let server = Setup::of("stream:route").workers(2).flags(flags).patient().start();
        let load = Load::start(server.address(), 8);
        for round in 0..6 {
            load.proceed(30);
            match round % 3 {
                0 => reload(&server, 2 + round / 3),
                1 => {
                    // What `kill PID` does: it drains, and another one comes.
                    let worker = server
                        .workers()
                        .into_iter()
                        .find(|pid| process::title(*pid).contains("worker"));
                    process::signal(worker.unwrap(), Signal::SIGTERM);
                    server.allow("died: exit code 0");
                }
                _ => {
                    server.signal(Signal::SIGTTIN);
                    server.wait_for_log_times("3 workers asked for", round / 3 + 1);
                    load.proceed(30);
                    server.signal(Signal::SIGTTOU);
                }
            }
        }
        load.proceed(100);
        load.finish();
    }
}

/// Takes its interpreter down, with a stack to show.
const CRASH: &str = "
import ctypes

def fall():
    ctypes.string_at(0)

def application(environ, start_response):
    if environ['PATH_INFO'] == '/fall':
        fall()
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn a_crash_is_logged_with_its_request_and_its_stack() {
    for flags in [&[][..], &["--preload"]] {
        let setup = Setup::of("crash:application").file("crash.py", CRASH);
        let server = setup.flags(&["--pythonpath=."]).flags(flags).start();
        server.allow("SIGSEGV");
        let mut connection = server.connect();
        connection.send("GET /fall HTTP/1.1\r\nHost: x\r\nX-Request-ID: odd-7\r\n\r\n");
        server.wait_for_log("died: SIGSEGV");
        let log = server.log();
        let line = log.lines().find(|line| line.contains("died: SIGSEGV")).unwrap();
        assert!(line.contains("it was running GET /fall (request odd-7)"), "{line}");
        assert!(log.contains("crash.py\", line 5 in fall"), "{log}");
        until::holds("another worker", || {
            let mut connection = server.connect();
            connection.send(get("/"));
            connection.try_response("GET").is_ok()
        });
    }
}

const LOCKING: &str = "
import fcntl, os
held = open('lock', 'w')
fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
def application(environ, start_response):
    body = str(os.getpid()).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

/// It can exist once: its successor starts when it has ended.
#[test]
fn an_application_that_takes_a_lock_at_import_can_be_replaced_with_max_unavailable() {
    let setup = Setup::of("locking:application").file("locking.py", LOCKING);
    let server = setup.flag("--pythonpath=.").patient().start();
    for text in ["[ERROR]", "Traceback", "BlockingIOError"] {
        server.allow(text);
    }
    let old = server.get("/").text();
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reload failed: gen=2 cannot serve: BlockingIOError");
    assert_eq!(server.log().matches("with --max-surge 0 --max-unavailable 1").count(), 2);
    assert_eq!(server.get("/").text(), old);
    server.directory.write("monoceros.yaml", "max-surge: 0\nmax-unavailable: 1\n");
    // It takes a while until the old one has ended: this one is kept.
    let mut kept = server.connect();
    assert_eq!(kept.get("/").text(), old);
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloading: gen=3");
    assert_eq!(kept.get("/").text(), old);
    server.wait_for_log("reloaded: gen=3 serves");
    assert_ne!(server.get("/").text(), old);
}
