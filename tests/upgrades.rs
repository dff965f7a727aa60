//! Upgrades (SIGUSR2): a new master takes over, or the old one stays.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::support::client::{Connection, get};
use crate::support::directory::Directory;
use crate::support::load::Load;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, install, program};
use crate::support::until;

const CODE: &str = "
import os
def application(environ, start_response):
    body = str(os.getpid()).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";
/// Appended to the code: imports until the file `go` appears.
const SLOW: &str = "
import time
open('importing', 'a').close()
while not os.path.exists('go'):
    time.sleep(0.005)
";

fn changing() -> Setup {
    Setup::of("changing:application").file("changing.py", CODE).flag("--pythonpath=.")
}

/// A copy of the program, which can be removed and replaced.
fn copied(setup: Setup) -> (Setup, PathBuf) {
    let copy = setup.directory.join("bin/monoceros");
    put_program(&copy);
    (setup.binary(&copy), copy)
}

/// The program as it was built, in the place of whatever is there.
fn put_program(copy: &Path) {
    let (directory, built) = (copy.parent().unwrap(), program());
    let extension = "libmonoceros_python.so";
    let places = ["", "../lib/monoceros"];
    let found = places.iter().map(|it| built.with_file_name(it).join(extension));
    let found = found.into_iter().find(|it| it.exists()).unwrap();
    fs::create_dir_all(directory).unwrap();
    install(&built, copy);
    install(&found, &directory.join(extension));
}

/// A shell script in its place.
fn put_script(copy: &Path, script: &str) {
    let text = copy.with_extension("text");
    fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).unwrap();
    install(&text, copy);
}

/// The old master and its workers serve on, and nothing else runs.
fn assert_goes_on(server: &Server, workers: &[i32]) {
    until::holds("the old workers alone", || server.workers() == workers);
    assert_eq!(server.get("/").status, 200);
    assert!(!server.has_ended());
}

#[test]
fn upgrades_under_load_lose_no_request() {
    let setup = Setup::of("stream:route").workers(2).patient().flags(&["--pid", "master.pid"]);
    let server = setup.start();
    let load = Load::start(server.address(), 8);
    for round in 1..=5 {
        load.proceed(50);
        server.upgrade();
        assert_eq!(server.directory.read("master.pid"), format!("{}\n", server.pid()));
        server.wait_for_workers(2);
        let titles: Vec<_> = server.workers().into_iter().map(process::title).collect();
        let generation = format!("gen={}", round + 1);
        assert!(titles.iter().all(|title| title.contains(&generation)), "{titles:?}");
        load.proceed(50);
    }
    let seen = load.finish();
    assert!(seen.len() >= 6, "workers of every master have answered: {seen:?}");
}

#[test]
fn an_upgrade_waits_for_requests_in_flight() {
    let server = Setup::of("stream:route").start();
    let (mut busy, writer) = server.occupy("pipe");
    let (old, worker) = (server.pid(), server.workers()[0]);
    server.signal(Signal::SIGUSR2);
    server.wait_for_log("has taken over");
    assert_ne!(server.get("/").text(), worker.to_string());
    // An operator may end the old master by hand.
    server.signal(Signal::SIGTERM);
    let mut kept = server.connect();
    assert_eq!(kept.get("/").status, 200);
    assert!(process::is_alive(old) && process::is_alive(worker));
    writer.finish();
    assert_eq!(busy.response().text(), worker.to_string());
    server.follow();
}

#[test]
fn a_socket_file_stays_through_upgrades_and_goes_at_the_end() {
    let setup = Setup::bare().apps().flags(&["--bind", "unix:web.sock", "stream:route"]);
    let server = setup.start();
    let path = server.directory.join("web.sock");
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let first = inode(&path);
    for _ in 0..2 {
        server.upgrade();
        let answer = Connection::unix(&path).unwrap().get("/").text();
        assert_eq!(server.workers(), [answer.parse::<i32>().unwrap()]);
        assert_eq!(inode(&path), first, "it is the same socket");
    }
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert!(!path.exists());
}

