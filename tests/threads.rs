//! The application threads, and threads that the application starts.

use std::fs::File;
use std::io::Read;

use nix::sys::signal::Signal;

use crate::support::cases::at_once;
use crate::support::client::get;
use crate::support::pipe::{Pipe, Writer};
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// Sends as many requests as there are threads, all of which wait; `pace` is
/// called after each of them.
fn fill(server: &Server, count: usize, pace: impl Fn(&Pipe)) {
    let names: Vec<_> = (0..count).map(|n| format!("pipe-{n}")).collect();
    let pipes: Vec<_> = names.iter().map(|name| Pipe::new(&server.directory, name)).collect();
    let mut clients = Vec::new();
    for pipe in &pipes {
        let mut connection = server.connect();
        connection.send(get(&format!("/wait?{}", pipe.query())));
        clients.push(connection);
        pace(pipe);
    }
    let writers: Vec<_> = pipes.iter().map(Pipe::open).collect();
    let started = |name: &String| server.directory.read(&format!("{name}.started"));
    let mut threads: Vec<_> = names.iter().map(started).collect();
    threads.sort();
    threads.dedup();
    assert_eq!(threads.len(), count, "each on its own thread: {threads:?}");
    writers.into_iter().for_each(Writer::finish);
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
}

#[test]
fn as_many_requests_run_at_once_as_there_are_threads() {
    let server = Setup::of("stream:route").threads(4).start();
    fill(&server, 4, |pipe| until::holds("a start", || pipe.is_started()));
}

#[test]
fn requests_that_come_together_run_together() {
    let server = Setup::of("stream:route").threads(4).start();
    fill(&server, 4, |_| ());
}

#[test]
fn a_request_that_waits_does_not_delay_others_while_a_thread_is_free() {
    let server = Setup::of("stream:route").threads(2).start();
    let (mut busy, writer) = server.occupy("pipe");
    let mut kept = server.connect();
    for _ in 0..50 {
        assert_eq!(server.get("/").status, 200);
        assert_eq!(kept.get("/").status, 200);
    }
    writer.finish();
    assert_eq!(busy.response().status, 200);
}

#[test]
fn requests_that_compute_run_one_after_the_other() {
    let server = Setup::of("burn:application").file("burn.py", BURN).threads(4);
    let server = server.flags(&["--pythonpath", "."]).start();
    let mut clients: Vec<_> = (0..16).map(|_| server.connect()).collect();
    for _ in 0..30 {
        clients.iter_mut().for_each(|client| client.send(get("/")));
        clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    }
    let seen = server.get("/count").json();
    let (all, together) = (seen["all"].as_u64().unwrap(), seen["together"].as_u64().unwrap());
    assert!(together * 2 < all, "{together} of {all} requests began while another computed");
}

#[test]
fn a_request_that_computes_for_long_holds_up_no_other() {
    let server = Setup::of("burn:application").file("burn.py", BURN).threads(2);
    let server = server.flags(&["--pythonpath", "."]).start();
    let mut busy = server.connect();
    busy.send(get("/spin"));
    until::holds("the request that computes", || server.get("/count").json()["spins"] == true);
    assert_eq!(server.get("/release").status, 200);
    assert_eq!(busy.response().status, 200);
}

/// Counts the requests, and those of them that begin while another computes.
/// `/spin` computes until `/release` is asked for.
const BURN: &str = "
import json
from threading import RLock

lock, running, seen = RLock(), set(), {'all': 0, 'together': 0, 'spins': False}

def compute(turns):
    total = 0
    for number in range(turns):
        total += number * number
    return total

def application(environ, start_response):
    path, body = environ['PATH_INFO'], b''
    if path == '/count':
        body = json.dumps(seen).encode()
    elif path == '/release':
        seen['spins'] = None
    elif path == '/spin':
        seen['spins'] = True
        while seen['spins']:
            compute(100)
    else:
        seen['all'] += 1
        seen['together'] += bool(running)
        running.add(environ['REMOTE_PORT'])
        for _ in range(10):
            with lock:
                compute(500)
        running.discard(environ['REMOTE_PORT'])
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

