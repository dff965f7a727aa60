//! Processes that the application forks: they have no resources of the server.

use std::fs;
use std::net::TcpListener;

use nix::sys::signal::Signal;

use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// Forks at import, and in requests: in the thread that answers, in one that it
/// starts, by a library, and from a process that was forked.
const FORKING: &str = "
import ctypes, os, signal, threading

def live(name):
    with open('draft', 'w') as file:
        file.write(str(os.getpid()))
    os.rename('draft', name)
    while True:
        signal.pause()

def fork(name, by=os.fork):
    if by() == 0:
        try:
            live(name)
        finally:
            os._exit(1)

def fork_twice(name):
    if os.fork() == 0:
        fork(name)
        os._exit(0)
    os.wait()

def fork_in_thread(name):
    thread = threading.Thread(target=fork, args=(name,))
    thread.start()
    thread.join()

ways = {
    '/request': fork,
    '/thread': fork_in_thread,
    '/twice': fork_twice,
    '/library': lambda name: fork(name, ctypes.CDLL(None).fork),
}
fork('import')

def application(environ, start_response):
    path = environ['PATH_INFO']
    if path in ways:
        ways[path](path[1:])
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

fn setup(text: &str, flags: &[&str]) -> Setup {
    Setup::of("forking:application").file("forking.py", text).flag("--pythonpath=.").flags(flags)
}

/// The signals of a set, as `/proc/PID/status` shows it.
fn signals(pid: i32, set: &str) -> Vec<Signal> {
    let bits = u64::from_str_radix(&process::status(pid, set)[0], 16).unwrap();
    Signal::iterator().filter(|it| bits >> (*it as i32 - 1) & 1 == 1).collect()
}

/// What a process has that a plain interpreter has forked, and nothing else. To
/// be added to with each resource that a forked process is to keep.
fn assert_is_plain(server: &Server, name: &str) -> i32 {
    let pid = until::some(name, || server.directory.read(name).parse().ok());
    // The log and the standard streams; a counter that wakes no other process.
    let kept = [server.directory.path().to_str().unwrap(), "/dev/null", "anon_inode:[eventfd]"];
    let held = process::descriptors(pid).unwrap();
    let other: Vec<_> =
        held.iter().filter(|it| !kept.iter().any(|kept| it.starts_with(kept))).collect();
    assert!(other.is_empty(), "{name}: {other:?}");
    // A library runs nothing of Python's in its processes, titles included.
    let title = process::title(pid);
    let is_retitled = title == "monoceros: forked by the application [forking:application]";
    assert_eq!(is_retitled, name != "library", "{name}: {title}");
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    assert!(!maps.contains("memfd:"), "{name}: {maps}");
    // The library's process has not been through Python, which handles SIGINT.
    let caught = if name == "library" { vec![] } else { vec![Signal::SIGINT] };
    assert_eq!(signals(pid, "SigCgt"), caught, "{name}");
    assert_eq!(signals(pid, "SigIgn"), [Signal::SIGPIPE, Signal::SIGXFSZ], "{name}");
    assert_eq!(signals(pid, "SigBlk"), [], "{name}");
    pid
}

#[test]
fn a_forked_process_has_no_resource_of_the_server() {
    for flags in [&[][..], &["--threads=2"], &["--preload"], &["--preload", "--threads=2"]] {
        let server = setup(FORKING, flags).apart().start();
        let mut kept = server.connect();
        assert_eq!(kept.get("/").status, 200);
        let names = ["import", "request", "thread", "twice", "library"];
        let forked = names.map(|name| {
            if name != "import" {
                assert_eq!(server.get(&format!("/{name}")).status, 200);
            }
            assert_is_plain(&server, name)
        });
        assert_eq!(kept.get("/").status, 200, "the worker has all that it had");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait_for_exit(), 0);
        TcpListener::bind(server.address()).expect("an address that is free");
        for (pid, name) in forked.into_iter().zip(names) {
            assert!(process::is_alive(pid), "{name} outlives the server");
            process::signal(pid, Signal::SIGTERM);
            until::holds(name, || !process::is_alive(pid));
        }
    }
}

const TERMINATING: &str = "
import os, signal

def is_terminated(pid):
    if pid == 0:
        signal.pause()
    os.kill(pid, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM

def application(environ, start_response):
    all(is_terminated(os.fork()) for _ in range(100)) or 1 / 0
    body = b'%d' % os.getpid()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

#[test]
fn a_signal_that_comes_with_the_fork_reaches_the_forked_process_alone() {
    for threads in [1, 2] {
        let server = setup(TERMINATING, &[]).threads(threads).start();
        let worker = server.workers()[0].to_string();
        assert_eq!(server.get("/").text(), worker);
        assert_eq!(server.get("/").text(), worker);
    }
}