#[test]
fn a_failed_upgrade_does_not_take_the_socket_file_or_the_pid_file() {
    let setup = Setup::bare().apps().file("changing.py", CODE).flag("--pythonpath=.");
    let setup = setup.flags(&["--bind", "unix:web.sock", "--pid", "master.pid"]);
    let server = setup.flag("changing:application").start();
    for text in ["[ERROR]", "Traceback", "broken"] {
        server.allow(text);
    }
    let path = server.directory.join("web.sock");
    server.directory.write("changing.py", "raise RuntimeError('broken')");
    server.signal(Signal::SIGUSR2);
    server.wait_for_log("upgrade failed, all goes on as before");
    assert_eq!(Connection::unix(&path).unwrap().get("/").status, 200);
    assert_eq!(server.directory.read("master.pid"), format!("{}\n", server.pid()));
}

#[test]
fn the_pid_file_may_be_another_one_after_an_upgrade() {
    let server = Setup::of("stream:route").file("monoceros.yaml", "pid: one.pid\n").start();
    server.directory.write("monoceros.yaml", "pid: two.pid\n");
    server.upgrade();
    assert_eq!(server.directory.read("two.pid"), format!("{}\n", server.pid()));
    assert!(!server.directory.join("one.pid").exists());
}

#[test]
fn an_upgrade_without_the_configuration_file_is_refused() {
    let server = Setup::of("stream:route").file("monoceros.yaml", "workers: 2\n").start();
    server.allow("upgrade failed");
    let workers = server.workers();
    std::fs::remove_file(server.directory.join("monoceros.yaml")).unwrap();
    server.signal(Signal::SIGUSR2);
    server.wait_for_log("monoceros.yaml is not there any more");
    assert_goes_on(&server, &workers);
    server.directory.write("monoceros.yaml", "workers: 2\n");
    server.upgrade();
}

#[test]
fn addresses_may_change_with_an_upgrade() {
    let setup =
        Setup::bare().apps().file("monoceros.yaml", "bind: [unix:one.sock, unix:two.sock]\n");
    let server = setup.flag("stream:route").start();
    let path = |name| server.directory.join(name);
    server.directory.write("monoceros.yaml", "bind: [unix:two.sock, unix:three.sock]\n");
    server.upgrade();
    until::holds("that the first is gone", || !path("one.sock").exists());
    for name in ["two.sock", "three.sock"] {
        assert_eq!(Connection::unix(&path(name)).unwrap().get("/").status, 200, "{name}");
    }
}

#[test]
fn a_changed_number_of_workers_survives_an_upgrade() {
    let server = Setup::of("stream:route").workers(1).start();
    for count in [2, 3] {
        server.signal(Signal::SIGTTIN);
        server.wait_for_workers(count);
    }
    server.upgrade();
    server.wait_for_workers(3);
    server.signal(Signal::SIGTTOU);
    server.wait_for_workers(2);
}

/// Tries to upgrade, which fails for this reason.
fn fail_upgrade(server: &Server, workers: &[i32], reason: &str) {
    let failed = "upgrade failed, all goes on as before";
    let before = server.log().matches(failed).count();
    server.signal(Signal::SIGUSR2);
    server.wait_for_log_times(failed, before + 1);
    assert!(server.log().contains(reason), "{reason}:\n{}", server.log());
    assert_goes_on(server, workers);
}

#[test]
fn a_new_program_that_does_not_work_changes_nothing_and_the_next_one_does() {
    let (setup, copy) = copied(changing().workers(2).patient());
    let server = setup.start();
    for text in ["[ERROR]", "Traceback", "broken"] {
        server.allow(text);
    }
    let (old, load) = (server.workers(), Load::start(server.address(), 4));
    let fails = |reason: &str| {
        fail_upgrade(&server, &old, reason);
        load.proceed(20);
    };
    fs::remove_file(&copy).unwrap();
    fails("cannot find");
    put_script(&copy, "exit 7");
    fails("the new master ended with exit code 7 before it served");
    put_script(&copy, "kill -SEGV $$");
    fails("SIGSEGV");
    put_script(&copy, "");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    fails("permission denied");
    put_program(&copy);
    server.directory.write("changing.py", "raise RuntimeError('broken on disk')");
    fails("broken on disk");
    server.directory.write("changing.py", CODE);
    load.proceed(20);
    server.upgrade();
    server.wait_for_workers(2);
    load.proceed(20);
    load.finish();
}

