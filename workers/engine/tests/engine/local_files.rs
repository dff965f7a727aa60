//! Responses of the server itself whose content is shared bytes or a part of a file, and
//! decisions on a background thread.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use monoceros_engine::{
    Arrival, Decision, Exchange, FilePart, LocalDecision, LocalResponse, Options, SharedBytes,
};
use monoceros_sys::unnamed_file;
use monoceros_wire::message::{Drain, ToWorker};
use monoceros_wire::scoreboard::GivenUp;

use crate::options::options;
use crate::running::{DEADLINE, RunningEngine, serve, some};

/// The length of the file, in bytes: more than the buffers of a connection hold.
pub(crate) const LENGTH: usize = 16_000_000;

/// The file's content from `offset` on.
pub(crate) fn content(offset: usize, length: usize) -> Vec<u8> {
    let cycle: Vec<_> = (0..=250).collect();
    let begin = offset % cycle.len();
    cycle.repeat((begin + length).div_ceil(cycle.len()))[begin..begin + length].to_vec()
}

/// What the decisions need, and what the test has of it.
pub(crate) struct Site {
    file: Arc<File>,
    shared: SharedBytes,
    /// Releases one decision that waits.
    pub(crate) release: Sender<()>,
    released: Arc<Mutex<Receiver<()>>>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let mut file = unnamed_file::create(&std::env::temp_dir()).unwrap();
        let content = content(0, LENGTH);
        file.write_all(&content).unwrap();
        let (release, released) = channel();
        Self {
            file: Arc::new(file),
            shared: SharedBytes::new(content[..100_000].into()),
            release,
            released: Arc::new(Mutex::new(released)),
        }
    }

    fn part(&self, offset: u64, length: u64) -> FilePart {
        FilePart { file: Arc::clone(&self.file), offset, length }
    }

    /// Has the kernel write the file to its disk, and release it from memory; a file system
    /// in memory keeps it.
    fn release_memory(&self) {
        self.file.sync_all().unwrap();
        let path = format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd());
        let mut dd = Command::new("dd");
        dd.args([format!("if={path}").as_str(), "iflag=nocache", "count=0", "status=none"]);
        assert!(dd.status().unwrap().success());
    }

    pub(crate) fn decision(&self) -> LocalDecision {
        let site = Self {
            file: Arc::clone(&self.file),
            shared: self.shared.clone(),
            release: self.release.clone(),
            released: Arc::clone(&self.released),
        };
        let site = Arc::new(site);
        LocalDecision::new(move |arrival| decide(&site, arrival))
    }
}

fn decide(site: &Arc<Site>, arrival: &Arrival) -> Decision {
    let path = arrival.head.path();
    match path.strip_prefix(b"/later") {
        Some(rest) => {
            let (site, rest) = (Arc::clone(site), rest.to_vec());
            Decision::Later(Box::new(move || {
                site.released.lock().unwrap().recv().ok();
                decide_on(&site, &rest)
            }))
        }
        None => decide_on(site, path),
    }
}

fn decide_on(site: &Site, path: &[u8]) -> Decision {
    let new = || LocalResponse::new(200);
    let response = match path {
        b"/small" => new().body(site.shared.part(10..1034)),
        b"/shared" => new().body(site.shared.clone()),
        b"/file" => new().body(site.part(0, LENGTH as u64)),
        b"/part" => new().body(site.part(1000, 5000)),
        b"/wait" => {
            site.released.lock().unwrap().recv().ok();
            new().body(site.shared.part(10..1034))
        }
        b"/empty" => new().body(site.part(1000, 0)),
        b"/beyond" => new().body(site.part(LENGTH as u64 - 1000, 2_000_000)),
        b"/panic" => panic!("the test has asked for it"),
        b"/denied" => {
            let response = LocalResponse::new(403).body(b"no\n".to_vec());
            let reason = "the test denies it".to_owned();
            return Decision::Refuse { kind: GivenUp::Denied, response, reason };
        }
        _ => return Decision::Pass,
    };
    Decision::Respond { response, discard: 100 }
}

/// The application responds with the length of the body.
fn respond(mut exchange: Exchange) {
    let text = exchange.take_body().len().to_string();
    exchange.begin(b"200 OK").unwrap();
    exchange.write(text.as_bytes(), None, Some(text.len() as u64)).ok();
    exchange.finish(&|_| None);
}

