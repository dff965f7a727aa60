//! A protocol that carries several streams on a connection: the second user of the
//! interface for protocols, beside HTTP/1. A frame is a kind, the number of a stream, a
//! length and a payload.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use monoceros_engine::{
    Address, Arrival, ConnectionCounter, ConnectionLimit, CountedConnection, Decision, Exchange,
    LocalDecision, LocalResponse, Multiplexer, MultiplexerFactory, Options, ProtocolEvent,
    ResponseReviser,
};
use monoceros_http::{Head, Reject, ResponseHead};
use monoceros_wire::message::{Drain, ToWorker};
use monoceros_wire::scoreboard::GivenUp;

use crate::events::{self, EventApplication, TestReport};
use crate::local_files::{LENGTH, Site, content};
use crate::options::{LIMITS, options, threads};
use crate::running::{DEADLINE, RunningEngine, serve, some};

const HEADER: usize = 9;

/// A head, or data; a lower-case letter marks the last frame of the stream in this
/// direction.
const HEAD: u8 = b'H';
const DATA: u8 = b'D';
const RESET: u8 = b'R';
const DRAIN: u8 = b'G';

fn push_frame(kind: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
    out.extend_from_slice(payload);
}

/// The first frame of some bytes and its length, if it is complete.
fn frame(bytes: &[u8]) -> Option<(u8, u32, &[u8])> {
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    if bytes.len() < HEADER {
        return None;
    }
    let length = number(5) as usize;
    Some((bytes[0], number(1), bytes.get(HEADER..HEADER + length)?))
}

fn ending(kind: u8, ends: bool) -> u8 {
    if ends { kind.to_ascii_lowercase() } else { kind }
}

#[derive(Debug)]
struct ToyProtocol;

impl Multiplexer for ToyProtocol {
    fn read(&mut self, bytes: &[u8], events: &mut Vec<ProtocolEvent>) -> Result<usize, Reject> {
        let mut used = 0;
        while let Some((kind, stream, payload)) = frame(&bytes[used..]) {
            let ends = kind.is_ascii_lowercase();
            let event = match kind.to_ascii_uppercase() {
                HEAD => {
                    let mut head = Box::new(Head::new());
                    head.read(payload, &LIMITS)?;
                    ProtocolEvent::Head { stream, head, ends }
                }
                DATA => ProtocolEvent::Data { stream, bytes: payload.to_vec(), ends },
                RESET => ProtocolEvent::Reset { stream },
                _ => return Err(Reject { status: 400, reason: "an unknown frame" }),
            };
            events.push(event);
            used += HEADER + payload.len();
        }
        Ok(used)
    }

    fn push_head(&mut self, stream: u32, head: &ResponseHead, ends: bool, out: &mut Vec<u8>) {
        let mut text = head.status_text().to_vec();
        for (name, value) in head.fields.iter() {
            text.extend([b"\n", name, b"=", value].concat());
        }
        push_frame(ending(HEAD, ends), stream, &text, out);
    }

    fn push_data(&mut self, stream: u32, bytes: &[u8], ends: bool, out: &mut Vec<u8>) {
        push_frame(ending(DATA, ends), stream, bytes, out);
    }

    fn push_reset(&mut self, stream: u32, out: &mut Vec<u8>) {
        push_frame(RESET, stream, b"", out);
    }

    fn push_drain(&mut self, out: &mut Vec<u8>) {
        push_frame(DRAIN, 0, b"", out);
    }
}

/// What a client has received on a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct ToyResponse {
    head: String,
    body: Vec<u8>,
    is_over: bool,
    is_reset: bool,
}

struct ToyClient {
    socket: TcpStream,
    input: Vec<u8>,
    got: BTreeMap<u32, ToyResponse>,
    /// Streams in the order of their ends.
    over: Vec<u32>,
    is_drained: bool,
    has_ended: bool,
}

