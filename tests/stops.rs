//! Stops under load and at bad moments: each connected client gets a response, and the
//! server ends in time.

use std::net::TcpListener;

use nix::sys::signal::Signal;

use crate::support::certificate::Authority;
use crate::support::client::{Connection, get};
use crate::support::crowd::Crowd;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

#[test]
fn a_stop_resets_no_connected_client() {
    for address in ["127.0.0.1:0", "127.0.0.1:0", "[::1]:0"] {
        for with in PRIVILEGES {
            let setup = Setup::bare().apps().workers(2).flags(&["--bind", address, "stream:route"]);
            let server = with(setup).patient().start();
            let crowd = Crowd::gather(server.address(), 64);
            crowd.wait_for(200);
            server.signal(Signal::SIGTERM);
            assert_eq!(server.wait_for_exit(), 0);
            assert!(!server.log().contains("cannot refuse"), "{}", server.log());
            crowd.disperse();
        }
    }
}

/// With all that the user of the tests may do, and without the capabilities that
/// the kernel asks for to filter packets.
const PRIVILEGES: [fn(Setup) -> Setup; 2] = [|setup| setup, Setup::unprivileged];

#[test]
fn a_reload_that_gives_an_address_up_resets_no_connected_client() {
    for with in PRIVILEGES {
        gives_an_address_up(with, |server| server.signal(Signal::SIGHUP));
    }
}

#[test]
fn an_upgrade_that_gives_an_address_up_resets_no_connected_client() {
    for with in PRIVILEGES {
        gives_an_address_up(with, Server::upgrade);
    }
}

fn gives_an_address_up(with: fn(Setup) -> Setup, by: impl Fn(&Server)) {
    let both = "bind: [\"127.0.0.1:0\", \"unix:kept.sock\"]\nworkers: 2\n";
    let setup = Setup::bare().apps().flag("stream:route").file("monoceros.yaml", both);
    let server = with(setup).patient().start();
    let crowd = Crowd::gather(server.address(), 32);
    crowd.wait_for(100);
    server.directory.write("monoceros.yaml", "bind: unix:kept.sock\nworkers: 2\n");
    by(&server);
    crowd.disperse();
    let kept = Connection::unix(&server.directory.join("kept.sock")).unwrap().get("/");
    assert_eq!(kept.status, 200);
}

/// As many do that stop a server: systemd by default, supervisord with
/// `stopasgroup`, Heroku.
#[test]
fn a_signal_to_all_processes_resets_no_waiting_client() {
    for with in PRIVILEGES {
        let setup = Setup::bare().apps().flags(&["--bind", "127.0.0.1:0", "stream:route"]);
        let server = with(setup).patient().start();
        let (mut busy, writer) = server.occupy("pipe");
        let join = |_| {
            let mut connection = server.connect();
            connection.send(get("/"));
            connection
        };
        let mut waiting: Vec<_> = (0..5).map(join).collect();
        let worker = server.workers()[0];
        // The worker gets the signal first, and the master after the worker has acted.
        server.signal(Signal::SIGSTOP);
        process::signal(worker, Signal::SIGTERM);
        server.signal(Signal::SIGTERM);
        let has_heard = || process::status(worker, "ShdPnd")[0].ends_with("0000");
        until::holds("a worker that has heard", || has_heard() && process::is_asleep(worker));
        waiting.extend((0..5).map(join));
        server.signal(Signal::SIGCONT);
        server.wait_for_log("draining");
        writer.finish();
        assert_eq!(busy.response().status, 200);
        for connection in &mut waiting {
            assert_eq!(connection.response().status, 200);
        }
        assert_eq!(server.wait_for_exit(), 0);
    }
}

