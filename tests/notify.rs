//! The notifications to the init system (`sd_notify(3)`), and when they are sent.

use std::fs;

use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};

use crate::support::init::Init;
use crate::support::process;
use crate::support::setup::Setup;
use crate::support::until;

/// Imports until the file `go` appears in its directory, and then answers.
const SLOW: &str = "
import os, time
open('importing', 'a').close()
while not os.path.exists('go'):
    time.sleep(0.005)
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '5')])
    return [b'one\\n\\n']
";

/// A server with notifications, for a module in its directory.
fn told(setup: Setup, init: &Init) -> Setup {
    setup.variable("NOTIFY_SOCKET", &init.address)
}

fn changing(code: &str) -> Setup {
    Setup::of("changing:application").file("changing.py", code).flag("--pythonpath=.")
}

fn is_one(value: &str) -> bool {
    value == "1"
}

fn monotonic_us() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    u64::try_from(now.tv_sec() * 1_000_000 + now.tv_nsec() / 1000).unwrap()
}

#[test]
fn ready_is_sent_when_all_workers_are_ready_and_the_time_is_extended_until_then() {
    let setup = changing(SLOW).workers(2);
    let init = Init::at_path(&setup.directory);
    let server = told(setup, &init).spawn();
    let (at, _) = init.wait_for(0, "EXTEND_TIMEOUT_USEC", |usec| usec.parse::<u64>().is_ok());
    init.wait_for(at + 1, "EXTEND_TIMEOUT_USEC", |usec| usec.parse::<u64>().is_ok());
    init.wait_for(0, "STATUS", |line| line.contains("0 of 2 workers ready"));
    assert_eq!(init.times("READY", 0, init.count()), 0);
    server.directory.write("go", "");
    let (_, ready) = init.wait_for(0, "READY", is_one);
    assert_eq!(ready.sender, server.pid());
    assert_eq!(server.log().matches(" ready").count(), 2, "all are ready:\n{}", server.log());
    init.wait_for(0, "STATUS", |line| line.contains("2 of 2 workers ready"));
    server.wait_until_ready();
}

#[test]
fn the_status_has_figures_that_change() {
    let init = Init::at_name();
    let server = told(Setup::of("stream:route"), &init).start();
    let (at, _) = init.wait_for(0, "STATUS", |line| line.contains(" 0 answered"));
    let (_busy, writer) = server.occupy("pipe");
    init.wait_for(at, "STATUS", |line| line.contains("1 requests running"));
    writer.finish();
    init.wait_for(at, "STATUS", |line| line.contains(" 1 answered"));
}

#[test]
fn the_init_system_is_notified_when_a_reload_begins_and_ends() {
    let init = Init::at_name();
    let server = told(changing(SLOW).file("go", ""), &init).start();
    let (first, _) = init.wait_for(0, "READY", is_one);
    let (old, from, before) = (server.workers(), first + 1, monotonic_us());
    fs::remove_file(server.directory.join("go")).unwrap();
    server.signal(Signal::SIGHUP);
    let (began, message) = init.wait_for(from, "RELOADING", is_one);
    let said: u64 = message.value("MONOTONIC_USEC").unwrap().parse().unwrap();
    assert!((before..=monotonic_us()).contains(&said), "the time at which it began");
    init.wait_for(began, "EXTEND_TIMEOUT_USEC", |_| true);
    init.wait_for(began, "STATUS", |line| line.contains("reloading to gen=2"));
    assert_eq!(init.times("READY", from, init.count()), 0);
    server.directory.write("go", "");
    init.wait_for(began, "READY", is_one);
    until::holds("new workers", || !server.workers().contains(&old[0]));
}

#[test]
fn a_failed_reload_ends_and_its_reason_is_in_the_status() {
    let init = Init::at_name();
    let server = told(changing(SLOW).file("go", ""), &init).start();
    for text in ["[ERROR]", "Traceback", "broken on reload"] {
        server.allow(text);
    }
    let mut from = init.count();
    let failures = [("raise RuntimeError('broken on reload')", ""), (SLOW, "timeout: soon\n")];
    for (code, yaml) in failures {
        server.directory.write("changing.py", code);
        server.directory.write("monoceros.yaml", yaml);
        server.signal(Signal::SIGHUP);
        let (began, _) = init.wait_for(from, "RELOADING", is_one);
        let reason = if yaml.is_empty() { "broken on reload" } else { "timeout" };
        let is_failure = |line: &str| line.contains("reload failed") && line.contains(reason);
        let (failed, _) = init.wait_for(began, "STATUS", is_failure);
        let (ready, _) = init.wait_for(began, "READY", is_one);
        assert!(failed < ready, "{:#?}", init.heard());
        from = ready + 1;
    }
    server.directory.write("monoceros.yaml", "");
    server.signal(Signal::SIGHUP);
    let (began, _) = init.wait_for(from, "RELOADING", is_one);
    init.wait_for(began, "STATUS", |line| !line.contains("reload"));
    init.wait_for(began, "READY", is_one);
}

