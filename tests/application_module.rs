//! The module `monoceros`, by which an application learns of its worker and of a drain.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::cases::at_once;
use crate::support::client::get;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// Notes each call at a drain in a file, and has a stream that ends itself.
const APPLICATION: &str = "
import json, monoceros, os, signal, sys, threading

ended = threading.Event()

def note(name):
    with open('drained', 'a') as file:
        file.write('%d %s %s\\n' % (os.getpid(), name, monoceros.draining()))

@monoceros.on_drain
def first():
    note('first')
    monoceros.on_drain(lambda: note('nested'))

@monoceros.on_drain
def fails():
    raise SystemExit('it fails')

def last():
    note('last')
    ended.set()

assert monoceros.on_drain(last) is last
if os.path.exists('hang'):
    monoceros.on_drain(threading.Event().wait)
signal.signal(signal.SIGTERM, lambda number, frame: note('handler'))
signal.signal(signal.SIGWINCH, lambda number, frame: sys.exit(0))

try:
    monoceros.on_drain(None)
except TypeError as error:
    refused = str(error)

def facts():
    return [monoceros.slot(), monoceros.generation(), monoceros.draining()]

at_import = facts()

def forked():
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, json.dumps([*facts(), monoceros.request_id()]).encode())
        os._exit(0)
    return json.loads(os.read(reader, 1000))

def another():
    found = []
    thread = threading.Thread(target=lambda: found.append(monoceros.request_id()))
    thread.start()
    thread.join()
    return found

def stream():
    yield b'begun'
    ended.wait()
    monoceros.on_drain(lambda: note('late'))
    yield b'ended'

def application(environ, start_response):
    if environ['PATH_INFO'] == '/stream':
        start_response('200 OK', [])
        return stream()
    body = b'%d' % os.getpid() if environ['PATH_INFO'] == '/pid' else json.dumps({
        'import': at_import, 'request': facts(), 'forked': forked(), 'refused': refused,
        'id': [monoceros.request_id(), environ['HTTP_X_REQUEST_ID'], another()],
    }).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

const WAYS: [&[&str]; 4] = [&[], &["--threads=2"], &["--preload"], &["--preload", "--threads=2"]];

/// What is called at a drain. The handler of SIGTERM is called on another thread.
const CALLS: [&str; 5] = ["first", "handler", "last", "late", "nested"];

fn server(flags: &[&str]) -> Server {
    let setup = Setup::of("told:application").file("told.py", APPLICATION);
    let server = setup.flag("--pythonpath=.").flags(flags).start();
    server.allow("a callable that the application has given to on_drain failed");
    server.allow("Traceback");
    server.allow("died: exit code 0");
    server
}

/// The only worker, of the master's processes.
fn worker(server: &Server) -> i32 {
    server.get("/pid").text().parse().unwrap()
}

/// The calls that this worker has noted. Python may call a signal's handler before the worker
/// drains by the same signal.
fn calls(server: &Server, worker: i32) -> Vec<String> {
    let noted = server.directory.read("drained");
    let own = format!("{worker} ");
    let own = noted.lines().filter_map(|line| line.strip_prefix(&own)?.split_once(' '));
    let mut names: Vec<_> = own
        .inspect(|(name, drains)| assert!(*name == "handler" || *drains == "True", "{name}"))
        .map(|(name, _)| name.to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_stream_that_holds_the_only_thread_ends_itself_when_the_worker_drains() {
    let causes: [fn(&Server, i32); 3] = [
        |server, _| server.signal(Signal::SIGHUP),
        |_, worker| process::signal(worker, Signal::SIGTERM),
        |server, _| server.signal(Signal::SIGTERM),
    ];
    for flags in WAYS {
        let server = server(flags);
        for (count, cause) in causes.iter().enumerate() {
            let worker = worker(&server);
            let mut connection = server.connect();
            connection.send(get("/stream"));
            assert_eq!(connection.head().status, 200);
            assert_eq!(connection.chunk().unwrap().unwrap(), b"begun");
            cause(&server, worker);
            assert_eq!(connection.chunk().unwrap().unwrap(), b"ended");
            assert_eq!(connection.chunk().unwrap(), None);
            until::holds("the worker's end", || !process::is_alive(worker));
            assert_eq!(calls(&server, worker), CALLS, "{flags:?} {count}");
            let text = "a callable that the application has given to on_drain failed\n";
            assert_eq!(server.log().matches(text).count(), count + 1, "{flags:?}");
            assert_eq!(server.log().matches("SystemExit: it fails").count(), count + 1);
        }
        assert_eq!(server.wait_for_exit(), 0);
    }
}

#[test]
fn a_drain_by_the_applications_own_signal_handler_calls_the_same() {
    let server = server(&[]);
    let worker = worker(&server);
    process::signal(worker, Signal::SIGWINCH);
    until::holds("the worker's end", || !process::is_alive(worker));
    let expected: Vec<_> = CALLS.into_iter().filter(|it| *it != "late").collect();
    assert_eq!(calls(&server, worker), expected);
}

#[test]
fn the_application_learns_of_its_worker_and_its_request() {
    for flags in WAYS {
        let server = server(flags);
        let facts = server.get("/").json();
        let has_mold = flags.contains(&"--preload");
        let slot = if has_mold { Value::Null } else { json!(0) };
        assert_eq!(facts["import"], json!([slot, 1, false]), "{flags:?}");
        assert_eq!(facts["request"], json!([0, 1, false]), "{flags:?}");
        assert_eq!(facts["forked"], json!([null, null, false, null]), "{flags:?}");
        let id = &facts["id"];
        assert_eq!((&id[0], &id[2]), (&id[1], &json!([null])), "{flags:?}");
        assert_eq!(facts["refused"], "on_drain takes a callable, not NoneType");
    }
}

#[test]
fn a_callable_that_does_not_return_holds_the_worker_until_the_drain_is_over() {
    at_once(&WAYS, |flags| {
        let setup = Setup::of("told:application").file("told.py", APPLICATION).file("hang", "");
        let setup = setup.flags(&["--pythonpath=.", "--graceful-timeout", "5"]).flags(flags);
        let server = setup.start();
        server.allow("");
        let worker = worker(&server);
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait_for_exit(), 0);
        assert!(!process::is_alive(worker));
        assert!(calls(&server, worker).contains(&"last".to_owned()), "{flags:?}");
    });
}
