//! Reloads (SIGHUP): new code and settings, while requests are served.

use std::net::TcpListener;
use std::os::unix::fs::symlink;

use nix::sys::signal::Signal;

use crate::support::client::Connection;
use crate::support::load::Load;
use crate::support::pipe::{Pipe, Writer};
use crate::support::setup::Setup;
use crate::support::until;

#[test]
fn a_reload_replaces_all_workers_without_a_failed_request() {
    for workers in [1, 2] {
        let server = Setup::of("stream:route").workers(workers).patient().start();
        let old = server.workers();
        let load = Load::start(server.address(), 4);
        load.proceed(20);
        server.signal(Signal::SIGHUP);
        server.wait_for_new_workers(&old, workers);
        load.proceed(20);
        let seen = load.finish();
        assert!(seen.len() >= 2, "old and new workers answered: {seen:?}");
    }
}

const VERSION: &str = "
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '5')])
    return [b'one\\n\\n']
";

#[test]
fn a_reload_takes_the_new_code_and_keeps_the_old_if_the_new_is_broken() {
    let server = Setup::of("changing:application")
        .workers(2)
        .patient()
        .file("changing.py", VERSION)
        .flag("--pythonpath=.");
    let server = server.start();
    let load = Load::start(server.address(), 4);
    load.proceed(20);
    let old = server.workers();
    server.directory.write("changing.py", "raise RuntimeError('broken on reload')");
    server.signal(Signal::SIGHUP);
    for text in ["[ERROR]", "Traceback", "broken on reload"] {
        server.allow(text);
    }
    server.wait_for_log("broken on reload");
    load.proceed(50);
    until::holds("the old workers alone", || server.workers() == old);
    server.directory.write("changing.py", &VERSION.replace("one", "two"));
    server.signal(Signal::SIGHUP);
    server.wait_for_new_workers(&old, 2);
    assert_eq!(server.get("/").text(), "two\n\n");
    load.proceed(20);
    assert_eq!(load.finish().into_iter().collect::<Vec<_>>(), ["one\n\n", "two\n\n"]);
    assert_eq!(server.log().matches("Traceback").count(), 1, "the traceback is told once");
}

#[test]
fn a_reload_takes_changed_settings() {
    let yaml = |workers| format!("bind: fd://3\nworkers: {workers}\nthreads: {workers}\n");
    let server = Setup::of("environ").file("monoceros.yaml", &yaml(1)).start();
    let environ = server.get("/").json();
    assert_eq!(environ["wsgi.multithread"], false);
    for workers in [3, 2] {
        let old = server.workers();
        server.directory.write("monoceros.yaml", &yaml(workers));
        server.signal(Signal::SIGHUP);
        server.wait_for_new_workers(&old, workers);
        let environ = server.get("/").json();
        assert_eq!(
            (&environ["wsgi.multithread"], &environ["wsgi.multiprocess"]),
            (&true.into(), &true.into())
        );
    }
}

#[test]
fn a_reload_with_wrong_settings_changes_nothing() {
    let server =
        Setup::of("stream:route").workers(2).file("monoceros.yaml", "timeout: 30\n").start();
    server.allow("monoceros.yaml");
    let old = server.workers();
    server.directory.write("monoceros.yaml", "timeout: soon\nworkerz: 3\n");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("monoceros.yaml line 1: timeout: ");
    server.wait_for_log("monoceros.yaml line 2: ");
    std::fs::remove_file(server.directory.join("monoceros.yaml")).unwrap();
    server.signal(Signal::SIGHUP);
    server.wait_for_log("monoceros.yaml is not there any more");
    assert_eq!(server.workers(), old);
    assert_eq!(server.get("/").status, 200);
    server.directory.write("monoceros.yaml", "timeout: 20\n");
    server.signal(Signal::SIGHUP);
    server.wait_for_new_workers(&old, 2);
}

