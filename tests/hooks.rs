//! Server hooks of a configuration file in Python (`gunicorn.conf.py`).

use std::io::Read as _;
use std::net::TcpStream;

use nix::sys::signal::Signal;
use nix::unistd::geteuid;

use crate::support::need;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// Writes a line to the file `hooks`, with the kind of the process.
const NOTE: &str = r#"
import os, signal, threading

def note(*words):
    with open("hooks", "a") as file:
        print(*words, file=file)
"#;

/// Each hook writes its name and what it gets.
const ORDER: &str = r#"
def on_starting(server): note("on_starting", len(server.WORKERS), len(server.LISTENERS))
def when_ready(server): note("when_ready", len(server.WORKERS), len(server.LISTENERS))
def on_reload(server): note("on_reload", len(server.WORKERS))
def nworkers_changed(server, new, old): note("nworkers_changed", new, old, server.num_workers)
def pre_fork(server, worker): note("pre_fork", worker.pid, worker.age, len(server.WORKERS))
def post_fork(server, worker): note("post_fork", worker.age, worker.pid == os.getpid())
def post_worker_init(worker): note("post_worker_init", worker.age, callable(worker.wsgi))
def worker_exit(server, worker): note("worker_exit", worker.age)
def child_exit(server, worker): note("child_exit", worker.age)
def on_exit(server): note("on_exit", len(server.WORKERS))
"#;

const APPLICATION: &str = "
import os, time
def application(environ, start_response):
    if environ['PATH_INFO'] == '/hang':
        time.sleep(600)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [os.environ.get('FROM_FILE', 'unset').encode()]
";

/// A server with this configuration file.
fn configured(file: &str) -> Setup {
    Setup::of("hooked:application")
        .flag("--pythonpath=.")
        .file("hooked.py", APPLICATION)
        .file("gunicorn.conf.py", &format!("{NOTE}\n{file}"))
}

fn notes(server: &Server) -> Vec<String> {
    server.directory.read("hooks").lines().map(str::to_owned).collect()
}

/// Waits until a hook has written this line.
fn wait_for(server: &Server, line: &str) {
    until::holds(line, || notes(server).iter().any(|it| it == line));
}

#[test]
fn hooks_run_in_the_order_of_gunicorn() {
    let server = configured(ORDER).start();
    let start = [
        "nworkers_changed 1 None 1",
        "on_starting 0 0",
        "when_ready 0 1",
        "pre_fork [booting] 1 0",
        "post_fork 1 True",
        "post_worker_init 1 True",
    ];
    assert_eq!(notes(&server), start);
    server.signal(Signal::SIGHUP);
    wait_for(&server, "child_exit 1");
    let reload = [
        "nworkers_changed 1 1 1",
        "on_reload 1",
        "pre_fork [booting] 2 1",
        "post_fork 2 True",
        "post_worker_init 2 True",
        "worker_exit 1",
        "child_exit 1",
    ];
    assert_eq!(notes(&server)[start.len()..], reload);
    server.signal(Signal::SIGTERM);
    let end = ["worker_exit 2", "child_exit 2", "on_exit 0"];
    wait_for(&server, end[2]);
    assert_eq!(notes(&server)[start.len() + reload.len()..], end);
    assert_eq!(server.wait_for_exit(), 0);
}

#[test]
fn objects_keep_what_hooks_put_on_them() {
    let file = r#"
def on_starting(server): server.free = [3, 2, 1]
def pre_fork(server, worker): worker.mark = server.free.pop()
def post_fork(server, worker): note("post_fork", worker.mark, worker.ppid == server.pid == os.getppid())
def child_exit(server, worker): note("child_exit", worker.mark); server.free.append(worker.mark)
def on_reload(server): note("on_reload", server.free)
"#;
    let server = configured(file).start();
    wait_for(&server, "post_fork 1 True");
    server.signal(Signal::SIGHUP);
    wait_for(&server, "child_exit 1");
    assert_eq!(notes(&server)[1..], ["on_reload [3, 2]", "post_fork 2 True", "child_exit 1"]);
}

