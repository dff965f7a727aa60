//! Molds (`--preload`): the application is loaded once, and workers are forked.

use std::collections::{BTreeMap, BTreeSet};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::load::Load;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

fn preloaded(application: &str, workers: usize) -> Setup {
    Setup::of(application).workers(workers).flag("--preload")
}

/// An application of this text, in the server's directory.
fn written(text: &str, workers: usize) -> Setup {
    let setup = preloaded("written:application", workers).flag("--pythonpath=.");
    setup.file("written.py", text)
}

/// The master's processes of this kind.
fn titled(server: &Server, kind: &str) -> Vec<i32> {
    let prefix = format!("monoceros: {kind} ");
    let processes = server.workers().into_iter();
    processes.filter(|pid| process::title(*pid).starts_with(&prefix)).collect()
}

fn workers(server: &Server) -> Vec<i32> {
    titled(server, "worker")
}

fn mold(server: &Server) -> i32 {
    until::some("a single mold", || match titled(server, "mold")[..] {
        [mold] => Some(mold),
        _ => None,
    })
}

/// Waits for so many workers that are ready, all of them others than `old`.
fn wait_for_others(server: &Server, old: &[i32], count: usize) {
    until::holds("other workers", || {
        let (now, log) = (workers(server), server.log() + &server.directory.read("log"));
        let is_ready = |pid: &i32| log.contains(&format!(" pid={pid} ready\n"));
        now.len() == count && !now.iter().any(|pid| old.contains(pid)) && now.iter().all(is_ready)
    });
}

/// What the mold has warned of.
fn warnings(server: &Server) -> Vec<String> {
    let (log, of_mold) = (server.log(), |line: &&str| line.contains("[WARNING] mold gen=1: "));
    log.lines().filter(of_mold).map(str::to_owned).collect()
}

/// Asks until each of so many workers has answered.
fn ask_all(server: &Server, count: usize) -> Vec<Value> {
    let mut answers = BTreeMap::new();
    until::holds("an answer of each worker", || {
        let answer = server.get("/").json();
        answers.insert(answer["pid"].as_i64(), answer);
        answers.len() == count
    });
    answers.into_values().collect()
}

fn distinct(answers: &[Value], key: &str) -> usize {
    answers.iter().map(|answer| answer[key].to_string()).collect::<BTreeSet<_>>().len()
}

#[test]
fn workers_share_one_import_and_are_the_masters_own() {
    let server = preloaded("preloaded", 3).flags(&["--name", "shop"]).start();
    assert_eq!(process::title(mold(&server)), "monoceros: mold gen=1 [shop]");
    let answers = ask_all(&server, 3);
    assert_eq!(distinct(&answers, "token"), 1, "{answers:?}");
    for answer in &answers {
        assert_eq!(answer["parent"], server.pid());
        let pid = answer["pid"].as_i64().unwrap().try_into().unwrap();
        let (slot, generation) = (answer["slot"].as_str().unwrap(), &answer["generation"]);
        let title = format!("monoceros: worker {slot} gen=1 [shop]");
        assert_eq!((process::title(pid), generation.as_str().unwrap()), (title, "1"));
        assert_eq!(answer["private"].as_array().unwrap().len(), 2, "{answer}");
    }
    assert_eq!(distinct(&answers, "slot"), 3);
}

#[test]
fn without_preload_each_worker_imports_by_itself() {
    let server = Setup::of("preloaded").workers(2).start();
    assert_eq!(distinct(&ask_all(&server, 2), "token"), 2);
    assert!(titled(&server, "mold").is_empty());
}

#[test]
fn random_numbers_differ_between_workers() {
    let server = preloaded("preloaded", 3).start();
    let first: BTreeSet<_> =
        ask_all(&server, 3).iter().map(|answer| answer["random"].to_string()).collect();
    assert_eq!(first.len(), 3, "{first:?}");
}

#[test]
fn hooks_of_forks_run_once_for_each_worker() {
    let server = preloaded("preloaded", 3).start();
    let pids = |name: &str| -> Vec<i32> {
        server.directory.read(name).lines().map(|line| line.parse().unwrap()).collect()
    };
    let mold = mold(&server);
    assert_eq!(pids("before"), [mold; 3]);
    until::holds("the last hook", || pids("after_in_parent").len() == 3);
    assert_eq!(pids("after_in_parent"), [mold; 3]);
    let mut forked = pids("after_in_child");
    forked.sort_unstable();
    assert_eq!(forked, workers(&server));
}

