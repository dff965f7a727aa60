//! Signals to the master and to workers.

use std::fs;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::client::get;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

#[test]
fn term_int_and_quit_end_an_idle_server_with_zero() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let server = Setup::of("stream:route").workers(2).start();
        server.signal(signal);
        assert_eq!(server.wait_for_exit(), 0, "{signal}");
    }
}

#[test]
fn term_waits_for_requests_in_flight() {
    let setup = Setup::of("stream:route").workers(2);
    let server = setup.flags(&["--access-logfile", "access"]).start();
    let (mut connection, writer) = server.occupy("pipe");
    server.signal(Signal::SIGTERM);
    server.wait_for_workers(1);
    // The other worker has got the message to drain when it has the new file of its log,
    // since that message is sent later.
    fs::remove_file(server.directory.join("access")).unwrap();
    server.signal(Signal::SIGUSR1);
    let worker = server.workers()[0];
    let log = server.directory.join("access");
    until::holds("a log opened again", || process::holds(worker, &log));
    writer.finish();
    let response = connection.response();
    assert_eq!(response.status, 200);
    assert!(response.closes());
    assert_eq!(server.wait_for_exit(), 0);
}

#[test]
fn term_kills_workers_that_do_not_end_in_time() {
    let server = Setup::of("stream:stubborn").flags(&["--graceful-timeout", "1"]).start();
    server.allow("graceful-timeout");
    let (mut connection, writer) = server.occupy("pipe");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert!(connection.try_response("GET").is_err(), "the worker was killed");
    writer.finish();
}

#[test]
fn int_does_not_wait_for_requests_in_flight() {
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        let server = Setup::of("stream:route").start();
        let (_connection, writer) = server.occupy("pipe");
        server.signal(signal);
        assert_eq!(server.wait_for_exit(), 0, "{signal}");
        writer.finish();
    }
}

#[test]
fn int_while_draining_ends_the_wait() {
    let server = Setup::of("stream:route").workers(2).start();
    let (_connection, writer) = server.occupy("pipe");
    server.signal(Signal::SIGTERM);
    server.wait_for_workers(1);
    server.signal(Signal::SIGINT);
    assert_eq!(server.wait_for_exit(), 0);
    writer.finish();
}

#[test]
fn ttin_adds_a_worker_and_ttou_removes_one() {
    let server = Setup::of("stream:route").workers(2).start();
    server.signal(Signal::SIGTTIN);
    server.wait_for_workers(3);
    server.signal(Signal::SIGTTIN);
    server.wait_for_workers(4);
    for count in [3, 2, 1] {
        server.signal(Signal::SIGTTOU);
        server.wait_for_workers(count);
    }
    server.signal(Signal::SIGTTOU);
    assert_eq!(server.get("/").status, 200, "the last worker stays");
    assert_eq!(server.workers().len(), 1);
}

#[test]
fn a_worker_ignores_signals_that_it_does_not_act_on() {
    let server = Setup::of("stream:route").start();
    let workers = server.workers();
    for signal in [Signal::SIGHUP, Signal::SIGPIPE, Signal::SIGWINCH, Signal::SIGUSR1] {
        process::signal(workers[0], signal);
        assert_eq!(server.get("/").text(), workers[0].to_string(), "{signal}");
    }
}

#[test]
fn titles_name_the_role_of_each_process() {
    let server = Setup::of("stream:route").workers(2).flags(&["--name", "shop"]).start();
    assert_eq!(process::title(server.pid()), "monoceros: master [shop]");
    let mut titles: Vec<_> = server.workers().into_iter().map(process::title).collect();
    titles.sort();
    assert_eq!(titles, ["monoceros: worker 0 gen=1 [shop]", "monoceros: worker 1 gen=1 [shop]"]);
}

/// The application is loaded when there is a file.
const WAITING: &str = "
import os, time
open('loading', 'w').close()
while not os.path.exists('go'):
    time.sleep(0.005)

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn signals_of_the_master_do_no_harm_to_a_worker_whether_it_serves_or_loads() {
    let masters = [
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGWINCH,
    ];
    for flags in [&[][..], &["--preload"]] {
        let setup = Setup::of("waiting:application").file("waiting.py", WAITING);
        let server = setup.flag("--pythonpath=.").flags(flags).spawn();
        until::holds("a process that loads", || server.directory.join("loading").exists());
        let loads = server.workers();
        for signal in masters {
            loads.iter().for_each(|pid| process::signal(*pid, signal));
        }
        server.directory.write("go", "");
        server.wait_until_ready();
        assert!(loads.iter().all(|pid| server.workers().contains(pid)));
        let serve = server.workers();
        for signal in masters {
            serve.iter().for_each(|pid| process::signal(*pid, signal));
        }
        assert_eq!(server.get("/").status, 200);
        assert_eq!(server.workers(), serve);
    }
}