struct ServedSite {
    engine: RunningEngine,
    site: Site,
}

fn start(name: &str, options: Options) -> ServedSite {
    let site = Site::new();
    let local = Some(site.decision());
    let engine = RunningEngine::start(name, Options { local, ..options }, || {});
    let worker = engine.worker.clone();
    thread::spawn(move || serve(&worker.requests(0), respond));
    ServedSite { engine, site }
}

impl ServedSite {
    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.engine.address).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client
    }

    /// Waits until a line of the access log begins so.
    fn logged(&self, line: &str) {
        some(line, || {
            let log = std::fs::read_to_string(&self.engine.log).unwrap();
            log.lines().any(|it| it.starts_with(line)).then_some(())
        });
    }

    fn losses(&self, kind: GivenUp) -> u64 {
        self.engine.board.losses()[kind.index()]
    }
}

fn send(client: &mut TcpStream, request: &str) {
    write!(client, "{request} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
}

/// The next response: its head and its body, which is as long as the head has it unless the
/// request was HEAD.
fn response(client: &mut impl Read, is_head: bool) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let (_, length) = head.split_once("Content-Length: ").unwrap();
    let length = length.lines().next().unwrap().parse().unwrap();
    let mut body = vec![0; if is_head { 0 } else { length }];
    client.read_exact(&mut body).unwrap();
    (head, body)
}

fn ask(client: &mut TcpStream, path: &str) -> (String, Vec<u8>) {
    send(client, &format!("GET {path}"));
    response(client, false)
}

#[test]
fn shared_bytes_and_parts_of_files_are_sent() {
    let served = start("files-sent", options());
    let mut client = served.connect();
    for (path, offset, length) in [
        ("/small", 10, 1024),
        ("/shared", 0, 100_000),
        ("/part", 1000, 5000),
        ("/file", 0, LENGTH),
        ("/empty", 0, 0),
        ("/small", 10, 1024),
    ] {
        let (head, body) = ask(&mut client, path);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(body == content(offset, length), "{path} has {} bytes", body.len());
        served.logged(&format!("GET {path} HTTP/1.1|200|{length}|"));
        send(&mut client, &format!("HEAD {path}"));
        let (head, _) = response(&mut client, true);
        assert!(head.contains(&format!("Content-Length: {length}\r\n")), "{head}");
        served.logged(&format!("HEAD {path} HTTP/1.1|200|0|"));
    }
}

#[test]
fn a_file_that_is_not_in_memory_is_sent() {
    let served = start("files-cold", options());
    let mut client = served.connect();
    for _ in 0..3 {
        served.site.release_memory();
        assert_eq!(ask(&mut client, "/part").1, content(1000, 5000));
        assert!(ask(&mut client, "/file").1 == content(0, LENGTH));
    }
}

#[test]
fn requests_that_come_together_get_files_in_order() {
    let served = start("files-pipelined", options());
    let mut client = served.connect();
    let mut writer = client.try_clone().unwrap();
    let paths = ["/part", "/file", "/far", "/shared", "/empty", "/small", "/file", "/part"];
    let times = 4;
    let requests = paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).concat();
    let sender = thread::spawn(move || writer.write_all(requests.repeat(times).as_bytes()));
    for _ in 0..times {
        for path in paths {
            let (_, body) = response(&mut client, false);
            let expected = match path {
                "/part" => content(1000, 5000),
                "/file" => content(0, LENGTH),
                "/shared" => content(0, 100_000),
                "/small" => content(10, 1024),
                "/far" => b"0".to_vec(),
                _ => Vec::new(),
            };
            assert!(body == expected, "{path} has {} bytes", body.len());
        }
    }
    sender.join().unwrap().unwrap();
}

