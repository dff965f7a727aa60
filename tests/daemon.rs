//! A server in the background (`--daemon`): the report to the starting process, and the
//! state of the server.

use std::fs;
use std::net::TcpListener;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgid, getsid};

use crate::support::client::get;
use crate::support::process;
use crate::support::server::{Finished, Server};
use crate::support::setup::Setup;
use crate::support::until;

/// A daemon that logs to its standard error until it serves, and to a file of
/// the same name.
fn daemon(application: &str) -> Setup {
    let setup = Setup::of(application).flags(&["--daemon", "--pid", "master.pid"]);
    setup.flags(&["--error-logfile", "stderr"])
}

/// Starts a daemon and waits until its starter has exited.
fn start(setup: Setup) -> Server {
    let server = setup.spawn();
    assert_eq!(server.wait_for_exit(), 0, "{}", server.log());
    assert!(server.log().contains("master: serving"), "0 means that it serves");
    let starter = server.pid();
    let master = server.directory.read("master.pid").trim().parse().unwrap();
    assert_ne!(master, starter);
    server.adopt(master);
    server.wait_until_ready();
    server
}

/// Runs a daemon that cannot serve to its end, which is not that of its starter.
fn fail(setup: Setup) -> Finished {
    let server = setup.spawn();
    server.wait_for_exit();
    let runs = || process::marked(&server.mark, server.directory.path());
    until::holds("the end of the daemon", || runs().is_empty());
    server.wait_for_end()
}

#[test]
fn the_starter_exits_with_zero_when_the_server_serves() {
    let server = start(daemon("stream:route").workers(2));
    assert_eq!(server.wait_for_workers(2).len(), 2);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn the_starter_exits_as_the_server_would_when_that_cannot_serve() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let failures: [(&str, &[&str], i32, &str); 4] = [
        ("raising", &[], 3, "raised at import"),
        ("missing", &[], 4, "application"),
        ("stream:route", &["--bind", &taken], 1, "in use"),
        ("stream:route", &["--error-logfile", "no/such/log"], 1, "no/such/log"),
    ];
    for (application, flags, code, reason) in failures {
        let end = fail(daemon(application).flags(flags));
        assert_eq!(end.code, Some(code), "{application}: {}", end.stderr);
        assert!(end.stderr.contains(reason), "{application}: {}", end.stderr);
        assert!(!end.directory.join("master.pid").exists(), "{application}: the pid file stays");
    }
}

#[test]
fn a_daemon_without_a_log_file_reports_a_failure_on_the_terminal() {
    let end = fail(Setup::of("raising").flags(&["--daemon"]));
    assert_eq!(end.code, Some(3));
    assert!(end.stderr.contains("raised at import"), "{}", end.stderr);
}

#[test]
fn a_daemon_belongs_to_no_terminal() {
    let server = start(daemon("stream:route"));
    let master = Pid::from_raw(server.pid());
    let session = getsid(Some(master)).unwrap();
    assert_ne!(session, getsid(None).unwrap());
    assert_ne!(session, master, "the leader of a session can get a terminal");
    assert_eq!(getpgid(Some(master)).unwrap(), session);
    let directory = fs::read_link(format!("/proc/{master}/cwd")).unwrap();
    assert_eq!(directory, fs::canonicalize(server.directory.path()).unwrap());
    for pid in [server.pid(), server.workers()[0]] {
        for fd in 0..3 {
            let target = fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap();
            assert_eq!(target.to_str(), Some("/dev/null"), "descriptor {fd} of {pid}");
        }
    }
}

#[test]
fn a_daemon_is_reloaded_upgraded_and_ended_as_any_other() {
    let server = start(daemon("stream:route").workers(2));
    let (old, master) = (server.workers(), server.pid());
    server.signal(Signal::SIGHUP);
    server.wait_for_new_workers(&old, 2);
    let session = getsid(Some(Pid::from_raw(master))).unwrap();
    server.upgrade();
    assert_ne!(server.pid(), master);
    assert_eq!(getsid(Some(Pid::from_raw(server.pid()))).unwrap(), session);
    assert_eq!(server.directory.read("master.pid"), format!("{}\n", server.pid()));
    server.wait_for_workers(2);
    assert_eq!(server.get("/").status, 200);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert!(!server.directory.join("master.pid").exists());
}

#[test]
fn winch_withdraws_the_workers_and_a_reload_brings_them_back() {
    let server = start(daemon("stream:route").workers(2));
    let (mut busy, writer) = server.occupy("pipe");
    server.signal(Signal::SIGWINCH);
    server.wait_for_log("withdrawing");
    server.wait_for_workers(1);
    writer.finish();
    assert_eq!(busy.response().status, 200, "what was begun is finished");
    server.wait_for_workers(0);
    server.signal(Signal::SIGWINCH);
    // It changes nothing, so there is no line. Of two signals at once the reload would be first.
    until::holds("a master that has read it", || process::is_asleep(server.pid()));
    let mut waiting = server.connect();
    waiting.send(get("/"));
    server.signal(Signal::SIGHUP);
    assert_eq!(waiting.response().status, 200, "whoever came meanwhile is served");
    server.wait_for_workers(2);
}

#[test]
fn ttin_after_winch_brings_one_worker() {
    let server = start(daemon("stream:route").workers(2));
    server.signal(Signal::SIGWINCH);
    server.wait_for_workers(0);
    server.signal(Signal::SIGTTIN);
    server.wait_for_workers(1);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn winch_is_ignored_on_a_terminal() {
    let setup = Setup::of("stream:route").flags(&["--log-level", "debug", "--pid", "master.pid"]);
    let server = setup.flags(&["--error-logfile", "stderr"]).on_terminal().spawn();
    let read = || server.directory.read("master.pid").trim().parse().ok();
    server.adopt(until::some("a pid file", read));
    server.wait_until_ready();
    let workers = server.workers();
    server.signal(Signal::SIGWINCH);
    server.wait_for_log("SIGWINCH is ignored");
    assert_eq!(server.workers(), workers);
    assert_eq!(server.get("/").status, 200);
}
