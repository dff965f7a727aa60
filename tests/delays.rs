//! `shutdown-delay`: a server that is to stop serves as before, until load balancers know
//! it. The delay is an hour in tests that end it themselves.

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::support::crowd::Crowd;
use crate::support::environment;
use crate::support::init::Init;
use crate::support::load::Load;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, apps, program, python};
use crate::support::until;

const HOUR: [&str; 2] = ["--shutdown-delay", "3600"];
const BEGUN: &str = "serving for 3600 s more, then stopping";

/// Sends SIGTERM, and returns when the delay has begun.
fn announce_stop(server: &Server) {
    server.signal(Signal::SIGTERM);
    server.wait_for_log(BEGUN);
}

/// Ends the delay: the server drains, and exits with 0.
fn end_delay(server: &Server) {
    assert!(!server.log().contains("draining"), "{}", server.log());
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert!(server.log().contains("draining"), "{}", server.log());
}

#[test]
fn clients_that_come_after_the_signal_are_served_as_before() {
    let server = Setup::of("stream:route").flags(&HOUR).workers(2).start();
    let (mut busy, writer) = server.occupy("pipe");
    let mut kept = server.connect();
    assert!(!kept.get("/").closes());
    announce_stop(&server);
    for _ in 0..3 {
        assert!(!kept.get("/").closes(), "the connection is kept");
        let answer = server.get("/");
        assert_eq!((answer.status, answer.closes()), (200, false));
    }
    writer.finish();
    assert!(!busy.response().closes());
    end_delay(&server);
    kept.assert_closed();
}

#[test]
fn a_health_check_fails_during_the_delay_also_at_a_worker_that_is_started_in_it() {
    for more in [&[][..], &["--preload"]] {
        let flags = ["--health-path", "/healthz"];
        let server = Setup::of("stream:route").flags(&HOUR).flags(&flags).flags(more).start();
        server.allow("died:");
        let mut kept = server.connect();
        assert_eq!(kept.get("/healthz").status, 200);
        announce_stop(&server);
        until::holds("a health check that fails", || server.get("/healthz").status == 503);
        assert_eq!(kept.get("/healthz").status, 503, "also on a connection from before");
        assert_eq!((kept.get("/").status, server.get("/").status), (200, 200));
        let old = server.workers();
        let worker = *old.last().unwrap();
        process::signal(worker, Signal::SIGKILL);
        server.wait_for_replacement(&old);
        assert_eq!(server.get("/").status, 200);
        until::holds("a health check that fails", || server.get("/healthz").status == 503);
        end_delay(&server);
    }
}

#[test]
fn no_connected_client_is_reset_when_the_delay_ends() {
    for with in [|setup| setup, Setup::unprivileged] {
        let setup = Setup::bare().apps().workers(2).flags(&["--bind", "127.0.0.1:0"]);
        let setup = setup.flags(&["--shutdown-delay", "1", "stream:route"]);
        let server = with(setup).patient().start();
        let crowd = Crowd::gather(server.address(), 32);
        crowd.wait_for(100);
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait_for_exit(), 0);
        crowd.disperse();
        let log = server.log();
        let (before, after) = log.split_once("serving for 1 s more, then stopping").unwrap();
        assert!(!before.contains("draining") && after.contains("draining"), "{log}");
    }
}

#[test]
fn int_or_a_third_term_stops_a_delayed_server_at_once() {
    let signals: [&[Signal]; 2] = [&[Signal::SIGINT], &[Signal::SIGTERM, Signal::SIGTERM]];
    for signals in signals {
        let server = Setup::of("stream:route").flags(&HOUR).start();
        let (mut busy, writer) = server.occupy("pipe");
        announce_stop(&server);
        for signal in signals {
            server.signal(*signal);
            if *signal == Signal::SIGTERM {
                server.wait_for_log("draining");
            }
        }
        assert_eq!(server.wait_for_exit(), 0);
        assert!(busy.try_response("GET").is_err(), "it was not waited for");
        writer.finish();
    }
}

#[test]
fn workers_that_die_or_are_stopped_one_by_one_are_replaced() {
    let server = Setup::of("stream:route").flags(&HOUR).workers(2).start();
    server.allow("died:");
    announce_stop(&server);
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let old = server.workers();
        process::signal(old[0], signal);
        server.wait_for_replacement(&old);
        assert_eq!(server.get("/").status, 200);
    }
    end_delay(&server);
}

/// As supervisord with `stopasgroup`, and a terminal that is closed, do.
#[test]
fn a_signal_to_all_processes_loses_nothing() {
    let server = Setup::of("stream:route").flags(&HOUR).workers(2).patient().start();
    server.allow("died:");
    let load = Load::start(server.address(), 4);
    load.proceed(100);
    let old = server.workers();
    old.iter().for_each(|worker| process::signal(*worker, Signal::SIGTERM));
    announce_stop(&server);
    server.wait_for_new_workers(&old, 2);
    load.proceed(100);
    load.finish();
    end_delay(&server);
}

