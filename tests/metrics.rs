//! The metrics addresses: metrics in both formats, health, the report as JSON; which clients and
//! names are served, what a client can cost, reloads and upgrades. And the paths of metrics and
//! health on the addresses of the application.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;

use nix::sys::signal::Signal;

use crate::support::client::{Connection, Response, request};
use crate::support::need;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, own_ip, python};
use crate::support::until;

/// The line with each address at which metrics are served.
const SERVING: &str = "master: metrics at ";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";

/// Reads a text with Python's parser for its format, and prints the number of samples.
const PARSER: &str = "
import sys
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as text
module = openmetrics if sys.argv[1] == 'openmetrics' else text
families = list(module.text_string_to_metric_families(sys.stdin.read()))
names = [family.name for family in families]
assert len(names) == len(set(names)), names
print(sum(len(family.samples) for family in families))
";

/// A server for an application of the tests, with metrics.
fn measured(application: &str) -> Setup {
    Setup::of(application).flags(&["--metrics", "127.0.0.1:0"])
}

/// The last address at which metrics are served.
fn metrics_address(server: &Server) -> SocketAddr {
    server.wait_for_log(SERVING);
    let log = server.log();
    let (_, after) = log.rsplit_once(SERVING).unwrap();
    after.lines().next().unwrap().parse().unwrap()
}

fn connect(server: &Server) -> Connection {
    Connection::tcp(metrics_address(server)).unwrap()
}

fn fetch(server: &Server, target: &str) -> Response {
    connect(server).get(target)
}

fn send(server: &Server, text: &str) -> Response {
    let mut connection = connect(server);
    connection.send(text);
    connection.response()
}

fn scrape(server: &Server, accept: &str) -> Response {
    send(server, &request("GET", "/metrics", &[("Accept", accept)], ""))
}

/// The samples of a text, by name with labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(parse).collect()
}

fn sample(server: &Server, name: &str) -> Option<f64> {
    samples(&fetch(server, "/metrics").text()).get(name).copied()
}

/// Waits until this many requests are counted. A request is counted when its response is sent, and
/// the client may have it before.
fn wait_for_count(server: &Server, count: f64) {
    let name = "monoceros_request_duration_seconds_count";
    until::holds("the count of requests", || sample(server, name) == Some(count));
}

/// Gives a program this input. Returns what it prints.
fn print_of(program: &mut Command, input: &str) -> Result<String, String> {
    let program = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().map_err(|error| error.to_string())?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).map_err(|error| error.to_string())?;
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = text(&output.stdout) + &text(&output.stderr);
    if output.status.success() { Ok(all) } else { Err(all) }
}

/// Whether `promtool` accepts the text; `None` if it is not installed.
fn check_with_promtool(text: &str) -> Option<Result<String, String>> {
    let finds = Command::new("promtool").arg("--version").output().is_ok();
    finds.then(|| print_of(Command::new("promtool").args(["check", "metrics"]), text))
}

