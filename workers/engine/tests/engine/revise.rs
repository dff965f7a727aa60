//! Responses of the application that the server revises at the end of their heads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use monoceros_engine::{
    Exchange, LocalResponse, Options, ResponseDraft, ResponseReviser, Revision,
};
use monoceros_http::Head;

use crate::options::options;
use crate::running::{DEADLINE, RunningEngine, serve};

/// Adds a field to each response, and replaces those that ask for it.
fn revise(asked: &Head, draft: &mut ResponseDraft) -> Revision {
    if let Some(path) = draft.field(b"x-accel-redirect") {
        let body = [b"replaced ", path].concat();
        return Revision::Replace(LocalResponse::new(200).body(body));
    }
    draft.add(b"X-Asked", asked.path()).unwrap();
    draft.add(b"X-Status", draft.status().to_string().as_bytes()).unwrap();
    Revision::Keep
}

fn respond(mut exchange: Exchange) {
    let replaces = exchange.request().head.path() == b"/replace";
    exchange.begin(b"202 Accepted").unwrap();
    if replaces {
        exchange.field(b"X-Accel-Redirect", b"/file").unwrap();
        exchange.field(b"Content-Length", b"999").unwrap();
    }
    exchange.write(b"one", None, None).unwrap();
    exchange.write(b"two", None, None).unwrap();
    exchange.finish(&|_| None);
}

fn ask(client: &mut TcpStream, request: &str, end: &str) -> String {
    write!(client, "{request} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let (mut text, mut bytes) = (String::new(), [0; 4096]);
    while !text.ends_with(end) {
        let length = client.read(&mut bytes).unwrap();
        assert!(length > 0, "the connection has ended: {text}");
        text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
    }
    text
}

#[test]
fn fields_are_added_and_responses_are_replaced() {
    let revise = Some(ResponseReviser::new(revise));
    let engine = RunningEngine::start("revise", Options { revise, ..options() }, || {});
    let worker = engine.worker.clone();
    thread::spawn(move || serve(&worker.requests(0), respond));
    let mut client = TcpStream::connect(engine.address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let text = ask(&mut client, "GET /kept", "0\r\n\r\n");
    assert!(text.starts_with("HTTP/1.1 202 Accepted\r\n"), "{text}");
    assert!(text.contains("\r\nX-Asked: /kept\r\n") && text.contains("\r\nX-Status: 202\r\n"));
    assert!(text.contains("\r\n3\r\none\r\n3\r\ntwo\r\n"), "{text}");
    // The connection continues after a response that was replaced.
    for _ in 0..2 {
        let text = ask(&mut client, "GET /replace", "replaced /file");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains("\r\nContent-Length: 14\r\n"), "{text}");
        assert!(!text.contains("Accel") && !text.contains("999"), "{text}");
    }
    let text = ask(&mut client, "HEAD /replace", "\r\n\r\n");
    assert!(text.contains("\r\nContent-Length: 14\r\n"), "{text}");
}