#[test]
fn programs_get_the_signal_when_the_delay_is_over() {
    let (python, script) = (python(), apps("programs").join("threads.py"));
    let words = [python.to_str().unwrap(), script.to_str().unwrap()];
    let server = Setup::program(&words).flags(&["--ready-after", "notify"]).flags(&HOUR).start();
    let workers = server.workers();
    announce_stop(&server);
    let load = Load::start(server.address(), 2);
    load.proceed(50);
    load.finish();
    assert_eq!(server.workers(), workers);
    end_delay(&server);
}

fn command(server: &Server, words: &[&str]) -> Command {
    let mut command = Command::new(program());
    environment::clear(&mut command).args(words).arg(server.pid().to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(server: &Server, words: &[&str]) -> (i32, String) {
    let output = command(server, words).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn other_commands_are_refused_in_the_delay_and_a_stop_waits_for_it() {
    let server = Setup::of("stream:route").flags(&HOUR).start();
    let stop = command(&server, &["stop"]).spawn().unwrap();
    server.wait_for_log(BEGUN);
    // A second one does not hurry.
    let (code, text) = run(&server, &["stop", "--timeout", "3s"]);
    assert!(code == 1 && text.contains("is not gone within --timeout"), "{text}");
    let (code, text) = run(&server, &["status"]);
    assert!(code == 0 && text.contains("; stopping after shutdown-delay"), "{text}");
    assert!(text.contains("1 of 1 workers ready"), "{text}");
    for words in [["reload"], ["upgrade"]] {
        let (code, text) = run(&server, &words);
        assert!(code == 1 && text.contains("the server is stopping"), "{text}");
    }
    for signal in [Signal::SIGHUP, Signal::SIGUSR2] {
        let line = "[WARNING] master: the server is stopping: no reload, upgrade";
        let before = server.log().matches(line).count();
        server.signal(signal);
        server.wait_for_log_times(line, before + 1);
    }
    assert_eq!(server.get("/").status, 200);
    end_delay(&server);
    assert!(stop.wait_with_output().unwrap().status.success());
}

#[test]
fn the_init_system_is_notified_of_the_stop_when_the_delay_begins() {
    let init = Init::at_name();
    let setup = Setup::of("stream:route").flags(&HOUR).variable("NOTIFY_SOCKET", &init.address);
    let server = setup.start();
    let from = init.wait_for(0, "READY", |value| value == "1").0 + 1;
    announce_stop(&server);
    let (at, _) = init.wait_for(from, "STOPPING", |value| value == "1");
    let longer = |usec: &str| usec.parse::<u64>().unwrap() > 3_630_000_000;
    init.wait_for(at, "EXTEND_TIMEOUT_USEC", longer);
    init.wait_for(at, "STATUS", |line| line.contains("stopping after shutdown-delay"));
    end_delay(&server);
    init.wait_for(at, "STATUS", |line| line == "draining");
    assert_eq!(init.times("STOPPING", from, init.count()), 1);
    assert_eq!(init.times("READY", from, init.count()), 0);
}

/// Imports until the file `go` appears in its directory.
const SLOW: &str = "
import os, time
while not os.path.exists('go'):
    time.sleep(0.005)
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '1')])
    return [b'x']
";

fn slow() -> Setup {
    let setup = Setup::of("slow:application").file("slow.py", SLOW).flag("--pythonpath=.");
    setup.flags(&HOUR)
}

#[test]
fn a_reload_that_has_begun_goes_on() {
    let server = slow().file("go", "").start();
    std::fs::remove_file(server.directory.join("go")).unwrap();
    server.signal(Signal::SIGHUP);
    server.wait_for_log("gen=2 replaces gen=1");
    announce_stop(&server);
    assert_eq!(server.get("/").status, 200);
    server.directory.write("go", "");
    server.wait_for_log("reloaded: gen=2 serves");
    assert_eq!(server.get("/").status, 200);
    end_delay(&server);
}

#[test]
fn an_upgrade_that_has_begun_is_ended() {
    let server = slow().file("go", "").start();
    std::fs::remove_file(server.directory.join("go")).unwrap();
    server.signal(Signal::SIGUSR2);
    let new = server.named_master();
    announce_stop(&server);
    until::holds("the end of the new master", || !process::is_alive(new));
    assert_eq!(server.get("/").status, 200);
    end_delay(&server);
}

#[test]
fn a_server_that_does_not_serve_yet_stops_at_once() {
    let server = slow().spawn();
    until::holds("a worker", || !server.workers().is_empty());
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert!(!server.log().contains(BEGUN), "{}", server.log());
}

#[test]
fn a_reload_changes_it() {
    let setup = Setup::of("stream:route").file("monoceros.yaml", "shutdown-delay: 3600\n");
    let server = setup.start();
    server.directory.write("monoceros.yaml", "shutdown-delay: 0\n");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("gen=2 serves");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert!(!server.log().contains(BEGUN), "{}", server.log());
}