#[test]
fn a_new_program_that_does_not_serve_in_time_is_ended() {
    // The time that a busy machine may take to run the first word of the other one.
    let deaf = "trap '' QUIT; while :; do read line < /dev/zero; done";
    for (limit, script, reason) in
        [("1", "exec sleep 1000", "does not serve within 1 s"), ("5", deaf, "ended with SIGKILL")]
    {
        let (setup, copy) = copied(changing().workers(2).flags(&["--upgrade-timeout", limit]));
        let server = setup.start();
        server.allow("[ERROR]");
        put_script(&copy, script);
        fail_upgrade(&server, &server.workers(), reason);
    }
}

/// A server whose new master waits for the file `go`; both masters' pids.
fn start_slow_upgrade() -> (Server, i32) {
    let server = changing().workers(2).flags(&["--pid", "master.pid"]).start();
    server.directory.write("changing.py", &format!("{CODE}{SLOW}"));
    server.signal(Signal::SIGUSR2);
    until::holds("an import", || server.directory.join("importing").exists());
    let new = server.named_master();
    (server, new)
}

/// Puts a release with everything in it into a directory of its own, and lets the
/// link lead there.
fn put_release(directory: &Directory, text: &str) {
    let release = format!("releases/{text}");
    let code = CODE.replace("str(os.getpid())", &format!("{text:?}"));
    directory.write(&format!("{release}/changing.py"), &code);
    let yaml = "error-logfile: log\npid: ../../server.pid\n";
    directory.write(&format!("{release}/conf/server.yaml"), yaml);
    put_program(&directory.join(&format!("{release}/bin/monoceros")));
    symlink(release, directory.join("next")).unwrap();
    fs::rename(directory.join("next"), directory.join("current")).unwrap();
}

#[test]
fn the_new_release_is_found_when_the_one_that_the_server_was_started_in_is_gone() {
    for signal in [Signal::SIGHUP, Signal::SIGUSR2] {
        let setup = Setup::of("changing:application").flags(&["-c", "conf/server.yaml"]);
        put_release(&setup.directory, "uno");
        let script = "cd current && export PWD && exec ./bin/monoceros \"$@\" 3<&0 0</dev/null";
        let server = setup.script(script).spawn();
        let log = |release| server.directory.read(&format!("releases/{release}/log"));
        until::holds("a server", || log("uno").contains("master: serving"));
        assert_eq!(server.get("/").text(), "uno");
        put_release(&server.directory, "dos");
        fs::remove_dir_all(server.directory.join("releases/uno")).unwrap();
        server.signal(signal);
        until::holds("the new release alone", || (0..5).all(|_| server.get("/").text() == "dos"));
        if signal == Signal::SIGUSR2 {
            until::holds("the end of the old master", || server.has_ended());
            server.adopt(server.directory.read("server.pid").trim().parse().unwrap());
        }
        server.signal(Signal::SIGTERM);
        until::holds("the end", || server.has_ended());
        assert!(!server.directory.join("server.pid").exists());
    }
}

#[test]
fn a_second_upgrade_waits_for_the_first() {
    let (server, new) = start_slow_upgrade();
    server.signal(Signal::SIGUSR2);
    server.wait_for_log("an upgrade is under way already");
    process::signal(new, Signal::SIGUSR2);
    server.wait_for_log("cannot upgrade: the server does not serve yet");
    server.directory.write("go", "");
    server.follow();
    assert_eq!(server.pid(), new);
    server.wait_for_workers(2);
    assert_eq!(server.get("/").status, 200);
    server.upgrade();
}

#[test]
fn a_reload_during_an_upgrade_comes_after_it() {
    let (server, new) = start_slow_upgrade();
    server.signal(Signal::SIGHUP);
    server.wait_for_log("the reload comes after it");
    assert_eq!(server.get("/").status, 200);
    server.directory.write("changing.py", &CODE.replace("getpid()", "getppid()"));
    server.directory.write("go", "");
    server.follow();
    until::holds("the newest code", || server.get("/").text() == new.to_string());
    server.wait_for_log("reloaded: gen=3 serves");
    server.wait_for_workers(2);
}

#[test]
fn workers_that_are_asked_for_during_an_upgrade_come_after_it() {
    let (server, _) = start_slow_upgrade();
    server.signal(Signal::SIGTTIN);
    server.wait_for_log("3 workers asked for");
    server.directory.write("go", "");
    server.follow();
    server.wait_for_workers(3);
}

#[test]
fn a_reload_during_an_upgrade_that_fails_is_not_forgotten() {
    let (server, new) = start_slow_upgrade();
    server.allow("upgrade failed");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("the reload comes after it");
    server.directory.write("changing.py", &CODE.replace("getpid()", "getppid()"));
    process::signal(new, Signal::SIGTERM);
    until::holds("the newest code", || server.get("/").text() == server.pid().to_string());
    server.wait_for_log("reloaded: ");
    server.wait_for_workers(2);
}