#[test]
fn both_formats_are_what_their_readers_expect() {
    let server = measured("stream:route").workers(2).threads(2).start();
    for _ in 0..10 {
        server.get("/");
    }
    server.get("/missing?secret=1");
    wait_for_count(&server, 11.0);
    let text = scrape(&server, "*/*");
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let open = scrape(&server, OPEN_METRICS);
    let kind = Some("application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(open.header("content-type"), kind);
    assert!(open.text().ends_with("\n# EOF\n"));
    for response in [&text, &open] {
        assert!(!response.text().contains("missing"), "no path is a label");
    }
    let counted = samples(&text.text());
    assert_eq!(counted["monoceros_request_duration_seconds_count"], 11.0);
    assert_eq!(counted["monoceros_request_duration_seconds_bucket{le=\"+Inf\"}"], 11.0);
    assert_eq!(counted["monoceros_workers{state=\"ready\"}"], 2.0);
    assert_eq!(counted["monoceros_application_threads"], 4.0);
    assert_eq!(counted["monoceros_ready"], 1.0);
    assert!(counted["monoceros_worker_resident_memory_bytes{worker=\"1\"}"] > 1e6);
    assert!(counted.keys().any(|key| key.starts_with("monoceros_accept_queue_limit{listener=")));
    assert!(counted.keys().any(|key| key.starts_with("monoceros_build_info{version=\"")));
    if let Some(checked) = check_with_promtool(&text.text()) {
        assert_eq!(checked, Ok(String::new()));
    } else {
        need::met(false, "promtool");
    }
    let has_parser = Command::new(python()).args(["-c", "import prometheus_client"]).output();
    if !need::met(has_parser.unwrap().status.success(), "prometheus_client") {
        return;
    }
    for (format, response) in [("text", &text), ("openmetrics", &open)] {
        let mut parser = Command::new(python());
        let count = print_of(parser.args(["-c", PARSER, format]), &response.text());
        let count: usize = count.unwrap().trim().parse().unwrap();
        assert_eq!(count, samples(&response.text()).len(), "{format}");
    }
}

#[test]
fn the_report_has_the_same_figures_as_the_metrics() {
    let server = measured("stream:route").workers(2).start();
    for _ in 0..5 {
        server.get("/");
    }
    wait_for_count(&server, 5.0);
    let ended = || fetch(&server, "/requests.json").json();
    until::holds("the requests to have ended", || {
        let ended = ended();
        ended.as_array().unwrap().iter().filter(|it| it["status"] == 200).count() == 5
    });
    let report = fetch(&server, "/status.json");
    assert_eq!(report.header("content-type"), Some("application/json"));
    let report = report.json();
    assert_eq!(report["state"], "serving");
    assert_eq!(report["workers"].as_array().unwrap().len(), 2);
    let requests = report["workers"].as_array().unwrap().iter();
    let requests: u64 = requests.map(|worker| worker["requests"].as_u64().unwrap()).sum();
    assert_eq!(requests, 5);
    assert_eq!(ended().as_array().unwrap().len(), 5);
    let (_waits, writer) = server.occupy("pipe");
    let running = fetch(&server, "/requests.json").json();
    assert_eq!((&running[0]["is_running"], &running[0]["method"]), (&true.into(), &"GET".into()));
    assert!(running[0]["target"].as_str().unwrap().contains("pipe"));
    assert_eq!(sample(&server, "monoceros_requests_in_progress"), Some(1.0));
    let summary = fetch(&server, "/status.json").json()["summary"].clone();
    let summary = summary.as_str().unwrap();
    assert!(summary.ends_with(" workers ready, 1 requests running, 5 answered"), "{summary}");
    writer.finish();
}

#[test]
fn health_follows_the_server_from_its_start_to_its_end() {
    let slow = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.005)\n\
                def application(environ, start_response):\n    start_response('200 OK', [])\n    \
                return []\n";
    let setup = Setup::of("slow:application").file("slow.py", slow).flag("--pythonpath=.");
    let setup = setup.flags(&["--metrics", "127.0.0.1:0", "--shutdown-delay", "3600"]);
    let server = setup.spawn();
    assert_eq!(fetch(&server, "/livez").status, 200);
    assert_eq!(fetch(&server, "/readyz").status, 503);
    assert_eq!(sample(&server, "monoceros_workers{state=\"booting\"}"), Some(1.0));
    fs::write(server.directory.join("go"), "").unwrap();
    server.wait_until_ready();
    assert_eq!(fetch(&server, "/readyz").status, 200);
    server.signal(Signal::SIGTERM);
    server.wait_for_log("serving for 3600 s more, then stopping");
    assert_eq!(fetch(&server, "/readyz").status, 503);
    assert_eq!(fetch(&server, "/livez").status, 200);
    assert_eq!(server.get("/").status, 200);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
}