#[test]
fn the_connection_ends_behind_a_file_if_the_client_wants_it() {
    let served = start("files-close", options());
    for path in ["/file", "/part", "/small"] {
        let mut client = served.connect();
        let fields = "Host: a\r\nConnection: close\r\n";
        write!(client, "GET {path} HTTP/1.1\r\n{fields}\r\n").unwrap();
        let (head, _) = response(&mut client, false);
        assert!(head.contains("Connection: close\r\n"), "{head}");
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
    // Nothing is read while a file is sent, so a body ends the connection.
    let mut client = served.connect();
    write!(client, "GET /part HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").unwrap();
    let (head, _) = response(&mut client, false);
    assert!(head.contains("Connection: close\r\n"), "{head}");
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_client_that_takes_nothing_of_a_file_is_given_up_and_holds_no_other() {
    let write_timeout = Duration::from_millis(300);
    let served = start("files-slow", Options { write_timeout, ..options() });
    let mut slow = served.connect();
    send(&mut slow, "GET /file");
    some("the slow client to be given up", || {
        assert_eq!(ask(&mut served.connect(), "/part").1, content(1000, 5000));
        (served.losses(GivenUp::Untaken) > 0).then_some(())
    });
    let error = std::io::copy(&mut slow, &mut std::io::sink()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_file_that_ends_early_breaks_the_connection() {
    let served = start("files-short", options());
    let mut client = served.connect();
    send(&mut client, "GET /beyond");
    let mut received = Vec::new();
    let error = client.read_to_end(&mut received).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    some("the line in the log", || (served.losses(GivenUp::Unreadable) == 1).then_some(()));
    served.logged("GET /beyond HTTP/1.1|200|");
}

#[test]
fn a_refused_request_is_counted_and_its_connection_continues() {
    let served = start("files-refused", options());
    let mut client = served.connect();
    for count in 1..3 {
        let (head, body) = ask(&mut client, "/denied");
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n") && body == b"no\n", "{head}");
        assert_eq!(served.losses(GivenUp::Denied), count);
    }
    assert_eq!(ask(&mut client, "/far").1, b"0");
    served.logged("GET /denied HTTP/1.1|403|3|");
}

#[test]
fn other_connections_are_served_while_a_decision_waits() {
    let served = start("files-later", options());
    let mut waiting = served.connect();
    send(&mut waiting, "GET /later/part");
    // What comes behind it waits.
    send(&mut waiting, "GET /small");
    let mut other = served.connect();
    assert_eq!(ask(&mut other, "/part").1, content(1000, 5000));
    assert_eq!(ask(&mut other, "/far").1, b"0");
    served.site.release.send(()).unwrap();
    assert_eq!(response(&mut waiting, false).1, content(1000, 5000));
    assert_eq!(response(&mut waiting, false).1, content(10, 1024));
    served.logged("GET /later/part HTTP/1.1|200|5000|");
}

#[test]
fn a_late_decision_passes_the_request_with_its_body_to_the_application() {
    let served = start("files-later-pass", options());
    let mut client = served.connect();
    // The body is there already, comes later, or is asked for.
    for (fields, behind, later) in [
        ("Content-Length: 3\r\n", "abc", ""),
        ("Content-Length: 3\r\n", "a", "bc"),
        ("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n", ""),
        ("Content-Length: 3\r\nExpect: 100-continue\r\n", "", "abc"),
    ] {
        let head = format!("POST /later/far HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        client.write_all(format!("{head}{behind}").as_bytes()).unwrap();
        served.site.release.send(()).unwrap();
        if fields.contains("Expect") {
            let mut interim = vec![0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
            client.read_exact(&mut interim).unwrap();
            assert!(interim.starts_with(b"HTTP/1.1 100 "));
        }
        client.write_all(later.as_bytes()).unwrap();
        assert_eq!(response(&mut client, false).1, b"3", "{fields}");
    }
    // Without a body, and with another request behind it.
    client.write_all(b"GET /later/far HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    send(&mut client, "GET /small");
    served.site.release.send(()).unwrap();
    assert_eq!(response(&mut client, false).1, b"0");
    assert_eq!(response(&mut client, false).1, content(10, 1024));
}

#[test]
fn a_late_decision_can_refuse_and_can_fail() {
    let served = start("files-later-refuse", options());
    let mut client = served.connect();
    send(&mut client, "GET /later/denied");
    served.site.release.send(()).unwrap();
    assert!(response(&mut client, false).0.starts_with("HTTP/1.1 403 "));
    send(&mut client, "GET /later/panic");
    served.site.release.send(()).unwrap();
    assert!(response(&mut client, false).0.starts_with("HTTP/1.1 500 "));
    send(&mut client, "GET /later/small");
    served.site.release.send(()).unwrap();
    assert_eq!(response(&mut client, false).1, content(10, 1024));
}

#[test]
fn the_client_of_a_late_decision_may_end_its_side_or_leave() {
    let served = start("files-later-leave", options());
    let mut client = served.connect();
    send(&mut client, "GET /later/part");
    client.shutdown(std::net::Shutdown::Write).unwrap();
    served.site.release.send(()).unwrap();
    assert_eq!(response(&mut client, false).1, content(1000, 5000));
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop(client);
    let mut client = served.connect();
    send(&mut client, "GET /later/part");
    some("the connection", || (served.engine.board.connections() == 1).then_some(()));
    monoceros_sys::socket::reset(std::os::fd::AsFd::as_fd(&client)).unwrap();
    some("its end", || (served.engine.board.connections() == 0).then_some(()));
    // The decision has no effect on the connection that has its place now.
    let mut other = served.connect();
    assert_eq!(ask(&mut other, "/small").1, content(10, 1024));
    served.site.release.send(()).unwrap();
    assert_eq!(ask(&mut other, "/part").1, content(1000, 5000));
}

/// The request of a client and its end are reported by one event if the loop was busy.
#[test]
fn the_end_of_a_client_may_arrive_with_the_request_on_which_is_decided_later() {
    let served = start("files-later-left", options());
    let mut client = served.connect();
    client.write_all(b"GET /later/part HTTP/1.1\r\n").unwrap();
    some("the connection", || (served.engine.board.connections() == 1).then_some(()));
    let mut other = served.connect();
    assert_eq!(ask(&mut other, "/small").1, content(10, 1024));
    some("both connections", || (served.engine.board.connections() == 2).then_some(()));
    send(&mut other, "GET /wait");
    some("the loop to wait", || served.site.released.try_lock().is_err().then_some(()));
    client.write_all(b"Host: x\r\n\r\n").unwrap();
    monoceros_sys::socket::reset(std::os::fd::AsFd::as_fd(&client)).unwrap();
    served.site.release.send(()).unwrap();
    assert_eq!(response(&mut other, false).1, content(10, 1024));
    some("its end", || (served.engine.board.connections() == 1).then_some(()));
}

#[test]
fn a_draining_worker_waits_for_a_decision_and_for_a_file() {
    let served = start("files-drain", options());
    let (mut deciding, mut slow) = (served.connect(), served.connect());
    send(&mut slow, "GET /file");
    send(&mut deciding, "GET /later/part");
    some("both connections", || (served.engine.board.connections() == 2).then_some(()));
    served.engine.master.send(&ToWorker::Drain(Drain::Retire)).unwrap();
    some("the listener to be closed", || {
        TcpStream::connect(served.engine.address).is_err().then_some(())
    });
    served.site.release.send(()).unwrap();
    let (head, body) = response(&mut deciding, false);
    assert!(head.contains("Connection: close\r\n") && body == content(1000, 5000), "{head}");
    assert!(response(&mut slow, false).1 == content(0, LENGTH));
}

#[test]
fn a_worker_that_ends_refuses_what_has_no_decision() {
    let graceful_timeout = Duration::from_millis(800);
    let served = start("files-drain-late", Options { graceful_timeout, ..options() });
    let mut client = served.connect();
    send(&mut client, "GET /later/part");
    some("the connection", || (served.engine.board.connections() == 1).then_some(()));
    served.engine.master.send(&ToWorker::Drain(Drain::Retire)).unwrap();
    assert!(response(&mut client, false).0.starts_with("HTTP/1.1 503 "));
    served.site.release.send(()).unwrap();
}

#[test]
fn files_are_sent_on_new_connections_while_every_application_thread_is_stuck() {
    let site = Site::new();
    let options = Options { local: Some(site.decision()), reserve: 4, ..options() };
    let engine = RunningEngine::start("files-stuck", options, || {});
    let served = ServedSite { engine, site };
    // No thread takes requests.
    let _idle = served.engine.worker.requests(0);
    let mut stuck = served.connect();
    send(&mut stuck, "GET /far");
    for _ in 0..10 {
        let mut client = served.connect();
        assert_eq!(ask(&mut client, "/part").1, content(1000, 5000));
        send(&mut client, "GET /later/part");
        served.site.release.send(()).unwrap();
        assert_eq!(response(&mut client, false).1, content(1000, 5000));
    }
}
