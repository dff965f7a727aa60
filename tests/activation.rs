//! Sockets that the init system has bound (`sd_listen_fds(3)`): the server serves from
//! them, and neither closes nor removes them.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::support::client::Connection;
use crate::support::load::Load;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// The value that a process was started with.
fn variable(pid: i32, name: &str) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut entries = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    entries.find_map(|entry| Some(entry.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

fn answer(path: &Path) -> String {
    Connection::unix(path).unwrap().get("/").text()
}

/// A server on an inet and a unix socket, both of which the test keeps.
fn start(application: &str) -> (Server, TcpListener, UnixListener) {
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::bare().apps().workers(2).patient().flags(&["--pid", "master.pid"]);
    let setup = setup.flag(application);
    let admin = UnixListener::bind(setup.directory.join("admin.sock")).unwrap();
    let setup = setup.socket(web.try_clone().unwrap());
    let setup = setup.announced_with(admin.try_clone().unwrap());
    let server = setup.variable("LISTEN_FDNAMES", "web:admin").start();
    (server, web, admin)
}

/// What a test has bound is the test's to remove.
fn unlink(server: &Server) {
    std::fs::remove_file(server.directory.join("admin.sock")).expect("it is still there");
}

#[test]
fn two_sockets_with_names_are_served_and_passed_on_to_the_workers() {
    let (server, web, _admin) = start("environ:variables");
    let address = web.local_addr().unwrap();
    let line = server.ready_line();
    assert!(line.contains(&format!("http://{address}")) && line.contains("admin.sock"), "{line}");
    for worker in server.workers() {
        assert_eq!(variable(worker, "LISTEN_FDS").as_deref(), Some("2"));
        assert_eq!(variable(worker, "LISTEN_FDNAMES").as_deref(), Some("web:admin"));
        assert_eq!(variable(worker, "LISTEN_PID"), Some(worker.to_string()));
    }
    let overs = [
        Connection::tcp(address).unwrap(),
        Connection::unix(&server.directory.join("admin.sock")).unwrap(),
    ];
    for mut connection in overs {
        let variables = connection.get("/").json();
        for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
            assert_eq!(variables.get(name), None, "the application does not inherit {name}");
        }
    }
    unlink(&server);
}

#[test]
fn hooks_see_that_the_sockets_were_passed_in() {
    let file = "def on_starting(server):\n    server.first = server.systemd\n\
        def when_ready(server):\n    open('seen', 'w').write(f'{server.first} {server.systemd}')\n";
    let setup = Setup::of("stream:route").flags(&["-c", "conf.py"]).file("conf.py", file);
    let server = setup.announced().start();
    assert_eq!(server.directory.read("seen"), "False True");
}

#[test]
fn sockets_announced_to_another_process_are_not_taken() {
    let server = Setup::of("environ:variables").announced_to_another().start();
    assert!(!server.log().contains("bind is ignored"), "{}", server.log());
    assert_eq!(server.get("/").json().get("LISTEN_PID"), None);
}

#[test]
fn what_was_passed_in_outlives_reloads_upgrades_and_the_server() {
    let (server, web, admin) = start("stream:route");
    let (address, path) = (web.local_addr().unwrap(), server.directory.join("admin.sock"));
    let load = Load::start(address, 4);
    for _ in 0..2 {
        let (old, master) = (server.workers(), server.pid());
        server.signal(Signal::SIGHUP);
        server.wait_for_new_workers(&old, 2);
        load.proceed(20);
        answer(&path);
        server.upgrade();
        assert_ne!(server.pid(), master);
        for worker in server.wait_for_workers(2) {
            assert_eq!(variable(worker, "LISTEN_FDNAMES").as_deref(), Some("web:admin"));
        }
        load.proceed(20);
        let worker = answer(&path).parse().unwrap();
        assert!(process::is_alive(worker) && server.workers().contains(&worker));
    }
    load.finish();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert!(!server.directory.join("master.pid").exists());
    // A client that connects now waits for the next server.
    let mut waiting = (Connection::tcp(address).unwrap(), Connection::unix(&path).unwrap());
    waiting.0.send("x");
    waiting.1.send("x");
    // The server has made them non-blocking, also for this process.
    until::holds("a connection in the queue", || web.accept().is_ok());
    until::holds("another one", || admin.accept().is_ok());
    unlink(&server);
}