#[test]
fn what_shows_requests_is_sent_under_safe_names_only() {
    let server = measured("stream:route").start();
    let port = metrics_address(&server).port();
    for (target, host, status) in [
        ("/status.json", format!("127.0.0.1:{port}"), 200),
        ("/status.json", format!("localhost:{port}"), 200),
        ("/status.json", "evil.example".to_owned(), 421),
        ("/requests.json", "127.0.0.1.evil.example".to_owned(), 421),
        ("/", "evil.example".to_owned(), 421),
        ("/metrics", "shop.internal".to_owned(), 200),
        ("/livez", "shop.internal".to_owned(), 200),
        ("/readyz", "shop.internal".to_owned(), 200),
    ] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let response = send(&server, &text);
        assert_eq!(response.status, status, "{target} {host}");
        assert_eq!(response.header("access-control-allow-origin"), None);
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let policy = response.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'"), "{policy}");
    }
    let mut connection = connect(&server);
    connection.send("HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(connection.try_response("HEAD").unwrap().status, 200);
}

#[test]
fn a_client_that_is_not_allowed_is_closed_before_a_byte_is_read() {
    let allowed = measured("stream:route").flags(&["--metrics-allow", "127.0.0.0/8"]).start();
    assert_eq!(fetch(&allowed, "/livez").status, 200);
    let server = measured("stream:route").flags(&["--metrics-allow", "192.0.2.0/24"]).start();
    server.allow("not in metrics-allow");
    for _ in 0..3 {
        connect(&server).assert_closed();
    }
    server.wait_for_log("closed 1 connection to a metrics address, the last one from 127.0.0.1");
    assert_eq!(server.log().matches("not in metrics-allow").count(), 1, "{}", server.log());
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_unix_socket_is_served_and_removed_at_the_end() {
    let setup = Setup::of("stream:route").flags(&["--metrics", "unix:metrics.sock"]);
    let server = setup.start();
    let path = server.directory.join("metrics.sock");
    let mut connection = Connection::unix(&path).unwrap();
    assert_eq!(connection.get("/metrics").status, 200);
    // No site can have a browser connect to it.
    connection.send("GET /status.json HTTP/1.1\r\nHost: any.example\r\n\r\n");
    assert_eq!(connection.response().status, 200);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert!(!path.exists());
}

#[test]
fn what_is_not_served_is_refused() {
    let server = measured("stream:route").start();
    let head = |field: &str| format!("GET /livez HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
    for (text, status) in [
        ("POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 405),
        ("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 405),
        (head("Content-Length: 5"), 413),
        (head("Transfer-Encoding: chunked"), 413),
        (head("Host: b"), 400),
        (head(&format!("A: {}", "b".repeat(5000))), 431),
        (head("A: b\r\n").replace("A: b\r\n", &"A: b\r\n".repeat(80)), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(5000)), 414),
        ("GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_owned(), 404),
    ] {
        let mut connection = connect(&server);
        connection.send(&text);
        let response = connection.response();
        assert_eq!(response.status, status, "{text:.60}");
        assert_eq!(response.closes(), status != 404);
        if response.closes() {
            connection.assert_closed();
        }
    }
}

#[test]
fn pipelined_requests_get_their_responses_in_order() {
    let server = measured("stream:route").start();
    let mut connection = connect(&server);
    let targets = ["/livez", "/metrics", "/nothing", "/readyz"];
    let one = |target: &&str| format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let all: String = targets.iter().map(one).collect();
    connection.send(all.repeat(20));
    for _ in 0..20 {
        let statuses = [(); 4].map(|()| connection.response().status);
        assert_eq!(statuses, [200, 200, 404, 200]);
    }
    assert!(connection.is_open());
}

#[test]
fn silent_slow_and_greedy_clients_keep_no_other_from_being_served() {
    let server = measured("stream:route").start();
    let mut silent: Vec<_> = (0..100).map(|_| connect(&server)).collect();
    for (number, connection) in silent.iter_mut().enumerate() {
        // Some may have made room for others already.
        let begun = ["", "GET", "GET /metrics HTTP/1.1\r\nHost:"][number % 3];
        connection.send_if_taken(begun).ok();
    }
    assert_eq!(fetch(&server, "/livez").status, 200);
    // The longest silent one has made room.
    silent[0].assert_closed();
    let mut greedy: Vec<_> = (0..10).map(|_| connect(&server)).collect();
    for connection in &mut greedy {
        let request = request("GET", "/metrics", &[], "");
        connection.send_if_taken(request.repeat(200)).ok();
    }
    assert_eq!(fetch(&server, "/readyz").status, 200);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_start_at_an_address_in_use_fails() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = Setup::of("stream:route").flags(&["--metrics", &address]).run();
    assert_eq!(finished.code, Some(1));
    let expected = format!("cannot bind {address}: address already in use");
    assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
}

/// Writes the settings of a server, and reloads it.
fn reload(server: &Server, path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    server.signal(Signal::SIGHUP);
}

#[test]
fn a_reload_opens_and_closes_addresses_and_keeps_them_if_it_fails() {
    let setup = Setup::of("stream:route").file("shop.yaml", "metrics: 127.0.0.1:0\n");
    let server = setup.flags(&["--config", "shop.yaml"]).start();
    let path = server.directory.join("shop.yaml");
    let first = metrics_address(&server);
    let mut kept = Connection::tcp(first).unwrap();
    assert_eq!(kept.get("/livez").status, 200);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = taken.local_addr().unwrap();
    server.allow("address already in use");
    server.allow("reload");
    reload(&server, &path, &format!("metrics: [\"127.0.0.1:0\", \"{in_use}\"]\n"));
    server.wait_for_log(&format!("cannot bind {in_use}: address already in use"));
    assert_eq!(Connection::tcp(first).unwrap().get("/livez").status, 200);
    let before = server.workers();
    reload(&server, &path, "metrics: [\"127.0.0.1:0\", \"unix:metrics.sock\"]\n");
    server.wait_for_new_workers(&before, 1);
    let socket = server.directory.join("metrics.sock");
    assert_eq!(Connection::unix(&socket).unwrap().get("/readyz").status, 200);
    assert_eq!(kept.get("/livez").status, 200, "an address that stays keeps its connections");
    let before = server.workers();
    reload(&server, &path, "metrics: none\n");
    server.wait_for_new_workers(&before, 1);
    until::holds("the addresses to be closed", || {
        Connection::tcp(first).is_err() && !socket.exists()
    });
}

#[test]
fn an_upgrade_passes_the_addresses_on_without_losing_a_scrape() {
    let setup = Setup::of("stream:route").workers(2).patient().flags(&[
        "--metrics",
        "127.0.0.1:0",
        "--metrics",
        "unix:metrics.sock",
        "--metrics-path",
        "/metrics",
    ]);
    let server = setup.start();
    let socket = server.directory.join("metrics.sock");
    let log = server.log();
    let (_, after) = log.split_once(SERVING).unwrap();
    let address: SocketAddr = after.lines().next().unwrap().parse().unwrap();
    server.allow("metrics-path");
    for _ in 0..2 {
        let (stop, stopped) = channel::<()>();
        // Connections are accepted all the time, also just before they are passed on.
        let over = Arc::new(AtomicBool::new(false));
        let probes = [(); 3].map(|()| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(Connection::tcp(address).unwrap().get("/livez").status, 200);
                }
            })
        });
        let application = server.address();
        let scraper = thread::spawn(move || {
            let (mut count, mut last) = (0, 0.0);
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                assert_eq!(Connection::tcp(application).unwrap().get("/").status, 200);
                let response = Connection::tcp(address).unwrap().get("/metrics");
                assert_eq!(response.status, 200);
                let other = Connection::tcp(application).unwrap().get("/metrics");
                // The old master does not reply any more, or the new one not yet.
                let other = Some(other).filter(|it| it.status != 503);
                for response in [Some(response), other].into_iter().flatten() {
                    let text = response.text();
                    let now = samples(&text)["monoceros_request_duration_seconds_count"];
                    assert!(now >= last, "{last} goes back to {now}");
                    last = now;
                }
                count += 1;
            }
            count
        });
        server.upgrade();
        drop(stop);
        over.store(true, Ordering::Relaxed);
        assert!(scraper.join().unwrap() > 0);
        probes.into_iter().for_each(|probe| probe.join().unwrap());
        assert_eq!(Connection::unix(&socket).unwrap().get("/readyz").status, 200);
    }
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert!(!socket.exists());
}