#[test]
fn workers_have_no_descriptors_of_the_mold() {
    let server = preloaded("preloaded", 2).start();
    let old = workers(&server);
    let count = |pid| process::descriptors(pid).unwrap().len();
    process::signal(old[0], Signal::SIGKILL);
    server.allow("SIGKILL");
    wait_for_others(&server, &old[..1], 2);
    for pid in workers(&server) {
        let held = process::descriptors(pid).unwrap();
        assert!(!held.iter().any(|it| it.contains("signalfd")), "{held:?}");
    }
    let held = process::descriptors(mold(&server)).unwrap();
    assert!(!held.iter().any(|it| it.contains("eventpoll")), "{held:?}");
    // The later one may still be opening its own.
    until::holds("the first and a later one with as many", || {
        let again: Vec<_> = workers(&server).into_iter().map(count).collect();
        again.len() == 2 && again[0] == again[1]
    });
}

#[test]
fn several_application_threads_serve_in_a_forked_worker() {
    let server = preloaded("stream:route", 1).threads(2).start();
    let (mut connection, writer) = server.occupy("pipe");
    assert_eq!(server.get("/").status, 200);
    writer.finish();
    assert_eq!(connection.response().status, 200);
}

#[test]
fn a_killed_worker_is_forked_again() {
    let server = preloaded("preloaded", 2).start();
    server.allow("SIGKILL");
    let mold = mold(&server);
    let token = server.get("/").json()["token"].clone();
    for _ in 0..5 {
        let old = workers(&server)[0];
        process::signal(old, Signal::SIGKILL);
        wait_for_others(&server, &[old], 2);
    }
    assert!(ask_all(&server, 2).iter().all(|answer| answer["token"] == token));
    assert_eq!(titled(&server, "mold"), vec![mold]);
}

const VERSION: &str = "
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '5')])
    return [b'one\\n\\n']
";

#[test]
fn a_reload_takes_the_new_code_in_a_new_mold() {
    let server = written(VERSION, 2).patient().start();
    let load = Load::start(server.address(), 4);
    load.proceed(20);
    let (old, first) = (workers(&server), mold(&server));
    server.directory.write("written.py", &VERSION.replace("one", "two"));
    server.signal(Signal::SIGHUP);
    wait_for_others(&server, &old, 2);
    let second = mold(&server);
    assert_ne!(first, second);
    assert_eq!(process::title(second), "monoceros: mold gen=2 [written:application]");
    load.proceed(20);
    assert_eq!(load.finish().into_iter().collect::<Vec<_>>(), ["one\n\n", "two\n\n"]);
    assert_eq!(server.get("/").text(), "two\n\n");
}

#[test]
fn a_mold_that_cannot_import_leaves_the_old_one_and_its_code() {
    let server = written(VERSION, 2).start();
    for text in ["[ERROR]", "Traceback", "broken on reload"] {
        server.allow(text);
    }
    let (old, first) = (workers(&server), mold(&server));
    server.directory.write("written.py", "raise RuntimeError('broken on reload')");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("broken on reload");
    assert_eq!(mold(&server), first, "the old mold alone");
    assert_eq!(workers(&server), old);
    // What is on disk is broken: only the old mold can make a worker now.
    for pid in old {
        process::signal(pid, Signal::SIGKILL);
        wait_for_others(&server, &[pid], 2);
    }
    assert_eq!(server.get("/").text(), "one\n\n");
    assert_eq!(server.log().matches("Traceback").count(), 1, "the traceback is told once");
    let last = workers(&server);
    server.directory.write("written.py", &VERSION.replace("one", "two"));
    server.signal(Signal::SIGHUP);
    wait_for_others(&server, &last, 2);
    assert_eq!(server.get("/").text(), "two\n\n");
    assert_ne!(mold(&server), first);
}

#[test]
fn reloads_turn_preload_on_and_off() {
    let yaml = |preload| format!("bind: fd://3\nworkers: 2\npreload: {preload}\n");
    let setup = Setup::of("preloaded").file("monoceros.yaml", &yaml(false));
    let server = setup.start();
    for preload in [true, false, true] {
        let old = workers(&server);
        server.directory.write("monoceros.yaml", &yaml(preload));
        server.signal(Signal::SIGHUP);
        wait_for_others(&server, &old, 2);
        let tokens = distinct(&ask_all(&server, 2), "token");
        let molds = || titled(&server, "mold").len();
        assert_eq!(tokens, if preload { 1 } else { 2 });
        until::holds("as many molds as wanted", || molds() == usize::from(preload));
    }
}