#[test]
fn a_thread_of_a_hook_serves_its_own_port_on() {
    let file = r#"
import socket
def on_starting(server):
    own = socket.create_server(("127.0.0.1", 0))
    def serve():
        while True:
            with own.accept()[0] as connection:
                connection.sendall(b"%d" % len(server.WORKERS))
    threading.Thread(target=serve, daemon=True).start()
    note(own.getsockname()[1])
"#;
    let server = configured(file).workers(2).start();
    let port: u16 = notes(&server)[0].parse().unwrap();
    let ask = || {
        let mut answer = String::new();
        TcpStream::connect(("127.0.0.1", port)).unwrap().read_to_string(&mut answer).unwrap();
        answer
    };
    assert_eq!(ask(), "2");
    let old = server.workers();
    server.signal(Signal::SIGHUP);
    server.wait_for_log("gen=2 serves");
    until::holds("the old workers have left", || ask() == "2");
    assert!(server.workers().iter().any(|pid| old.contains(pid)), "the mold stays");
    assert_eq!(notes(&server).len(), 1, "the hook has run once");
}

#[test]
fn a_hook_that_raises_in_a_worker_ends_the_start_with_its_traceback() {
    for (hook, arguments) in [("post_fork", "server, worker"), ("post_worker_init", "worker")] {
        let end = configured(&format!("def {hook}({arguments}): raise ValueError('broken')")).run();
        assert_eq!(end.code, Some(3), "{}", end.stderr);
        assert!(end.stderr.contains(&format!("{hook} has failed")), "{}", end.stderr);
        assert!(end.stderr.contains("ValueError: broken"), "{}", end.stderr);
    }
}

#[test]
fn the_application_that_a_hook_loads_in_the_mold_is_the_workers() {
    let file = "def when_ready(server): note(id(server.app.wsgi()))\n\
                def post_worker_init(worker): note(id(worker.wsgi))";
    let server = configured(file).start();
    let notes = notes(&server);
    assert_eq!(notes[0], notes[1]);
}

#[test]
fn variables_of_raw_env_are_taken_back_by_a_reload() {
    let server = configured("raw_env = 'FROM_FILE=one'").start();
    assert_eq!(server.get("/").text(), "one");
    server.directory.write("gunicorn.conf.py", "");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("gen=2 serves");
    // The worker of the old generation may still answer until it drains.
    until::holds("the new settings", || server.get("/").text() == "unset");
}

#[test]
fn a_quick_stop_runs_the_last_hooks() {
    let file = "def worker_int(worker): note('worker_int')\n\
                def worker_exit(server, worker): note('worker_exit')\n\
                def on_exit(server): note('on_exit')";
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        let server = configured(file).start();
        server.signal(signal);
        wait_for(&server, "on_exit");
        assert_eq!(notes(&server), ["worker_int", "worker_exit", "on_exit"]);
        assert_eq!(server.wait_for_exit(), 0);
    }
}

#[test]
fn a_worker_that_has_to_leave_while_it_starts_runs_its_last_hooks() {
    let loads = "import time\nimport note\nnote.note('loads')\ntime.sleep(600)\n";
    for file in [
        // Until the application is loaded, and behind that.
        ORDER.to_owned(),
        format!(
            "{ORDER}\ndef post_worker_init(worker):\n import time\n note('loads')\n time.sleep(600)"
        ),
    ] {
        let in_hook = file.contains("time.sleep");
        let setup = configured(&file).file("note.py", NOTE);
        let setup = if in_hook { setup } else { setup.file("hooked.py", loads) };
        let server = setup.spawn();
        wait_for(&server, "loads");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait_for_exit(), 0, "{}", server.log());
        let end = ["loads", "worker_exit 1", "child_exit 1", "on_exit 0"];
        assert!(notes(&server).ends_with(&end.map(str::to_owned)), "{:?}", notes(&server));
    }
}

