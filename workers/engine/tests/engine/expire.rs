//! Requests whose time is over. The request target selects what the application does.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Deref;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use monoceros_engine::{Exchange, Options};
use monoceros_sys::clock;
use monoceros_wire::message::{Drain, ToWorker};
use monoceros_wire::scoreboard::{ReportedState, Running};

use crate::options::{self, options};
use crate::running::{DEADLINE, RunningEngine, serve, some};

/// A worker whose application can be stuck.
struct Bench {
    engine: RunningEngine,
    /// Releases one stuck application thread.
    release: Sender<()>,
    /// Whether the application's last write was taken.
    written: Receiver<bool>,
}

/// What the application threads share with the test.
struct StuckApplication {
    released: Mutex<Receiver<()>>,
    written: Mutex<Sender<bool>>,
}

impl Bench {
    fn start(name: &str, threads: u16) -> Self {
        Self::with(name, threads, options())
    }

    fn with(name: &str, threads: u16, options: Options) -> Self {
        Self::reopening(name, threads, options, || {})
    }

    fn reopening(
        name: &str,
        threads: u16,
        options: Options,
        reopen: impl FnMut() + Send + 'static,
    ) -> Self {
        let options = Options { application: options::threads(threads), ..options };
        let engine = RunningEngine::start(name, options, reopen);
        let (release, released) = channel();
        let (writes, written) = channel();
        let application = Arc::new(StuckApplication {
            released: Mutex::new(released),
            written: Mutex::new(writes),
        });
        for number in 0..threads {
            let (worker, application) = (engine.worker.clone(), Arc::clone(&application));
            thread::spawn(move || {
                serve(&worker.requests(number.into()), |it| application.answer(it))
            });
        }
        Self { engine, release, written }
    }

    fn ask(&self, request: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(client, "{request} HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\n\r\n").unwrap();
        client
    }

    /// Waits until the application runs a request of this label.
    fn wait_for(&self, label: &str) -> Running {
        let running = || self.board.running().into_iter().find(|it| it.label == label);
        some(label, running)
    }

    fn expire(&self, running: &Running) {
        self.master.send(&ToWorker::Expire { request: running.number }).unwrap();
    }

    /// Releases a stuck thread. Returns whether its next write was taken.
    fn let_go(&self) -> bool {
        self.release.send(()).unwrap();
        self.written.recv_timeout(DEADLINE).unwrap()
    }

    fn is_served(&self) {
        let mut client = self.ask("GET /quick");
        assert!(one_answer(&mut client).starts_with("HTTP/1.1 200"));
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Ends the worker, so that the access log is complete.
    fn drain(&self) -> String {
        self.master.send(&ToWorker::Drain(Drain::Retire)).unwrap();
        some("the end", || (self.board.state() == ReportedState::Stopping).then_some(()));
        self.logged()
    }
}

impl Deref for Bench {
    type Target = RunningEngine;

    fn deref(&self) -> &RunningEngine {
        &self.engine
    }
}

impl StuckApplication {
    fn answer(&self, mut exchange: Exchange) {
        let path = exchange.request().head.path().to_vec();
        match &path[..] {
            b"/stuck" => {
                self.hang();
                exchange.begin(b"200 OK").unwrap();
                self.report(exchange.write(b"late", None, Some(4)).is_ok());
            }
            b"/raising" => {
                self.hang();
                self.report(false);
                return exchange.abort(&|_| None);
            }
            b"/half" => {
                exchange.begin(b"200 OK").unwrap();
                exchange.field(b"Content-Length", b"8").unwrap();
                exchange.write(b"half", None, None).unwrap();
                self.hang();
                // The kernel may take one write more before it has the reset.
                let again = |_| exchange.write(b"x", None, None).is_ok();
                self.report((0..4).all(again));
            }
            b"/pieces" => {
                exchange.begin(b"200 OK").unwrap();
                exchange.write(b"one", None, None).unwrap();
                for piece in [&b"two"[..], b""] {
                    self.hang();
                    self.report(exchange.write(piece, None, None).is_ok());
                }
                self.hang();
            }
            b"/given" => {
                exchange.begin(b"200 OK").unwrap();
                exchange.write(b"given", None, Some(5)).unwrap();
                exchange.complete();
                self.report(true);
                self.hang();
                self.report(true);
            }
            b"/kept" => return self.keep(exchange),
            _ => {
                exchange.begin(b"200 OK").unwrap();
                exchange.write(b"quick", None, Some(5)).unwrap();
            }
        }
        exchange.finish(&|_| None);
    }