#[test]
fn background_threads_run_while_the_worker_is_idle_and_while_it_serves() {
    for threads in [1, 2] {
        let server = Setup::of("background").threads(threads).start();
        let ticks = |path: &str| server.get(path).json()["ticks"].as_u64().unwrap();
        let first = ticks("/");
        until::holds("ticks while idle", || ticks("/") > first + 20);
        // Answers only after the thread went on while the request was running.
        assert!(ticks("/spin") > first);
    }
}

#[test]
fn python_handles_signals_on_the_main_thread_while_it_waits_and_while_it_serves() {
    let server = Setup::of("background").start();
    assert_eq!(server.get("/ring").json()["alarms"][0], true);
    let server = Setup::of("background").start();
    assert_eq!(server.get("/alarm").status, 200);
    until::holds("the alarm", || server.get("/").json()["alarms"][0] == true);
}

#[test]
fn an_alarm_rings_in_an_idle_worker_without_any_request() {
    let server = Setup::of("ringing:application")
        .file("ringing.py", RINGING)
        .flags(&["--pythonpath", "."])
        .start();
    process::signal(server.workers()[0], Signal::SIGALRM);
    until::holds("the handler", || server.directory.read("rang") == "rang");
}

#[test]
fn a_signal_that_comes_while_the_worker_falls_asleep_is_handled_without_any_request() {
    at_once(&[1, 2], |threads| {
        let setup = Setup::of("echoing:application").file("echoing.py", ECHOING).threads(threads);
        let server = setup.flags(&["--pythonpath", "."]).start();
        let mut rings = File::open(server.directory.join("rings")).unwrap();
        let (said, heard) = std::sync::mpsc::channel();
        // Ends with the worker, which has the other end.
        std::thread::spawn(
            move || {
                while rings.read_exact(&mut [0]).is_ok() && said.send(()).is_ok() {}
            },
        );
        let worker = server.workers()[0];
        // Each comes when the handler of the one before has just ended.
        for number in 0..10_000 {
            process::signal(worker, Signal::SIGALRM);
            assert!(heard.recv_timeout(until::DEADLINE).is_ok(), "signal {number} with {threads}");
        }
    });
}

/// Its handler writes a byte to a FIFO.
const ECHOING: &str = "
import os, signal

os.mkfifo('rings')
fifo = os.open('rings', os.O_RDWR)
signal.signal(signal.SIGALRM, lambda number, frame: os.write(fifo, b'x'))

def application(environ, start_response):
    start_response('200 OK', [])
    return []
";

const RINGING: &str = "
import signal

def ring(number, frame):
    with open('rang', 'w') as file:
        file.write('rang')

signal.signal(signal.SIGALRM, ring)

def application(environ, start_response):
    start_response('200 OK', [])
    return []
";

/// A request starts a thread that goes on until there is a file, and then writes
/// one.
const LEAVING: &str = "
import os, threading, time

def work(name):
    while not os.path.exists('leave'):
        time.sleep(0.01)
    open(name, 'w').close()

def application(environ, start_response):
    name = environ['PATH_INFO'][1:]
    if name:
        threading.Thread(target=work, args=(name,)).start()
    thread = threading.current_thread()
    body = f'{os.getpid()} {thread.daemon}'.encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

#[test]
fn a_thread_that_a_request_has_started_finishes_when_the_worker_leaves() {
    for (threads, flags) in [(1, &[][..]), (3, &[]), (3, &["--preload"])] {
        let setup = Setup::of("leaving:application").file("leaving.py", LEAVING).threads(threads);
        let server = setup.flag("--pythonpath=.").flags(flags).start();
        let answer = server.get("/reload").text();
        let (worker, is_daemon) = answer.split_once(' ').unwrap();
        let worker = worker.parse().unwrap();
        assert_eq!(is_daemon, "False");
        server.signal(Signal::SIGHUP);
        server.wait_for_log("] master: reloaded");
        assert_eq!(server.get("/stop").status, 200);
        server.signal(Signal::SIGTERM);
        server.wait_for_log("master: draining");
        server.directory.write("leave", "");
        assert_eq!(server.wait_for_exit(), 0);
        assert!(!process::is_alive(worker));
        assert!(server.directory.path().join("reload").exists(), "{threads} {flags:?}");
        assert!(server.directory.path().join("stop").exists(), "{threads} {flags:?}");
    }
}

