//! Faults of the system: processes and descriptors that it refuses, clocks that are set,
//! and workers that end before they are ready.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::cases::LIMIT;
use crate::support::client::{Connection, get};
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// Checks that a process does not loop: within a second it uses less than half of a
/// second of processor time.
fn assert_no_busy_loop(pid: i32) {
    let (begun, before) = (Instant::now(), process::cpu(pid));
    until::passes(Duration::from_secs(1));
    let (passed, used) = (begun.elapsed(), process::cpu(pid).saturating_sub(before));
    assert!(used < passed / 2, "pid {pid} has used {used:?} of {passed:?}");
}

/// Two workers serve, none of them among `old`.
fn wait_for_others(server: &Server, old: &[i32]) {
    server.wait_for_new_workers(old, 2);
    assert_eq!(server.get("/").status, 200);
}

/// Checks that the master survives while it cannot start a process: the rest of the old
/// generation serves. Afterwards a reload works.
fn survive_a_failing_spawn(server: &Server, begin: impl Fn(), end: impl Fn()) {
    ["cannot boot", "SIGKILL", "reload failed"].iter().for_each(|text| server.allow(text));
    let old = server.workers();
    begin();
    process::signal(old[0], Signal::SIGKILL);
    server.wait_for_log("cannot start a process");
    assert_no_busy_loop(server.pid());
    assert_eq!(server.get("/").text(), old[1].to_string());
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reload failed");
    assert_eq!(server.get("/").text(), old[1].to_string());
    end();
    server.wait_for_workers(2);
    assert!(server.workers().contains(&old[1]), "who was well is left alone");
    let between = server.workers();
    server.signal(Signal::SIGHUP);
    wait_for_others(server, &between);
}

#[test]
fn a_machine_that_has_no_room_for_a_process_costs_no_more_than_that_process() {
    let server = Setup::of("stream:route").workers(2).shim("fork").start();
    let fault = server.directory.join("fault");
    let begin = || fs::write(&fault, "").unwrap();
    survive_a_failing_spawn(&server, begin, || fs::remove_file(&fault).unwrap());
}

#[test]
fn a_kernel_without_descriptors_for_processes_is_named() {
    let setup = Setup::of("stream:route").shim("pidfd");
    fs::write(setup.directory.join("fault"), "").unwrap();
    let end = setup.run();
    assert_eq!(end.code, Some(1));
    let text = "monoceros: cannot start: pidfd_open(2) fails (function not implemented): \
                Linux 5.3 or later is needed";
    assert!(end.stderr.starts_with(text), "{}", end.stderr);
}