    /// Leaves the response to a thread of its own, which waits for the client.
    fn keep(&self, mut exchange: Exchange) {
        exchange.begin(b"200 OK").unwrap();
        let written = self.written.lock().unwrap().clone();
        thread::spawn(move || {
            // The kernel may take some more at any time.
            let mut fill = || {
                while !exchange.is_crowded() {
                    exchange.write(&[b'a'; 1 << 20], None, None)?;
                }
                exchange.wait_for_room()
            };
            while fill().is_ok() && written.send(true).is_ok() {}
        });
    }

    fn hang(&self) {
        self.released.lock().unwrap().recv_timeout(DEADLINE).unwrap();
    }

    fn report(&self, written: bool) {
        self.written.lock().unwrap().send(written).unwrap();
    }
}

/// Reads one response with a body of five bytes.
fn one_answer(client: &mut TcpStream) -> String {
    let mut received = Vec::new();
    let mut byte = [0];
    while !received.ends_with(b"\r\n\r\nquick") {
        assert_eq!(client.read(&mut byte).unwrap(), 1, "{received:?}");
        received.push(byte[0]);
    }
    String::from_utf8(received).unwrap()
}

/// Everything that the server sends up to the end of the connection.
fn whole(client: &mut TcpStream) -> String {
    let mut received = String::new();
    client.read_to_string(&mut received).unwrap();
    received
}

#[test]
fn the_client_of_a_stuck_request_gets_504_and_the_output_of_the_application_is_discarded() {
    for threads in [1, 3] {
        let bench = Bench::start("stuck", threads);
        bench.is_served();
        for target in ["/stuck", "/raising"] {
            let mut client = bench.ask(&format!("GET {target}"));
            let running = bench.wait_for(&format!("GET {target}"));
            bench.expire(&running);
            let received = whole(&mut client);
            assert!(received.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{received}");
            assert!(received.contains("\r\nConnection: close\r\n"), "{received}");
            assert!(received.ends_with("\r\n\r\n504 Gateway Timeout\n"), "{received}");
            assert_eq!(bench.wait_for(&running.label), running, "its thread is still stuck");
            bench.expire(&running);
            assert!(!bench.let_go());
            bench.is_served();
            let end =
                || bench.board.recent().into_iter().find(|it| it.number == running.number)?.end;
            assert_eq!(some("the end of the request", end).status, 504);
        }
        let log = bench.drain();
        let counters = bench.board.counters();
        assert_eq!((counters.requests, counters.timeouts), (5, 2));
        assert_eq!(counters.statuses.by_class(), [3, 0, 0, 2]);
        for target in ["/stuck", "/raising"] {
            let lines: Vec<_> = log.lines().filter(|line| line.contains(target)).collect();
            let line = format!("GET {target} HTTP/1.1|504|20|test|");
            assert!(lines.len() == 1 && lines[0].starts_with(&line), "{log}");
        }
    }
}

#[test]
fn the_504_for_head_has_no_body() {
    let bench = Bench::start("head", 1);
    let mut client = bench.ask("HEAD /stuck");
    bench.expire(&bench.wait_for("HEAD /stuck"));
    let received = whole(&mut client);
    assert!(received.starts_with("HTTP/1.1 504 ") && received.ends_with("\r\n\r\n"), "{received}");
    assert!(!bench.let_go());
    assert!(bench.drain().starts_with("HEAD /stuck HTTP/1.1|504|0|test|"));
}

#[test]
fn a_response_that_has_begun_is_broken() {
    for threads in [1, 2] {
        let bench = Bench::start("half", threads);
        let mut client = bench.ask("GET /half");
        let mut received = vec![0; 4096];
        let mut length = 0;
        while !received[..length].ends_with(b"half") {
            length += client.read(&mut received[length..]).unwrap();
        }
        bench.expire(&bench.wait_for("GET /half"));
        assert_eq!(client.read(&mut received).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(!bench.let_go());
        bench.is_served();
        assert_eq!(bench.board.counters().timeouts, 1);
        assert_eq!(bench.drain().matches("GET /half HTTP/1.1|200|").count(), 1);
    }
}

#[test]
fn each_piece_of_a_response_begins_the_time_of_its_request_anew() {
    let bench = Bench::start("pieces", 1);
    let _client = bench.ask("GET /pieces");
    let begun = bench.wait_for("GET /pieces").since_ms;
    some("another time", || (clock::monotonic_ms() > begun).then_some(()));
    assert!(bench.let_go());
    let again = bench.wait_for("GET /pieces").since_ms;
    assert!(again > begun);
    some("another time", || (clock::monotonic_ms() > again).then_some(()));
    assert!(bench.let_go());
    assert_eq!(bench.wait_for("GET /pieces").since_ms, again, "nothing is no piece");
    bench.release.send(()).unwrap();
    bench.drain();
}

#[test]
fn a_response_that_was_given_is_kept() {
    let bench = Bench::start("given", 1);
    let mut client = bench.ask("GET /given");
    assert!(bench.written.recv_timeout(DEADLINE).unwrap());
    bench.expire(&bench.wait_for("GET /given"));
    let received = whole(&mut client);
    assert!(
        received.starts_with("HTTP/1.1 200 ") && received.ends_with("\r\n\r\ngiven"),
        "{received}"
    );
    assert!(bench.let_go());
    bench.is_served();
    assert_eq!(bench.drain().matches("GET /given HTTP/1.1|200|5|").count(), 1);
}

#[test]
fn requests_that_have_ended_and_other_requests_do_not_expire() {
    let bench = Bench::start("over", 2);
    let mut client = bench.ask("GET /quick");
    one_answer(&mut client);
    let number = bench.board.recent()[0].number;
    // Its response arrives a moment before the request ends.
    some("the end of the request", || bench.board.recent()[0].end);
    let mut stuck = bench.ask("GET /stuck");
    let running = bench.wait_for("GET /stuck");
    for number in [number, 0, u64::MAX] {
        bench.expire(&Running { number, ..running.clone() });
    }
    client.write_all(b"GET /quick HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    one_answer(&mut client);
    assert!(bench.let_go());
    stuck.write_all(b"GET /quick HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(one_answer(&mut stuck).starts_with("HTTP/1.1 200"));
    assert_eq!(bench.board.counters().timeouts, 0);
}

#[test]
fn a_draining_worker_refuses_in_time_what_it_cannot_begin() {
    for threads in [1, 2] {
        let graceful_timeout = Duration::from_secs(2);
        let options = Options { graceful_timeout, drain_idle: DEADLINE, ..options() };
        let bench = Bench::with("unbegun", threads, options);
        let mut clients: Vec<_> = (0..4).map(|_| bench.ask("GET /quick")).collect();
        clients.iter_mut().for_each(|client| drop(one_answer(client)));
        let mut stuck: Vec<_> = (0..threads).map(|_| bench.ask("GET /stuck")).collect();
        // A quick request may still be shown although its response has arrived.
        let is_stuck = |running: &Running| running.label == "GET /stuck";
        let count = || bench.board.running().into_iter().filter(is_stuck).count();
        some("a stuck request on each thread", || (count() == usize::from(threads)).then_some(()));
        let requests = [
            "GET /waiting HTTP/1.1\r\nHost: a\r\n\r\n",
            "HEAD /waiting HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /arriving HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
            "GET /arriving HTTP/1.1\r\nHo",
        ];
        for (client, request) in clients.iter_mut().zip(requests) {
            client.write_all(request.as_bytes()).unwrap();
        }
        bench.master.send(&ToWorker::Drain(Drain::Retire)).unwrap();
        for (client, request) in clients.iter_mut().zip(requests) {
            let received = whole(client);
            assert!(received.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{received}");
            assert!(received.contains("\r\nConnection: close\r\n"), "{received}");
            assert!(received.contains("\r\nRetry-After: 1\r\n"), "{received}");
            let body = if request.starts_with("HEAD") { "" } else { "503 Service Unavailable\n" };
            assert!(received.ends_with(&format!("\r\n\r\n{body}")), "{received}");
        }
        // The threads continue in any order.
        assert!(stuck.iter().all(|_| bench.let_go()), "what has begun goes on");
        for client in &mut stuck {
            let mut begin = [0; 12];
            client.read_exact(&mut begin).unwrap();
            assert_eq!(&begin, b"HTTP/1.1 200");
        }
        // They are counted when their clients have the responses.
        let served = 4 + u64::from(threads);
        let counters = || bench.board.counters();
        some("the end of all requests", || (counters().requests == served).then_some(()));
        some("all responses", || {
            (counters().statuses.by_class() == [served, 0, 0, 4]).then_some(())
        });
        let lines = || bench.logged().matches("|503|").count();
        some("the access log", || (lines() == 4).then_some(()));
        assert!(bench.logged().contains("HEAD /waiting HTTP/1.1|503|0|"), "{}", bench.logged());
    }
}

#[test]
fn a_response_that_another_thread_writes_has_no_effect_on_the_next_request() {
    let bench = Bench::start("kept", 1);
    // No other client is accepted while the worker is busy.
    let mut stuck = bench.ask("GET /quick");
    one_answer(&mut stuck);
    let _client = bench.ask("GET /kept");
    bench.written.recv_timeout(DEADLINE).unwrap();
    stuck.write_all(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let running = bench.wait_for("GET /stuck");
    for _ in 0..2 {
        assert!(bench.written.recv_timeout(DEADLINE).unwrap(), "a wait");
        assert_eq!(bench.wait_for("GET /stuck"), running);
    }
    bench.release.send(()).unwrap();
    let runs = || bench.board.is_running(running.number);
    some("a free thread", || (!runs()).then_some(()));
    // One of these has ended since.
    for _ in 0..3 {
        bench.written.recv_timeout(DEADLINE).unwrap();
    }
    assert!(!runs());
}

/// The loop finds the request and the worker's end at once, and then gives the
/// application a moment to begin.
#[test]
fn a_worker_whose_time_is_over_refuses_first() {
    let ((stopped, is_stopped), (go, may_go)) = (channel(), channel());
    let reopen = move || {
        stopped.send(()).unwrap();
        may_go.recv_timeout(DEADLINE).unwrap();
    };
    let graceful_timeout = Duration::from_millis(5);
    let options = Options { graceful_timeout, drain_idle: DEADLINE, ..options() };
    let bench = Bench::reopening("late", 1, options, reopen);
    let mut client = bench.ask("GET /quick");
    one_answer(&mut client);
    let _stuck = bench.ask("GET /stuck");
    bench.wait_for("GET /stuck");
    bench.master.send(&ToWorker::Reopen).unwrap();
    is_stopped.recv_timeout(DEADLINE).unwrap();
    client.write_all(b"GET /waiting HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    bench.master.send(&ToWorker::Drain(Drain::Retire)).unwrap();
    go.send(()).unwrap();
    let received = whole(&mut client);
    assert!(received.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{received}");
    assert!(bench.let_go());
}

/// Whichever side is faster, the client gets exactly one complete response; or none
/// when the application had just begun to write.
#[test]
fn a_response_at_the_moment_of_its_timeout_is_either_complete_or_a_504() {
    for threads in [1, 2] {
        let bench = Bench::start("race", threads);
        let mut timeouts = 0;
        for round in 0..200 {
            let mut client = bench.ask("GET /stuck");
            let running = bench.wait_for("GET /stuck");
            if round % 2 == 0 {
                bench.expire(&running);
                bench.release.send(()).unwrap();
            } else {
                bench.release.send(()).unwrap();
                bench.expire(&running);
            }
            // The connection may be broken already.
            client.shutdown(std::net::Shutdown::Write).ok();
            let written = bench.written.recv_timeout(DEADLINE).unwrap();
            let mut received = String::new();
            let end = client.read_to_string(&mut received);
            if received.is_empty() {
                assert!(end.is_err(), "an end without a response looks like a whole one");
            } else if received.starts_with("HTTP/1.1 504 ") {
                assert!(
                    !written && received.ends_with("\r\n\r\n504 Gateway Timeout\n"),
                    "{received}"
                );
                assert!(end.is_ok(), "{end:?}");
                timeouts += 1;
            } else {
                // The connection may be broken behind the response.
                assert!(received.starts_with("HTTP/1.1 200 "), "{received}");
                assert!(received.ends_with("\r\n\r\nlate"), "{received}");
            }
            some("a free thread", || bench.board.running().is_empty().then_some(()));
        }
        assert!(bench.board.counters().timeouts >= timeouts);
        assert_eq!(bench.drain().lines().count(), 200);
    }
}
