//! Worker class exec: real programs in all rollouts.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::support::load::Load;
use crate::support::need;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, apps, install, python};
use crate::support::until;
use crate::support::user::NOBODY;

/// A server of the standard library that follows the contract for programs. It is ready
/// when it sends `READY=1`, unless a test sets another time.
fn threads(options: &[&str]) -> Setup {
    let (python, script) = (python(), apps("programs").join("threads.py"));
    let words = [python.to_str().unwrap(), script.to_str().unwrap()];
    Setup::program(&[&words, options].concat()).flags(&["--ready-after", "notify"])
}

fn module(before: &[&str], after: &[&str]) -> Setup {
    let python = python();
    let words = [before, &[python.to_str().unwrap(), "-m"], after].concat();
    Setup::program(&words).variable("PYTHONPATH", apps("programs"))
}

/// The programs of one server would share one control socket. A worker of
/// gunicorn whose own master was killed notices it within half of its timeout, and is
/// killed when a busy machine does not run it for the whole timeout.
const GUNICORN: [&str; 7] =
    ["gunicorn", "--no-control-socket", "--timeout", "8", "--log-level", "warning", "hello:wsgi"];

/// How clients ask while workers are replaced.
#[derive(Clone, Copy, PartialEq)]
enum Clients {
    /// All the time, and half of them keep their connections.
    Always,
    /// Only before and after: this program loses requests when it drains.
    Before,
}

/// What every program gets: it serves, is rolled without a lost request, is
/// replaced when it was killed, and is ended.
fn lead(setup: Setup, clients: Clients) {
    let server = setup.workers(2).start();
    let old = server.workers();
    assert_eq!(old.len(), 2);
    let load = Load::start(server.address(), 4);
    load.proceed(100);
    if clients == Clients::Always {
        roll(&server);
        load.proceed(100);
        load.finish();
    } else {
        load.finish();
        roll(&server);
    }
    kill_one(&server);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
}

fn roll(server: &Server) {
    let (old, times) = (server.workers(), server.log().matches("reloaded:").count());
    server.signal(Signal::SIGHUP);
    server.wait_for_log_times("reloaded:", times + 1);
    until::holds("new workers alone", || {
        let now = server.workers();
        now.len() == old.len() && !now.iter().any(|pid| old.contains(pid))
    });
    assert_eq!(server.get("/").status, 200);
}

fn kill_one(server: &Server) {
    server.allow("died: SIGKILL");
    let before = server.workers();
    process::signal(before[0], Signal::SIGKILL);
    server.wait_for_log("died: SIGKILL");
    let is_new = |pid: &&i32| !before.contains(pid);
    until::holds("a worker in its place, which is ready", || {
        let (now, log) = (server.workers(), server.log());
        let is_ready = |pid: &i32| log.contains(&format!(" pid={pid} ready\n"));
        now.len() == before.len()
            && !now.contains(&before[0])
            && now.iter().filter(is_new).all(is_ready)
    });
    assert_eq!(server.get("/").status, 200);
    let is_orphan = |pid: &i32| *pid != server.pid() && !descends(*pid, server.pid());
    until::holds("the end of what it has started", || {
        let marked = process::marked(&server.mark, Path::new("/nonexistent"));
        !marked.iter().any(is_orphan)
    });
}

fn descends(pid: i32, ancestor: i32) -> bool {
    match process::state(pid) {
        Some((_, parent)) => parent == ancestor || parent > 1 && descends(parent, ancestor),
        None => true,
    }
}

#[test]
fn a_server_with_threads_runs_as_a_worker() {
    lead(threads(&[]), Clients::Always);
}

#[test]
fn gunicorn_runs_as_a_worker() {
    lead(module(&[], &GUNICORN), Clients::Always);
}

#[test]
fn gunicorn_on_a_named_descriptor_runs_as_a_worker() {
    // It would take the descriptor twice: for LISTEN_FDS, and for --bind.
    let words = [&GUNICORN[..], &["--bind", "fd://3"]].concat();
    lead(module(&["env", "-u", "LISTEN_FDS"], &words), Clients::Always);
}