#[test]
fn stopping_is_sent_with_the_time_that_it_may_take() {
    let init = Init::at_name();
    let server = told(Setup::of("stream:route"), &init).start();
    let (_busy, writer) = server.occupy("pipe");
    let from = init.wait_for(0, "READY", is_one).0 + 1;
    server.signal(Signal::SIGTERM);
    let (stopping, _) = init.wait_for(from, "STOPPING", is_one);
    let graceful = |usec: &str| usec.parse::<u64>().unwrap() > 30_000_000;
    init.wait_for(stopping, "EXTEND_TIMEOUT_USEC", graceful);
    init.wait_for(stopping, "STATUS", |line| line.contains("draining"));
    writer.finish();
    assert_eq!(server.wait_for_exit(), 0);
    assert_eq!(init.times("READY", from, init.count()), 0);
    assert_eq!(init.times("STOPPING", from, init.count()), 1, "it is said once");
}

#[test]
fn a_server_that_cannot_serve_sends_the_reason_and_never_ready() {
    let init = Init::at_name();
    let end = told(Setup::of("raising"), &init).run();
    assert_eq!(end.code, Some(3), "{}", end.stderr);
    init.wait_for(0, "STATUS", |line| line.contains("raised at import"));
    assert_eq!(init.times("READY", 0, init.count()), 0);
}

#[test]
fn the_watchdog_is_notified_while_a_worker_can_be_relied_on() {
    let init = Init::at_name();
    let setup = told(changing(SLOW).file("go", ""), &init).variable("WATCHDOG_USEC", "300000");
    let server = setup.start();
    let (ready, _) = init.wait_for(0, "READY", is_one);
    for text in ["[ERROR]", "Traceback", "broken"] {
        server.allow(text);
    }
    let (first, message) = init.wait_for(0, "WATCHDOG", is_one);
    assert_eq!(message.sender, server.pid());
    init.wait_for(first + 1, "WATCHDOG", is_one);
    server.directory.write("changing.py", "raise RuntimeError('broken')");
    process::signal(server.workers()[0], Signal::SIGKILL);
    // Notifications arrive in order, but not at once.
    let (from, _) = init.wait_for(ready, "STATUS", |line| line.contains("0 of 1 workers ready"));
    // Each takes longer than some of the intervals.
    server.wait_for_log_times("cannot boot", 3);
    assert_eq!(init.times("WATCHDOG", from, init.count()), 0, "{:#?}", init.heard());
    server.directory.write("changing.py", SLOW);
    init.wait_for(from, "WATCHDOG", is_one);
}

#[test]
fn the_watchdog_is_notified_while_workers_are_withdrawn_or_drain() {
    let init = Init::at_name();
    let setup = told(Setup::of("stream:route"), &init).variable("WATCHDOG_USEC", "100000");
    let server = setup.start();
    let (_busy, writer) = server.occupy("pipe");
    server.signal(Signal::SIGTERM);
    let (from, _) = init.wait_for(0, "STOPPING", is_one);
    for _ in 0..2 {
        let from = init.count().max(from);
        init.wait_for(from, "WATCHDOG", is_one);
    }
    writer.finish();
    assert_eq!(server.wait_for_exit(), 0);
}

#[test]
fn the_watchdog_of_another_process_is_not_notified() {
    let init = Init::at_name();
    let setup = told(Setup::of("stream:route"), &init);
    let setup = setup.variable("WATCHDOG_USEC", "1000").variable("WATCHDOG_PID", "1");
    let server = setup.start();
    init.wait_for(0, "READY", is_one);
    assert_eq!(server.get("/").status, 200);
    server.upgrade();
    let (at, _) = init.wait_for(0, "MAINPID", |_| true);
    init.wait_for(at + 1, "READY", is_one);
    server.signal(Signal::SIGTERM);
    init.wait_for(at, "STOPPING", is_one);
    assert_eq!(server.wait_for_exit(), 0);
    assert_eq!(init.times("WATCHDOG", 0, init.count()), 0);
}

#[test]
fn an_upgrade_names_the_new_master_before_its_first_notification() {
    let init = Init::at_name();
    let setup = told(Setup::of("stream:route").workers(2), &init);
    // The next one is due after the test: the new master sends the first one at once.
    let server = setup.variable("WATCHDOG_USEC", "600000000").start();
    let (old, from) = (server.pid(), init.count());
    server.upgrade();
    let new = server.pid().to_string();
    let (named, message) = init.wait_for(from, "MAINPID", |pid| pid == new);
    assert_eq!(message.sender, old, "the init system believes nobody else");
    assert_eq!(init.times("MAINPID", 0, init.count()), 1);
    for name in ["READY", "STATUS", "WATCHDOG"] {
        let (_, message) = init.wait_for(named + 1, name, |_| true);
        assert_eq!(message.sender, server.pid(), "{message:?}");
    }
    init.wait_for(named + 1, "STATUS", |line| line.contains("2 of 2 workers ready"));
    let heard = init.heard();
    assert!(heard[..=named].iter().all(|message| message.sender == old), "{heard:#?}");
    assert!(heard[named + 1..].iter().all(|message| message.sender != old), "{heard:#?}");
    let from = init.count();
    server.signal(Signal::SIGHUP);
    let (began, message) = init.wait_for(from, "RELOADING", is_one);
    assert_eq!(message.sender, server.pid());
    init.wait_for(began, "READY", is_one);
}

