//! What applications count with `prometheus_client`, over several workers: the figures that the
//! application itself shows, while workers are killed, recycled and reloaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::client::{Connection, get};
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, apps, own_ip, python};
use crate::support::until;
use crate::support::user::{self, NOBODY};

/// A counter of one application, and what counts in it.
struct Counted {
    application: &'static str,
    /// The path whose requests are counted.
    path: &'static str,
    /// The sample with the number of these requests that were answered.
    sample: &'static str,
}

const FLASK: Counted = Counted {
    application: "flask_metrics:app",
    path: "/",
    sample: "flask_http_request_duration_seconds_count{method=\"GET\",path=\"/\",status=\"200\"}",
};
const DJANGO: Counted = Counted {
    application: "django_metrics",
    path: "/",
    sample: "django_http_responses_total_by_status_view_method_total\
             {method=\"GET\",status=\"200\",view=\"django_metrics.hello\"}",
};

const PLAIN: Counted =
    Counted { application: "plain_metrics", path: "/", sample: "plain_served_total" };

impl Counted {
    fn setup(&self, workers: usize) -> Setup {
        Setup::listening()
            .flag("--python")
            .flag(python())
            .flag("--pythonpath")
            .flag(apps("metrics"))
            .flag(self.application)
            .workers(workers)
    }

    /// What the application shows.
    fn shown(&self, server: &Server) -> f64 {
        sample(&server.get("/metrics").text(), self.sample).unwrap_or(0.0)
    }
}

/// The value of a sample in a text with metrics.
fn sample(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

/// The directory that the workers use, as the application finds it.
fn directory(server: &Server) -> PathBuf {
    let place = server.get("/place").json();
    PathBuf::from(place["directory"].as_str().expect("the variable is set"))
}

/// The files of the directory that a reader adds up.
fn files(directory: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| name.ends_with(".db")).collect()
}

/// Clients that send requests one after the other, and a reader of the metrics.
struct Clients {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    /// Requests that a killed worker may have counted.
    failed: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
    /// How often the metrics were read.
    read: Arc<AtomicU64>,
    reader: JoinHandle<()>,
}

