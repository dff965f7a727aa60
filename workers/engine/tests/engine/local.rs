//! Requests that the server responds to by itself, at the end of their heads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use monoceros_engine::{Arrival, Decision, Exchange, LocalDecision, LocalResponse, Options};

use crate::running::{DEADLINE, RunningEngine, serve};

/// How many bytes of a body are dropped.
const DISCARD: u64 = 100;

fn decide(arrival: &Arrival) -> Decision {
    if !arrival.head.path().starts_with(b"/local") {
        return Decision::Pass;
    }
    let mut response = LocalResponse::new(200).body(b"local\n".to_vec());
    response.field(b"Content-Type", b"text/plain").unwrap();
    Decision::Respond { response, discard: DISCARD }
}

/// The application responds with "far"; `/stuck` waits for the test first.
fn respond(mut exchange: Exchange, release: &Receiver<()>) {
    if exchange.request().head.path() == b"/stuck" {
        release.recv().ok();
    }
    exchange.begin(b"200 OK").unwrap();
    exchange.write(b"far\n", None, Some(4)).ok();
    exchange.finish(&|_| None);
}

/// A worker, and the sender that releases its application.
fn start(name: &str, reserve: usize) -> (RunningEngine, std::sync::mpsc::Sender<()>) {
    let local = Some(LocalDecision::new(decide));
    let options = Options { local, reserve, ..crate::options::options() };
    let engine = RunningEngine::start(name, options, || {});
    let (release, released) = channel();
    let worker = engine.worker.clone();
    thread::spawn(move || serve(&worker.requests(0), |it| respond(it, &released)));
    (engine, release)
}

fn connect(engine: &RunningEngine) -> TcpStream {
    let client = TcpStream::connect(engine.address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client
}

/// Reads so many responses. Returns their bodies.
fn bodies(client: &mut TcpStream, count: usize) -> Vec<String> {
    let (mut text, mut found) = (String::new(), Vec::new());
    let mut bytes = vec![0; 64 * 1024];
    while found.len() < count {
        let length = client.read(&mut bytes).unwrap();
        assert!(length > 0, "the connection has ended after {} responses", found.len());
        text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        let mut at = 0;
        while let Some(end) = text[at..].find("\r\n\r\n") {
            let (head, rest) = text[at..].split_at(end + 4);
            let (_, length) = head.split_once("Content-Length: ").unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if rest.len() < length {
                break;
            }
            found.push(rest[..length].to_owned());
            at += end + 4 + length;
        }
        text.drain(..at);
    }
    assert_eq!(text, "", "nothing comes behind the last response");
    found
}

/// Everything up to the end of the connection.
fn rest(client: &mut TcpStream) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

/// A stack that grew with each request would overflow.
#[test]
fn many_requests_that_arrive_at_once_get_responses_in_order() {
    let (engine, _release) = start("local-many", 0);
    let mut client = connect(&engine);
    let mut writer = client.try_clone().unwrap();
    let (times, group) = (20_000, 5);
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let requests = ask("/local").repeat(group - 1) + &ask("/far");
    let sender = thread::spawn(move || writer.write_all(requests.repeat(times).as_bytes()));
    let found = bodies(&mut client, times * group);
    for (number, body) in found.iter().enumerate() {
        let is_far = number % group == group - 1;
        assert_eq!(body, if is_far { "far\n" } else { "local\n" }, "response {number}");
    }
    sender.join().unwrap().unwrap();
}

#[test]
fn a_short_body_is_dropped_and_the_connection_continues() {
    let (engine, _release) = start("local-body", 0);
    let mut client = connect(&engine);
    for body in
        ["Content-Length: 4\r\n\r\nabcd", "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"]
    {
        // The end of the body arrives later, too.
        let request = format!("POST /local HTTP/1.1\r\nHost: a\r\n{body}");
        let (one, other) = request.split_at(request.len() - 2);
        client.write_all(one.as_bytes()).unwrap();
        assert_eq!(bodies(&mut client, 1), ["local\n"]);
        client.write_all(other.as_bytes()).unwrap();
        client.write_all(b"GET /far HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(bodies(&mut client, 1), ["far\n"]);
    }
}

#[test]
fn a_long_body_ends_the_connection_behind_the_response() {
    let (engine, _release) = start("local-long", 0);
    let long = format!("Content-Length: {}\r\n\r\n", DISCARD + 1);
    let expected = "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n".to_owned();
    for fields in [long, expected] {
        let mut client = connect(&engine);
        write!(client, "POST /local HTTP/1.1\r\nHost: a\r\n{fields}").unwrap();
        let text = rest(&mut client);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "no 100 comes before: {text}");
        assert!(text.contains("Connection: close\r\n") && text.ends_with("local\n"), "{text}");
    }
    // A body without an announced length is dropped up to the limit.
    let mut client = connect(&engine);
    client
        .write_all(b"POST /local HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    assert_eq!(bodies(&mut client, 1), ["local\n"]);
    client.write_all(format!("100\r\n{}\r\n", "a".repeat(256)).as_bytes()).unwrap();
    assert_eq!(rest(&mut client), "");
}

#[test]
fn the_response_to_head_and_with_http_1_0_is_as_from_an_application() {
    let (engine, _release) = start("local-head", 0);
    let mut client = connect(&engine);
    client.write_all(b"HEAD /local HTTP/1.0\r\n\r\n").unwrap();
    let text = rest(&mut client);
    assert!(text.contains("Content-Length: 6\r\n") && text.ends_with("\r\n\r\n"), "{text}");
}

#[test]
fn new_connections_are_served_while_every_application_thread_is_stuck() {
    let (engine, release) = start("local-reserve", 4);
    let mut stuck = connect(&engine);
    stuck.write_all(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    for _ in 0..10 {
        let mut client = connect(&engine);
        client.write_all(b"GET /local HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(bodies(&mut client, 1), ["local\n"]);
    }
    release.send(()).unwrap();
    assert_eq!(bodies(&mut stuck, 1), ["far\n"]);
}