/// The application writes a file when it gets SIGTERM.
const HANDLING: &str = "
import os, signal, sys, threading

def leave(number, frame):
    is_main = threading.current_thread() is threading.main_thread()
    with open('left', 'a') as file:
        file.write('%d %s\\n' % (os.getpid(), is_main))
    sys.exit(0)

if not os.path.exists('late'):
    signal.signal(signal.SIGTERM, leave)

def application(environ, start_response):
    if environ['PATH_INFO'] == '/late':
        signal.signal(signal.SIGTERM, leave)
    elif environ['PATH_INFO'] == '/wait':
        open('waiting', 'w').close()
        with open('pipe') as file:
            file.read()
    body = b'%d' % os.getpid()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

fn handling(flags: &[&str]) -> Server {
    let setup = Setup::of("handling:application").file("handling.py", HANDLING);
    let server = setup.flag("--pythonpath=.").flags(flags).start();
    mkfifo(&server.directory.path().join("pipe"), Mode::S_IRWXU).unwrap();
    server
}

/// The only worker, of the masters' processes.
fn worker(server: &Server) -> i32 {
    server.get("/").text().parse().unwrap()
}

/// Has the worker leave `by` something while a request runs, which is answered.
fn leave(server: &Server, by: impl Fn(i32)) {
    let worker = worker(server);
    let waiting = server.directory.path().join("waiting");
    let mut connection = server.connect();
    connection.send(get("/wait"));
    until::holds("a request", || waiting.exists());
    fs::remove_file(&waiting).unwrap();
    by(worker);
    until::holds("the handler", || server.directory.read("left").contains(&worker.to_string()));
    // It opens once the worker reads, and ends what that waits for.
    drop(fs::File::options().write(true).open(server.directory.path().join("pipe")).unwrap());
    assert_eq!(connection.response().text(), worker.to_string());
    until::holds("its end", || !process::is_alive(worker));
    let left = server.directory.read("left");
    let mine: Vec<_> = left.lines().filter(|it| it.starts_with(&worker.to_string())).collect();
    assert_eq!(mine, [format!("{worker} True")]);
}

const WAYS: [&[&str]; 4] = [&[], &["--threads=2"], &["--preload"], &["--preload", "--threads=2"]];

#[test]
fn the_applications_handler_of_term_runs_once_when_a_worker_drains() {
    for flags in WAYS {
        let server = handling(flags);
        server.allow("died: exit code 0");
        leave(&server, |_| server.signal(Signal::SIGHUP));
        leave(&server, |worker| process::signal(worker, Signal::SIGTERM));
        leave(&server, |worker| {
            process::signal(worker, Signal::SIGTERM);
            server.signal(Signal::SIGTERM);
            process::signal(worker, Signal::SIGTERM);
        });
        assert_eq!(server.wait_for_exit(), 0);
    }
}

#[test]
fn the_applications_handler_of_term_runs_in_an_idle_worker() {
    for flags in WAYS {
        let server = handling(flags);
        let worker = worker(&server);
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait_for_exit(), 0);
        assert_eq!(server.directory.read("left"), format!("{worker} True\n"), "{flags:?}");
    }
}

#[test]
fn a_handler_of_term_that_was_set_by_a_request_has_the_worker_leave() {
    let setup = Setup::of("handling:application").file("handling.py", HANDLING).file("late", "");
    let server = setup.flag("--pythonpath=.").start();
    // It may have been ready for less than a second.
    server.allow("died: exit code 0");
    for by_master in [false, true] {
        let worker: i32 = server.get("/late").text().parse().unwrap();
        let pid = if by_master { server.pid() } else { worker };
        process::signal(pid, Signal::SIGTERM);
        until::holds("its end", || !process::is_alive(worker));
        assert!(server.directory.read("left").contains(&format!("{worker} True\n")));
    }
    assert_eq!(server.wait_for_exit(), 0);
}
