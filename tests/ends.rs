//! The exit functions of Python: processes that the application has started end with the
//! server. The checks after each test find those that do not.

use nix::sys::signal::Signal;

use crate::support::process;
use crate::support::setup::Setup;
use crate::support::until;

/// Starts helpers at import: a line each of [`HELPERS`].
const STARTING: &str = "
import atexit, concurrent.futures, multiprocessing, os

context = multiprocessing.get_context('fork')
numbers = {}
HELPERS_

def end():
    with open('ended', 'a') as file:
        file.write('%d\\n' % os.getpid())

atexit.register(end)

def application(environ, start_response):
    if environ['PATH_INFO'] == '/wait':
        open('waiting', 'w').close()
        with open('pipe') as file:
            file.read()
    numbers[1] = 1
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

/// The kinds of helper processes that Python's library has.
const HELPERS: [&str; 3] = [
    "numbers = context.Manager().dict()",
    "pool = context.Pool(1)",
    "executor = concurrent.futures.ProcessPoolExecutor(1, mp_context=context); \
     executor.submit(abs, -1).result()",
];

const WAYS: [&[&str]; 3] = [&[], &["--threads=2"], &["--preload"]];

fn starting(helpers: &[&str], flags: &[&str]) -> Setup {
    setup(&STARTING.replace("HELPERS_", &helpers.join("\n")), flags)
}

fn setup(text: &str, flags: &[&str]) -> Setup {
    Setup::of("starting:application").file("starting.py", text).flag("--pythonpath=.").flags(flags)
}

#[test]
fn processes_that_the_application_has_started_end_with_the_server() {
    // A stop at once gives the exit functions 1.5 s: one helper each ends within that
    // also on a loaded machine.
    let cases = [
        (Signal::SIGTERM, &HELPERS[..]),
        (Signal::SIGINT, &HELPERS[..1]),
        (Signal::SIGQUIT, &HELPERS[1..2]),
        (Signal::SIGINT, &HELPERS[2..]),
    ];
    for flags in WAYS {
        for (signal, helpers) in cases {
            let server = starting(helpers, flags).start();
            assert_eq!(server.get("/").status, 200);
            let processes = server.workers();
            server.signal(signal);
            assert_eq!(server.wait_for_exit(), 0);
            let ended = server.directory.read("ended");
            for pid in processes {
                assert!(ended.contains(&format!("{pid}\n")), "{flags:?} {signal}: {pid}, {ended}");
            }
        }
    }
}

#[test]
fn processes_of_the_application_end_also_while_a_request_runs() {
    for flags in WAYS {
        let server = starting(&HELPERS[..1], flags).start();
        let pipe = server.directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut connection = server.connect();
        connection.send(crate::support::client::get("/wait"));
        until::holds("a request", || server.directory.path().join("waiting").exists());
        server.signal(Signal::SIGINT);
        assert_eq!(server.wait_for_exit(), 0);
        assert!(!server.directory.read("ended").is_empty(), "{flags:?}");
    }
}

#[test]
fn a_reload_leaves_no_process_of_the_old_code() {
    for flags in WAYS {
        let server = starting(&HELPERS, flags).start();
        assert_eq!(server.get("/").status, 200);
        let belonging = || process::marked(&server.mark, server.directory.path());
        let before = belonging();
        for generation in 2..4 {
            server.signal(Signal::SIGHUP);
            server.wait_for_log(&format!("reloaded: gen={generation} serves"));
        }
        until::holds("as many processes as before", || belonging().len() == before.len());
        assert_eq!(server.get("/").status, 200);
        assert!(belonging().iter().filter(|pid| before.contains(pid)).eq([&server.pid()]));
    }
}

#[test]
fn processes_of_a_mold_run_until_its_last_worker_has_ended() {
    let server = starting(&HELPERS, &["--preload"]).start();
    let pipe = server.directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for end in [Signal::SIGHUP, Signal::SIGTERM] {
        let waiting = server.directory.path().join("waiting");
        let mut connection = server.connect();
        connection.send(crate::support::client::get("/wait"));
        until::holds("a request", || waiting.exists());
        std::fs::remove_file(&waiting).unwrap();
        server.signal(end);
        server.wait_for_log(if end == Signal::SIGHUP { "reloaded" } else { "draining" });
        // It opens once the worker reads, and ends what that waits for.
        drop(std::fs::File::options().write(true).open(&pipe).unwrap());
        assert_eq!(connection.response().status, 200, "the manager is there");
    }
    assert_eq!(server.wait_for_exit(), 0);
}

/// What the application does at the end, or what an executor waits for, never
/// returns.
const ENDLESS: &str = "
import concurrent.futures, atexit, signal, threading

ways = {
    'exit': lambda: atexit.register(threading.Event().wait),
    'executor': lambda: concurrent.futures.ThreadPoolExecutor(1).submit(threading.Event().wait),
    'thread': lambda: threading.Thread(target=threading.Event().wait).start(),
}
ways[WAY_]()

def end():
    open('ended', 'a').close()

atexit.register(end)

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn a_stop_at_once_does_not_wait_for_exit_functions_that_do_not_return() {
    for way in ["'exit'", "'executor'", "'thread'"] {
        let server = setup(&ENDLESS.replace("WAY_", way), &[]).start();
        assert_eq!(server.get("/").status, 200);
        server.signal(Signal::SIGINT);
        assert_eq!(server.wait_for_exit(), 0);
        assert!(server.directory.path().join("ended").exists(), "{way}");
        let is_cut = server.log().contains("exit functions have not ended");
        assert_eq!(is_cut, way == "'exit'", "{way}: {}", server.log());
    }
}

const FAILING: &str = "
import multiprocessing

multiprocessing.get_context('fork').Manager()
raise RuntimeError('after it has started a process')
";

#[test]
fn processes_of_an_application_that_cannot_be_loaded_end() {
    for flags in WAYS {
        let end = setup(FAILING, flags).spawn();
        end.allow("after it has started a process");
        end.allow("Traceback");
        assert_eq!(end.wait_for_exit(), 3);
    }
}
