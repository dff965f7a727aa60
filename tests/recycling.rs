//! Workers that are recycled: after a number of requests, after a time, or above a limit of
//! memory.

use nix::sys::signal::Signal;

use crate::support::load::Load;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// The number of log lines about workers that are due.
fn due(server: &Server) -> usize {
    server.log().matches(" is due: ").count()
}

/// In the order of the log there is never a second worker on its way out before
/// the first one has been replaced.
fn assert_one_at_a_time(server: &Server) {
    let (mut ready, mut left) = (0, 0);
    for line in server.log().lines() {
        ready += usize::from(line.contains(" ready") && line.contains("worker="));
        left += usize::from(line.contains(" left: "));
        assert!(left <= ready, "{}", server.log());
    }
}

#[test]
fn after_max_requests_a_worker_is_replaced_and_no_client_sees_it() {
    let flags = ["--max-requests", "30", "--max-requests-jitter", "10"];
    let server = Setup::of("stream:route").workers(2).patient().flags(&flags).start();
    let old = server.workers();
    let load = Load::start(server.address(), 4);
    until::holds("other workers", || {
        load.proceed(10);
        server.workers().iter().all(|worker| !old.contains(worker))
    });
    // More than may have been answered by the old ones without having been counted.
    load.proceed(10);
    let seen = load.finish();
    assert!(seen.len() >= 3, "workers of two rounds have answered: {seen:?}");
    assert!(due(&server) >= 2 && server.log().contains("requests"), "{}", server.log());
    assert_one_at_a_time(&server);
}

#[test]
fn without_a_limit_no_worker_is_replaced() {
    let server = Setup::of("stream:route").workers(2).start();
    let old = server.workers();
    let load = Load::start(server.address(), 4);
    load.proceed(200);
    load.finish();
    assert_eq!((server.workers(), due(&server)), (old, 0));
}

#[test]
fn after_max_lifetime_a_worker_is_replaced_also_a_forked_one() {
    for flags in [&[][..], &["--preload"]] {
        let server = Setup::of("stream:route").workers(2).patient().flags(&["--max-lifetime", "1"]);
        let server = server.flags(flags).start();
        let load = Load::start(server.address(), 2);
        server.wait_for_log_times("is due: max-lifetime", 3);
        load.finish();
        assert_one_at_a_time(&server);
    }
}

/// Keeps what it is asked for, until it has enough or is asked to stop that.
pub(crate) const LEAK: &str = "
import os
kept = []

def application(environ, start_response):
    if len(kept) < 100 and not os.path.exists('tight'):
        kept.append(bytearray(1 << 20))
    body = str(os.getpid()).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

#[test]
fn a_worker_with_too_much_memory_is_replaced() {
    let setup = Setup::of("leak:application").file("leak.py", LEAK);
    let server = setup.patient().flags(&["--pythonpath=.", "--max-rss", "60M"]).start();
    let old = server.workers();
    let load = Load::start(server.address(), 2);
    load.proceed(100);
    server.directory.write("tight", "");
    until::holds("another worker", || server.workers().iter().all(|it| !old.contains(it)));
    load.finish();
    assert!(server.log().contains("MiB of memory"), "{}", server.log());
}

#[test]
fn limits_of_a_reload_apply_to_the_workers_that_it_starts() {
    let setup = Setup::of("stream:route").file("monoceros.yaml", "max-requests: 0\n");
    let server = setup.patient().start();
    server.directory.write("monoceros.yaml", "max-requests: 20\n");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded: gen=2 serves");
    let load = Load::start(server.address(), 2);
    server.wait_for_log("is due: ");
    load.finish();
}
