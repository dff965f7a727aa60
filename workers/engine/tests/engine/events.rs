//! An application with its own event loop: the second user of the handoff, beside
//! threads. It has one thread, and waits for a descriptor.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use monoceros_engine::{
    ApplicationKind, BodyPiece, Engine, EventSource, Exchange, InboxEvent, Options,
};
use monoceros_sys::limit;
use monoceros_sys::wait::{Readiness, wait};
use monoceros_wire::message::{Drain, ToWorker};
use monoceros_wire::scoreboard::{GivenUp, ReportedState};

use crate::running::{DEADLINE, RunningEngine, Wire, some};

/// The most of a body that waits, in bytes.
const BODY_BUFFER: usize = 64 * 1024;

/// Streams that `/together` waits for before the first of them is responded to.
const TOGETHER: usize = 1_000;

/// What the application reports to the test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TestReport {
    /// It has found no piece of the body of a request.
    Waits,
    /// The length of a body that it has taken, and of its largest piece.
    Taken { length: usize, largest: usize },
    /// The rest of a body does not arrive.
    Broken,
    /// The client of a request has gone.
    Disconnected,
    /// It waits for room for more of a response.
    AwaitsRoom,
    /// There was room again.
    HadRoom,
}

/// One request of the application.
struct HeldStream {
    exchange: Exchange,
    kind: StreamKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StreamKind {
    /// Takes the body to its end and responds with its length.
    Upload { length: usize, largest: usize },
    /// Is held until all requests of its kind have arrived.
    Together,
    /// Sends back what arrives, in another protocol.
    Echo,
    /// Sends so many more bytes as a response.
    Download { left: usize },
    /// Is held until its client has gone.
    Held,
}

pub(crate) struct EventApplication {
    source: EventSource,
    streams: HashMap<u64, HeldStream>,
    reports: Sender<TestReport>,
    stops: bool,
}

impl EventApplication {
    pub(crate) fn new(engine: &Engine, reports: Sender<TestReport>) -> Self {
        let source = engine.events().unwrap();
        Self { source, streams: HashMap::new(), reports, stops: false }
    }

    /// Runs beside the I/O thread.
    pub(crate) fn run(mut self) {
        while !self.stops {
            wait(&[(self.source.as_fd(), Readiness::Readable)], Some(DEADLINE)).unwrap();
            self.take();
        }
    }

    /// Runs the engine's loop as well: there is no I/O thread.
    fn run_with_loop(mut self) {
        let descriptor = self.source.loop_descriptor().unwrap();
        while !self.stops {
            let limit = self.source.turn_loop().unwrap();
            self.take();
            let both = [
                (self.source.as_fd(), Readiness::Readable),
                (descriptor.as_fd(), Readiness::Readable),
            ];
            wait(&both, Some(limit)).unwrap();
        }
    }

    fn report(&self, report: TestReport) {
        // A test that is over receives nothing.
        self.reports.send(report).ok();
    }

    fn take(&mut self) {
        for event in self.source.take() {
            match event {
                InboxEvent::Request(exchange) => self.begin(*exchange),
                InboxEvent::Body(number) => self.go_on(number),
                InboxEvent::Room(number) => {
                    self.report(TestReport::HadRoom);
                    self.go_on(number);
                }
                InboxEvent::Disconnected(number) => self.lose(number),
                InboxEvent::Drain => {}
                InboxEvent::Stop => self.stops = true,
            }
        }
    }

    fn begin(&mut self, mut exchange: Exchange) {
        let kind = match exchange.request().head.path() {
            b"/together" => StreamKind::Together,
            b"/held" => StreamKind::Held,
            b"/echo" => StreamKind::Echo,
            b"/download" => StreamKind::Download { left: 64 << 20 },
            _ => StreamKind::Upload { length: 0, largest: 0 },
        };
        if kind == StreamKind::Echo {
            exchange.upgrade(b"echo").unwrap();
            exchange.write(b"", None, None).unwrap();
        }
        let number = exchange.request().number();
        self.streams.insert(number, HeldStream { exchange, kind });
        self.go_on(number);
        let is_together = |it: &&HeldStream| it.kind == StreamKind::Together;
        if self.streams.values().filter(is_together).count() == TOGETHER {
            let mut numbers: Vec<_> = self.streams.keys().copied().collect();
            numbers.sort_unstable();
            // The last request gets the first response.
            numbers.into_iter().rev().for_each(|number| self.respond(number, b"together"));
        }
    }

    fn respond(&mut self, number: u64, body: &[u8]) {
        let Some(HeldStream { mut exchange, .. }) = self.streams.remove(&number) else { return };
        exchange.begin(b"200 OK").unwrap();
        exchange.write(body, None, Some(body.len() as u64)).ok();
        exchange.finish(&|_| None);
    }

