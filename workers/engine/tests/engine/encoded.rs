//! Responses of the application whose bodies are encoded before they are sent.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use monoceros_engine::{
    BodyEncoder, EncodingStep, Exchange, Options, ResponseDraft, ResponseReviser, Revision,
};
use monoceros_http::Head;
use monoceros_wire::scoreboard::GivenUp;

use crate::options::options;
use crate::running::{DEADLINE, RunningEngine, serve, some};

/// Writes capitals, and marks each step: `|` a flush, `.` the end. Bytes without a flush are kept
/// until the next one. It fails at `!`.
#[derive(Default)]
struct Capitals {
    kept: Vec<u8>,
}

impl BodyEncoder for Capitals {
    fn encode(&mut self, bytes: &[u8], step: EncodingStep, out: &mut Vec<u8>) -> io::Result<()> {
        if bytes.contains(&b'!') {
            return Err(io::Error::other("an exclamation mark"));
        }
        self.kept.extend(bytes.to_ascii_uppercase());
        let mark: &[u8] = match step {
            EncodingStep::Continue => return Ok(()),
            EncodingStep::Flush => b"|",
            EncodingStep::Finish => b".",
        };
        out.append(&mut self.kept);
        out.extend_from_slice(mark);
        Ok(())
    }
}

/// Has each response encoded, except one that is short.
pub(crate) fn revise(_: &Head, draft: &mut ResponseDraft) -> Revision {
    if draft.length().is_some_and(|length| length < 3) {
        return Revision::Keep;
    }
    draft.remove(b"etag");
    draft.add(b"Content-Encoding", b"capitals").unwrap();
    Revision::Encode(Box::new(Capitals::default()))
}

fn respond(mut exchange: Exchange, released: &Receiver<()>) {
    let path = exchange.request().head.path().to_vec();
    exchange.begin(b"200 OK").unwrap();
    exchange.field(b"ETag", b"\"a\"").unwrap();
    match &path[..] {
        b"/whole" => {
            exchange.field(b"Content-Length", b"6").unwrap();
            exchange.write(b"abcdef", None, None).ok();
        }
        b"/list" => {
            exchange.write(b"abc", None, Some(6)).ok();
            exchange.write(b"def", None, Some(6)).ok();
        }
        b"/little" => drop(exchange.write(b"ab", None, Some(2))),
        b"/stream" => {
            exchange.write(b"ab", None, None).ok();
            released.recv().ok();
            exchange.write(b"cd", None, None).ok();
        }
        b"/short" | b"/cut" => {
            exchange.field(b"Content-Length", b"5").unwrap();
            exchange.write(b"abc", None, None).ok();
            if path == b"/cut" {
                exchange.write(b"defg", None, None).ok();
                assert!(exchange.was_cut());
            }
        }
        b"/large" => drop(exchange.write(&large(), None, Some(large().len() as u64))),
        b"/file" => {
            let mut file = monoceros_sys::unnamed_file::create(&std::env::temp_dir()).unwrap();
            file.write_all(b"-").unwrap();
            file.write_all(&large()).unwrap();
            exchange.write_file(&file, 1, large().len() as u64).ok();
        }
        b"/failing" => {
            exchange.write(b"abc", None, None).ok();
            exchange.write(b"!", None, None).unwrap_err();
        }
        b"/nothing" => {}
        other => panic!("{}", other.escape_ascii()),
    }
    exchange.finish(&|_| None);
}

/// More than one part of what is encoded at once, and more than the longest body with a length.
fn large() -> Vec<u8> {
    vec![b'x'; 1_500_000]
}

struct EncodingWorker {
    engine: RunningEngine,
    release: Sender<()>,
}

impl EncodingWorker {
    fn start(name: &str) -> Self {
        let revise = Some(ResponseReviser::encoding(revise));
        let engine = RunningEngine::start(name, Options { revise, ..options() }, || {});
        let (release, released) = channel();
        let worker = engine.worker.clone();
        thread::spawn(move || serve(&worker.requests(0), |it| respond(it, &released)));
        Self { engine, release }
    }

    fn ask(&self, request: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.engine.address).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(client, "{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        client
    }

