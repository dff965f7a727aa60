//! What trusted proxies report about the client: in local decisions, in exchanges, and in the
//! responses of both.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use monoceros_config::{AddressSet, HeaderMap, NameList, RealIp, SchemeHeaders};
use monoceros_engine::{
    Arrival, Decision, Exchange, Forwarding, LocalDecision, LocalResponse, Options,
};

use crate::options::options;
use crate::running::{DEADLINE, RunningEngine, serve};

/// Every peer of a test is a trusted proxy, and 1.2.3.4 is a client.
pub(crate) fn trusting_all() -> Forwarding {
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    let trusted = AddressSet { all: false, networks, unix: true };
    let names = NameList(vec!["SCRIPT_NAME".to_owned()]);
    let schemes = SchemeHeaders::default();
    Forwarding::new(trusted, &schemes, &names, HeaderMap::Drop, RealIp::XForwardedFor)
}

/// The client's address and scheme, as the server sees them.
fn shown(peer: &monoceros_engine::Address, scheme: &str) -> String {
    match peer.to_string() {
        own if own.starts_with("127.0.0.1:") => format!("own {scheme}"),
        reported => format!("{reported} {scheme}"),
    }
}

fn decide(arrival: &Arrival) -> Decision {
    if arrival.head.path() != b"/local" {
        return Decision::Pass;
    }
    assert_eq!(arrival.connection_scheme.as_str(), "http");
    assert!(arrival.local.to_string().starts_with("127.0.0.1:"), "{}", arrival.local);
    let body = shown(arrival.peer, arrival.scheme.as_str()).into_bytes();
    Decision::Respond { response: LocalResponse::new(200).body(body), discard: 0 }
}

fn respond(mut exchange: Exchange) {
    let body = shown(exchange.peer(), exchange.scheme().as_str()).into_bytes();
    exchange.begin(b"200 OK").unwrap();
    if exchange.request().head.path() == b"/own" {
        exchange.field(b"Strict-Transport-Security", b"max-age=0").unwrap();
    }
    exchange.write(&body, None, Some(body.len() as u64)).ok();
    exchange.finish(&|_| None);
}

fn start(name: &str) -> RunningEngine {
    let local = Some(LocalDecision::new(decide));
    let options = Options { local, forwarding: trusting_all(), hsts: 300, ..options() };
    let engine = RunningEngine::start(name, options, || {});
    let worker = engine.worker.clone();
    thread::spawn(move || serve(&worker.requests(0), respond));
    engine
}

/// Sends a request as the last one of a connection. Returns everything that arrives.
fn ask(engine: &RunningEngine, line: &str, fields: &str) -> String {
    let mut client = TcpStream::connect(engine.address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(client, "{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n").unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_client_and_its_scheme_are_those_that_a_proxy_reports() {
    let engine = start("forwarding-client");
    let fields = "X-Forwarded-For: 1.2.3.4:5\r\nX-Forwarded-Proto: https\r\n";
    for line in ["GET /local", "GET /far"] {
        let text = ask(&engine, line, fields);
        assert!(text.ends_with("\r\n\r\n1.2.3.4:5 https"), "{line}: {text}");
        let text = ask(&engine, line, "");
        assert!(text.ends_with("\r\n\r\nown http"), "{line}: {text}");
    }
}

#[test]
fn responses_over_https_forbid_plain_http() {
    let engine = start("forwarding-hsts");
    let rule = "\r\nStrict-Transport-Security: max-age=300\r\n";
    let secure = "X-Forwarded-Proto: https\r\n";
    let chunked = format!("{secure}Transfer-Encoding: chunked\r\n\r\nx");
    // The last one is refused: its body is malformed.
    for (line, fields) in [("GET /local", secure), ("GET /far", secure), ("PUT /", &chunked)] {
        let text = ask(&engine, line, fields);
        assert_eq!(text.matches(rule).count(), 1, "{line}: {text}");
        let text = ask(&engine, line, &fields.replace("https", "http"));
        assert!(!text.contains("Strict-Transport-Security"), "{line}: {text}");
    }
    let text = ask(&engine, "GET /own", secure);
    assert!(text.contains("\r\nStrict-Transport-Security: max-age=0\r\n"), "{text}");
    assert!(!text.contains(rule), "{text}");
}

#[test]
fn a_request_that_contradicts_itself_does_not_reach_the_application() {
    let engine = start("forwarding-refused");
    for (line, fields) in [
        ("GET /local", "X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n"),
        ("GET /a", "SCRIPT_NAME: /b\r\n"),
    ] {
        let text = ask(&engine, line, fields);
        assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("\r\nConnection: close\r\n"));
    }
    assert_eq!(engine.board.counters().requests, 0);
}