#[test]
fn uvicorn_is_led() {
    let words = ["uvicorn", "--fd", "3", "--log-level", "warning", "hello:asgi"];
    lead(module(&[], &words), Clients::Before);
}

#[test]
fn uvicorn_that_drains_loses_no_request() {
    let (python, script) = (python(), apps("programs").join("draining.py"));
    let words = [python.to_str().unwrap(), script.to_str().unwrap()];
    lead(Setup::program(&words), Clients::Always);
}

#[test]
fn node_runs_as_a_worker() {
    let version = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    if !need::met(version.is_ok_and(|status| status.success()), "node on the PATH") {
        return;
    }
    let script = apps("programs").join("node.js");
    lead(Setup::program(&["node", script.to_str().unwrap()]), Clients::Always);
}

#[test]
fn a_program_gets_the_documented_descriptors_and_variables() {
    let server = threads(&[]).flags(&["-e", "ONE=a=b c"]).variable("NOTIFY_SOCKET", "/x").start();
    // The only connection, so that the program has no other sockets.
    let mut connection = server.connect();
    let mut value = |name: &str| connection.get(&format!("/environment/{name}")).text();
    assert_eq!(value("LISTEN_FDS"), "1");
    assert_eq!(value("LISTEN_FDNAMES"), "fd-//3");
    assert_eq!(value("LISTEN_PID"), server.workers()[0].to_string());
    assert_eq!(value("MONOCEROS_SLOT"), "0");
    assert_eq!(value("MONOCEROS_GENERATION"), "1");
    assert_eq!(value("ONE"), "a=b c");
    assert!(value("NOTIFY_SOCKET").starts_with('@'));
    assert_eq!(value("MONOCEROS_CHANNEL") + &value("MONOCEROS_SCOREBOARD"), "");
    // The listener, and the connection that asks.
    assert_eq!(connection.get("/descriptors").text(), "socket socket");
    assert_eq!(process::title(server.pid()), "monoceros: master [python]");
    assert!(server.ready_line().contains("serving python at http://"), "{}", server.ready_line());
}

#[test]
fn a_program_that_notifies_is_ready_when_it_sends_ready() {
    let setup = threads(&["gate=open"]).workers(2);
    let server = setup.flags(&["--log-level", "debug"]).spawn();
    server.wait_for_log("says: waiting at the gate");
    assert!(!server.log().contains("ready") && server.ready_line().is_empty(), "{}", server.log());
    server.directory.write("open", "");
    server.wait_until_ready();
    server.wait_for_log("says: serving");
    // A new worker is waited for just so, and the old one serves meanwhile.
    fs::remove_file(server.directory.join("open")).unwrap();
    let (old, load) = (server.workers(), Load::start(server.address(), 2));
    let waiting = server.log().matches("waiting at the gate").count();
    server.signal(Signal::SIGHUP);
    server.wait_for_log_times("waiting at the gate", waiting + 1);
    load.proceed(50);
    assert!(old.iter().all(|pid| server.workers().contains(pid)));
    server.directory.write("open", "");
    server.wait_for_log("reloaded: gen=2 serves");
    load.finish();
}