impl ToyClient {
    fn connect(engine: &RunningEngine) -> Self {
        let socket = TcpStream::connect(engine.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self {
            socket,
            input: Vec::new(),
            got: BTreeMap::new(),
            over: Vec::new(),
            is_drained: false,
            has_ended: false,
        }
    }

    fn send(&mut self, kind: u8, stream: u32, payload: &[u8]) {
        let mut out = Vec::new();
        push_frame(kind, stream, payload, &mut out);
        self.socket.write_all(&out).unwrap();
    }

    fn get(&mut self, stream: u32, path: &str) {
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        self.send(ending(HEAD, true), stream, head.as_bytes());
    }

    fn read(&mut self) {
        let mut bytes = vec![0; 64 * 1024];
        let count = self.socket.read(&mut bytes).unwrap();
        self.has_ended = count == 0;
        self.input.extend_from_slice(&bytes[..count]);
        while let Some((kind, stream, payload)) = frame(&self.input) {
            let used = HEADER + payload.len();
            let got = self.got.entry(stream).or_default();
            match kind.to_ascii_uppercase() {
                HEAD => got.head = String::from_utf8(payload.to_vec()).unwrap(),
                DATA => got.body.extend_from_slice(payload),
                RESET => got.is_reset = true,
                _ => self.is_drained = true,
            }
            if kind.is_ascii_lowercase() {
                got.is_over = true;
                self.over.push(stream);
            }
            self.input.drain(..used);
        }
    }

    fn read_until(&mut self, mut is_enough: impl FnMut(&Self) -> bool) {
        while !is_enough(self) {
            assert!(!self.has_ended, "the connection has ended: {:?}", self.got);
            self.read();
        }
    }

    /// The whole response on a stream.
    fn response(&mut self, stream: u32) -> &ToyResponse {
        self.read_until(|it| it.got.get(&stream).is_some_and(|got| got.is_over));
        &self.got[&stream]
    }
}

/// The application: `/wait` is held until the test releases one.
struct Application {
    released: Mutex<Receiver<()>>,
}

impl Application {
    fn answer(&self, mut exchange: Exchange) {
        let path = exchange.request().head.path().to_vec();
        let body = match &path[..] {
            b"/wait" => {
                self.released.lock().unwrap().recv().ok();
                b"waited".to_vec()
            }
            b"/large" => vec![b'x'; 3_000_000],
            b"/short" => {
                exchange.begin(b"200 OK").unwrap();
                exchange.field(b"Content-Length", b"10").unwrap();
                exchange.write(b"half", None, None).unwrap();
                return exchange.finish(&|_| None);
            }
            b"/raising" => {
                exchange.begin(b"200 OK").unwrap();
                exchange.write(b"half", None, None).unwrap();
                return exchange.abort(&|_| None);
            }
            _ => exchange.take_body().len().to_string().into_bytes(),
        };
        exchange.begin(b"200 OK").unwrap();
        let (one, other) = body.split_at(body.len() / 2);
        exchange.write(one, None, None).ok();
        exchange.write(other, None, None).ok();
        exchange.finish(&|_| None);
    }
}

fn start(name: &str, options: Options) -> (RunningEngine, Sender<()>) {
    let protocol = MultiplexerFactory::new(|| Box::new(ToyProtocol));
    let count = 2;
    let options = Options { application: threads(count), ..options };
    let engine = RunningEngine::with_protocol(name, options, protocol);
    let (release, released) = channel();
    let application = Arc::new(Application { released: Mutex::new(released) });
    for number in 0..count {
        let (worker, application) = (engine.worker.clone(), Arc::clone(&application));
        thread::spawn(move || serve(&worker.requests(number.into()), |it| application.answer(it)));
    }
    (engine, release)
}

#[test]
fn two_streams_are_responded_to_in_reverse_order() {
    let (engine, release) = start("toy-reverse", options());
    let mut client = ToyClient::connect(&engine);
    client.get(1, "/wait");
    some("the first request", || (!engine.board.running().is_empty()).then_some(()));
    client.get(3, "/");
    assert_eq!(client.response(3).body, b"0");
    assert!(!client.got.contains_key(&1));
    release.send(()).unwrap();
    let got = client.response(1);
    assert_eq!(got.body, b"waited");
    assert!(got.head.starts_with("200 OK\n") && got.head.contains("\nServer=monoceros"));
    assert!(!got.head.contains("Connection") && !got.head.contains("Transfer-Encoding"));
    assert_eq!(client.over, [3, 1]);
}

#[test]
fn bodies_on_several_streams_arrive_completely() {
    let (engine, _release) = start("toy-bodies", options());
    let mut client = ToyClient::connect(&engine);
    let head = b"POST / HTTP/1.1\r\nHost: a\r\n\r\n";
    for stream in [1, 3, 5] {
        client.send(HEAD, stream, head);
    }
    for part in 0..50 {
        for stream in [1, 3, 5] {
            client.send(ending(DATA, part == 49), stream, &vec![b'a'; 1_000 * stream as usize]);
        }
    }
    for stream in [1, 3, 5] {
        assert_eq!(client.response(stream).body, (50_000 * stream).to_string().as_bytes());
    }
}

#[test]
fn large_responses_share_a_connection() {
    let (engine, _release) = start("toy-large", options());
    let mut client = ToyClient::connect(&engine);
    (1..=4).for_each(|stream| client.get(stream, "/large"));
    // The client reads nothing for a while.
    some("all responses to be given", || (engine.board.requests() == 4).then_some(()));
    for stream in 1..=4 {
        let body = &client.response(stream).body;
        assert!(body.len() == 3_000_000 && body.iter().all(|byte| *byte == b'x'));
    }
}

#[test]
fn the_failure_of_a_stream_leaves_the_others() {
    let (engine, release) = start("toy-failure", options());
    let mut client = ToyClient::connect(&engine);
    client.get(1, "/wait");
    client.get(3, "/raising");
    client.read_until(|it| it.got.get(&3).is_some_and(|got| got.is_reset));
    // A stream that its client gives up, too.
    client.get(5, "/wait");
    client.send(RESET, 5, b"");
    release.send(()).unwrap();
    release.send(()).unwrap();
    assert_eq!(client.response(1).body, b"waited");
    some("the end of the others", || (engine.board.requests() == 3).then_some(()));
    client.get(7, "/");
    assert_eq!(client.response(7).body, b"0");
}

#[test]
fn a_request_whose_time_is_over_is_responded_to_on_its_stream() {
    let (engine, release) = start("toy-expire", options());
    let mut client = ToyClient::connect(&engine);
    client.get(1, "/wait");
    let request = some("the request", || engine.board.running().first().map(|it| it.number));
    engine.master.send(&ToWorker::Expire { request }).unwrap();
    let got = client.response(1);
    assert!(got.head.starts_with("504 ") && got.body.starts_with(b"504 "), "{got:?}");
    release.send(()).unwrap();
    client.get(3, "/");
    assert_eq!(client.response(3).body, b"0");
    assert_eq!(client.over, [1, 3], "nothing of the late response has come");
}

#[test]
fn the_server_responds_by_itself_on_a_stream() {
    let decide = |arrival: &Arrival| match arrival.head.path() {
        b"/local" => {
            let response = LocalResponse::new(200).body(b"local".to_vec());
            Decision::Respond { response, discard: 0 }
        }
        _ => Decision::Pass,
    };
    let local = Some(LocalDecision::new(decide));
    let (engine, _release) = start("toy-local", Options { local, ..options() });
    let mut client = ToyClient::connect(&engine);
    client.get(1, "/local");
    client.get(3, "/");
    assert_eq!(client.response(1).body, b"local");
    assert_eq!(client.response(3).body, b"0");
}

#[test]
fn files_are_sent_on_streams_beside_each_other() {
    let site = Site::new();
    let options = Options { local: Some(site.decision()), ..options() };
    let (engine, _release) = start("toy-files", options);
    let mut client = ToyClient::connect(&engine);
    client.get(1, "/file");
    client.get(3, "/part");
    client.get(5, "/shared");
    client.get(7, "/file");
    client.get(9, "/empty");
    client.get(11, "/");
    client.send(ending(HEAD, true), 13, b"HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n");
    for (stream, offset, length) in
        [(3, 1000, 5000), (5, 0, 100_000), (9, 0, 0), (1, 0, LENGTH), (7, 0, LENGTH), (13, 0, 0)]
    {
        let got = client.response(stream);
        assert!(got.head.starts_with("200 "), "{}", got.head);
        assert!(got.body == content(offset, length), "stream {stream}: {}", got.body.len());
    }
    assert_eq!(client.response(11).body, b"0");
    let place = |stream| client.over.iter().position(|it| *it == stream).unwrap();
    assert!(place(3) < place(1) && place(11) < place(1), "{:?}", client.over);
    for line in ["GET /part HTTP/1.1|200|5000|", &format!("GET /file HTTP/1.1|200|{LENGTH}|")] {
        some(line, || {
            let log = std::fs::read_to_string(&engine.log).unwrap();
            log.contains(line).then_some(())
        });
    }
}

#[test]
fn a_stream_waits_for_a_decision_and_the_others_go_on() {
    let site = Site::new();
    let options = Options { local: Some(site.decision()), ..options() };
    let (engine, _release) = start("toy-later", options);
    let mut client = ToyClient::connect(&engine);
    client.get(1, "/later/part");
    client.get(3, "/");
    assert_eq!(client.response(3).body, b"0");
    site.release.send(()).unwrap();
    assert_eq!(client.response(1).body, content(1000, 5000));
    // A body arrives meanwhile, as a whole or in part.
    for (stream, is_whole) in [(5, true), (7, false)] {
        client.send(HEAD, stream, b"POST /later/far HTTP/1.1\r\nHost: a\r\n\r\n");
        client.send(ending(DATA, is_whole), stream, b"abc");
        site.release.send(()).unwrap();
        if !is_whole {
            client.send(ending(DATA, true), stream, b"de");
        }
        let expected: &[u8] = if is_whole { b"3" } else { b"5" };
        assert_eq!(client.response(stream).body, expected);
    }
    // One is given up by its client.
    let mut both = Vec::new();
    push_frame(b'h', 9, b"GET /later/part HTTP/1.1\r\nHost: a\r\n\r\n", &mut both);
    push_frame(RESET, 9, b"", &mut both);
    client.socket.write_all(&both).unwrap();
    client.get(11, "/later/denied");
    site.release.send(()).unwrap();
    site.release.send(()).unwrap();
    assert!(client.response(11).head.starts_with("403 "));
    assert!(!client.got.contains_key(&9));
}

#[test]
fn a_file_that_ends_early_resets_its_stream() {
    let site = Site::new();
    let options = Options { local: Some(site.decision()), ..options() };
    let (engine, _release) = start("toy-file-short", options);
    let mut client = ToyClient::connect(&engine);
    client.get(1, "/beyond");
    client.get(3, "/part");
    client.read_until(|it| it.got.get(&1).is_some_and(|got| got.is_reset));
    assert_eq!(client.response(3).body, content(1000, 5000));
    let got = &client.got[&1];
    assert!(!got.is_over && got.body == content(LENGTH - 1000, 1000), "{}", got.body.len());
}

#[test]
fn a_draining_connection_ends_behind_its_files_and_decisions() {
    let site = Site::new();
    let options = Options { local: Some(site.decision()), ..options() };
    let (engine, _release) = start("toy-file-drain", options);
    let mut client = ToyClient::connect(&engine);
    client.get(1, "/file");
    client.get(3, "/later/part");
    client.read_until(|it| it.got.get(&1).is_some_and(|got| !got.body.is_empty()));
    engine.master.send(&ToWorker::Drain(Drain::Retire)).unwrap();
    client.read_until(|it| it.is_drained);
    site.release.send(()).unwrap();
    assert_eq!(client.response(3).body, content(1000, 5000));
    assert!(client.response(1).body == content(0, LENGTH));
    while !client.has_ended {
        client.read();
    }
}

#[test]
fn bodies_are_encoded_on_each_stream() {
    let revise = Some(ResponseReviser::encoding(crate::encoded::revise));
    let (engine, _release) = start("toy-encoded", Options { revise, ..options() });
    let mut client = ToyClient::connect(&engine);
    for stream in [1, 3] {
        client.get(stream, "/large");
    }
    for stream in [1, 3] {
        let got = client.response(stream);
        assert!(got.head.contains("\nContent-Encoding=capitals"), "{}", got.head);
        let (end, rest) = got.body.split_last().unwrap();
        assert_eq!((*end, rest.len()), (b'.', 3_000_002));
        assert!(rest.iter().all(|byte| b"X|".contains(byte)));
    }
    // The application gives less than its Content-Length.
    client.get(5, "/short");
    client.read_until(|it| it.got.get(&5).is_some_and(|got| got.is_reset));
    assert_eq!(client.got[&5].body, b"HALF|");
}

#[test]
fn proxies_are_believed_on_each_stream() {
    let forwarding = crate::forwarding::trusting_all();
    let decide = |arrival: &Arrival| match arrival.head.path() {
        b"/local" => {
            let text = format!("{} {}", arrival.peer, arrival.scheme.as_str());
            let response = LocalResponse::new(200).body(text.into_bytes());
            Decision::Respond { response, discard: 0 }
        }
        _ => Decision::Pass,
    };
    let local = Some(LocalDecision::new(decide));
    let options = Options { forwarding, hsts: 300, local, ..options() };
    let (engine, _release) = start("toy-forwarded", options);
    let mut client = ToyClient::connect(&engine);
    let head = "HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 1.2.3.4:5";
    client.send(ending(HEAD, true), 1, format!("GET /local {head}\r\n\r\n").as_bytes());
    client.send(ending(HEAD, true), 3, format!("GET / {head}\r\n\r\n").as_bytes());
    let contradictory = format!("GET / {head}\r\nX-Forwarded-Ssl: off\r\n\r\n");
    client.send(ending(HEAD, true), 5, contradictory.as_bytes());
    client.get(7, "/");
    let rule = "\nStrict-Transport-Security=max-age=300";
    let got = client.response(1);
    assert!(got.body == b"1.2.3.4:5 https" && got.head.contains(rule), "{got:?}");
    assert!(client.response(3).head.contains(rule));
    assert!(client.response(5).head.starts_with("400 "));
    let got = client.response(7);
    assert!(got.head.starts_with("200 ") && !got.head.contains(rule), "{got:?}");
}

#[test]
fn the_protocol_announces_a_drain_and_open_streams_go_on() {
    let (engine, release) = start("toy-drain", options());
    let mut client = ToyClient::connect(&engine);
    client.get(1, "/wait");
    some("the request", || (!engine.board.running().is_empty()).then_some(()));
    engine.master.send(&ToWorker::Drain(Drain::Retire)).unwrap();
    client.read_until(|it| it.is_drained);
    release.send(()).unwrap();
    assert_eq!(client.response(1).body, b"waited");
    while !client.has_ended {
        client.read();
    }
}

/// The same with an application that has an event loop.
fn start_events(name: &str, options: Options) -> (RunningEngine, Receiver<TestReport>) {
    let protocol = MultiplexerFactory::new(|| Box::new(ToyProtocol));
    let engine = RunningEngine::with_protocol(name, options, protocol);
    let (reports, reported) = channel();
    let worker = engine.worker.clone();
    thread::spawn(move || EventApplication::new(&worker, reports).run());
    (engine, reported)
}

#[test]
fn a_response_that_is_short_is_reset() {
    let (engine, _release) = start("toy-short", options());
    let mut client = ToyClient::connect(&engine);
    client.get(1, "/short");
    client.read_until(|it| it.got.get(&1).is_some_and(|got| got.is_reset));
    assert!(!client.got[&1].is_over, "its end would say that it is whole");
}

#[test]
fn a_stream_whose_time_is_over_does_not_hold_the_connection() {
    let (engine, _release) = start("toy-expired", options());
    let mut client = ToyClient::connect(&engine);
    let head = b"HEAD /wait HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(ending(HEAD, true), 1, head);
    let request = some("the request", || engine.board.running().first().map(|it| it.number));
    engine.master.send(&ToWorker::Expire { request }).unwrap();
    let got = client.response(1);
    assert!(got.head.starts_with("504 ") && got.body.is_empty(), "{got:?}");
    // The application still has the request.
    let line = "HEAD /wait HTTP/1.1|504|";
    some("the line of the access log", || {
        std::fs::read_to_string(&engine.log).unwrap().contains(line).then_some(())
    });
    engine.master.send(&ToWorker::Drain(Drain::Retire)).unwrap();
    while !client.has_ended {
        client.read();
    }
}

#[test]
fn a_slow_client_gets_its_responses_though_no_stream_is_open() {
    let keep_alive = Duration::from_millis(1);
    let (engine, _release) = start("toy-slow", Options { keep_alive, ..options() });
    let mut client = ToyClient::connect(&engine);
    (1..=8).for_each(|stream| client.get(stream, "/large"));
    some("all responses to be given", || (engine.board.requests() == 8).then_some(()));
    // The deadline of idle connections is looked at.
    let mut idle = ToyClient::connect(&engine);
    idle.get(1, "/");
    while !idle.has_ended {
        idle.read();
    }
    for stream in 1..=8 {
        assert_eq!(client.response(stream).body.len(), 3_000_000);
    }
}

#[test]
fn a_connection_that_drains_ends_behind_responses_that_wait() {
    let long = 2 * DEADLINE;
    let options = Options { drain_idle: long, graceful_timeout: 2 * long, ..options() };
    let (engine, _release) = start("toy-ends", options);
    let mut client = ToyClient::connect(&engine);
    (1..=8).for_each(|stream| client.get(stream, "/large"));
    some("all responses to be given", || (engine.board.requests() == 8).then_some(()));
    engine.master.send(&ToWorker::Drain(Drain::Retire)).unwrap();
    while !client.has_ended {
        client.read();
    }
    assert!((1..=8).all(|stream| client.got[&stream].body.len() == 3_000_000));
}

#[test]
fn a_body_on_a_stream_that_makes_no_progress_is_broken() {
    let body_timeout = Duration::from_millis(100);
    let options = Options { body_timeout, ..events::options() };
    let (engine, reports) = start_events("toy-late", options);
    let mut client = ToyClient::connect(&engine);
    client.send(HEAD, 1, b"POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    events::report_of(&reports, &TestReport::Broken);
    assert_eq!(client.response(1).body, b"broken");
}

#[test]
fn a_body_on_a_stream_is_broken_when_its_client_has_ended() {
    let (engine, reports) = start_events("toy-half", events::options());
    let mut client = ToyClient::connect(&engine);
    client.send(HEAD, 1, b"POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send(DATA, 1, b"ab");
    assert_eq!(events::report(&reports), TestReport::Waits);
    client.socket.shutdown(Shutdown::Write).unwrap();
    events::report_of(&reports, &TestReport::Broken);
    while !client.has_ended {
        client.read();
    }
    assert_eq!(client.got[&1].body, b"broken");
}

#[test]
fn a_stream_that_is_given_up_with_its_head_is_reported_behind_it() {
    let (engine, reports) = start_events("toy-given-up", events::options());
    let mut client = ToyClient::connect(&engine);
    let mut both = Vec::new();
    push_frame(b'h', 1, b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n", &mut both);
    push_frame(RESET, 1, b"", &mut both);
    client.socket.write_all(&both).unwrap();
    assert_eq!(events::report(&reports), TestReport::Disconnected);
}

#[test]
fn a_connection_has_time_for_its_first_stream_though_none_is_kept() {
    let keep_alive = Duration::ZERO;
    let (engine, _release) = start("toy-fresh", Options { keep_alive, ..options() });
    let mut fresh = ToyClient::connect(&engine);
    // A part of a frame, without which the kernel holds the connection back.
    let mut frame = Vec::new();
    push_frame(b'h', 1, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &mut frame);
    let (part, rest) = frame.split_at(4);
    fresh.socket.write_all(part).unwrap();
    // The deadlines of both are checked at the same time.
    let mut used = ToyClient::connect(&engine);
    used.get(1, "/");
    while !used.has_ended {
        used.read();
    }
    fresh.socket.write_all(rest).unwrap();
    assert_eq!(fresh.response(1).body, b"0");
}

/// A client that has too many connections from the second one on.
#[derive(Default)]
struct OneConnection(AtomicU64);

impl ConnectionCounter for OneConnection {
    fn begin(&self, _: &Address, _: usize) -> CountedConnection {
        let ticket = self.0.fetch_add(1, Ordering::SeqCst);
        CountedConnection { ticket, is_too_many: ticket > 0 }
    }

    fn end(&self, _: &Address, _: CountedConnection) {}
}

#[test]
fn a_connection_beyond_the_limit_gets_429_on_its_first_stream_and_ends() {
    let limit = ConnectionLimit::new(OneConnection::default());
    let options = Options { connection_limit: Some(limit), ..options() };
    let (engine, _release) = start("toy-too-many", options);
    let mut one = ToyClient::connect(&engine);
    one.get(1, "/");
    assert_eq!(one.response(1).body, b"0");
    let mut other = ToyClient::connect(&engine);
    other.get(1, "/");
    assert!(other.response(1).head.starts_with("429 Too Many Requests\n"));
    while !other.has_ended {
        other.read();
    }
    one.get(3, "/");
    assert_eq!(one.response(3).body, b"0");
}

#[test]
fn the_length_of_a_body_is_limited_on_each_stream_by_itself() {
    let (engine, _release) = start("toy-limit", Options { longest_body: 10, ..options() });
    let mut client = ToyClient::connect(&engine);
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    client.send(HEAD, 1, format!("{head}Content-Length: 11\r\n\r\n").as_bytes());
    assert!(client.response(1).head.starts_with("413 "));
    for stream in [3, 5, 7] {
        client.send(HEAD, stream, format!("{head}\r\n").as_bytes());
        client.send(DATA, stream, b"0123456789");
    }
    client.send(DATA, 3, b"0");
    assert!(client.response(3).head.starts_with("413 "));
    for stream in [5, 7] {
        client.send(ending(DATA, true), stream, b"");
        assert_eq!(client.response(stream).body, b"10");
    }
    assert_eq!(engine.board.losses()[GivenUp::TooLarge.index()], 2);
}

#[test]
fn a_body_on_a_stream_that_the_application_takes_as_it_arrives_is_limited_too() {
    let options = Options { longest_body: 10, ..events::options() };
    let (engine, reports) = start_events("toy-event-limit", options);
    let mut client = ToyClient::connect(&engine);
    client.send(HEAD, 1, b"POST /upload HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send(DATA, 1, b"01234567890");
    events::report_of(&reports, &TestReport::Broken);
    assert_eq!(client.response(1).body, b"broken");
    assert_eq!(engine.board.losses()[GivenUp::TooLarge.index()], 1);
}

#[test]
fn a_stream_that_waits_too_long_for_a_thread_gets_503() {
    let options = Options { queue_timeout: Duration::from_secs(2), ..options() };
    let (engine, release) = start("toy-overdue", options);
    let mut client = ToyClient::connect(&engine);
    client.get(1, "/wait");
    client.get(3, "/wait");
    some("both requests", || (engine.board.running().len() == 2).then_some(()));
    client.get(5, "/");
    let got = client.response(5);
    assert!(got.head.starts_with("503 ") && got.head.contains("\nRetry-After=1"), "{got:?}");
    (0..2).for_each(|_| release.send(()).unwrap());
    for stream in [1, 3] {
        assert_eq!(client.response(stream).body, b"waited");
    }
    assert_eq!(engine.board.losses()[GivenUp::Overdue.index()], 1);
}
