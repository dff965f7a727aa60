//! A configuration file in Python: it decides the settings, and its hooks run beside the server.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;

use crate::support::cases::until_reached;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// Hooks that note their calls in a file.
const HOOKS: &str = r#"
import os

def note(*words):
    with open(os.path.join(os.path.dirname(__file__), "hooks"), "a") as file:
        file.write(" ".join(map(str, words)) + "\n")

note("file", __name__)

def on_starting(server):
    server.token = os.getpid()
    note("on_starting", len(server.LISTENERS), len(server.WORKERS))

def when_ready(server):
    note("when_ready", len(server.LISTENERS), len(server.WORKERS))

def on_reload(server):
    note("on_reload", server.token == os.getpid())

def nworkers_changed(server, new, old):
    note("nworkers_changed", new, old)

def pre_fork(server, worker):
    worker.token = worker.age * 10
    note("pre_fork", len(server.WORKERS))

def post_fork(server, worker):
    note("post_fork", worker.token)

def child_exit(server, worker):
    note("child_exit", worker.token, len(server.WORKERS))

def pre_exec(server):
    note("pre_exec")

def on_exit(server):
    note("on_exit", len(server.LISTENERS), len(server.WORKERS))
"#;

/// A server with this file.
fn with_file(application: &str, file: &str) -> Setup {
    Setup::of(application).flags(&["-c", "conf.py"]).file("conf.py", file)
}

/// The calls of hooks so far.
fn calls(server: &Server) -> Vec<String> {
    server.directory.read("hooks").lines().map(str::to_owned).collect()
}

/// The calls of hooks that happen in the mold.
fn calls_in_mold(server: &Server) -> Vec<String> {
    calls(server).into_iter().filter(|call| !call.starts_with("post_fork")).collect()
}

fn count(server: &Server, call: &str) -> usize {
    calls(server).iter().filter(|it| it.starts_with(call)).count()
}

/// The master's processes of this kind.
fn titled(server: &Server, kind: &str) -> Vec<i32> {
    let prefix = format!("monoceros: {kind} ");
    let processes = server.workers().into_iter();
    processes.filter(|pid| process::title(*pid).starts_with(&prefix)).collect()
}

fn mold(server: &Server) -> i32 {
    until::some("a single mold", || match titled(server, "mold")[..] {
        [mold] => Some(mold),
        _ => None,
    })
}

#[test]
fn hooks_run_in_the_order_of_gunicorn_and_workers_have_what_they_have_made() {
    let server = with_file("stream:route", HOOKS).start();
    until::holds("the first fork", || count(&server, "post_fork") == 1);
    let start = ["file __config__", "nworkers_changed 1 None", "on_starting 0 0", "when_ready 1 0"];
    assert_eq!(calls_in_mold(&server), [&start[..], &["pre_fork 0"]].concat());
    assert_eq!(calls(&server).last().unwrap(), "post_fork 10");
    let before = mold(&server);
    server.signal(Signal::SIGHUP);
    until::holds("the end of the reload", || count(&server, "child_exit") == 1);
    let reload = ["file __config__", "nworkers_changed 1 1", "on_reload True", "pre_fork 1"];
    let known = start.len() + 1;
    assert_eq!(calls_in_mold(&server)[known..], [&reload[..], &["child_exit 10 1"]].concat());
    assert_eq!(mold(&server), before, "the mold lives as long as the server");
    assert_eq!(server.get("/").status, 200);
    server.signal(Signal::SIGTERM);
    let finished = server.wait_for_end();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let calls = finished.directory.read("hooks");
    assert!(calls.ends_with("child_exit 20 0\non_exit 0 0\n"), "{calls}");
}

#[test]
fn the_file_decides_the_settings_and_the_command_line_wins() {
    let file = "workers = 2\nproc_name = 'shop'\n";
    let server = with_file("stream:route", file).flags(&["--name", "other"]).start();
    until::holds("two workers", || titled(&server, "worker").len() == 2);
    assert_eq!(process::title(server.pid()), "monoceros: master [other]");
}

#[test]
fn a_file_that_cannot_be_used_ends_the_start_with_one() {
    for (file, text) in [
        ("workers = 'x'\n", "Invalid value for workers: x"),
        ("raise ValueError('broken')\n", "ValueError: broken"),
        ("import os\nos.abort()\n", "cannot run conf.py: its process has ended with SIGABRT"),
        ("def on_starting(server):\n    raise ValueError('hook')\n", "the hook on_starting has"),
    ] {
        let finished = with_file("stream:route", file).run();
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains(text), "{}", finished.stderr);
    }
}

#[test]
fn a_file_and_a_hook_that_hang_are_named_and_bounded() {
    let hang = "    import os\n    os.write(2, b'reached\\n')\n    while True: pass\n";
    for (head, text) in [
        ("if True:\n", "cannot run conf.py: it has not ended within boot-timeout"),
        ("def when_ready(server):\n", "the hook when_ready has not ended within boot-timeout"),
    ] {
        let (limit, finished) = until_reached(|limit| {
            let setup = with_file("stream:route", &format!("{head}{hang}"));
            setup.flags(&["--boot-timeout", limit]).run()
        });
        let text = format!("{text} ({limit} s)");
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains(&text), "{}", finished.stderr);
        assert!(finished.stderr.contains("conf.py\", line"), "the stacks: {}", finished.stderr);
    }
}

