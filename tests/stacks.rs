//! The stacks of a worker's threads, which its interpreter writes on a signal at any time.
//! The test takes the place of the master.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::cases::{LIMIT, at_once};
use crate::support::client::get;
use crate::support::pipe::{Pipe, calling};
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, python};
use crate::support::until;

/// The signal that the master would send.
const SIGNAL: u32 = 50;

/// Are stuck until the pipe's writer is gone.
const STUCK: &str = "
import ctypes, select

C = ctypes.PyDLL(None)

def waits(pipe):
    return len(os.read(pipe, 1))

def holds_the_lock(pipe):
    return C.read(pipe, ctypes.create_string_buffer(1), 1)

# No call in it fails: the handler of the signal does not keep errno.
def turns_round(pipe):
    while not select.select([pipe], [], [], 0)[0]:
        pass
    return len(os.read(pipe, 1))
";

fn start(threads: usize) -> (Server, i32) {
    let setup = Setup::of("stuck:application").file("stuck.py", &calling(STUCK)).threads(threads);
    let server = setup.flags(&["--pythonpath=."]).start();
    let worker = server.workers()[0];
    (server, worker)
}

/// Where the worker's interpreter writes.
fn file_of(worker: i32) -> PathBuf {
    let entries = fs::read_dir(format!("/proc/{worker}/fd")).unwrap();
    let is_stacks = |path: &PathBuf| {
        fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains("memfd:monoceros-stacks"))
    };
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths.find(is_stacks).expect("a worker has a file for its stacks")
}

/// Asks until what is written has `text` in it.
fn stacks_with(worker: i32, text: &str, ask: impl Fn()) -> String {
    until::some(&format!("{text:?} in the stacks"), || {
        ask();
        let said = String::from_utf8(fs::read(file_of(worker)).unwrap()).unwrap();
        said.contains(text).then_some(said)
    })
}

fn ask_process(worker: i32) {
    let kill = format!("kill -{SIGNAL} {worker}");
    assert!(Command::new("/bin/sh").args(["-c", &kill]).status().unwrap().success());
}

/// Has the signal handled on one thread, as the kernel might choose.
fn ask_thread(worker: i32, thread: &str) {
    let code = format!("import ctypes; ctypes.CDLL(None).tgkill({worker}, {thread}, {SIGNAL})");
    assert!(Command::new(python()).args(["-c", &code]).status().unwrap().success());
}

/// The number of the thread of this name.
fn thread(worker: i32, name: &str) -> String {
    let mut entries = fs::read_dir(format!("/proc/{worker}/task")).unwrap();
    let is_named = |path: &PathBuf| {
        // A thread may have ended meanwhile.
        fs::read_to_string(path.join("comm")).is_ok_and(|it| it.trim() == name)
    };
    let found = entries.find_map(|entry| Some(entry.unwrap().path()).filter(is_named));
    found.unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_stuck_thread_shows_where_it_is_and_goes_on() {
    for threads in [1, 4] {
        for function in ["waits", "holds_the_lock", "turns_round"] {
            let (server, worker) = start(threads);
            let pipe = Pipe::new(&server.directory, "pipe");
            let mut connection = server.connect();
            connection.send(get(&format!("/{function}?{}", pipe.query())));
            let writer = pipe.open();
            let within = format!("in {function}\n");
            let said = stacks_with(worker, &within, || ask_process(worker));
            assert!(said.contains("stuck.py"), "{said}");
            writer.finish();
            assert_eq!(connection.response().body, b"0", "the call was not interrupted");
            assert_eq!(server.get("/").body, b"idle");
            assert_eq!(server.workers(), [worker]);
        }
    }
}

#[test]
fn a_request_that_does_not_end_is_answered_and_the_log_shows_where_it_is() {
    for function in ["waits", "holds_the_lock", "turns_round"] {
        at_once(&[1, 4], |threads| {
            let setup =
                Setup::of("stuck:application").file("stuck.py", &calling(STUCK)).threads(threads);
            let server = setup.flags(&LIMIT).flag("--pythonpath=.").start();
            server.allow("(request stuck-1)");
            let pipe = Pipe::new(&server.directory, "pipe");
            let mut connection = server.connect();
            let target = format!("/{function}?{}", pipe.query());
            connection
                .send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Request-ID: stuck-1\r\n\r\n"));
            let writer = pipe.open();
            assert_eq!(connection.response().status, 504, "{function}");
            let log = server.log();
            for text in ["(request stuck-1) for ", &format!("in {function}\n"), "504"] {
                assert!(log.contains(text), "{text:?} is not in {log}");
            }
            writer.finish();
            assert_eq!(server.get("/").body, b"idle");
        });
    }
}

#[test]
fn the_thread_on_which_the_signal_is_handled_is_of_no_matter() {
    for threads in [1, 4] {
        let (server, worker) = start(threads);
        let pipe = Pipe::new(&server.directory, "pipe");
        let mut connection = server.connect();
        connection.send(get(&format!("/holds_the_lock?{}", pipe.query())));
        let writer = pipe.open();
        let io = thread(worker, "monoceros-io");
        // The caller comes last, and may not be written yet when the rest is.
        let said = stacks_with(worker, "in application\n", || ask_thread(worker, &io));
        assert!(said.contains("in holds_the_lock\n"), "{said}");
        writer.finish();
        assert_eq!(connection.response().body, b"0");
        assert_eq!(server.get("/").body, b"idle");
        assert_eq!(server.workers(), [worker]);
    }
}

#[test]
fn an_idle_worker_does_not_mind() {
    for threads in [1, 4] {
        let (server, worker) = start(threads);
        let mut connection = server.connect();
        // With several, Python's main thread is none of them.
        let all = if threads == 1 { 1 } else { 1 + threads };
        for _ in 0..20 {
            until::holds("the stacks of all threads", || {
                // One that was asked for while threads were started has fewer.
                ask_process(worker);
                let said = fs::read_to_string(file_of(worker)).unwrap();
                said.split("Current thread 0x").any(|it| it.matches("Thread 0x").count() + 1 == all)
            });
            assert_eq!(connection.get("/").body, b"idle");
        }
        assert_eq!(server.workers(), [worker]);
    }
}

#[test]
fn a_hang_at_import_shows_where_it_is() {
    let server = Setup::of("hangs").flags(&["--graceful-timeout", "1"]).spawn();
    until::holds("an import that hangs", || server.directory.join("importing").exists());
    let worker = server.workers()[0];
    let caught = process::status(worker, "SigCgt");
    let mask = u64::from_str_radix(&caught[0], 16).unwrap();
    assert!(mask >> (SIGNAL - 1) & 1 == 1, "the handler is set before the import");
    let said = stacks_with(worker, "in <module>\n", || ask_process(worker));
    assert!(said.contains("hangs.py"), "{said}");
    server.allow("SIG");
    server.signal(Signal::SIGQUIT);
    server.wait_for_exit();
}