/// The time that an init system grants is over while a request runs.
#[test]
fn the_next_server_can_bind_while_a_worker_without_a_master_finishes() {
    for with in PRIVILEGES {
        let setup = Setup::bare().apps().flags(&["--bind", "127.0.0.1:0", "stream:route"]);
        let server = with(setup).start();
        server.allow("the master has gone");
        let (mut busy, writer) = server.occupy("pipe");
        let (worker, address) = (server.workers()[0], server.address());
        server.signal(Signal::SIGTERM);
        server.wait_for_log("draining");
        server.signal(Signal::SIGKILL);
        assert_eq!(server.wait_for_exit(), -9);
        let next = until::some("the address", || TcpListener::bind(address).ok());
        assert!(process::is_alive(worker));
        writer.finish();
        assert_eq!(busy.response().status, 200);
        until::holds("the end of the worker", || !process::is_alive(worker));
        drop(next);
    }
}

const CODE: &str = "
import os
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '1')])
    return [b'x']
";

/// The old worker goes first, and with it the address; the new one fails.
#[test]
fn an_address_that_a_failed_reload_has_given_up_is_served_again() {
    let dies = "os._exit(5)\n";
    let dies_when_forked = "os.register_at_fork(after_in_child=lambda: os._exit(5))\n";
    for (preload, end) in [(false, dies), (true, dies_when_forked)] {
        for with in PRIVILEGES {
            let kept = "bind: unix:kept.sock\nmax-surge: 0\nmax-unavailable: 1\n";
            let kept = format!("{kept}preload: {preload}\n");
            let both = kept.replace("unix:kept.sock", "[\"127.0.0.1:0\", \"unix:kept.sock\"]");
            let setup = Setup::bare().apps().file("changing.py", CODE).flag("--pythonpath=.");
            let setup = setup.flag("changing:application").file("monoceros.yaml", &both);
            let server = with(setup).start();
            let address = server.address();
            for text in ["[ERROR]", "exit code 5"] {
                server.allow(text);
            }
            for round in 1..=2 {
                server.directory.write("changing.py", &format!("{CODE}{end}"));
                server.directory.write("monoceros.yaml", &kept);
                server.signal(Signal::SIGHUP);
                server.wait_for_log_times("reload failed: gen=", round);
                server.directory.write("changing.py", CODE);
                let mut connection = until::some("a connection", || Connection::tcp(address).ok());
                assert_eq!(connection.get("/").status, 200, "{preload}");
            }
        }
    }
}

#[test]
fn a_second_term_ends_the_wait() {
    let server = Setup::of("stream:route").workers(2).start();
    let (_connection, writer) = server.occupy("pipe");
    server.signal(Signal::SIGTERM);
    server.wait_for_workers(1);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    writer.finish();
}

#[test]
fn a_client_that_sends_a_part_of_something_does_not_have_the_worker_killed() {
    let certificate = Authority::new("tests").server(&["localhost"]).issue();
    let flags = ["--bind", "http://127.0.0.1:0", "--bind", "https://[::1]:0"];
    let setup = Setup::bare().apps().flags(&flags).certificate(&certificate);
    let server = setup.flags(&["--graceful-timeout", "8", "stream:route"]).start();
    // A head, an opening of TLS, and a connection that is closed slowly.
    let mut head = Connection::tcp(server.address_of("http")).unwrap();
    head.send("GET / HTTP/1.1\r\nHo");
    let mut hello = Connection::tcp(server.address_of("https")).unwrap();
    hello.send([0x16, 3, 1]);
    let mut closed = Connection::tcp(server.address_of("http")).unwrap();
    closed.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(closed.response().status, 200);
    server.signal(Signal::SIGTERM);
    assert_eq!(head.response().status, 503);
    assert_eq!(server.wait_for_exit(), 0);
    assert!(!server.log().contains("SIGKILL"), "{}", server.log());
}

#[test]
fn a_stop_during_a_reload_waits_for_the_old_workers_as_long_as_the_reload_would() {
    let setup = Setup::of("stream:stubborn").flags(&["--graceful-timeout", "2"]);
    let server = setup.start();
    let (mut connection, writer) = server.occupy("pipe");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("gen=2 serves");
    // The old worker has begun to drain.
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert!(connection.try_response("GET").is_err(), "its worker was killed");
    writer.finish();
}