#[test]
fn a_reload_that_cannot_use_the_file_leaves_workers_and_hooks() {
    let server = with_file("stream:route", HOOKS).start();
    let workers = titled(&server, "worker");
    server.directory.write("conf.py", "workers = 'x'\n");
    server.signal(Signal::SIGHUP);
    server.allow("reload failed");
    until::holds("the failure", || server.log().contains("nothing is changed: "));
    assert_eq!(titled(&server, "worker"), workers);
    process::signal(workers[0], Signal::SIGKILL);
    server.allow("SIGKILL");
    until::holds("another worker, with the old hooks", || count(&server, "post_fork") == 2);
}

#[test]
fn after_a_reload_that_fails_hooks_have_the_old_settings() {
    let first = "timeout = 77\ndef pre_fork(server, worker):\n    worker.token = 1\n    \
        note('old', server.cfg.timeout, worker.cfg.timeout, server.timeout)\n";
    let second = "timeout = 88\ndef post_fork(server, worker):\n    raise ValueError('no')\n";
    let server = with_file("stream:route", &format!("{HOOKS}{first}")).start();
    server.directory.write("conf.py", &format!("{HOOKS}{second}"));
    server.signal(Signal::SIGHUP);
    for text in ["reload failed", "post_fork has failed", "Traceback"] {
        server.allow(text);
    }
    until::holds("the failure", || server.log().contains("reload failed"));
    server.signal(Signal::SIGTTIN);
    until::holds("a hook of the old file", || count(&server, "old 77 77 77") == 2);
    let failures = server.log().matches("reload failed").count();
    server.directory.write("conf.py", &format!("{HOOKS}{first}"));
    server.signal(Signal::SIGHUP);
    until::holds("a later reload", || count(&server, "old 77 77 77") == 4);
    assert_eq!(server.log().matches("reload failed").count(), failures);
}

#[test]
fn a_check_has_warnings_where_only_a_start_would_fail() {
    let file = "accesslog = '/nonexistent/a.log'\ncertfile = '/nonexistent/a.crt'\n\
        logconfig_dict = {'version': 3}\n";
    let finished = with_file("stream:route", file).flags(&["--check-config"]).run();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    for text in ["/nonexistent/a.log: ", "/nonexistent/a.crt: ", "Python's logging fails"] {
        assert!(finished.stderr.contains(text), "{text}: {}", finished.stderr);
    }
    let finished = with_file("stream:route", file).run();
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
}

#[test]
fn a_process_that_a_hook_forks_and_that_returns_ends() {
    let file = "import os\ndef pre_fork(server, worker):\n    os.fork()\n\
        def when_ready(server):\n    os.fork()\n";
    let server = with_file("stream:route", file).start();
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded: gen=2 serves");
    until::holds("one mold and one worker", || server.workers().len() == 2);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_hook_that_raises_later_is_logged_and_the_server_goes_on() {
    let file = "def child_exit(server, worker):\n    raise ValueError('late')\n";
    let server = with_file("stream:route", file).start();
    server.signal(Signal::SIGHUP);
    server.allow("the hook child_exit has raised");
    server.allow("Traceback");
    until::holds("the traceback", || server.log().contains("ValueError: late"));
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_mold_that_is_killed_is_replaced_and_runs_the_file_again() {
    let server = with_file("stream:route", HOOKS).start();
    let (first, workers) = (mold(&server), titled(&server, "worker"));
    process::signal(first, Signal::SIGKILL);
    server.allow("SIGKILL");
    until::holds("another mold", || count(&server, "when_ready") == 2);
    assert_ne!(mold(&server), first);
    assert_eq!(titled(&server, "worker"), workers, "the worker serves on");
}

#[test]
fn with_preload_a_reload_has_a_mold_of_its_own() {
    let server = with_file("preloaded", HOOKS).flags(&["--preload"]).start();
    let first = mold(&server);
    server.signal(Signal::SIGHUP);
    until::holds("when_ready in the new mold", || count(&server, "when_ready") == 2);
    assert_ne!(mold(&server), first);
    let calls = calls_in_mold(&server);
    let reload = ["file __config__", "nworkers_changed 1 1", "on_starting 0 0", "on_reload True"];
    assert!(calls.windows(4).any(|it| it == reload), "{calls:?}");
    until::holds("the second worker, by its age", || count(&server, "post_fork 20") == 1);
}

#[test]
fn a_check_runs_no_hook_and_asks_about_names_that_are_no_settings() {
    let finished = with_file("stream:route", HOOKS).flags(&["--check-config"]).run();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(finished.directory.read("hooks"), "file __config__\n");
    let setup = with_file("stream:route", "access_logfile = '-'\n").flags(&["--check-config"]);
    let finished = setup.run();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("did you mean accesslog?"), "{}", finished.stderr);
}

#[test]
fn settings_of_gunicorns_sources_are_printed_in_its_form() {
    let setup = with_file("stream:route", "workers = 3\n");
    let finished = setup.flags(&["--print-config", "--timeout", "7"]).run();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let lines = finished.stdout.lines().filter_map(|line| line.split_once('='));
    let printed: BTreeMap<_, _> = lines.map(|(name, value)| (name.trim(), value.trim())).collect();
    assert_eq!((printed["workers"], printed["timeout"]), ("3", "7"), "{printed:?}");
}