#[test]
fn many_reloads_at_once_end_with_one_mold() {
    let server = preloaded("stream:route", 2).patient().start();
    let load = Load::start(server.address(), 4);
    for _ in 0..20 {
        server.signal(Signal::SIGHUP);
        load.proceed(5);
    }
    load.finish();
    let mut last = Vec::new();
    until::holds("processes that stay", || {
        let now = server.workers();
        let stays = now == last && workers(&server).len() == 2 && now.len() == 3;
        last = now;
        stays && server.get("/").status == 200
    });
}

#[test]
fn an_application_that_cannot_be_loaded_ends_the_server_with_one_reason() {
    for (application, code, text) in
        [("raising", 3, "RuntimeError: raised at import"), ("missing:application", 4, "missing")]
    {
        let setup = Setup::bare().apps().workers(4).flags(&["--bind", "127.0.0.1:0", "--preload"]);
        let end = setup.flag(application).run();
        assert_eq!(end.code, Some(code), "{}", end.stderr);
        assert!(end.stderr.contains(text), "{}", end.stderr);
        assert_eq!(end.stderr.matches("cannot boot").count(), 1, "{}", end.stderr);
    }
}

#[test]
fn an_import_that_hangs_is_ended_by_the_boot_timeout() {
    let end = preloaded("hangs", 2).flags(&["--boot-timeout", "1"]).run();
    assert_eq!(end.code, Some(3), "{}", end.stderr);
    assert!(end.stderr.contains("boot-timeout"), "{}", end.stderr);
}

#[test]
fn a_fork_that_hangs_is_ended_by_the_boot_timeout() {
    for hook in ["before", "after_in_child"] {
        let hang = format!(
            "import os, signal\nos.register_at_fork({hook}=signal.pause)\n\
             def application(environ, start_response): pass\n"
        );
        let end = written(&hang, 2).flags(&["--boot-timeout", "1"]).run();
        assert_eq!(end.code, Some(3), "{hook}: {}", end.stderr);
        assert!(end.stderr.contains("boot-timeout"), "{hook}: {}", end.stderr);
    }
}

#[test]
fn the_check_of_the_settings_needs_no_mold() {
    let setup = Setup::bare().apps().flags(&["--check-config", "--preload", "preloaded"]);
    let end = setup.run();
    assert_eq!(end.code, Some(0), "{}", end.stderr);
}

#[test]
fn a_killed_mold_is_replaced_while_the_workers_serve_on() {
    let server = preloaded("preloaded", 2).start();
    server.allow("SIGKILL");
    let (old, first) = (workers(&server), mold(&server));
    process::signal(first, Signal::SIGKILL);
    until::holds("another mold", || titled(&server, "mold").iter().any(|pid| *pid != first));
    assert_eq!(workers(&server), old);
    server.wait_for_log("SIGKILL");
    process::signal(old[0], Signal::SIGKILL);
    wait_for_others(&server, &old[..1], 2);
    assert_eq!(ask_all(&server, 2).len(), 2);
}

#[test]
fn a_mold_ignores_signals_that_it_does_not_act_on() {
    let server = preloaded("stream:route", 1).start();
    server.allow("SIGKILL");
    let (mold, mut old) = (mold(&server), workers(&server));
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGWINCH] {
        process::signal(mold, signal);
        process::signal(old[0], Signal::SIGKILL);
        wait_for_others(&server, &old, 1);
        old = workers(&server);
        assert_eq!(titled(&server, "mold"), vec![mold], "{signal}");
    }
}

#[test]
fn a_worker_forked_after_a_rotation_writes_to_the_new_log() {
    let setup = preloaded("preloaded", 1).flags(&["--error-logfile", "log"]);
    let server = setup.spawn();
    until::holds("a ready line", || server.directory.read("log").contains("master: serving"));
    let old = workers(&server);
    std::fs::rename(server.directory.join("log"), server.directory.join("log.1")).unwrap();
    server.signal(Signal::SIGUSR1);
    until::holds("the new file", || server.directory.read("log").contains("opened again"));
    process::signal(old[0], Signal::SIGKILL);
    wait_for_others(&server, &old, 1);
    assert_eq!(server.get("/error").status, 200);
    until::holds("a line of the worker", || server.directory.read("log").contains("said by the"));
    assert!(!server.directory.read("log.1").contains("said by the"));
}

#[test]
fn mold_and_workers_go_when_the_master_is_killed() {
    let server = preloaded("stream:route", 2).start();
    let all = server.workers();
    assert_eq!(all.len(), 3);
    server.signal(Signal::SIGKILL);
    server.wait_for_exit();
    until::holds("the end of all", || !all.iter().any(|pid| process::is_alive(*pid)));
}

