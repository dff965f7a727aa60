//! The rules and the dashboard that are packaged for Prometheus and Grafana: their names, and
//! what a real Prometheus makes of them with a server under load and with faults.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::certificate::Authority;
use crate::support::client::{Connection, get};
use crate::support::directory::Directory;
use crate::support::server::Server;
use crate::support::setup::{Setup, apps, own_ip, python};
use crate::support::tls::TlsClient;
use crate::support::{environment, need, process, until};

const RULES: [&str; 2] = ["monoceros-recording.yml", "monoceros-alerts.yml"];
const DASHBOARD: &str = "grafana/monoceros.json";

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

fn packaged(name: &str) -> String {
    fs::read_to_string(packaging().join(name)).unwrap()
}

/// Whether a program of Debian's package `prometheus` is there; if not, the test is named as
/// skipped.
fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&paths).any(|path| path.join(program).exists());
    need::met(is_there, &format!("{program}: apt install prometheus"))
}

fn promtool(arguments: &[&str]) -> Output {
    let mut command = Command::new("promtool");
    environment::clear(&mut command);
    command.args(arguments).current_dir(packaging().join("prometheus")).output().unwrap()
}

fn assert_success(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_example_and_the_rules_are_what_prometheus_reads() {
    if has("promtool") {
        assert_success(&promtool(&["check", "config", "prometheus.yml"]));
        let [recording, alerts] = RULES;
        assert_success(&promtool(&[
            "check",
            "rules",
            "--lint=all",
            "--lint-fatal",
            recording,
            alerts,
        ]));
    }
}

#[test]
fn each_alert_fires_in_its_case_only() {
    if has("promtool") {
        assert_success(&promtool(&["test", "rules", "monoceros-tests.yml"]));
    }
}

#[test]
fn each_alert_has_a_test_and_a_cause_in_the_documentation() {
    let (alerts, tests) =
        (packaged("prometheus/monoceros-alerts.yml"), packaged("prometheus/monoceros-tests.yml"));
    let documentation = fs::read_to_string(packaging().join("../docs/monitoring.md")).unwrap();
    let names: Vec<_> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        // Once for the server that is well, and once in its case.
        assert!(tests.matches(&format!("alertname: {name}")).count() >= 2, "{name}");
        assert!(documentation.contains(&format!("`{name}`")), "{name}");
    }
}

/// The words in a text that are names of metrics of the server.
fn names(text: &str) -> BTreeSet<&str> {
    let words =
        text.split(|letter: char| !letter.is_ascii_alphanumeric() && !"_:".contains(letter));
    words.filter(|word| word.starts_with("monoceros_") && !word.ends_with('_')).collect()
}

#[test]
fn every_name_is_in_the_table_of_metrics() {
    let table = fs::read_to_string(packaging().join("../docs/monitoring.md")).unwrap();
    let is_known = |name: &str| {
        let ends = ["_bucket", "_sum", "_count"].into_iter();
        let family = ends.filter_map(|end| name.strip_suffix(end)).chain([name]);
        family.into_iter().any(|family| table.contains(&format!("| `{family}` |")))
    };
    let files = RULES.map(|name| format!("prometheus/{name}"));
    let files =
        files.iter().map(String::as_str).chain([DASHBOARD, "prometheus/monoceros-tests.yml"]);
    let mut found = 0;
    for file in files {
        for name in names(&packaged(file)) {
            assert!(is_known(name), "{name} in {file}");
            found += 1;
        }
    }
    assert!(found > 60, "{found} names");
}

/// The panels of the dashboard, with those of closed rows.
fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&packaged(DASHBOARD)).unwrap();
    let top = dashboard["panels"].as_array().unwrap().clone();
    let inner = top.iter().filter_map(|panel| panel["panels"].as_array()).flatten().cloned();
    top.iter().cloned().chain(inner).filter(|panel| panel["type"] != "row").collect()
}

#[test]
fn panels_have_numbers_and_places_of_their_own() {
    let dashboard: Value = serde_json::from_str(&packaged(DASHBOARD)).unwrap();
    let mut numbers = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in panels() {
        assert!(numbers.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "{} is over another panel", panel["title"]);
            }
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}");
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<_> = variables.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "job", "instance"]);
}

/// A Prometheus that reads some servers each second.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    directory: Directory,
}