/// Runs until its first process can be made, and then serves.
fn survive_a_failing_start(server: &Server, text: &str, end: impl Fn()) {
    server.allow("cannot boot");
    server.wait_for_log(&format!("cannot boot: {text}; trying again"));
    server.wait_for_log_times("cannot boot: the reason is the same", 3);
    assert_no_busy_loop(server.pid());
    end();
    server.wait_until_ready();
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_machine_that_has_no_room_for_the_first_process_may_have_it_later() {
    let setup = Setup::of("stream:route").workers(2).shim("fork");
    let fault = setup.directory.join("fault");
    fs::write(&fault, "").unwrap();
    let server = setup.spawn();
    let text = "cannot start a process: resource temporarily unavailable";
    survive_a_failing_start(&server, text, || fs::remove_file(&fault).unwrap());
}

/// The application is loaded, and then there is no room for more.
const LAST: &str = "
open('fault', 'w').close()

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn a_mold_that_cannot_fork_at_first_may_do_so_later() {
    let setup = Setup::of("last:application").workers(2).shim("fork").file("last.py", LAST);
    let server = setup.flags(&["--pythonpath=.", "--preload"]).spawn();
    let text = "the mold cannot fork: resource temporarily unavailable";
    let fault = server.directory.join("fault");
    survive_a_failing_start(&server, text, || fs::remove_file(&fault).unwrap());
}

#[test]
fn a_start_that_waits_for_room_can_be_ended() {
    let ends: [(Signal, &[&str], i32); 3] = [
        (Signal::SIGTERM, &[], 0),
        (Signal::SIGINT, &[], 0),
        (Signal::SIGTERM, &["--daemon", "--error-logfile", "stderr"], 1),
    ];
    for (signal, flags, code) in ends {
        let setup = Setup::of("last:application").shim("fork").file("last.py", LAST).flags(flags);
        let setup = setup.flags(&["--pythonpath=.", "--preload", "--pid", "master.pid"]);
        let server = setup.spawn();
        server.allow("cannot boot");
        server.wait_for_log("trying again");
        let pid = server.directory.read("master.pid").trim().parse().unwrap();
        process::signal(pid, Signal::SIGHUP);
        server.wait_for_log("the reason is the same");
        process::signal(pid, signal);
        assert_eq!(server.wait_for_exit(), code, "{signal}: {}", server.log());
        server.wait_for_log("master: stopped");
        // The starter of a daemon ends before it.
        until::holds("the end of the master", || !process::is_alive(pid));
        assert!(!server.directory.join("master.pid").exists());
    }
}

#[test]
fn a_machine_that_has_no_room_for_a_process_fails_a_check() {
    let setup = Setup::of("stream:route").shim("fork");
    fs::write(setup.directory.join("fault"), "").unwrap();
    let server = setup.flag("--check-config").spawn();
    let end = server.wait_for_end();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(end.stderr.contains("resource temporarily unavailable"), "{}", end.stderr);
}

#[test]
fn a_master_without_free_descriptors_serves_on() {
    let server = Setup::of("stream:route").workers(2).start();
    let master = server.pid();
    let before = std::cell::Cell::new(0);
    // The numbers of descriptors, not how many there are, are what is limited.
    let begin = || before.set(process::limit_descriptors(master, 4));
    let end = || before.set(process::limit_descriptors(master, before.get()));
    survive_a_failing_spawn(&server, begin, end);
}

#[test]
fn a_worker_without_descriptors_makes_room_of_idle_connections() {
    let server = Setup::of("stream:route").start();
    let worker = server.workers()[0];
    let held = process::descriptors(worker).unwrap().len();
    process::limit_descriptors(worker, held + 20);
    let mut kept = Vec::new();
    for _ in 0..60 {
        let mut connection = server.connect();
        assert_eq!(connection.get("/").text(), worker.to_string());
        kept.push(connection);
    }
    assert_no_busy_loop(worker);
}

#[test]
fn a_worker_without_free_descriptors_accepts_again_when_it_can() {
    let server = Setup::of("stream:large").narrow().start();
    server.allow("cannot accept connections");
    let worker = server.workers()[0];
    let held = process::descriptors(worker).unwrap().len();
    let before = process::limit_descriptors(worker, held + 4);
    // Each holds a descriptor, as long as its client does not read.
    let mut unread = Vec::new();
    until::holds("a worker that can accept nobody", || {
        if let Ok(mut connection) = Connection::narrow(server.address()) {
            connection.send(get("/?1000000"));
            unread.push(connection);
        }
        server.log().contains("cannot accept connections")
    });
    let mut waiting = server.connect();
    waiting.send(get("/?2"));
    assert_no_busy_loop(worker);
    assert_eq!(server.log().matches("cannot accept connections").count(), 1, "told once");
    process::limit_descriptors(worker, before);
    assert_eq!(waiting.response().text(), "xx");
    assert_eq!(server.workers(), [worker]);
    drop(unread);
}

#[test]
fn a_worker_without_descriptors_answers_a_client_that_has_sent_a_part_of_a_request() {
    let server = Setup::of("environ:echo").start();
    server.allow("cannot accept connections");
    let worker = server.workers()[0];
    let held = process::descriptors(worker).unwrap().len();
    process::limit_descriptors(worker, held + 3);
    let mut begun: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut begun {
        connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    }
    let all = || process::descriptors(worker).unwrap().len() == held + 3;
    until::holds("the last descriptor to be taken", all);
    assert_eq!(server.get("/").status, 200);
    server.wait_for_log(": 503 it had to make room for others");
    let refused = begun.iter_mut().find_map(|it| (!it.is_open()).then_some(it));
    assert_eq!(refused.unwrap().response().status, 503);
}

const CLOCK: &str = "
import time

def application(environ, start_response):
    body = str(int(time.time())).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

#[test]
fn setting_the_clock_changes_only_dates() {
    let setup = Setup::of("clock:application").workers(2).file("clock.py", CLOCK).shim("clock");
    let server = setup.flags(&LIMIT).flags(&["--pythonpath=.", "--keep-alive", "60"]).start();
    let old = server.workers();
    let mut kept = server.connect();
    let now = || server.get("/").text().parse::<i64>().unwrap();
    let (begun, mut kept_alive) = (now(), kept.get("/"));
    for (offset, text) in [(-86_400, "-86400"), (86_400, "86400"), (0, "0")] {
        let date = kept_alive.header("date").unwrap().to_owned();
        server.directory.write("fault", text);
        // The master looks at its workers, and those at their connections.
        until::passes(Duration::from_millis(1500));
        let shifted = now() - begun;
        assert!((shifted - offset).abs() < 3600, "the application's clock: {shifted}");
        kept_alive = kept.get("/");
        assert_ne!(kept_alive.header("date"), Some(date.as_str()), "a connection is kept");
        assert_eq!(server.workers(), old, "nobody is replaced");
    }
    server.signal(Signal::SIGTTIN);
    server.wait_for_workers(3);
    server.signal(Signal::SIGTTOU);
    server.wait_for_workers(2);
}

#[test]
fn a_worker_that_is_killed_while_it_loads_the_application_ends_the_first_boot() {
    let server = Setup::of("hangs").spawn();
    until::holds("an import", || !server.directory.read("importing").is_empty());
    process::signal(server.workers()[0], Signal::SIGKILL);
    let end = server.wait_for_end();
    assert_eq!(end.code, Some(3), "{}", end.stderr);
    for text in ["SIGKILL", "before it was ready"] {
        assert!(end.stderr.contains(text), "{}", end.stderr);
    }
}

/// Of those that import this the first goes on, the second waits for its end,
/// and all others go on.
const SECOND_WAITS: &str = "
import os

def is_next(name):
    try:
        os.mkdir(name)
        return True
    except FileExistsError:
        return False

if not is_next('one') and is_next('two'):
    os.mkfifo('never')
    os.symlink(str(os.getpid()), 'importing')
    open('never')

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn a_worker_that_is_killed_while_another_is_ready_is_replaced_also_at_first() {
    let setup = Setup::of("waiting:application").workers(2).file("waiting.py", SECOND_WAITS);
    let server = setup.flag("--pythonpath=.").spawn();
    server.allow("before it was ready");
    server.wait_for_log(" ready");
    let pid = until::some("an import", || fs::read_link(server.directory.join("importing")).ok());
    process::signal(pid.to_str().unwrap().parse().unwrap(), Signal::SIGKILL);
    server.wait_until_ready();
    assert_eq!(server.workers().len(), 2);
}

const CHANGING: &str = "
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn a_worker_that_is_killed_while_it_loads_the_application_ends_that_reload() {
    let setup = Setup::of("changing:application").workers(2).file("changing.py", CHANGING);
    let server = setup.flag("--pythonpath=.").start();
    server.allow("[ERROR]");
    let old = server.workers();
    let hang = "import os\nopen('importing', 'w').close()\nos.mkfifo('never')\nopen('never')\n";
    server.directory.write("changing.py", hang);
    server.signal(Signal::SIGHUP);
    until::holds("an import", || server.directory.join("importing").exists());
    let is_new = |pid: &i32| !old.contains(pid);
    process::signal(server.workers().into_iter().find(is_new).unwrap(), Signal::SIGKILL);
    server.wait_for_log("reload failed");
    server.wait_for_log("SIGKILL");
    until::holds("the old workers alone", || server.workers() == old);
    assert_eq!(server.get("/").status, 200);
    server.directory.write("changing.py", CHANGING);
    server.signal(Signal::SIGHUP);
    wait_for_others(&server, &old);
}