impl Clients {
    fn start(address: SocketAddr, counted: &'static Counted, clients: usize) -> Self {
        let (stop, answered, failed) =
            <(Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let client = |_| {
            let (stop, answered, failed) =
                (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&failed));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let status = ask(address, counted.path).map(|(status, _)| status);
                    let tally = if status == Some(200) { &answered } else { &failed };
                    tally.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let threads = (0..clients).map(client).collect();
        let (ends, counts) = (Arc::clone(&stop), [Arc::clone(&answered), Arc::clone(&failed)]);
        let read = Arc::<AtomicU64>::default();
        let times = Arc::clone(&read);
        let reader = thread::spawn(move || read_on(address, counted, &ends, &counts, &times));
        Self { stop, answered, failed, threads, read, reader }
    }

    /// Waits until this number of further requests has been answered, and the metrics were read
    /// three more times.
    fn proceed(&self, count: u64) {
        let goals = [(&self.answered, count), (&self.read, 3)]
            .map(|(tally, more)| (tally, tally.load(Ordering::Relaxed) + more));
        until::holds("answers to the clients", || {
            goals.iter().all(|(tally, goal)| tally.load(Ordering::Relaxed) >= *goal)
                || self.reader.is_finished()
        });
        assert!(!self.reader.is_finished(), "the reader has failed");
    }

    /// Ends all, and returns how many requests were answered and how many were not.
    fn finish(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|client| client.join().unwrap());
        self.reader.join().unwrap();
        (self.answered.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

/// The response to a request on a new connection; `None` if there is none, since its worker was
/// killed.
fn ask(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut connection = Connection::tcp(address).ok()?;
    connection.send_if_taken(get(path)).ok()?;
    let response = connection.try_response("GET").ok()?;
    Some((response.status, response.text()))
}

/// Reads the metrics again and again: they never fail, never go back, and never show more than
/// was sent.
fn read_on(
    address: SocketAddr,
    counted: &Counted,
    stop: &AtomicBool,
    counts: &[Arc<AtomicU64>],
    times: &AtomicU64,
) {
    let mut last = 0.0;
    while !stop.load(Ordering::Relaxed) {
        let Some((status, text)) = ask(address, "/metrics") else { continue };
        assert_eq!(status, 200, "{text}");
        // Requests that three clients have sent, and that are not answered yet.
        let sent = counts.iter().map(|it| it.load(Ordering::Relaxed)).sum::<u64>() + 3;
        let now = sample(&text, counted.sample).unwrap_or(0.0);
        assert!(now >= last, "from {last} to {now}");
        assert!(now <= sent as f64, "{now} of {sent}");
        last = now;
        times.fetch_add(1, Ordering::Relaxed);
    }
}

/// Kills a worker, waits until there is another one, and reloads: several times, under load.
fn kill_and_reload(counted: &'static Counted, setup: Setup) {
    let server = setup.flags(&["--graceful-timeout", "20"]).start();
    server.allow("SIGKILL");
    let place = directory(&server);
    let clients = Clients::start(server.address(), counted, 3);
    for round in 1..=3 {
        clients.proceed(30);
        // Workers of the generation before may still drain.
        let killed = serving(&server)[round % 4];
        process::signal(killed, Signal::SIGKILL);
        until::holds("another worker", || {
            let now = serving(&server);
            now.len() >= 4 && !now.contains(&killed)
        });
        clients.proceed(30);
        server.signal(Signal::SIGHUP);
        server.wait_for_log_times("reloaded: gen=", round);
    }
    let (answered, failed) = clients.finish();
    let shown = counted.shown(&server);
    assert!(shown >= answered as f64, "{shown} of {answered} answered");
    assert!(shown <= (answered + failed) as f64, "{shown} of {answered}, and {failed} failed");
    assert_eq!(directory(&server), place, "the directory stays");
    server.stop();
    assert!(!place.exists(), "{}", place.display());
}

/// The pids of the workers, without a mold.
fn serving(server: &Server) -> Vec<i32> {
    let all = server.workers().into_iter();
    all.filter(|pid| process::title(*pid).starts_with("monoceros: worker")).collect()
}

#[test]
fn flask_counts_right_while_workers_are_killed_and_reloaded() {
    kill_and_reload(&FLASK, FLASK.setup(4));
}

#[test]
fn django_counts_right_while_workers_are_killed_and_reloaded() {
    kill_and_reload(&DJANGO, DJANGO.setup(4));
}

#[test]
fn django_counts_right_with_a_mold() {
    kill_and_reload(&DJANGO, DJANGO.setup(4).flag("--preload"));
}

#[test]
fn a_thousand_recycled_workers_leave_as_many_files_as_a_few() {
    let flags = ["--preload", "--max-requests", "1", "--max-requests-jitter", "0"];
    // The master looks once a second which workers are due: so there are many of them.
    let server = PLAIN.setup(16).flags(&flags).flags(&["--drain-idle", "0"]).start();
    let place = directory(&server);
    let clients = Clients::start(server.address(), &PLAIN, 2);
    let ended = || server.log().matches(" left: ").count();
    let done = until::within(until::DEADLINE * 10, || {
        clients.proceed(20);
        (ended() >= 1000).then_some(())
    });
    let (answered, failed) = clients.finish();
    assert!(done.is_some(), "{} workers were recycled", ended());
    assert_eq!(failed, 0);
    assert_eq!(PLAIN.shown(&server), answered as f64);
    // The workers, a successor, the mold, and some that take long to end.
    let places: BTreeSet<_> = files(&place).iter().map(|name| process_of(name)).collect();
    assert!(places.len() <= 40, "{places:?}");
    assert!(places.iter().all(|name| name.starts_with('p')), "{places:?}");
    assert!(files(&place).len() <= 3 * places.len(), "{:?}", files(&place));
    server.stop();
    assert!(!place.exists());
}

/// The part of a file's name that identifies the process.
fn process_of(name: &str) -> String {
    name.trim_end_matches(".db").rsplit('_').next().unwrap().to_owned()
}

/// Sends requests until each worker has had one.
fn reach_all(server: &Server, count: usize) -> BTreeSet<i64> {
    let mut pids = BTreeSet::new();
    until::holds("each worker", || {
        assert_eq!(server.get("/").status, 200);
        pids.insert(server.get("/place").json()["pid"].as_i64().unwrap());
        pids.len() >= count
    });
    pids
}

/// Sends requests until the sample has this value.
fn wait_for_sample(server: &Server, name: &str, value: f64) {
    until::holds(&format!("{name} {value}"), || {
        assert_eq!(server.get("/").status, 200);
        sample(&server.get("/metrics").text(), name) == Some(value)
    });
}

#[test]
fn live_gauges_count_living_workers_only() {
    let server = FLASK.setup(3).start();
    server.allow("SIGKILL");
    wait_for_sample(&server, "app_living", 3.0);
    for _ in 0..2 {
        let workers = server.workers();
        process::signal(workers[0], Signal::SIGKILL);
        server.wait_for_replacement(&workers);
        let shown = sample(&server.get("/metrics").text(), "app_living").unwrap();
        assert!(shown <= 3.0, "{shown}");
        wait_for_sample(&server, "app_living", 3.0);
    }
    let old = server.workers();
    server.signal(Signal::SIGHUP);
    server.wait_for_new_workers(&old, 3);
    wait_for_sample(&server, "app_living", 3.0);
    let text = server.get("/metrics").text();
    let living = text.lines().filter(|line| line.starts_with("app_liveall{")).count();
    assert_eq!(living, 3, "{text}");
}

#[test]
fn the_directory_is_that_of_the_server_and_stays_over_an_upgrade() {
    let server = FLASK.setup(2).start();
    let place = directory(&server);
    let found = fs::symlink_metadata(&place).unwrap();
    assert!(found.is_dir() && found.mode() & 0o777 == 0o700, "{:o}", found.mode());
    let internal = server.get("/place").json()["internal"].clone();
    assert_eq!(internal, serde_json::json!(["MONOCEROS_GENERATION", "MONOCEROS_SLOT"]));
    reach_all(&server, 2);
    let shown = FLASK.shown(&server);
    server.upgrade();
    assert_eq!(directory(&server), place);
    assert!(FLASK.shown(&server) >= shown);
    reach_all(&server, 2);
    server.stop();
    assert!(!place.exists(), "the new master has removed it");
}

#[test]
fn a_process_that_the_application_forks_has_a_place_of_its_own() {
    let server = FLASK.setup(1).start();
    for _ in 0..5 {
        assert_eq!(server.get("/fork").text(), "0");
    }
    let text = server.get("/metrics").text();
    assert_eq!(sample(&text, "app_served_total{kind=\"forked\"}"), Some(5.0), "{text}");
    let places: BTreeSet<_> =
        files(&directory(&server)).iter().map(|name| process_of(name)).collect();
    assert_eq!(places, BTreeSet::from(["p0".to_owned(), "p1".to_owned()]));
}

#[test]
fn a_file_that_a_process_has_left_broken_stops_no_worker() {
    let server = FLASK.setup(1).start();
    server.allow("SIGKILL");
    reach_all(&server, 1);
    let (place, workers) = (directory(&server), server.workers());
    let mut broken = fs::read(place.join("counter_p0.db")).unwrap();
    broken[8..12].copy_from_slice(&i32::MAX.to_ne_bytes());
    process::signal(workers[0], Signal::SIGSTOP);
    fs::write(place.join("counter_p0.db"), broken).unwrap();
    process::signal(workers[0], Signal::SIGKILL);
    server.wait_for_replacement(&workers);
    assert_eq!(server.get("/").status, 200);
    assert_eq!(FLASK.shown(&server), 2.0, "another file than the broken one");
    let text = server.get("/metrics").text();
    let counted = text.lines().find(|line| line.starts_with("app_served_total{"));
    assert!(counted.is_some_and(|line| line.ends_with(" 1.0")), "{text}");
    assert!(place.join("counter_p0.db.broken").exists());
}

#[test]
fn a_directory_that_the_operator_has_set_is_used_and_stays() {
    let setup = FLASK.setup(2);
    let own = setup.directory.join("metrics");
    fs::create_dir(&own).unwrap();
    let set = format!("PROMETHEUS_MULTIPROC_DIR={}", own.display());
    let server = setup.flags(&["--env", &set]).start();
    assert_eq!(directory(&server), own);
    wait_for_sample(&server, "app_living", 2.0);
    let workers = server.workers();
    server.allow("SIGKILL");
    process::signal(workers[0], Signal::SIGKILL);
    server.wait_for_replacement(&workers);
    wait_for_sample(&server, "app_living", 2.0);
    assert!(own.join("counter_p0.db").exists());
}

#[test]
fn an_empty_variable_leaves_each_worker_its_own_figures() {
    let server = FLASK.setup(1).flags(&["--env", "PROMETHEUS_MULTIPROC_DIR="]).start();
    assert!(server.get("/place").json()["directory"].is_null());
    assert_eq!(server.get("/").status, 200);
    assert_eq!(FLASK.shown(&server), 1.0);
}

#[test]
fn an_application_that_does_not_count_is_left_alone() {
    let with = |python: PathBuf| {
        Setup::listening()
            .flag("--python")
            .flag(python)
            .flag("--pythonpath")
            .flag(apps("metrics"))
            .flag("no_metrics")
    };
    let server = with(python()).start();
    let text = server.get("/").text();
    assert!(text.ends_with(" not imported") && !text.starts_with("not set"), "{text}");
    drop(server);
    // An interpreter without prometheus_client.
    let setup = with(PathBuf::from("bare/bin/python"));
    let made = Command::new(python())
        .args(["-m", "venv", "--without-pip"])
        .arg(setup.directory.join("bare"))
        .status();
    assert!(made.unwrap().success());
    let server = setup.start();
    assert_eq!(server.get("/").text(), "not set not imported");
}

/// A server that adds the application's metrics to its own, and the address of these.
fn with_endpoint(counted: &Counted, workers: usize) -> (Setup, SocketAddr) {
    let address = SocketAddr::from((own_ip(), 9180));
    let flags = ["--metrics", &address.to_string(), "--metrics-application"];
    (counted.setup(workers).flags(&flags), address)
}

/// The samples of a text, with their values.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let split = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(split).collect()
}

/// What prometheus_client itself makes of a directory.
fn of_collector(directory: &Path) -> BTreeMap<String, f64> {
    let script = "import sys\n\
        from prometheus_client import CollectorRegistry, generate_latest\n\
        from prometheus_client.multiprocess import MultiProcessCollector\n\
        registry = CollectorRegistry()\n\
        MultiProcessCollector(registry, sys.argv[1])\n\
        sys.stdout.buffer.write(generate_latest(registry))\n";
    let output = Command::new(python()).args(["-c", script]).arg(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    samples(&String::from_utf8(output.stdout).unwrap())
}

fn of_endpoint(address: SocketAddr) -> BTreeMap<String, f64> {
    let (status, text) = ask(address, "/metrics").expect("a response");
    assert_eq!(status, 200);
    let all = samples(&text);
    assert!(all.contains_key("monoceros_ready"), "{text}");
    all.into_iter().filter(|(name, _)| !name.starts_with("monoceros_")).collect()
}

/// Whether both have the same samples. Sums in another order differ in the last digit.
fn are_equal(one: &BTreeMap<String, f64>, other: &BTreeMap<String, f64>) -> bool {
    let is_equal = |(one, other): (&f64, &f64)| (one - other).abs() <= 1e-9 * one.abs().max(1.0);
    one.keys().eq(other.keys()) && one.values().zip(other.values()).all(is_equal)
}

#[test]
fn the_endpoint_shows_what_prometheus_client_shows() {
    let (setup, address) = with_endpoint(&FLASK, 3);
    let server = setup.start();
    reach_all(&server, 3);
    server.get("/fork");
    server.get("/none");
    let place = directory(&server);
    let expected = of_collector(&place);
    for mode in ["all", "liveall", "min", "max", "sum", "mostrecent", "livemostrecent"] {
        assert!(expected.keys().any(|name| name.starts_with(&format!("app_{mode}"))), "{mode}");
    }
    assert!(expected.len() > 40, "{expected:?}");
    // What was added up is up to a second old.
    until::holds("the same figures", || are_equal(&of_endpoint(address), &expected));
}

#[test]
fn what_the_workers_user_puts_into_the_directory_harms_no_scrape() {
    let (setup, address) = with_endpoint(&PLAIN, 1);
    let server = setup.start();
    for _ in 0..3 {
        assert_eq!(server.get("/").status, 200);
    }
    until::holds("the figures", || of_endpoint(address).get("plain_served_total") == Some(&3.0));
    let place = directory(&server);
    fs::write(place.join("counter_broken.db"), [0xff; 5000]).unwrap();
    fs::write(place.join("counter_short.db"), 5000_i32.to_ne_bytes()).unwrap();
    symlink("/etc/passwd", place.join("counter_link.db")).unwrap();
    symlink("counter_p0.db", place.join("counter_again.db")).unwrap();
    fs::create_dir(place.join("counter_directory.db")).unwrap();
    mkfifo(&place.join("counter_fifo.db"), Mode::S_IRWXU).unwrap();
    // A file that is a hole of many gigabytes.
    let hole = fs::File::create(place.join("counter_hole.db")).unwrap();
    hole.set_len(1 << 40).unwrap();
    fs::File::create(place.join("counter_new.db")).unwrap();
    // A reading without these files may be a second old.
    assert_eq!(server.get("/").status, 200);
    until::holds("the new figures", || {
        of_endpoint(address).get("plain_served_total") == Some(&4.0)
    });
    let found = of_endpoint(address);
    assert!(found.keys().all(|name| name.starts_with("plain_")), "{found:?}");
}

#[test]
fn the_endpoint_has_no_figures_of_the_application_unless_it_is_asked_to() {
    let address = SocketAddr::from((own_ip(), 9180));
    let server = PLAIN.setup(1).flags(&["--metrics", &address.to_string()]).start();
    assert_eq!(server.get("/").status, 200);
    assert_eq!(of_endpoint(address), BTreeMap::new());
}

/// Copies the application and `prometheus_client` to a directory where any user can read them.
fn copy_packages(to: &Path) {
    fs::create_dir(to).unwrap();
    let script = "import prometheus_client as it; print(it.__path__[0])";
    let found = Command::new(python()).args(["-c", script]).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let package = String::from_utf8(found.stdout).unwrap();
    let application = apps("metrics").join("plain_metrics.py");
    let mut command = Command::new("cp");
    let copied = command.arg("-r").arg(package.trim_end()).arg(application).arg(to).status();
    assert!(copied.unwrap().success());
}

#[test]
fn root_adds_what_workers_of_another_user_count() {
    let Some(python) = user::python() else { return };
    for flags in [&[][..], &["--preload"]] {
        let address = SocketAddr::from((own_ip(), 9180));
        let setup = Setup::listening().flag("--python").flag(python).workers(3).flags(flags);
        let packages = setup.directory.join("packages");
        copy_packages(&packages);
        let setup = setup.flags(&["--user", "nobody", "--group", "nogroup"]);
        let setup = setup.flags(&["--metrics", &address.to_string(), "--metrics-application"]);
        let setup = setup.flag("--pythonpath").flag(packages).flag(PLAIN.application);
        let server = setup.start();
        server.allow("SIGKILL");
        let clients = Clients::start(server.address(), &PLAIN, 2);
        clients.proceed(20);
        let (place, workers) = (directory(&server), server.workers());
        let found = fs::symlink_metadata(&place).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o777), (NOBODY, 0o700), "{flags:?}");
        let (answered, failed) = clients.finish();
        assert_eq!(failed, 0);
        let counted = |of: f64| {
            until::holds("the figures", || {
                of_endpoint(address).get("plain_served_total") == Some(&of)
            });
        };
        counted(answered as f64);
        process::signal(serving(&server)[0], Signal::SIGKILL);
        server.wait_for_replacement(&workers);
        server.upgrade();
        assert_eq!(server.get("/").status, 200);
        counted(answered as f64 + 1.0);
        server.stop();
        assert!(!place.exists());
    }
}