#[test]
fn a_stop_ends_molds_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let server = preloaded("stream:route", 2).start();
        server.signal(signal);
        assert_eq!(server.wait_for_exit(), 0, "{signal}");
    }
    let server = preloaded("hangs", 2).spawn();
    until::holds("an import", || server.directory.read("importing").lines().count() == 1);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
}

const CARELESS: &str = "
import ctypes, select, socket, threading
threading.Thread(target=threading.Event().wait, daemon=True, name='poller').start()
listener = socket.create_server(('127.0.0.1', 0))
connection = socket.create_connection(listener.getsockname())
epoll = select.epoll()
kept = open(__file__)
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn resources_that_do_not_survive_a_fork_are_named_once() {
    let server = written(CARELESS, 2).start();
    let log = server.log();
    let at = log.find("[WARNING] mold gen=1: ").expect("a warning");
    let rest = log[at..].lines().skip(1).take_while(|line| line.starts_with("  "));
    let named: Vec<_> = rest.collect();
    assert_eq!(named.len(), 4, "{log}");
    for text in ["thread \"poller\"", " to 127.0.0.1:", "epoll descriptor"] {
        assert_eq!(named.iter().filter(|line| line.contains(text)).count(), 1, "{text}: {log}");
    }
    assert_eq!(named.iter().filter(|line| line.contains("socket ")).count(), 2, "{log}");
    assert_eq!(warnings(&server).len(), 1, "{log}");
    assert_eq!(log.matches("what a fork does not copy").count(), 1, "{log}");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn an_application_without_such_resources_gets_no_warning() {
    let server = preloaded("preloaded", 1).start();
    assert_eq!(warnings(&server), Vec::<String>::new());
}

const DATABASE: &str = "
import os
from django.conf import settings
settings.configure(DATABASES={'default': {
    'ENGINE': 'django.db.backends.sqlite3', 'NAME': os.path.abspath('database')}})
import django
django.setup()
from django.db import connection
connection.cursor().execute('SELECT 1')
assert connection.connection is not None
def application(environ, start_response):
    body = b'closed' if connection.connection is None else b'open'
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

#[test]
fn database_connections_of_django_are_closed_before_forking() {
    let server = written(DATABASE, 1).start();
    assert_eq!(server.get("/").text(), "closed");
    let held = process::descriptors(mold(&server)).unwrap();
    assert!(!held.iter().any(|it| it.ends_with("/database")), "{held:?}");
}

/// A Django project in two files.
const PROJECT: &str = "
from django.conf import settings
settings.configure(ALLOWED_HOSTS=['*'], ROOT_URLCONF='addresses', SECRET_KEY='x')
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
";
const ADDRESSES: &str = "
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path('', lambda request: HttpResponse('old'))]
";

#[test]
fn the_urls_of_django_are_loaded_before_forking() {
    let setup = preloaded("project", 1).flag("--pythonpath=.").file("project.py", PROJECT);
    let server = setup.file("addresses.py", ADDRESSES).start();
    server.allow("SIGKILL");
    server.directory.write("addresses.py", "raise RuntimeError('half deployed')");
    assert_eq!(server.get("/").text(), "old");
    let old = workers(&server);
    process::signal(old[0], Signal::SIGKILL);
    wait_for_others(&server, &old, 1);
    assert_eq!(server.get("/").text(), "old");
}

#[test]
fn urls_that_cannot_be_loaded_are_warned_of_and_answered_as_without_preload() {
    let setup = preloaded("project", 1).flag("--pythonpath=.").file("project.py", PROJECT);
    let server = setup.file("addresses.py", "raise RuntimeError('no urls')").start();
    for text in ["no urls", "Traceback", "Internal Server Error", "[ERROR]"] {
        server.allow(text);
    }
    assert!(server.log().contains("cannot load the URLs of the Django project"));
    assert_eq!(server.get("/").status, 500);
}

#[test]
fn workers_of_an_application_that_takes_orphans_are_the_masters_own() {
    let code = "import ctypes\nctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n\
        def application(environ, start_response):\n    \
        start_response('200 OK', [])\n    return [b'x']\n";
    let server = written(code, 2).start();
    assert_eq!(workers(&server).len(), 2);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn orphans_of_the_application_are_reaped() {
    let server = preloaded("daemons", 1).start();
    let orphan: i32 = server.get("/").text().parse().unwrap();
    until::holds("an orphan at the master", || {
        process::state(orphan).is_none_or(|(_, parent)| parent == server.pid())
    });
    process::signal(orphan, Signal::SIGKILL);
    until::holds("the orphan's end", || process::state(orphan).is_none());
}