/// Appended to the code: one worker imports at once, all others wait as above.
const SECOND_SLOW: &str = "
import time
try:
    open('first', 'x').close()
except FileExistsError:
    open('importing', 'a').close()
    while not os.path.exists('go'):
        time.sleep(0.005)
";

#[test]
fn a_new_master_that_is_stopped_half_way_takes_nothing_from_the_old_one() {
    // An address that the master has bound: only such a one can be closed.
    let setup = Setup::bare().apps().workers(2).file("changing.py", CODE);
    let setup = setup.flags(&["--bind", "127.0.0.1:0", "--pythonpath=.", "changing:application"]);
    let server = setup.patient().start();
    server.allow("upgrade failed");
    let old = server.workers();
    server.directory.write("changing.py", &format!("{CODE}{SECOND_SLOW}"));
    server.signal(Signal::SIGUSR2);
    server.wait_for_log("gen=2 pid=");
    until::holds("an import", || server.directory.join("importing").exists());
    let load = Load::start(server.address(), 4);
    load.proceed(20);
    process::signal(server.named_master(), Signal::SIGTERM);
    server.wait_for_log("upgrade failed, all goes on as before");
    assert_goes_on(&server, &old);
    load.proceed(100);
    load.finish();
}

#[test]
fn a_stop_during_an_upgrade_ends_both_masters() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let (server, new) = start_slow_upgrade();
        server.signal(signal);
        assert_eq!(server.wait_for_exit(), 0, "{signal}");
        assert!(!process::is_alive(new), "{signal}: the old master ends last");
        assert!(!server.directory.join("master.pid").exists(), "{signal}");
    }
}

#[test]
fn a_new_master_that_is_killed_leaves_nothing_behind() {
    let (server, new) = start_slow_upgrade();
    server.allow("upgrade failed");
    let old = server.workers().into_iter().filter(|pid| *pid != new).collect::<Vec<_>>();
    let booting = process::children(new);
    assert!(!booting.is_empty());
    process::signal(new, Signal::SIGKILL);
    server.wait_for_log("upgrade failed, all goes on as before");
    assert_goes_on(&server, &old);
    server.directory.write("go", "");
    until::holds("the end of its workers", || !booting.iter().any(|pid| process::is_alive(*pid)));
    server.upgrade();
}

#[test]
fn a_new_master_takes_over_from_one_that_is_killed() {
    let (server, new) = start_slow_upgrade();
    let old = server.workers().into_iter().filter(|pid| *pid != new).collect::<Vec<_>>();
    let mut waiting = server.connect();
    server.signal(Signal::SIGKILL);
    until::holds("the end of the old master", || server.has_ended());
    server.adopt(new);
    server.wait_for_log("has taken over");
    assert_eq!(server.directory.read("master.pid"), format!("{new}\n"));
    until::holds("the end of the old workers", || !old.iter().any(|pid| process::is_alive(*pid)));
    waiting.send_if_taken(get("/")).unwrap();
    server.directory.write("go", "");
    server.wait_for_log_times("master: serving", 2);
    server.wait_for_workers(2);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_reload_runs_while_the_program_on_disk_is_replaced() {
    let (setup, copy) = copied(changing());
    let server = setup.start();
    let old = server.workers();
    fs::remove_file(&copy).unwrap();
    server.signal(Signal::SIGHUP);
    server.wait_for_replacement(&old);
    assert_eq!(server.get("/").status, 200);
    put_program(&copy);
    server.upgrade();
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn workers_are_of_their_masters_version_whatever_is_installed_meanwhile() {
    let (setup, copy) = copied(changing());
    let server = setup.start();
    server.allow("SIGKILL");
    let extension = copy.with_file_name("libmonoceros_python.so");
    fs::write(extension.with_extension("draft"), "of another version").unwrap();
    fs::rename(extension.with_extension("draft"), &extension).unwrap();
    let old = server.workers();
    process::signal(old[0], Signal::SIGKILL);
    server.wait_for_replacement(&old);
    assert_eq!(server.get("/").status, 200);
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded: gen=2 serves");
    put_program(&copy);
    server.upgrade();
    assert_eq!(server.get("/").status, 200);
}