#[test]
fn a_reload_fails_however_the_new_code_fails_and_the_old_goes_on() {
    let server = Setup::of("changing:application").workers(2).file("changing.py", VERSION);
    let server = server.flag("--pythonpath=.").patient().start();
    ["[ERROR]", "Traceback"].iter().for_each(|text| server.allow(text));
    let old = server.workers();
    let faults = [
        "def application(:",
        "import no_such_module_at_all",
        "import sys; sys.exit('leaving')",
        "import os; os._exit(0)",
        "import os; os._exit(3)",
        "import os; os.abort()",
        "application = None",
        "raise SystemExit",
    ];
    let load = Load::start(server.address(), 2);
    for (number, fault) in (1..).zip(faults) {
        server.directory.write("changing.py", fault);
        server.signal(Signal::SIGHUP);
        server.wait_for_log_times("reload failed: gen=", number);
        until::holds("the old workers alone", || server.workers() == old);
        load.proceed(5);
    }
    server.directory.write("changing.py", VERSION);
    server.signal(Signal::SIGHUP);
    server.wait_for_new_workers(&old, 2);
    load.finish();
}

#[test]
fn a_reload_to_an_address_in_use_changes_nothing() {
    // On an address that no other test uses, so that its port stays free in between.
    let taken = TcpListener::bind("127.0.0.77:0").unwrap();
    let yaml = "bind: [\"127.0.0.1:0\"]\n";
    let setup = Setup::bare().apps().flag("stream:route").file("monoceros.yaml", yaml);
    let server = setup.start();
    server.allow("address already in use");
    let old = server.workers();
    let address = taken.local_addr().unwrap();
    let both = format!("bind: [\"unix:new.sock\", \"{address}\"]\n");
    server.directory.write("monoceros.yaml", &both);
    server.signal(Signal::SIGHUP);
    server.wait_for_log("address already in use");
    assert_eq!((server.get("/").status, server.workers()), (200, old.clone()));
    assert!(!server.directory.join("new.sock").exists(), "what was opened is closed again");
    drop(taken);
    server.directory.write("monoceros.yaml", &format!("bind: \"{address}\"\n"));
    server.signal(Signal::SIGHUP);
    server.wait_for_new_workers(&old, 1);
    assert_eq!(Connection::tcp(address).unwrap().get("/").status, 200);
}

#[test]
fn a_reload_during_the_first_boot_comes_after_it() {
    let slow = "import os\nopen('begun', 'w').close()\nopen('gate').read()\n";
    let setup = Setup::of("changing:application").file("changing.py", &(slow.to_owned() + VERSION));
    let gate = Pipe::new(&setup.directory, "gate");
    let server = setup.flag("--pythonpath=.").spawn();
    until::holds("an import", || server.directory.join("begun").exists());
    server.directory.write("changing.py", &VERSION.replace("one", "two"));
    for _ in 0..3 {
        server.signal(Signal::SIGHUP);
    }
    // Of signals that wait the one with the lowest number comes first: signal(7).
    server.signal(Signal::SIGUSR1);
    server.wait_for_log("log files opened again");
    gate.open().finish();
    server.wait_for_log("reloaded: gen=2 serves");
    server.wait_for_log("left: exit code 0");
    assert_eq!(server.get("/").text(), "two\n\n");
    assert!(!server.log().contains("gen=3"), "once is enough");
}

#[test]
fn a_reload_follows_the_link_to_the_new_release() {
    let setup = Setup::of("changing:application").flags(&["--chdir", "current"]);
    for (release, text) in [("1", "one"), ("2", "two")] {
        let content = VERSION.replace("one", text);
        setup.directory.write(&format!("{release}/changing.py"), &content);
    }
    let link = setup.directory.join("current");
    symlink("1", &link).unwrap();
    let server = setup.start();
    assert_eq!(server.get("/").text(), "one\n\n");
    let old = server.workers();
    let draft = server.directory.join("next");
    symlink("2", &draft).unwrap();
    std::fs::rename(draft, link).unwrap();
    // As after a deployment that keeps only what is current.
    std::fs::remove_dir_all(server.directory.join("1")).unwrap();
    server.signal(Signal::SIGHUP);
    server.wait_for_new_workers(&old, 1);
    assert_eq!(server.get("/").text(), "two\n\n");
}

