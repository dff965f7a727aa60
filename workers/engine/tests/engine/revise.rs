//! Responses of the application that the server revises at the end of their heads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use monoceros_engine::{
    Exchange, FilePart, LocalContent, LocalResponse, Options, ResponseDraft, ResponseReviser,
    Revision, SharedBytes,
};
use monoceros_http::Head;
use monoceros_sys::unnamed_file;

use crate::options::options;
use crate::running::{DEADLINE, RunningEngine, serve};

/// The length of the content that replaces a body: more than the buffers of a connection hold.
const LARGE: usize = 5_000_000;

/// Adds a field to each response, and replaces those that ask for it.
fn revise(asked: &Head, draft: &mut ResponseDraft) -> Revision {
    if let Some(path) = draft.field(b"x-accel-redirect") {
        let body = [b"replaced ", path].concat();
        return Revision::Replace(LocalResponse::new(200).body(body));
    }
    if draft.remove(b"x-sendfile") {
        let length = draft.promised_length().unwrap();
        let kept = draft.fields().map(|(name, _)| name.to_vec()).collect::<Vec<_>>().join(&b' ');
        draft.set(b"X-Kept", &kept).unwrap();
        draft.change_status(206);
        let mut file = unnamed_file::create(&std::env::temp_dir()).unwrap();
        file.write_all(&vec![b'f'; 2 * LARGE]).unwrap();
        let content: LocalContent = match asked.path() {
            b"/file" => FilePart { file: Arc::new(file), offset: 7, length: LARGE as u64 }.into(),
            b"/shared" => SharedBytes::new(vec![b's'; LARGE].into()).into(),
            _ => Vec::new().into(),
        };
        assert_ne!(content.len(), length);
        return Revision::ReplaceBody(content);
    }
    draft.add(b"X-Asked", asked.path()).unwrap();
    draft.add(b"X-Status", draft.status().to_string().as_bytes()).unwrap();
    Revision::Keep
}

fn respond(mut exchange: Exchange) {
    let path = exchange.request().head.path().to_vec();
    let replaces = path == b"/replace";
    if [&b"/file"[..], b"/shared", b"/nothing"].contains(&&path[..]) {
        exchange.begin(b"200 OK").unwrap();
        for (name, value) in [("X-Own", "1"), ("X-Sendfile", "/x"), ("Content-Length", "3")] {
            exchange.field(name.as_bytes(), value.as_bytes()).unwrap();
        }
        exchange.write(b"one", None, None).unwrap();
        return exchange.finish(&|_| None);
    }
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

#[test]
fn a_body_is_replaced_by_a_file_and_the_fields_stay() {
    let revise = Some(ResponseReviser::new(revise));
    let engine = RunningEngine::start("revise-body", Options { revise, ..options() }, || {});
    let worker = engine.worker.clone();
    thread::spawn(move || serve(&worker.requests(0), respond));
    let mut client = TcpStream::connect(engine.address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    for (path, length, letter) in
        [("/file", LARGE, "f"), ("/shared", LARGE, "s"), ("/nothing", 0, "")]
    {
        let body = letter.repeat(length);
        let text = ask(&mut client, &format!("GET {path}"), &format!("\r\n\r\n{body}"));
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {length}")), "{head}");
        assert!(head.contains("\r\nX-Own: 1\r\nX-Kept: X-Own\r\n"), "{head}");
        assert!(!head.contains("endfile"), "{head}");
        let text = ask(&mut client, &format!("HEAD {path}"), "\r\n\r\n");
        assert!(text.contains(&format!("\r\nContent-Length: {length}\r\n")), "{text}");
    }
}