impl Prometheus {
    fn start(targets: &[SocketAddr]) -> Self {
        let directory = Directory::new();
        for name in RULES {
            directory.write(name, &without_delays(&packaged(&format!("prometheus/{name}"))));
        }
        let targets: Vec<_> = targets.iter().map(|target| format!("\"{target}\"")).collect();
        let config = format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\n\
             rule_files: [\"{}\"]\n\
             scrape_configs:\n- job_name: monoceros\n  static_configs:\n  - targets: [{}]\n",
            RULES.join("\", \""),
            targets.join(", ")
        );
        directory.write("prometheus.yml", &config);
        let address = SocketAddr::from((own_ip(), 9090));
        let mut command = Command::new("prometheus");
        environment::clear(&mut command);
        let log = fs::File::create(directory.join("log")).unwrap();
        let child = command
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"))
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let prometheus = Self { child, address, directory };
        until::holds("Prometheus", || prometheus.ask("/-/ready").is_some());
        prometheus
    }

    /// The body of a response; `None` if there is none yet.
    fn ask(&self, path: &str) -> Option<String> {
        let mut connection = Connection::tcp(self.address).ok()?;
        connection.send_if_taken(get(path)).ok()?;
        let response = connection.try_response("GET").ok()?;
        if response.status == 200 {
            return Some(response.text());
        }
        let log = self.directory.read("log");
        assert_eq!(response.status, 503, "{path}: {}\n{log}", response.text());
        None
    }

    /// The values that a query has now.
    fn query(&self, query: &str) -> Vec<f64> {
        let path = format!("/api/v1/query?query={}", encoded(query));
        let answer = until::some("an answer of Prometheus", || self.ask(&path));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let found = answer["data"]["result"].as_array().unwrap();
        found.iter().map(|it| it["value"][1].as_str().unwrap().parse().unwrap()).collect()
    }

    /// The alerts that fire, as name and instance.
    fn firing(&self) -> BTreeSet<(String, String)> {
        let answer = until::some("the alerts", || self.ask("/api/v1/alerts"));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let alerts = answer["data"]["alerts"].as_array().unwrap().iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        let text = |alert: &Value, label: &str| {
            alert["labels"][label].as_str().unwrap_or_default().to_owned()
        };
        firing.map(|alert| (text(alert, "alertname"), text(alert, "instance"))).collect()
    }