    /// Head and body of the response, as they are sent, up to the end of the connection.
    fn get(&self, request: &str) -> (String, String) {
        let mut bytes = Vec::new();
        // A response that is broken ends with a reset.
        self.ask(request).read_to_end(&mut bytes).ok();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        (head.to_owned(), body.to_owned())
    }
}

/// The data of a chunked body; `None` if its end is missing.
fn dechunked(body: &str) -> Option<String> {
    let (mut rest, mut data) = (body, String::new());
    loop {
        let (length, behind) = rest.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return (behind == "\r\n").then_some(data);
        }
        data.push_str(behind.get(..length)?);
        rest = behind.get(length..)?.strip_prefix("\r\n")?;
    }
}

#[test]
fn a_whole_body_has_the_length_of_its_encoded_bytes() {
    let running = EncodingWorker::start("encoded-whole");
    let (head, body) = running.get("GET /whole");
    assert!(head.contains("\r\nContent-Length: 7\r\n") && !head.contains("chunked"), "{head}");
    assert!(head.contains("\r\nContent-Encoding: capitals\r\n") && !head.contains("ETag"));
    assert_eq!(body, "ABCDEF.");
    let (head, body) = running.get("GET /list");
    assert!(head.contains("\r\nTransfer-Encoding: chunked\r\n"), "{head}");
    assert_eq!(dechunked(&body).unwrap(), "ABCDEF.");
    for (path, length) in [("/little", "2"), ("/nothing", "0")] {
        let (head, _) = running.get(&format!("GET {path}"));
        assert!(head.contains(&format!("\r\nContent-Length: {length}\r\n")), "{head}");
        assert!(!head.contains("Encoding") && head.contains("\r\nETag: \"a\"\r\n"), "{head}");
    }
}

#[test]
fn each_piece_of_a_stream_reaches_the_client_before_the_next_one_is_made() {
    let running = EncodingWorker::start("encoded-stream");
    let mut client = running.ask("GET /stream");
    let (mut text, mut bytes) = (String::new(), [0; 4096]);
    while !text.ends_with("\r\n3\r\nAB|\r\n") {
        let length = client.read(&mut bytes).unwrap();
        assert!(length > 0, "{text}");
        text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
    }
    running.release.send(()).unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "3\r\nCD|\r\n1\r\n.\r\n0\r\n\r\n");
}

#[test]
fn the_response_to_head_has_the_fields_but_no_length() {
    let running = EncodingWorker::start("encoded-head");
    for path in ["/whole", "/list", "/file", "/large"] {
        let (head, body) = running.get(&format!("HEAD {path}"));
        assert!(head.contains("\r\nContent-Encoding: capitals\r\n"), "{head}");
        assert!(!head.contains("Content-Length") && body.is_empty(), "{head}");
    }
}

#[test]
fn the_promised_length_is_that_of_the_application() {
    let running = EncodingWorker::start("encoded-promise");
    let (_, body) = running.get("GET /cut");
    assert_eq!(dechunked(&body).unwrap(), "ABC|DE.");
    let (_, body) = running.get("GET /short");
    assert_eq!(dechunked(&body), None, "the end is missing: {body}");
    assert_eq!(body, "4\r\nABC|\r\n");
}

#[test]
fn large_bodies_and_files_are_encoded_part_by_part() {
    let running = EncodingWorker::start("encoded-large");
    let expected = String::from_utf8(large()).unwrap().to_uppercase() + ".";
    for path in ["/large", "/file"] {
        let (head, body) = running.get(&format!("GET {path}"));
        assert!(!head.contains("Content-Length"), "{head}");
        assert!(dechunked(&body).unwrap() == expected, "{path}");
    }
}

#[test]
fn a_response_whose_encoder_fails_is_broken_and_counted() {
    let running = EncodingWorker::start("encoded-failing");
    let (_, body) = running.get("GET /failing");
    assert_eq!(dechunked(&body), None, "{body}");
    some("its count", || {
        let losses = running.engine.board.losses();
        (losses[GivenUp::Unencoded.index()] == 1).then_some(())
    });
    let (_, body) = running.get("GET /whole");
    assert_eq!(body, "ABCDEF.");
}