#[test]
fn the_paths_on_the_applications_addresses_need_no_application_thread() {
    let setup = Setup::of("stream:route").flags(&[
        "--metrics-path",
        "/metrics",
        "--health-path",
        "/healthz",
        "--access",
        "deny=all;path=/healthz",
        "--shutdown-delay",
        "3600",
    ]);
    let server = setup.start();
    let mut kept = server.connect();
    assert_eq!(kept.get("/healthz").status, 200);
    let (_waits, writer) = server.occupy("pipe");
    for _ in 0..3 {
        assert_eq!(server.get("/healthz").status, 200);
        let metrics = server.ask(request("GET", "/metrics", &[("Accept", OPEN_METRICS)], ""));
        assert_eq!(metrics.status, 200);
        assert!(metrics.text().ends_with("# EOF\n"));
        assert_eq!(samples(&metrics.text())["monoceros_requests_in_progress"], 1.0);
    }
    let text = server.get("/metrics");
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(server.ask(request("POST", "/healthz", &[], "")).status, 405);
    let mut connection = server.connect();
    connection.send(request("HEAD", "/healthz", &[], ""));
    assert_eq!(connection.try_response("HEAD").unwrap().status, 200);
    server.signal(Signal::SIGTERM);
    server.wait_for_log("serving for 3600 s more, then stopping");
    until::holds("the health path to change", || kept.get("/healthz").status == 503);
    assert_eq!(server.get("/metrics").status, 200);
    writer.finish();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
}