    fn wait_for_alert(&self, name: &str, target: SocketAddr) {
        let wanted = (name.to_owned(), target.to_string());
        let found =
            until::within(until::DEADLINE * 3, || self.firing().contains(&wanted).then_some(()));
        assert!(found.is_some(), "{name} does not fire: {:?}", self.firing());
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Rules whose alerts fire at once.
fn without_delays(rules: &str) -> String {
    let lines = rules.lines().filter(|line| !line.trim_start().starts_with("for: "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// A text as a part of a query.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// A client that sends requests to some paths until it is dropped.
struct Visitor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Visitor {
    fn start(
        paths: &'static [&'static str],
        connect: impl Fn() -> std::io::Result<Connection> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&stop);
        let visit = move || {
            for path in paths.iter().cycle().take_while(|_| !ends.load(Ordering::Relaxed)) {
                // A worker that is killed takes its connections with it.
                let visited = connect().and_then(|mut connection| {
                    connection.send_if_taken(get(path))?;
                    connection.try_response("GET")
                });
                drop(visited);
            }
        };
        Self { stop, thread: Some(thread::spawn(visit)) }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn metrics_address() -> SocketAddr {
    SocketAddr::from((own_ip(), 9180))
}

fn server(application: &str, metrics: SocketAddr) -> Setup {
    let paths = format!(".,{}", apps("metrics").display());
    Setup::listening()
        .flag("--python")
        .flag(python())
        .flags(&["--pythonpath", &paths, application])
        .flags(&["--metrics", &metrics.to_string(), "--metrics-application"])
}

/// A Django project with everything that has panels of its own.
fn shop(metrics: SocketAddr) -> (Server, Arc<TlsClient>) {
    let authority = Authority::new("tests");
    let certificate = authority.server(&["localhost"]).expires_in(Duration::from_secs(10 * 86_400));
    let setup = server("shop_metrics", metrics)
        .file("shop_metrics.py", "from django_metrics import application\n")
        .certificate(&certificate.issue())
        .flags(&["--static", "/static/=static", "--timeout", "6"])
        .workers(3);
    fs::create_dir(setup.directory.join("static")).unwrap();
    let setup = setup.file("static/style.css", "a {}");
    (setup.start(), Arc::new(TlsClient::new(&authority).without_resumption()))
}

/// Kills a worker, lets a request hang, and reloads with code that cannot be loaded and with
/// code that can.
fn disturb(server: &Server, client: &TlsClient) {
    ["[ERROR]", "[CRITICAL]", "Traceback"].iter().for_each(|text| server.allow(text));
    let workers = server.workers();
    process::signal(workers[0], Signal::SIGKILL);
    server.wait_for_replacement(&workers);
    let mut connection = client.connect(server.address()).unwrap();
    connection.send(get("/stuck"));
    // Whatever its end is: the worker has ended.
    drop(connection.try_response("GET"));
    let mut broken = client.connect(server.address()).unwrap();
    broken.send("GET / HTTP/1.1\r\nHost: a\r\nBad Name: b\r\n\r\n");
    drop(broken.try_response("GET"));
    server.directory.write("shop_metrics.py", "no = python\n");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reload failed");
    server.directory.write("shop_metrics.py", "from django_metrics import application\n");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reloaded: gen=");
}

#[test]
fn prometheus_has_data_for_every_panel_and_the_right_alerts() {
    if !has("prometheus") {
        return;
    }
    let (shop_target, blog_target) = (metrics_address(), metrics_address());
    let (shop, client) = shop(shop_target);
    let blog = server("flask_metrics:app", blog_target).workers(2).start();
    ["[ERROR]", "Traceback"].iter().for_each(|text| blog.allow(text));
    let prometheus = Prometheus::start(&[shop_target, blog_target]);
    let (shop_address, blog_address) = (shop.address(), blog.address());
    let visit = Arc::clone(&client);
    let visits = Visitor::start(&["/", "/static/style.css", "/none", "/"], move || {
        visit.connect(shop_address)
    });
    let read = Visitor::start(&["/", "/", "/place"], move || Connection::tcp(blog_address));
    // The alerts about events compare with the time before.
    let begun = "count_over_time(instance:monoceros_worker_crashes:sum[1m]) > 2";
    until::holds("figures of both servers", || prometheus.query(begun).len() == 2);
    // A certificate for ten days is a concern; and with so few workers a peak is nothing
    // unusual.
    let expected = ["MonocerosCertificateExpires", "MonocerosConcerns", "MonocerosSaturated"];
    let firing = prometheus.firing();
    assert!(firing.iter().all(|(name, _)| expected.contains(&name.as_str())), "{firing:?}");

    disturb(&shop, &client);
    let failing = Arc::clone(&client);
    let errors = Visitor::start(&["/error", "/"], move || failing.connect(shop_address));
    let failed = Visitor::start(&["/error", "/"], move || Connection::tcp(blog_address));
    for alert in [
        "MonocerosWorkerCrashes",
        "MonocerosTimeouts",
        "MonocerosChangeFailed",
        "MonocerosErrors",
        "MonocerosCertificateExpires",
    ] {
        prometheus.wait_for_alert(alert, shop_target);
    }
    let firing = prometheus.firing();
    for (alert, target) in [("MonocerosDown", shop_target), ("MonocerosTimeouts", blog_target)] {
        assert!(!firing.contains(&(alert.to_owned(), target.to_string())), "{firing:?}");
    }
    for panel in panels() {
        for target in panel["targets"].as_array().unwrap() {
            assert_has_data(&prometheus, &panel, target["expr"].as_str().unwrap());
        }
    }
    drop((visits, read, errors, failed));

    // Prometheus holds a connection to it.
    blog.signal(Signal::SIGTERM);
    assert_eq!(blog.wait_for_exit(), 0);
    prometheus.wait_for_alert("MonocerosDown", blog_target);
}

/// Waits until a query of a panel has a number, as Grafana would send it.
fn assert_has_data(prometheus: &Prometheus, panel: &Value, expression: &str) {
    let query = expression
        .replace("$job", ".*")
        .replace("$instance", ".*")
        .replace("$__rate_interval", "1m");
    let is_shown = || prometheus.query(&query).iter().any(|value| !value.is_nan());
    let found = until::within(until::DEADLINE, || is_shown().then_some(()));
    assert!(found.is_some(), "no data in {}: {query}", panel["title"]);
}
