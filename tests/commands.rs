//! Commands that look into a running server, or change it: `stacks`, `workers`, `recycle`,
//! `reopen`, `log-level`. What all commands have in common is tested in `control.rs`.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::client::get;
use crate::support::command::{Answer, ask, begin, command, end};
use crate::support::pipe::Pipe;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, python};
use crate::support::until;

/// Is stuck in a call of C that holds the interpreter's lock, until the pipe's writer is gone.
const STUCK: &str = "
import ctypes, os

C = ctypes.PyDLL(None)

def holds_the_lock(pipe):
    return C.read(pipe, ctypes.create_string_buffer(1), 1)

def application(environ, start_response):
    query = environ['QUERY_STRING']
    if query:
        holds_the_lock(os.open(query.partition('=')[2], os.O_RDONLY))
    start_response('200 OK', [('Content-Length', '2')])
    return [b'ok']
";

/// Writes a record of the lowest level for each request.
const CHATTY: &str = "
import logging

def application(environ, start_response):
    logging.getLogger('gunicorn.error').debug('path=%s', environ['PATH_INFO'])
    start_response('200 OK', [('Content-Length', '2')])
    return [b'ok']
";

fn of_code(code: &str) -> Setup {
    Setup::of("code:application").file("code.py", code).flag("--pythonpath=.")
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

#[test]
fn the_stacks_of_a_thread_that_is_stuck_in_c_are_shown() {
    let server = of_code(STUCK).workers(2).start();
    let pipe = Pipe::new(&server.directory, "pipe");
    let mut connection = server.connect();
    connection.send(get(&format!("/?{}", pipe.query())));
    let writer = pipe.open();
    until::holds("a stuck thread", || {
        ask(&server, &["stacks", "all"]).stdout.contains("in holds_the_lock\n")
    });
    let answer = ask(&server, &["stacks", "all"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    assert_eq!(answer.stdout.matches("in holds_the_lock\n").count(), 1, "{}", answer.stdout);
    for slot in 0..2 {
        let head = format!("worker={slot} gen=1 pid=");
        assert!(answer.stdout.lines().any(|line| line.starts_with(&head)), "{}", answer.stdout);
    }
    let requests = json(&ask(&server, &["requests", "--json"]));
    let thread = format!(" tid={} (most recent call first):\n", requests[0]["thread"]);
    let (_, stack) = answer.stdout.split_once(&thread).expect("the thread of the request");
    let stack = stack.split("Thread 0x").next().unwrap();
    assert!(stack.contains("in holds_the_lock\n"), "{thread}: {}", answer.stdout);
    let shown = json(&ask(&server, &["stacks", "all", "--json"]));
    let stuck = shown.as_array().unwrap().iter().position(|it| {
        it["stacks"].as_str().is_some_and(|stacks| stacks.contains("in holds_the_lock\n"))
    });
    let one = ask(&server, &["stacks", &stuck.unwrap().to_string()]);
    assert!(one.stdout.contains("in holds_the_lock\n") && one.code == 0, "{one:?}");
    assert_eq!(one.stdout.matches("worker=").count(), 1, "{one:?}");
    let none = ask(&server, &["stacks", "7"]);
    let text = "monoceros: stacks failed: there is no worker 7\n";
    assert_eq!((none.code, none.stderr.as_str()), (1, text));
    writer.finish();
    assert_eq!(connection.response().status, 200);
}

#[test]
fn a_hang_at_import_shows_where_it_is_on_command() {
    let server = Setup::of("hangs").flags(&["--graceful-timeout", "1"]).spawn();
    until::holds("an import that hangs", || server.directory.join("importing").exists());
    let answer = ask(&server, &["stacks", "0"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stdout.contains("hangs.py"), "{answer:?}");
    server.allow("SIG");
    server.signal(Signal::SIGQUIT);
    server.wait_for_exit();
}

#[test]
fn a_process_that_shows_no_stacks_is_named_beside_the_others() {
    let server = Setup::of("environ").workers(2).start();
    let stopped = server.workers()[0];
    process::signal(stopped, Signal::SIGSTOP);
    let answer = ask(&server, &["stacks", "all"]);
    process::signal(stopped, Signal::SIGCONT);
    let text = format!("pid={stopped}: it has not written its stacks within 3 s");
    assert!(answer.code == 1 && answer.stderr.contains(&text), "{answer:?}");
    assert_eq!(answer.stdout.matches("worker=").count(), 1, "{answer:?}");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn the_number_of_workers_changes_on_command() {
    let server = Setup::of("environ").start();
    let first = server.workers();
    for (word, count, text) in [
        ("+2", 3, "3 workers serve\n"),
        ("-1", 2, "2 workers serve\n"),
        ("=4", 4, "4 workers serve\n"),
        ("=4", 4, "4 workers serve\n"),
        ("=1", 1, "1 worker serves\n"),
    ] {
        let answer = ask(&server, &["workers", word]);
        assert_eq!((answer.stdout.as_str(), answer.code), (text, 0), "{word}: {answer:?}");
        let status = ask(&server, &["status"]).stdout;
        assert!(
            status.starts_with(&format!("gen=1: {count} of {count} workers ready")),
            "{status}"
        );
    }
    assert_eq!(server.wait_for_workers(1), first);
    let answer = ask(&server, &["workers", "-1"]);
    assert!(answer.code == 1 && answer.stderr.contains("this one has 1"), "{answer:?}");
    assert_eq!(json(&ask(&server, &["workers", "+1", "--json"]))["workers"], 2);
    server.wait_for_workers(2);
}

#[test]
fn more_workers_that_cannot_start_are_reported() {
    let server = of_code(STUCK).start();
    server.allow("broken now");
    server.allow("Traceback");
    server.directory.write("code.py", "raise RuntimeError('broken now')");
    let answer = ask(&server, &["workers", "+1"]);
    let text = "cannot serve: RuntimeError: broken now; the server tries again";
    assert!(answer.code == 1 && answer.stderr.contains(text), "{answer:?}");
    server.directory.write("code.py", STUCK);
    // A worker that has read the old code before may be on its way.
    until::holds("two workers", || ask(&server, &["workers", "=2"]).code == 0);
}

#[test]
fn workers_are_recycled_on_command() {
    let server = Setup::of("environ").workers(2).start();
    let pids = |server: &Server| {
        let status = json(&ask(server, &["status", "--json"]));
        let workers = status["workers"].as_array().unwrap().clone();
        let ready = workers.into_iter().filter(|it| it["state"] == "ready");
        ready
            .map(|it| it["pid"].to_string() + &it["process"]["pid"].to_string())
            .collect::<Vec<_>>()
    };
    let before = pids(&server);
    let answer = ask(&server, &["recycle", "1"]);
    assert_eq!((answer.stdout.as_str(), answer.code), ("recycled: 1 worker\n", 0), "{answer:?}");
    let between = pids(&server);
    assert_eq!(between.len(), 2, "they serve when the command returns");
    assert!(between[0] == before[0] && between[1] != before[1], "{before:?} {between:?}");
    assert_eq!(json(&ask(&server, &["recycle", "all", "--json"]))["recycled"], 2);
    let after = pids(&server);
    assert!(after.len() == 2 && !after.iter().any(|it| between.contains(it)), "{after:?}");
    let none = ask(&server, &["recycle", "7"]);
    assert!(none.code == 1 && none.stderr.contains("no worker 7 serves"), "{none:?}");
    server.wait_for_workers(2);
}

#[test]
fn logs_are_reopened_when_the_command_returns() {
    let setup = Setup::of("environ").workers(2).flags(&["--error-logfile", "error.log"]);
    let server = setup.spawn();
    let log = || server.directory.read("error.log");
    until::holds("a server", || log().contains("master: serving"));
    fs::rename(server.directory.join("error.log"), server.directory.join("error.log.1")).unwrap();
    let answer = ask(&server, &["reopen"]);
    let text = "reopened: the logs of 3 processes\n";
    assert_eq!((answer.stdout.as_str(), answer.code), (text, 0), "{answer:?}");
    for pid in server.workers().into_iter().chain([server.pid()]) {
        let open = process::descriptors(pid).unwrap();
        let is_old = |name: &&String| name.ends_with("error.log.1");
        assert!(!open.iter().any(|name| is_old(&name)), "pid {pid}: {open:?}");
    }
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert!(log().ends_with("master: stopped\n"), "{}", log());
}

#[test]
fn the_log_level_changes_in_all_processes_until_a_reload() {
    let server = of_code(CHATTY).start();
    server.get("/before");
    let answer = ask(&server, &["log-level", "debug"]);
    let text = "log level debug in 2 processes, until a reload\n";
    assert_eq!((answer.stdout.as_str(), answer.code), (text, 0), "{answer:?}");
    ask(&server, &["status"]);
    server.wait_for_log("[DEBUG] master: ");
    server.get("/now");
    server.wait_for_log("path=/now");
    let old = server.workers();
    assert_eq!(ask(&server, &["recycle", "all"]).code, 0, "a worker that is started later");
    server.wait_for_new_workers(&old, 1);
    server.get("/second");
    server.wait_for_log("path=/second");
    let old = server.workers();
    assert_eq!(ask(&server, &["reload"]).code, 0);
    server.wait_for_new_workers(&old, 1);
    server.get("/third");
    let count = server.log().matches("[DEBUG] master: ").count();
    ask(&server, &["status"]);
    assert_eq!(server.log().matches("[DEBUG] master: ").count(), count);
    let log = server.log();
    assert!(!log.contains("path=/before") && !log.contains("path=/third"), "{log}");
}

#[test]
fn a_program_is_commanded_as_far_as_it_can_be() {
    // It is ready when it has a handler for the signal that `reopen` sends.
    let script = "import os, signal, socket, time\n\
                  signal.signal(signal.SIGUSR1, lambda *_: None)\n\
                  address = os.environ['NOTIFY_SOCKET'].replace('@', '\\0', 1)\n\
                  socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', address)\n\
                  while True:\n    time.sleep(1)\n";
    let setup = Setup::program(&[python().to_str().unwrap(), "program.py"]);
    let server = setup.flags(&["--ready-after", "notify"]).file("program.py", script).start();
    let answer = ask(&server, &["stacks", "all"]);
    let text = "it is a program that shows no stacks";
    assert!(answer.code == 1 && answer.stderr.contains(text), "{answer:?}");
    let answer = ask(&server, &["reopen"]);
    assert_eq!(answer.stdout, "reopened: the logs of 2 processes\n", "{answer:?}");
    let old = server.workers();
    assert_eq!(ask(&server, &["recycle", "all"]).stdout, "recycled: 1 worker\n");
    server.wait_for_new_workers(&old, 1);
}

#[test]
fn commands_that_wait_end_with_the_server() {
    let server = Setup::of("hangs_later:application")
        .file("hangs_later.py", HANGS_LATER)
        .flag("--pythonpath=.")
        .start();
    let more = begin(&server, &["workers", "+1"]);
    until::holds("a second worker that loads", || server.workers().len() > 1);
    let all = begin(&server, &["recycle", "all"]);
    server.wait_for_log("is due: an operator asks for it");
    server.signal(Signal::SIGTERM);
    for answer in [more, all].map(end) {
        let text = "failed: the server is stopping";
        assert!(answer.code == 1 && answer.stderr.contains(text), "{answer:?}");
    }
    assert_eq!(server.wait_for_exit(), 0);
}

/// Loads once, and hangs in every later process.
const HANGS_LATER: &str = "
import os, signal
if os.path.exists('loaded'):
    signal.pause()
open('loaded', 'w').close()

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '2')])
    return [b'ok']
";

#[test]
fn a_command_whose_output_cannot_be_written_fails_if_it_does_nothing_else() {
    let server = Setup::of("environ").workers(1).start();
    let (directory, pid) = (server.directory.path(), server.pid().to_string());
    for (words, code) in [
        (&["status", &pid][..], 1),
        (&["requests", "--json", &pid], 1),
        (&["completions", "bash"], 1),
        // It was carried out.
        (&["reopen", &pid], 0),
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let answer: Answer = command(directory, words).stdout(full).output().unwrap().into();
        assert_eq!(answer.code, code, "{words:?}: {answer:?}");
        let text = "monoceros: cannot write to standard output: no space left on device\n";
        assert_eq!(answer.stderr, if code == 1 { text } else { "" }, "{words:?}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let answer: Answer = command(directory, words).stdout(writer).output().unwrap().into();
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{words:?}: no reader");
    }
}