#[test]
fn ready_counts_before_the_time_is_over() {
    let server = threads(&[]).flags(&["--ready-after", "1h"]).start();
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_program_without_notifications_is_ready_after_its_time() {
    for length in ["0", "0.5"] {
        let server = threads(&["silent"]).flags(&["--ready-after", length]).start();
        assert_eq!(server.get("/").status, 200, "{length}");
    }
}

#[test]
fn a_program_that_must_notify_and_does_not_is_ended_by_the_boot_timeout() {
    let end = threads(&["silent"]).flags(&["--boot-timeout", "1"]).run();
    assert_eq!(end.code, Some(3), "{}", end.stderr);
    assert!(end.stderr.contains("boot-timeout"), "{}", end.stderr);
}

#[test]
fn only_the_documented_signals_reach_a_program() {
    let server = threads(&[]).workers(1).start();
    let first = server.workers()[0];
    server.signal(Signal::SIGTTIN);
    server.wait_for_workers(2);
    server.wait_for_log_times(" ready\n", 2);
    assert!(server.workers().contains(&first), "it was not told of the other");
    assert!(!server.directory.join("reopened").exists());
    server.signal(Signal::SIGUSR1);
    until::holds("logs opened again by both", || {
        server.directory.read("reopened").lines().count() == 2
    });
    server.signal(Signal::SIGTTOU);
    server.wait_for_workers(1);
}

#[test]
fn a_program_that_handles_no_signal_leaves_cleanly() {
    for (signal, word) in [(Signal::SIGTERM, "left: SIGTERM"), (Signal::SIGINT, "left: SIGQUIT")] {
        let server = Setup::program(&["sleep", "1000"]).flags(&["--ready-after", "0"]).start();
        server.signal(signal);
        assert_eq!(server.wait_for_exit(), 0);
        let log = server.log();
        assert!(log.lines().any(|it| it.contains("[INFO]") && it.contains(word)), "{log}");
    }
}

#[test]
fn programs_go_when_the_master_is_killed() {
    let server = threads(&[]).workers(2).start();
    let workers = server.workers();
    server.signal(Signal::SIGKILL);
    server.wait_for_exit();
    until::holds("programs that leave", || !workers.iter().any(|pid| process::is_alive(*pid)));
}

#[test]
fn a_program_that_cannot_be_executed_is_one_line() {
    let missing = Setup::program(&["no-such-program-at-all"]).run();
    let plain = Setup::program(&["./plain"]).file("plain", "").run();
    let no_interpreter = Setup::program(&["./script"]).file("text", "#!/no/such/interpreter\n");
    let script = no_interpreter.directory.join("script");
    install(&no_interpreter.directory.join("text"), &script);
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    for (end, text) in [
        (missing, "cannot find the program no-such-program-at-all on the PATH"),
        (plain, "./plain: permission denied"),
        (no_interpreter.run(), "./script: no such file or directory"),
    ] {
        assert_eq!(end.code, Some(1), "{}", end.stderr);
        // The other one is of a machine that was busy.
        let lines = end.stderr.lines().filter(|line| !line.contains("the master was not running"));
        assert_eq!(lines.count(), 1, "{}", end.stderr);
        assert!(end.stderr.contains(text), "{}", end.stderr);
    }
}

#[test]
fn a_program_that_ends_at_first_boot_ends_the_master() {
    for (script, word) in [("exit 7", "exit code 7"), ("kill -SEGV $$", "SIGSEGV")] {
        // A machine that is busy may take a second to run it.
        let setup = Setup::program(&["sh", "-c", script]).flags(&["--ready-after", "1m"]);
        let end = setup.workers(2).run();
        assert_eq!(end.code, Some(3), "{}", end.stderr);
        assert!(end.stderr.contains(word), "{}", end.stderr);
    }
}

#[test]
fn a_program_that_keeps_ending_is_tried_again_and_again() {
    let server = threads(&["broken=broken"]).workers(2).start();
    server.allow("[ERROR]");
    let lives_on = server.workers()[1];
    server.directory.write("broken", "");
    process::signal(server.workers()[0], Signal::SIGKILL);
    server.wait_for_log("cannot boot: it ended with exit code 7 before it was ready");
    server.wait_for_log_times("cannot boot: the reason is the same", 2);
    assert_eq!(server.get("/").text(), lives_on.to_string());
    fs::remove_file(server.directory.join("broken")).unwrap();
    server.wait_for_workers(2);
    server.wait_for_log_times(" ready\n", 3);
}

#[test]
fn a_reload_takes_another_program_unless_it_cannot_run() {
    let (python, script) = (python(), apps("programs").join("threads.py"));
    let file = |program: &str| {
        let words = format!("[{program:?}, {:?}]", script.to_str().unwrap());
        format!("worker-class: exec\nprogram: {words}\nready-after: notify\n")
    };
    let good = file(python.to_str().unwrap());
    let server = Setup::listening().file("monoceros.yaml", &good).start();
    let old = server.workers();
    server.allow("reload failed");
    for (bad, reason) in [
        (file("no-such-program"), "cannot find the program no-such-program on the PATH"),
        ("worker-class: exec\n".to_owned(), "monoceros.yaml line 1: worker-class: exec needs"),
        (good.replace("exec", "wsgi"), "monoceros.yaml line 2: program: only"),
    ] {
        server.directory.write("monoceros.yaml", &bad);
        server.signal(Signal::SIGHUP);
        server.wait_for_log(reason);
        assert_eq!(server.workers(), old);
        assert_eq!(server.get("/").text(), old[0].to_string());
    }
    // Found, but it fails when it runs.
    server.allow("cannot boot");
    server.directory.write("monoceros.yaml", &file("false"));
    server.signal(Signal::SIGHUP);
    server.wait_for_log("cannot boot: it ended with exit code 1");
    assert_eq!(server.get("/").text(), old[0].to_string());
    server.directory.write("monoceros.yaml", &good);
    roll(&server);
}

#[test]
fn a_program_that_ends_soon_after_it_was_ready_is_not_kept() {
    let (python, script) = (python(), apps("programs").join("threads.py"));
    let good = format!("{python:?}, {script:?}");
    let file = |words: &str| {
        format!("worker-class: exec\nready-after: 0\nmin-ready-seconds: 60\nprogram: [{words}]\n")
    };
    let server = Setup::listening().file("monoceros.yaml", &file(&good)).start();
    let old = server.workers();
    for text in ["died: exit code 1", "reload failed"] {
        server.allow(text);
    }
    server.directory.write("monoceros.yaml", &file("sh, -c, sleep 0.2; exit 1"));
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reload failed: gen=2 does not last");
    assert_eq!(server.workers(), old);
    assert_eq!(server.get("/").text(), old[0].to_string());
}

#[test]
fn a_program_is_recycled_by_its_age() {
    let server = threads(&[]).flags(&["--max-lifetime", "1s"]).start();
    let old = server.workers()[0];
    let load = Load::start(server.address(), 2);
    until::holds("another one in its place", || !process::is_alive(old));
    load.proceed(20);
    load.finish();
}

#[test]
fn a_check_runs_nothing() {
    let check = |words: &[&str]| Setup::program(words).flag("--check-config").run();
    let end = check(&["touch", "ran"]);
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""));
    assert!(!end.directory.join("ran").exists());
    let end = check(&["no-such-program-at-all"]);
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(end.stderr.contains("no-such-program-at-all"), "{}", end.stderr);
}

#[test]
fn notifications_of_a_program_without_privileges_are_received() {
    let python = Path::new("/usr/bin/python3");
    if !need::root() || !need::met(python.exists(), "/usr/bin/python3") {
        return;
    }
    let script = fs::read_to_string(apps("programs").join("threads.py")).unwrap();
    let setup = Setup::program(&[python.to_str().unwrap(), "threads.py"]);
    let setup = setup.flags(&["--user", "nobody", "--ready-after", "notify"]);
    let setup = setup.file("threads.py", &script);
    chown(setup.directory.path(), Some(NOBODY), None).unwrap();
    let server = setup.start();
    let worker = server.workers()[0];
    assert_eq!(process::status(worker, "Uid"), vec![NOBODY.to_string(); 4]);
    assert_eq!(server.get("/").text(), worker.to_string());
    server.signal(Signal::SIGKILL);
    server.wait_for_exit();
    until::holds("the end of the program", || !process::is_alive(worker));
}