/// As gevent does, for one: what starts threads starts none.
const PATCHED: &str = "
import _thread, threading

def start_nothing(*arguments, **keywords):
    return 1

for module in (_thread, threading):
    for name in ('start_new_thread', '_start_new_thread', 'start_joinable_thread',
                 '_start_joinable_thread'):
        if hasattr(module, name):
            setattr(module, name, start_nothing)
threading.Thread.start = start_nothing

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn an_application_can_take_the_threads_of_python_but_not_ours() {
    let setup = Setup::of("patched:application").file("patched.py", PATCHED).threads(3);
    let server = setup.flag("--pythonpath=.").start();
    for _ in 0..10 {
        assert_eq!(server.get("/").status, 200);
    }
}

/// What traces all threads, set up at import, sees requests.
const TRACED: &str = "
import json, sys, threading

traced, profiled = [], []
threading.settrace(lambda frame, event, argument: traced.append(frame.f_code.co_name))
threading.setprofile(lambda frame, event, argument: profiled.append(frame.f_code.co_name))

def application(environ, start_response):
    thread = threading.current_thread()
    seen = ['application' in traced, 'application' in profiled]
    body = json.dumps([thread.name, thread.is_alive(), thread in threading.enumerate(), seen])
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body.encode()]
";

#[test]
fn the_module_threading_knows_the_application_threads() {
    let setup = Setup::of("traced:application").file("traced.py", TRACED).threads(2);
    let server = setup.flag("--pythonpath=.").start();
    let answer = server.get("/").json();
    assert!(answer[0].as_str().unwrap().starts_with("monoceros-"), "{answer}");
    assert_eq!((&answer[1], &answer[2]), (&true.into(), &true.into()));
    assert_eq!(answer[3], serde_json::json!([true, true]));
}

/// There is room for some threads, and not for all that a setting asks for.
const NARROW: &str = "
import os, resource

with open('/proc/self/statm') as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
room = size + (400 << 20)
resource.setrlimit(resource.RLIMIT_STACK, (8 << 20, resource.RLIM_INFINITY))
resource.setrlimit(resource.RLIMIT_AS, (room, room))

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

fn narrow() -> Setup {
    Setup::of("narrow:application").file("narrow.py", NARROW).flag("--pythonpath=.")
}

#[test]
fn a_server_whose_threads_cannot_all_be_started_does_not_start() {
    for flags in [&[][..], &["--preload"]] {
        let end = narrow().threads(200).flags(flags).run();
        assert_eq!(end.code, Some(3), "{}", end.stderr);
        let text = "its 200 application threads cannot be started";
        assert!(end.stderr.contains(text), "{}", end.stderr);
        assert!(!end.stderr.contains("master: serving"), "{}", end.stderr);
    }
}

#[test]
fn a_reload_that_asks_for_more_threads_than_can_be_started_fails() {
    let yaml = |threads| format!("bind: fd://3\nthreads: {threads}\n");
    let server = narrow().file("monoceros.yaml", &yaml(2)).start();
    ["[ERROR]", "reload failed"].iter().for_each(|text| server.allow(text));
    let old = server.workers();
    server.directory.write("monoceros.yaml", &yaml(200));
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reload failed: gen=2 cannot serve");
    until::holds("the old worker alone", || server.workers() == old);
    assert_eq!(server.get("/").status, 200);
}

/// Starts a thread that ends when no other thread counts as running, as that of a debugger does.
const WATCHED: &str = "
import threading, time

def is_running(it):
    return it is not threading.current_thread() and it.is_alive() and not it.daemon

def watch():
    while any(map(is_running, threading.enumerate())):
        time.sleep(0.02)

threading.Thread(target=watch).start()

def application(environ, start_response):
    start_response('204 No Content', [])
    return []
";

#[test]
fn an_application_thread_that_has_ended_does_not_count_as_running() {
    let setup = Setup::of("watched:application").threads(2).flag("--pythonpath=.");
    let server = setup.file("watched.py", WATCHED).flags(&["--graceful-timeout", "1h"]).start();
    assert_eq!(server.get("/").status, 204);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
}