    fn lose(&mut self, number: u64) {
        if let Some(HeldStream { exchange, .. }) = self.streams.remove(&number) {
            self.report(TestReport::Disconnected);
            exchange.abort(&|_| None);
        }
    }

    fn go_on(&mut self, number: u64) {
        while let Some(stream) = self.streams.get_mut(&number) {
            let exchange = &mut stream.exchange;
            match &mut stream.kind {
                StreamKind::Together | StreamKind::Held => return,
                StreamKind::Upload { length, largest } => match exchange.take_piece(BODY_BUFFER) {
                    BodyPiece::Bytes(bytes) => {
                        *length += bytes.len();
                        *largest = bytes.len().max(*largest);
                    }
                    BodyPiece::Nothing => return self.report(TestReport::Waits),
                    BodyPiece::End => {
                        let (length, largest) = (*length, *largest);
                        self.report(TestReport::Taken { length, largest });
                        return self.respond(number, length.to_string().as_bytes());
                    }
                    BodyPiece::Broken => {
                        self.report(TestReport::Broken);
                        return self.respond(number, b"broken");
                    }
                },
                StreamKind::Echo => match exchange.take_piece(7) {
                    BodyPiece::Bytes(bytes) => exchange.write(&bytes, None, None).unwrap(),
                    BodyPiece::Nothing => return,
                    BodyPiece::End | BodyPiece::Broken => {
                        let HeldStream { exchange, .. } = self.streams.remove(&number).unwrap();
                        return exchange.finish(&|_| None);
                    }
                },
                StreamKind::Download { left: 0 } => {
                    let HeldStream { exchange, .. } = self.streams.remove(&number).unwrap();
                    return exchange.finish(&|_| None);
                }
                StreamKind::Download { left } => {
                    if !exchange.has_begun() {
                        exchange.begin(b"200 OK").unwrap();
                        exchange.field(b"Content-Length", left.to_string().as_bytes()).unwrap();
                    } else if exchange.is_crowded() && exchange.await_room() {
                        return self.report(TestReport::AwaitsRoom);
                    }
                    let length = (*left).min(1 << 20);
                    exchange.write(&vec![b'x'; length], None, None).unwrap();
                    *left -= length;
                }
            }
        }
    }
}

pub(crate) fn options() -> Options {
    let streams = u16::try_from(TOGETHER).unwrap();
    let application = ApplicationKind::Events { streams, body_buffer: BODY_BUFFER };
    Options { application, connections: 2 * TOGETHER, ..crate::options::options() }
}

fn start(name: &str, options: Options) -> (RunningEngine, Receiver<TestReport>) {
    let engine = RunningEngine::start(name, options, || {});
    let (reports, reported) = channel();
    let worker = engine.worker.clone();
    thread::spawn(move || EventApplication::new(&worker, reports).run());
    (engine, reported)
}

fn connect(engine: &RunningEngine) -> TcpStream {
    let client = TcpStream::connect(engine.address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.set_write_timeout(Some(DEADLINE)).unwrap();
    client
}

/// The body of the next response; no byte follows it.
fn body(client: &mut TcpStream) -> String {
    let (mut text, mut bytes) = (String::new(), vec![0; 64 * 1024]);
    loop {
        let length = client.read(&mut bytes).unwrap();
        assert!(length > 0, "the connection has ended after {text:?}");
        text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let (_, length) = head.split_once("Content-Length: ").unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if body.len() == length {
                return body.to_owned();
            }
        }
    }
}

pub(crate) fn report(reports: &Receiver<TestReport>) -> TestReport {
    reports.recv_timeout(DEADLINE).unwrap()
}

/// Waits for this report; the application may report before that it waits.
pub(crate) fn report_of(reports: &Receiver<TestReport>, wanted: &TestReport) {
    while report(reports) != *wanted {}
}

#[test]
fn a_thousand_streams_are_open_at_once() {
    limit::raise().unwrap();
    let (engine, _reports) = start("events-together", options());
    let mut clients: Vec<_> = (0..TOGETHER).map(|_| connect(&engine)).collect();
    for client in &mut clients {
        client.write_all(b"GET /together HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }
    for client in &mut clients {
        assert_eq!(body(client), "together");
    }
    // A request is counted behind the write of its response, which its client may read before.
    let all = || (engine.board.counters().requests == TOGETHER as u64).then_some(());
    some("the count of all requests", all);
}

/// No event announces bytes that have arrived before the loop has read the head.
#[test]
fn a_body_that_has_arrived_with_its_head_is_taken_to_its_end() {
    let (engine, reports) = start("events-together-with-head", options());
    let mut client = connect(&engine);
    let length = 100_000;
    let head = format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    let request = head + &"a".repeat(length);
    for _ in 0..300 {
        client.write_all(request.as_bytes()).unwrap();
        assert_eq!(body(&mut client), length.to_string());
    }
    drop(reports);
}

#[test]
fn a_large_body_is_taken_by_pieces() {
    let (engine, reports) = start("events-upload", options());
    let length = 10_000_000;
    let mut client = connect(&engine);
    for is_chunked in [false, true] {
        let mut writer = client.try_clone().unwrap();
        let sender = thread::spawn(move || {
            let head = "POST /upload HTTP/1.1\r\nHost: a\r\n";
            if is_chunked {
                write!(writer, "{head}Transfer-Encoding: chunked\r\n\r\n").unwrap();
                for _ in 0..length / 10_000 {
                    write!(writer, "2710\r\n{}\r\n", "a".repeat(10_000)).unwrap();
                }
                writer.write_all(b"0\r\n\r\n").unwrap();
            } else {
                write!(writer, "{head}Content-Length: {length}\r\n\r\n").unwrap();
                writer.write_all(&vec![b'a'; length]).unwrap();
            }
        });
        let taken = loop {
            match report(&reports) {
                TestReport::Waits => {}
                TestReport::Taken { length, largest } => break (length, largest),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(taken.0, length);
        assert!(taken.1 <= BODY_BUFFER, "{} bytes waited", taken.1);
        sender.join().unwrap();
        assert_eq!(body(&mut client), length.to_string());
    }
}

#[test]
fn a_client_is_asked_for_a_body_when_the_application_waits_for_it() {
    let (engine, reports) = start("events-continue", options());
    let mut client = connect(&engine);
    client
        .write_all(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
        )
        .unwrap();
    assert_eq!(report(&reports), TestReport::Waits);
    let mut interim = [0; 25];
    client.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    // The next request has arrived as well.
    client.write_all(b"bodyGET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    report_of(&reports, &TestReport::Taken { length: 4, largest: 4 });
    report_of(&reports, &TestReport::Taken { length: 0, largest: 0 });
}

#[test]
fn a_body_that_ends_early_is_broken_and_ends_the_connection() {
    let (engine, reports) = start("events-broken", options());
    for end in ["", "zz\r\n"] {
        let mut client = connect(&engine);
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        write!(client, "{head}2\r\nab\r\n{end}").unwrap();
        if end.is_empty() {
            client.shutdown(Shutdown::Write).unwrap();
        }
        report_of(&reports, &TestReport::Broken);
        let mut rest = String::new();
        client.read_to_string(&mut rest).unwrap();
        assert!(rest.is_empty() || rest.ends_with("broken"), "{rest}");
    }
}

#[test]
fn another_protocol_follows_in_both_directions() {
    let (engine, _reports) = start("events-upgrade", options());
    let mut client = connect(&engine);
    let head = "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    // A part of the next request is there behind the head.
    client.write_all(format!("{head}GET / HTTP/1.1\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    let mut bytes = [0; 1000];
    while !text.ends_with("GET / HTTP/1.1\r\n") {
        let length = client.read(&mut bytes).unwrap();
        text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
    }
    assert!(text.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{text}");
    assert!(text.contains("\r\nUpgrade: echo\r\n"), "{text}");
    assert!(text.contains("\r\nConnection: upgrade\r\n"), "{text}");
    let long = "b".repeat(300_000);
    let mut writer = client.try_clone().unwrap();
    let sent = long.clone();
    let sender = thread::spawn(move || {
        writer.write_all(sent.as_bytes()).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    sender.join().unwrap();
    assert!(rest == long, "{} bytes came back", rest.len());
}

#[test]
fn an_application_gets_an_event_when_its_client_has_gone() {
    let (engine, reports) = start("events-gone", options());
    let mut client = connect(&engine);
    client.write_all(b"GET /held HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    some("the request", || (!engine.board.running().is_empty()).then_some(()));
    drop(client);
    assert_eq!(report(&reports), TestReport::Disconnected);
}

#[test]
fn an_application_waits_for_a_slow_client_without_a_thread() {
    let options = Options { response_disk: 0, ..options() };
    let (engine, reports) = start("events-room", options);
    let mut slow = connect(&engine);
    slow.write_all(b"GET /download HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(report(&reports), TestReport::AwaitsRoom);
    // Another client is served meanwhile.
    let mut client = connect(&engine);
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(body(&mut client), "0");
    let mut length = 0;
    let mut bytes = vec![0; 1 << 20];
    while length < 64 << 20 {
        length += slow.read(&mut bytes).unwrap();
    }
    report_of(&reports, &TestReport::HadRoom);
}

#[test]
fn the_application_can_run_the_loop_in_place_of_the_io_thread() {
    let engine = RunningEngine::prepare("events-loop", options(), Wire::default(), || {});
    let (reports, _reported) = channel();
    let worker = engine.worker.clone();
    let application =
        thread::spawn(move || EventApplication::new(&worker, reports).run_with_loop());
    let mut clients: Vec<_> = (0..50).map(|_| connect(&engine)).collect();
    for _ in 0..3 {
        for client in &mut clients {
            client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n").unwrap();
        }
        for client in &mut clients {
            client.write_all(b"abc").unwrap();
            assert_eq!(body(client), "3");
        }
    }
    drop(clients);
    engine.master.send(&ToWorker::Drain(Drain::Retire)).unwrap();
    application.join().unwrap();
    assert_eq!(engine.board.state(), ReportedState::Stopping);
}

#[test]
fn a_client_that_leaves_with_its_request_is_reported() {
    let name = "events-leaves";
    let engine = RunningEngine::prepare(name, options(), Wire::default(), || {});
    let (reports, reported) = channel();
    let mut application = EventApplication::new(&engine.worker, reports);
    let mut until = |wanted: TestReport| {
        some("the report", || {
            application.source.turn_loop().unwrap();
            application.take();
            reported.try_iter().any(|it| it == wanted).then_some(())
        });
    };
    let mut client = connect(&engine);
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    until(TestReport::Taken { length: 0, largest: 0 });
    assert_eq!(body(&mut client), "0");
    // One event reports both the request and the end.
    client.write_all(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    drop(client);
    until(TestReport::Disconnected);
}

#[test]
fn the_events_of_a_closed_connection_are_not_those_of_the_next() {
    let name = "events-token";
    let options = Options { response_disk: 0, ..options() };
    let engine = RunningEngine::prepare(name, options, Wire::default(), || {});
    let (reports, reported) = channel();
    let mut application = EventApplication::new(&engine.worker, reports);
    let mut slow = connect(&engine);
    slow.write_all(b"GET /download HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    some("the slow client", || {
        application.source.turn_loop().unwrap();
        application.take();
        reported.try_iter().any(|it| it == TestReport::AwaitsRoom).then_some(())
    });
    let first = engine.board.running()[0].number;
    engine.master.send(&ToWorker::Expire { request: first }).unwrap();
    slow.set_nonblocking(true).unwrap();
    let mut bytes = vec![0; 1 << 20];
    // The application does not learn of it: it keeps the descriptor open.
    some("the end of the connection", || {
        application.source.turn_loop().unwrap();
        loop {
            match slow.read(&mut bytes) {
                Ok(1..) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
                Ok(0) | Err(_) => return Some(()),
            }
        }
    });
    let mut client = connect(&engine);
    client.write_all(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    application.source.turn_loop().unwrap();
    some("the next request", || {
        application.source.turn_loop().unwrap();
        application.take();
        engine.board.running().iter().any(|it| it.number != first).then_some(())
    });
    application.source.turn_loop().unwrap();
    application.take();
    let gone = reported.try_iter().filter(|it| *it == TestReport::Disconnected).count();
    assert_eq!(gone, 1, "only the client of the first request has gone");
}

#[test]
fn a_chunked_body_that_is_too_large_is_broken() {
    let (engine, reports) = start("events-limit", Options { longest_body: 10, ..options() });
    let mut client = connect(&engine);
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    write!(client, "{head}a\r\n0123456789\r\n0\r\n\r\n").unwrap();
    assert_eq!(body(&mut client), "10");
    write!(client, "{head}a\r\n0123456789\r\n1\r\n0\r\n").unwrap();
    report_of(&reports, &TestReport::Broken);
    assert_eq!(body(&mut client), "broken");
    assert_eq!(engine.board.losses()[GivenUp::TooLarge.index()], 1);
}

/// The application never looks into its inbox.
#[test]
fn a_request_that_waits_too_long_in_the_inbox_gets_503() {
    let options = Options { queue_timeout: Duration::from_millis(50), ..options() };
    let engine = RunningEngine::start("events-overdue", options, || {});
    let source = engine.worker.events().unwrap();
    let mut client = connect(&engine);
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(body(&mut client), "503 Service Unavailable\n");
    assert!(source.take().is_empty(), "its events are taken back as well");
    assert_eq!(engine.board.losses()[GivenUp::Overdue.index()], 1);
}