#[test]
fn the_metrics_path_is_for_this_machine_or_for_the_clients_of_the_list() {
    let (real, list) = (["--real-ip", "x-forwarded-for"], ["--metrics-allow", "192.0.2.0/24"]);
    for (flags, client, status) in [
        // Without the setting the header is not believed, but shows that there is a proxy.
        (&[][..], "127.0.0.1", 404),
        (&real, "127.0.0.1", 200),
        (&real, "192.0.2.1", 404),
        (&[real, list].concat(), "192.0.2.1", 200),
        (&[real, list].concat(), "198.51.100.1", 404),
    ] {
        let setup = Setup::of("stream:route").flags(&["--metrics-path", "/metrics"]);
        let server = setup.flags(flags).start();
        server.allow("metrics-allow");
        let fields = [("X-Forwarded-For", client)];
        let response = server.ask(request("GET", "/metrics", &fields, ""));
        assert_eq!(response.status, status, "{flags:?} {client}");
    }
}

#[test]
fn a_master_that_does_not_reply_costs_the_client_a_response() {
    let server = Setup::of("stream:route").flags(&["--metrics-path", "/metrics"]).start();
    server.allow("metrics-path");
    process::signal(server.pid(), Signal::SIGSTOP);
    assert_eq!(server.get("/metrics").status, 503);
    assert_eq!(server.get("/").status, 200);
    process::signal(server.pid(), Signal::SIGCONT);
    until::holds("metrics again", || server.get("/metrics").status == 200);
}

#[test]
fn metrics_are_served_at_any_address_of_the_machine() {
    let server = Setup::of("stream:route").flags(&["--metrics", "0.0.0.0:0"]).start();
    let address = SocketAddr::from((own_ip(), metrics_address(&server).port()));
    assert_eq!(Connection::tcp(address).unwrap().get("/metrics").status, 200);
}