/// As programs that clean up old files do.
#[test]
fn a_reload_makes_a_removed_socket_and_pid_file_again() {
    let setup = Setup::bare().apps().flags(&["--bind", "unix:web.sock", "--pid", "master.pid"]);
    let server = setup.flag("stream:route").start();
    let (socket, pid) = (server.directory.join("web.sock"), server.directory.join("master.pid"));
    for path in [&socket, &pid] {
        std::fs::remove_file(path).unwrap();
    }
    server.signal(Signal::SIGHUP);
    server.wait_for_log("the file of unix:web.sock was removed; it is made again");
    server.wait_for_log("reloaded: gen=2 serves");
    assert!(server.log().contains("master.pid was removed; it is made again"));
    assert_eq!(Connection::unix(&socket).unwrap().get("/").status, 200);
    assert_eq!(server.directory.read("master.pid"), format!("{}\n", server.pid()));
}

/// Starts a server, keeps its workers busy, and reloads it. No request waits behind the
/// busy workers, and these finish their requests.
fn reload_busy(workers: usize) {
    let server = Setup::of("stream:route").workers(workers).start();
    let old = server.workers();
    let names = (0..workers).map(|number| format!("pipe-{number}"));
    let (mut busy, writers): (Vec<_>, Vec<_>) = names.map(|name| server.occupy(&name)).unzip();
    server.signal(Signal::SIGHUP);
    for _ in 0..10 {
        let answer = server.get("/").text();
        assert!(!old.iter().any(|pid| pid.to_string() == answer), "a new worker answers");
    }
    writers.into_iter().for_each(Writer::finish);
    busy.iter_mut().for_each(|connection| assert_eq!(connection.response().status, 200));
    server.wait_for_new_workers(&old, workers);
}

#[test]
fn a_reload_waits_for_requests_in_flight_while_the_new_workers_serve() {
    reload_busy(2);
}

#[test]
fn a_reload_of_a_single_busy_worker_keeps_no_client_waiting() {
    reload_busy(1);
}

#[test]
fn a_connection_kept_over_a_reload_gets_connection_close_and_loses_no_request() {
    let server = Setup::of("stream:route").patient().start();
    let old = server.workers();
    let mut kept: Vec<_> = (0..20).map(|_| server.connect()).collect();
    kept.iter_mut().for_each(|connection| assert_eq!(connection.get("/").status, 200));
    server.signal(Signal::SIGHUP);
    until::holds("an answer of a new worker", || server.get("/").text() != old[0].to_string());
    let mut answered = 0;
    for mut connection in kept {
        if !connection.is_open() {
            continue;
        }
        until::holds("the last answer on this connection", || connection.get("/").closes());
        answered += 1;
    }
    assert!(answered > 0, "no connection was closed without a word");
    server.wait_for_new_workers(&old, 1);
}

#[test]
fn many_reloads_at_once_end_with_the_right_number_of_workers() {
    let server = Setup::of("stream:route").workers(2).patient().start();
    let load = Load::start(server.address(), 4);
    for _ in 0..30 {
        server.signal(Signal::SIGHUP);
        load.proceed(5);
    }
    load.finish();
    let mut last = Vec::new();
    until::holds("workers that stay", || {
        let now = server.workers();
        let stays = now.len() == 2 && now == last && !server.log().is_empty();
        last = now;
        stays && server.get("/").status == 200
    });
}

#[test]
fn a_stop_during_a_reload_wins() {
    let server = Setup::of("changing:application").workers(2).file("changing.py", VERSION);
    let server = server.flag("--pythonpath=.").start();
    let hang = "import os\nos.mkfifo('never')\nopen('never').read()";
    server.directory.write("changing.py", hang);
    server.signal(Signal::SIGHUP);
    until::holds("an import that hangs", || server.directory.join("never").exists());
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
}

#[test]
fn a_reload_that_hangs_is_given_up_and_the_old_workers_serve_on() {
    let server = Setup::of("changing:application").workers(2).file("changing.py", VERSION);
    let server = server.flag("--pythonpath=.").start();
    server.allow("[ERROR]");
    let old = server.workers();
    // Too short for a busy machine, which has to start the first workers.
    server.directory.write("monoceros.yaml", "boot-timeout: 1\n");
    server.directory.write("changing.py", "import signal\nsignal.pause()");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("boot-timeout");
    until::holds("the old workers alone", || server.workers() == old);
    assert_eq!(server.get("/").text(), "one\n\n");
}