/// An init system waits for its own children only, and checks the parent when it gets the
/// new main pid: with `KillMode=mixed` systemd kills all processes of the unit at once if
/// the main process is the child of another one.
#[test]
fn a_new_master_is_no_longer_the_child_of_the_old_one_when_it_is_named() {
    for flags in [&[][..], &["--preload"]] {
        let init = Init::at_name();
        let server = told(Setup::of("stream:route").workers(2), &init).flags(flags).start();
        for _ in 0..2 {
            let (old, from) = (server.pid(), init.count());
            server.upgrade();
            let (_, message) = init.wait_for(from, "MAINPID", |pid| pid != old.to_string());
            let now = process::state(server.pid()).map(|(_, parent)| parent);
            assert_eq!(message.main_parent, now, "its parent is the one that it keeps");
            assert_ne!(now, Some(old));
            server.wait_for_workers(2 + flags.len());
        }
    }
}

#[test]
fn the_figures_of_the_status_go_on_after_an_upgrade() {
    let init = Init::at_name();
    let server = told(Setup::of("stream:route"), &init).start();
    let (_busy, writer) = server.occupy("pipe");
    writer.finish();
    init.wait_for(0, "STATUS", |line| line.contains(" 1 answered"));
    let (_draining, writer) = server.occupy("other");
    server.signal(Signal::SIGUSR2);
    let (at, _) = init.wait_for(0, "MAINPID", |_| true);
    let (at, line) = init.wait_for(at + 1, "STATUS", |line| line.contains("gen=2"));
    assert!(line.text.contains(" 1 answered"), "{line:?}");
    writer.finish();
    init.wait_for(at, "STATUS", |line| line.contains(" 2 answered"));
    server.follow();
}

#[test]
fn a_failed_upgrade_is_in_the_status_until_the_next_one() {
    let init = Init::at_name();
    let server = told(changing(SLOW).file("go", ""), &init).start();
    for text in ["[ERROR]", "Traceback", "broken"] {
        server.allow(text);
    }
    server.directory.write("changing.py", "raise RuntimeError('broken')");
    server.signal(Signal::SIGUSR2);
    let (at, message) = init.wait_for(0, "STATUS", |line| line.contains("upgrade failed"));
    assert!(message.text.contains("exit code 3"), "{message:?}");
    assert_eq!(message.sender, server.pid());
    server.get("/");
    init.wait_for(at + 1, "STATUS", |line| line.contains("upgrade failed"));
    server.directory.write("changing.py", SLOW);
    server.upgrade();
    let (at, _) = init.wait_for(0, "MAINPID", |_| true);
    init.wait_for(at + 1, "STATUS", |line| !line.contains("failed"));
}

#[test]
fn the_application_does_not_inherit_the_masters_variables() {
    let init = Init::at_name();
    let setup = told(Setup::of("environ:variables"), &init);
    let server = setup.variable("WATCHDOG_USEC", "30000000").start();
    let check = || {
        let variables = server.get("/").json();
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "MONOCEROS_PREDECESSOR"] {
            assert_eq!(variables.get(name), None, "{name}");
        }
    };
    check();
    server.upgrade();
    check();
}

#[test]
fn a_reload_during_an_upgrade_ends_when_the_new_master_has_done_it() {
    let init = Init::at_name();
    let server = told(changing(SLOW).file("go", ""), &init).start();
    fs::remove_file(server.directory.join("go")).unwrap();
    fs::remove_file(server.directory.join("importing")).unwrap();
    let (old, from) = (server.pid(), init.count());
    server.signal(Signal::SIGUSR2);
    until::holds("an import", || server.directory.join("importing").exists());
    server.signal(Signal::SIGHUP);
    let (began, message) = init.wait_for(from, "RELOADING", is_one);
    assert_eq!(message.sender, old, "the init system hears at once");
    init.wait_for(began, "EXTEND_TIMEOUT_USEC", |_| true);
    server.directory.write("go", "");
    server.follow();
    server.wait_for_log("reloaded: gen=3 serves");
    let (_, message) = init.wait_for(began, "READY", is_one);
    assert_eq!(message.sender, server.pid());
    let status = init.wait_for(began, "STATUS", |line| line.starts_with("gen=3"));
    assert_eq!(status.1.sender, server.pid());
}
