//! What signals to the master do.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::process;
use crate::support::setup::Setup;
use crate::support::until;

#[test]
fn term_int_and_quit_end_an_idle_server_with_zero() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let server = Setup::of("stream:route").workers(2).start();
        server.signal(signal);
        assert_eq!(server.wait_for_exit(), 0, "{signal}");
    }
}

#[test]
fn term_waits_for_requests_in_flight() {
    let setup = Setup::of("stream:route").workers(2);
    let server = setup.flags(&["--access-logfile", "access"]).start();
    let (mut connection, writer) = server.occupy("pipe");
    server.signal(Signal::SIGTERM);
    server.wait_for_workers(1);
    // The worker that is left has been told to drain; it has heard it when it has
    // opened its log again, which it is told after that.
    fs::remove_file(server.directory.join("access")).unwrap();
    server.signal(Signal::SIGUSR1);
    until::holds("a log opened again", || server.directory.join("access").exists());
    writer.finish();
    let response = connection.response();
    assert_eq!(response.status, 200);
    assert!(response.closes());
    assert_eq!(server.wait_for_exit(), 0);
}

#[test]
fn term_kills_what_does_not_end_in_time() {
    let server = Setup::of("stream:stubborn").flags(&["--graceful-timeout", "1"]).start();
    server.allow("graceful-timeout");
    let (mut connection, writer) = server.occupy("pipe");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert!(connection.try_response("GET").is_err(), "the worker was killed");
    writer.finish();
}

#[test]
fn int_does_not_wait_for_requests_in_flight() {
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        let server = Setup::of("stream:route").start();
        let (_connection, writer) = server.occupy("pipe");
        server.signal(signal);
        assert_eq!(server.wait_for_exit(), 0, "{signal}");
        writer.finish();
    }
}

#[test]
fn int_while_draining_ends_the_wait() {
    let server = Setup::of("stream:route").workers(2).start();
    let (_connection, writer) = server.occupy("pipe");
    server.signal(Signal::SIGTERM);
    server.wait_for_workers(1);
    server.signal(Signal::SIGINT);
    assert_eq!(server.wait_for_exit(), 0);
    writer.finish();
}

#[test]
fn ttin_adds_a_worker_and_ttou_removes_one() {
    let server = Setup::of("stream:route").workers(2).start();
    server.signal(Signal::SIGTTIN);
    server.wait_for_workers(3);
    server.signal(Signal::SIGTTIN);
    server.wait_for_workers(4);
    for count in [3, 2, 1] {
        server.signal(Signal::SIGTTOU);
        server.wait_for_workers(count);
    }
    server.signal(Signal::SIGTTOU);
    assert_eq!(server.get("/").status, 200, "the last worker stays");
    assert_eq!(server.workers().len(), 1);
}

#[test]
fn signals_to_a_worker_that_mean_nothing_to_it_do_not_kill_it() {
    let server = Setup::of("stream:route").start();
    let workers = server.workers();
    for signal in [Signal::SIGHUP, Signal::SIGPIPE, Signal::SIGWINCH, Signal::SIGUSR1] {
        process::signal(workers[0], signal);
        assert_eq!(server.get("/").text(), workers[0].to_string(), "{signal}");
    }
}

#[test]
fn titles_say_who_is_who() {
    let server = Setup::of("stream:route").workers(2).flags(&["--name", "shop"]).start();
    assert_eq!(process::title(server.pid()), "monoceros: master [shop]");
    let mut titles: Vec<_> = server.workers().into_iter().map(process::title).collect();
    titles.sort();
    assert_eq!(titles, ["monoceros: worker 0 gen=1 [shop]", "monoceros: worker 1 gen=1 [shop]"]);
}

/// The application is loaded when there is a file.
const WAITING: &str = "
import os, time
open('loading', 'w').close()
while not os.path.exists('go'):
    time.sleep(0.005)

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn signals_of_the_master_do_no_harm_to_a_worker_whether_it_serves_or_loads() {
    let masters = [
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGWINCH,
    ];
    for flags in [&[][..], &["--preload"]] {
        let setup = Setup::of("waiting:application").file("waiting.py", WAITING);
        let server = setup.flag("--pythonpath=.").flags(flags).spawn();
        until::holds("a process that loads", || server.directory.join("loading").exists());
        let loads = server.workers();
        for signal in masters {
            loads.iter().for_each(|pid| process::signal(*pid, signal));
        }
        server.directory.write("go", "");
        server.wait_until_ready();
        assert!(loads.iter().all(|pid| server.workers().contains(pid)));
        let serve = server.workers();
        for signal in masters {
            serve.iter().for_each(|pid| process::signal(*pid, signal));
        }
        assert_eq!(server.get("/").status, 200);
        assert_eq!(server.workers(), serve);
    }
}