#[test]
fn the_last_hooks_of_a_start_that_fails_are_those_of_gunicorn() {
    let failing = |hook: &str| {
        let file = format!("{ORDER}\ndef {hook}(server, worker): raise ValueError('no')");
        let server = configured(&file).spawn();
        server.allow("[ERROR]");
        server.allow("Traceback");
        server.wait_for_exit();
        let notes = notes(&server);
        let last = notes.iter().rposition(|note| note.starts_with("when_ready")).unwrap();
        notes[last + 1..].to_vec()
    };
    // `child_exit` does not run for the worker that has ended the server.
    assert_eq!(failing("post_fork"), ["pre_fork [booting] 1 0", "worker_exit 1", "on_exit 0"]);
    assert!(failing("pre_fork").is_empty());
    let end = configured(ORDER).flag("--bind=192.0.2.1:1").run();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(!end.directory.read("hooks").contains("on_exit"), "{}", end.stderr);
}

#[test]
fn the_log_of_hooks_has_the_settings_of_a_reload() {
    let file = "def post_fork(server, worker): \
                note(server.log.cfg is server.cfg, worker.log.cfg is worker.cfg)";
    let server = configured(file).start();
    server.signal(Signal::SIGHUP);
    server.wait_for_log("gen=2 serves");
    assert_eq!(notes(&server), ["True True", "True True"]);
}

#[test]
fn a_worker_that_is_aborted_runs_its_last_hooks() {
    let file = "def worker_abort(worker): note('worker_abort')\n\
                def worker_exit(server, worker): note('worker_exit')\n\
                def child_exit(server, worker): note('child_exit')";
    let server = configured(file).start();
    server.allow("[ERROR]");
    server.allow("[WARNING]");
    for pid in server.workers() {
        if process::title(pid).starts_with("monoceros: worker") {
            process::signal(pid, Signal::SIGABRT);
        }
    }
    wait_for(&server, "child_exit");
    assert_eq!(notes(&server), ["worker_abort", "worker_exit", "child_exit"]);
}

#[test]
fn a_request_that_runs_for_too_long_runs_the_hook_and_the_worker_ends_in_order() {
    let file = "def worker_abort(worker):\n    note('worker_abort', worker.aborted)\n    raise KeyError('of the hook')\n\
                def worker_exit(server, worker): note('worker_exit')\n\
                def child_exit(server, worker): note('child_exit')";
    for threads in ["1", "2"] {
        let flags = ["--timeout", "1", "--threads", threads, "--graceful-timeout", "3"];
        let server = configured(file).flags(&flags).start();
        server.allow("[ERROR]");
        server.allow("Traceback");
        let answered = server.get("/hang");
        assert_eq!(answered.status, 504);
        wait_for(&server, "child_exit");
        assert_eq!(notes(&server)[0], "worker_abort True");
        server.wait_for_log("KeyError: 'of the hook'");
        assert_eq!(server.get("/").status, 200);
    }
}

#[test]
fn post_fork_runs_as_the_masters_user_and_the_application_as_its_own() {
    if !need::root() {
        return;
    }
    let file = "user = 65534\ngroup = 65534\n\
                def post_fork(server, worker): note(os.getuid())\n\
                def post_worker_init(worker): os.write(2, b'becomes %d\\n' % os.getuid())";
    let server = configured(file).start();
    assert_eq!(notes(&server), [geteuid().to_string()]);
    server.wait_for_log("becomes 65534");
}

#[test]
fn signals_to_all_processes_leave_the_mold_its_last_hooks() {
    let file = "def on_exit(server): note('on_exit')";
    let server = configured(file).start();
    for pid in server.workers() {
        if process::title(pid).starts_with("monoceros: mold") {
            process::signal(pid, Signal::SIGTERM);
            process::signal(pid, Signal::SIGINT);
        }
    }
    server.signal(Signal::SIGTERM);
    wait_for(&server, "on_exit");
    assert_eq!(server.wait_for_exit(), 0);
}

#[test]
fn ssl_context_is_refused_with_what_to_set_instead() {
    let end = configured("def ssl_context(config, default): return default()").run();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(end.stderr.contains("gunicorn.conf.py: ssl_context: "), "{}", end.stderr);
    assert!(end.stderr.contains("tls-minimum-version"), "{}", end.stderr);
    assert!(end.stderr.contains("certfile"), "{}", end.stderr);
}
