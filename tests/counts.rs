//! What the server counts, compared with what its clients have counted: over workers that are
//! killed or recycled, reloads and upgrades.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::certificate::Authority;
use crate::support::client::{Connection, get};
use crate::support::environment;
use crate::support::load::Load;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, program};
use crate::support::tls::TlsClient;
use crate::support::until;

const RESPONDS: &str = "
def application(environ, start_response):
    status = environ['PATH_INFO'][1:] or '200'
    start_response(status + ' Fine', [('Content-Length', '5')])
    return [b'hello']
";

/// The report of the server that has this pid file; `None` while it is replaced.
fn report_of(directory: &Path) -> Option<Value> {
    let mut command = Command::new(program());
    environment::clear(&mut command).args(["status", "--json"]);
    command.current_dir(directory).env("MONOCEROS_PID", "master.pid");
    serde_json::from_slice(&command.output().unwrap().stdout).ok()
}

/// A server that has a pid file.
fn findable(setup: Setup) -> Setup {
    setup.flags(&["--pid", "master.pid"])
}

/// The report of a server that serves.
fn report(server: &Server) -> Value {
    until::some("a report", || report_of(server.directory.path()))
}

/// A figure of the report; 0 if it is left out.
fn figure(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

fn sum(report: &Value, path: &str) -> u64 {
    let counts = report.pointer(path).and_then(Value::as_object);
    counts.map_or(0, |counts| counts.values().filter_map(Value::as_u64).sum())
}

/// Waits until a figure has this value. A request is counted when its response has been sent,
/// and bytes a moment later.
fn wait_for(server: &Server, path: &str, value: u64) -> Value {
    until::some(&format!("{path} to be {value}"), || {
        let report = report(server);
        let found = figure(&report, path);
        assert!(found <= value, "{path} is {found} instead of {value}");
        (found == value).then_some(report)
    })
}

/// The figures below a value that must not become smaller, by their paths.
fn counts(value: &Value, path: &str, into: &mut BTreeMap<String, f64>) {
    match value {
        Value::Number(number) => drop(into.insert(path.to_owned(), number.as_f64().unwrap())),
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| counts(value, &format!("{path}/{name}"), into));
        }
        // A bucket of a histogram: its end, and its count.
        Value::Array(items) => items.iter().for_each(|item| match item.as_array() {
            Some(pair) => counts(&pair[1], &format!("{path}/{}", pair[0]), into),
            None => panic!("{path} has {item}"),
        }),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// A reader that asks for reports without a pause, and compares each with the one before.
struct Reader {
    stop: Arc<AtomicBool>,
    reports: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Reader {
    fn start(server: &Server) -> Self {
        let (stop, reports) = <(Arc<AtomicBool>, Arc<AtomicU64>)>::default();
        let directory = server.directory.path().to_owned();
        let (ends, counter) = (Arc::clone(&stop), Arc::clone(&reports));
        let thread = thread::spawn(move || read(&directory, &ends, &counter));
        Self { stop, reports, thread }
    }

    /// Waits until further reports were read.
    fn proceed(&self) {
        let goal = self.reports.load(Ordering::Relaxed) + 2;
        let reached = || self.reports.load(Ordering::Relaxed) >= goal;
        until::holds("further reports", || reached() || self.thread.is_finished());
    }

    fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn read(directory: &Path, stop: &AtomicBool, reports: &AtomicU64) {
    let mut before = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        let Some(report) = report_of(directory) else { continue };
        let mut now = BTreeMap::new();
        counts(&report["totals"], "", &mut now);
        for (path, count) in &before {
            let found = now.get(path).copied().unwrap_or(f64::NAN);
            assert!(found >= *count, "{path} goes back from {count} to {found}: {report}");
        }
        before = now;
        reports.fetch_add(1, Ordering::Relaxed);
    }
}

/// Each worker that was started lives or has ended.
fn assert_workers_add_up(report: &Value) {
    let living = report["workers"].as_array().unwrap().len() as u64;
    let ended = sum(report, "/totals/exits");
    assert_eq!(figure(report, "/totals/spawns"), living + ended, "{report}");
}

#[test]
fn every_response_is_counted_over_recycling_reloads_and_upgrades_and_no_count_goes_back() {
    let flags = ["--max-requests", "150", "--max-requests-jitter", "50"];
    let setup = findable(Setup::of("stream:route").workers(2).patient().flags(&flags));
    let server = setup.start();
    let (reader, load) = (Reader::start(&server), Load::start(server.address(), 4));
    for round in 1..=3 {
        load.proceed(100);
        server.signal(Signal::SIGHUP);
        server.wait_for_log_times("] master: reloaded", round);
        load.proceed(100);
        server.upgrade();
        load.proceed(100);
        reader.proceed();
    }
    until::holds("a recycled worker", || {
        load.proceed(50);
        figure(&report(&server), "/totals/exits/max-requests") > 0
    });
    let answered = load.count();
    reader.finish();
    server.wait_for_workers(2);
    let seen = wait_for(&server, "/totals/requests/200", answered);
    let count = |path: &str| figure(&seen, &format!("/totals/{path}"));
    assert_eq!(sum(&seen, "/totals/requests"), answered, "no other status: {seen}");
    assert_eq!((count("reloads/done"), count("upgrades/done")), (3, 3), "{seen}");
    assert!(count("exits/reload") >= 6 && count("boots") >= 2 * 7, "{seen}");
    assert!(count("connections") >= 4, "{seen}");
    let buckets = seen["totals"]["duration"]["buckets"].as_array().unwrap();
    let durations: u64 = buckets.iter().map(|bucket| bucket[1].as_u64().unwrap()).sum();
    assert_eq!(durations, answered);
    let changes: Vec<_> = seen["changes"].as_array().unwrap().iter().collect();
    let kinds: Vec<_> = changes.iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["upgrade", "reload", "upgrade", "reload", "upgrade", "reload"]);
    assert!(changes.iter().all(|it| it["outcome"] == "done"), "{changes:?}");
    let settled = until::some("the end of all old workers", || {
        let seen = report(&server);
        (seen["workers"].as_array().unwrap().len() == 2).then_some(seen)
    });
    assert!(figure(&settled, "/totals/exits/upgrade") >= 6, "{settled}");
    assert_workers_add_up(&settled);
}

/// Clients that go on after a failure. Returns how many responses they got.
struct Survivors {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Survivors {
    fn start(server: &Server, count: usize) -> Self {
        let (stop, answered) = <(Arc<AtomicBool>, Arc<AtomicU64>)>::default();
        let address = server.address();
        let clients = (0..count).map(|_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let response = Connection::tcp(address).and_then(|mut connection| {
                        connection.send_if_taken(get("/"))?;
                        connection.try_response("GET")
                    });
                    if response.is_ok_and(|response| response.status == 200) {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        let clients = clients.collect();
        Self { stop, answered, clients }
    }

    fn proceed(&self, count: u64) {
        let goal = self.answered.load(Ordering::Relaxed) + count;
        until::holds("answers", || self.answered.load(Ordering::Relaxed) >= goal);
    }

    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        self.answered.load(Ordering::Relaxed)
    }
}

#[test]
fn after_kills_only_requests_may_be_missing_that_the_killed_workers_had() {
    const CLIENTS: usize = 4;
    const KILLS: u64 = 3;
    let server = findable(Setup::of("stream:route").workers(2)).start();
    for text in ["SIGKILL", "out of memory"] {
        server.allow(text);
    }
    let (reader, clients) = (Reader::start(&server), Survivors::start(&server, CLIENTS));
    for _ in 0..KILLS {
        clients.proceed(50);
        let old = server.workers();
        process::signal(old[0], Signal::SIGKILL);
        server.wait_for_replacement(&old);
    }
    clients.proceed(50);
    let answered = clients.finish();
    reader.proceed();
    reader.finish();
    server.wait_for_workers(2);
    // Each client has one request at a time.
    let most = KILLS * CLIENTS as u64;
    let near = |report: &Value| {
        let counted = figure(report, "/totals/requests/200");
        counted.abs_diff(answered) <= most
    };
    let seen = until::some("all counts", || Some(report(&server)).filter(near));
    let exits = |name: &str| figure(&seen, &format!("/totals/exits/{name}"));
    assert_eq!(exits("SIGKILL") + exits("out-of-memory"), KILLS, "{seen}");
    assert_workers_add_up(&seen);
}

#[test]
fn responses_are_counted_by_status_and_unregistered_ones_by_class() {
    let setup = Setup::of("responds:application").file("responds.py", RESPONDS);
    let server = findable(setup.flag("--pythonpath=.")).start();
    for status in ["200", "200", "299", "404", "418", "499", "503", "599"] {
        assert_eq!(server.get(&format!("/{status}")).text(), "hello");
    }
    // A response of the server itself.
    assert_eq!(server.ask("GET / HTTP/1.1\r\n\r\n").status, 400);
    let report = wait_for(&server, "/totals/requests/400", 1);
    let expected = [
        ("200", 2),
        ("2xx", 1),
        ("400", 1),
        ("404", 1),
        ("418", 1),
        ("4xx", 1),
        ("503", 1),
        ("5xx", 1),
    ];
    let expected: Value =
        expected.into_iter().map(|(name, count)| (name.to_owned(), Value::from(count))).collect();
    assert_eq!(report["totals"]["requests"], expected);
    assert_eq!(report["totals"]["refused"]["refused"], 1);
    assert_eq!(
        (figure(&report, "/workers/0/requests"), figure(&report, "/workers/0/errors")),
        (8, 2)
    );
}

#[test]
fn connections_are_shown_by_listener_and_state() {
    let server = findable(Setup::of("stream:route")).start();
    let address = server.address().to_string();
    let (mut busy, writer) = server.occupy("pipe");
    let open = |state: &str| figure(&report(&server), &format!("/listeners/0/connections/{state}"));
    until::holds("an active connection", || open("active") == 1);
    let seen = report(&server);
    assert_eq!(seen["listeners"][0]["address"], address.as_str());
    assert_eq!(figure(&seen, "/workers/0/in_progress"), 1);
    let running = &seen["workers"][0]["running"][0];
    assert_eq!((&running["method"], &running["is_running"]), (&"GET".into(), &true.into()));
    assert!(running["target"].as_str().unwrap().starts_with("/wait?pipe="), "{running}");
    assert_eq!((&seen["state"], &seen["is_ready"]), (&"serving".into(), &true.into()));
    writer.finish();
    busy.response();
    until::holds("an idle connection", || open("idle") == 1);
    let seen = report(&server);
    assert_eq!(figure(&seen, "/listeners/0/accepted"), 1);
    assert_eq!(figure(&seen, "/totals/connections"), 1);
    assert_eq!(seen["totals"]["accepted"][&address], 1);
    drop(busy);
    until::holds("no connection", || open("idle") == 0);
}

#[test]
fn bytes_are_counted_as_the_client_has_them() {
    let server = findable(Setup::of("stream:route")).start();
    let (mut sent, mut received) = (0, 0);
    for body in ["", "hello"] {
        let length = body.len();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let mut connection = server.connect();
        connection.send(&request);
        sent += request.len() as u64;
        received += connection.rest().unwrap().len() as u64;
    }
    let report = wait_for(&server, "/totals/sent", received);
    assert_eq!(figure(&report, "/totals/received"), sent);
}

#[test]
fn the_queue_time_of_a_new_connection_begins_before_it_is_accepted() {
    let server = findable(Setup::of("stream:route")).start();
    let (mut busy, writer) = server.occupy("pipe");
    let mut waiting = server.connect();
    let begun = Instant::now();
    waiting.send(get("/"));
    until::passes(Duration::from_millis(300));
    assert_eq!(figure(&report(&server), "/totals/connections"), 1, "the other one is not accepted");
    let waited = begun.elapsed();
    writer.finish();
    assert_eq!((busy.response().status, waiting.response().status), (200, 200));
    let seen = wait_for(&server, "/totals/requests/200", 2);
    // The kernel counts in ticks.
    let least = waited.saturating_sub(Duration::from_millis(20)).as_micros();
    assert!(u128::from(figure(&seen, "/totals/queue/sum_us")) >= least, "{seen}");
}

#[test]
fn handshakes_are_counted_by_their_result() {
    let authority = Authority::new("tests");
    let certificate = authority.server(&["localhost"]).issue();
    let setup = findable(Setup::of("environ").certificate(&certificate));
    let server = setup.start();
    server.allow("handshake");
    let client = TlsClient::new(&authority);
    for is_resumed in [false, true, true] {
        let mut connection = client.connect(server.address()).unwrap();
        assert_eq!(connection.get("/").status, 200);
        assert_eq!(connection.tls().is_resumed(), is_resumed);
    }
    // It ends within its handshake.
    server.connect().send([22, 3, 1]);
    let seen = wait_for(&server, "/totals/handshakes/failed", 1);
    assert_eq!(seen["totals"]["handshakes"].to_string(), r#"{"failed":1,"full":1,"resumed":2}"#);
    assert_eq!(seen["certificates"][0]["names"], serde_json::json!(["localhost"]));
    assert_eq!(seen["listeners"][0]["scheme"], "https");
}

#[test]
fn results_of_static_files_are_counted() {
    let setup = findable(Setup::of("stream:route").flags(&["--static", "/files=files"]));
    fs::create_dir(setup.directory.join("files")).unwrap();
    let server = setup.file("files/a.txt", "text").start();
    let found = server.get("/files/a.txt");
    assert_eq!(found.status, 200);
    let tag = found.header("etag").unwrap().to_owned();
    let again = format!("GET /files/a.txt HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tag}\r\n\r\n");
    assert_eq!(server.ask(again).status, 304);
    assert_eq!(server.get("/files/none.txt").status, 404);
    assert_eq!(server.ask("POST /files/a.txt HTTP/1.1\r\nHost: a\r\n\r\n").status, 405);
    let report = wait_for(&server, "/totals/static_files/refused", 1);
    let expected = r#"{"not-found":1,"not-modified":1,"refused":1,"sent":1}"#;
    assert_eq!(report["totals"]["static_files"].to_string(), expected);
}

#[test]
fn a_failed_reload_is_counted_and_its_traceback_is_kept() {
    let setup = Setup::of("responds:application").file("responds.py", RESPONDS);
    let server = findable(setup.flag("--pythonpath=.")).start();
    for text in ["[ERROR]", "Traceback", "broken"] {
        server.allow(text);
    }
    server.directory.write("responds.py", "raise RuntimeError('broken')");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reload failed");
    let seen = wait_for(&server, "/totals/reloads/failed", 1);
    let change = &seen["changes"][0];
    assert_eq!((&change["kind"], &change["outcome"]), (&"reload".into(), &"failed".into()));
    assert!(change["text"].as_str().unwrap().contains("RuntimeError: broken"), "{change}");
    assert_eq!(change["generation"], 2);
    until::holds("the end of the failed worker", || {
        figure(&report(&server), "/totals/exits/boot-failure") == 1
    });
    assert_workers_add_up(&report(&server));
}
