//! A layer between the socket and HTTP: the second user of the transport, beside plain
//! sockets. It begins with a greeting, sends frames of seven bytes, and XORs the bytes
//! with a mask.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;

use monoceros_engine::{Exchange, Layer, LayerFactory, Socket};

use crate::running::{DEADLINE, RunningEngine, serve};

const GREETING: &[u8] = b"hello";
const REPLY: &[u8] = b"welcome";

/// Bytes of a frame, and of the socket that a call takes.
const STEP: usize = 7;

/// The most bytes that the layer holds.
const HELD: usize = 64;

const MASK: u8 = 0x5a;

/// A frame is its length and its bytes, each XORed with the mask.
fn push_frame(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(u8::try_from(bytes.len()).unwrap());
    out.extend(bytes.iter().map(|byte| byte ^ MASK));
}

/// Takes a whole frame out of the received bytes.
fn take_frame(input: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::from(*input.first()?);
    if input.len() <= length {
        return None;
    }
    let frame = input[1..=length].iter().map(|byte| byte ^ MASK).collect();
    input.drain(..=length);
    Some(frame)
}

#[derive(Debug, Default)]
struct SevenByteFrames {
    input: Vec<u8>,
    held: Vec<u8>,
    is_open: bool,
}

impl SevenByteFrames {
    fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
        let mut bytes = [0; STEP];
        let count = socket.receive(&mut bytes)?;
        self.input.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

impl Layer for SevenByteFrames {
    fn open(&mut self, socket: &Socket) -> io::Result<()> {
        while self.input.len() < GREETING.len() {
            if self.receive(socket)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        if !self.is_open {
            if !self.input.starts_with(GREETING) {
                return Err(ErrorKind::InvalidData.into());
            }
            self.input.drain(..GREETING.len());
            self.is_open = true;
            self.held.extend_from_slice(REPLY);
        }
        self.flush(socket)
    }

    fn read(&mut self, socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = take_frame(&mut self.input) {
                into[..frame.len()].copy_from_slice(&frame);
                return Ok(frame.len());
            }
            if self.receive(socket)? == 0 {
                return Ok(0);
            }
        }
    }

    fn has_more(&self) -> bool {
        true
    }

    fn write(&mut self, socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
        if self.held.len() >= HELD {
            self.flush(socket)?;
        }
        let part = &bytes[..bytes.len().min(STEP)];
        push_frame(part, &mut self.held);
        Ok(part.len())
    }

    fn flush(&mut self, socket: &Socket) -> io::Result<()> {
        while !self.held.is_empty() {
            let sent = socket.send(&self.held, false)?;
            self.held.drain(..sent);
        }
        Ok(())
    }

    fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    fn end_writing(&mut self, socket: &Socket) -> io::Result<()> {
        self.flush(socket)
    }
}

/// Responds with the length of the body, or with as many bytes as the target names.
fn answer(mut exchange: Exchange) {
    let target = String::from_utf8(exchange.request().head.path().to_vec()).unwrap();
    let body = match target.trim_start_matches('/').parse() {
        Ok(length) => vec![b'x'; length],
        Err(_) => exchange.take_body().len().to_string().into_bytes(),
    };
    exchange.begin(b"200 OK").unwrap();
    exchange.write(&body, None, Some(body.len() as u64)).ok();
    exchange.finish(&|_| None);
}

fn start(name: &str) -> RunningEngine {
    let factory = LayerFactory::new(|| Box::<SevenByteFrames>::default());
    let options = crate::options::options();
    let engine = RunningEngine::with_layer(name, options, factory);
    let worker = engine.worker.clone();
    thread::spawn(move || serve(&worker.requests(0), answer));
    engine
}

struct FramedClient {
    socket: TcpStream,
    input: Vec<u8>,
    text: Vec<u8>,
}

impl FramedClient {
    fn connect(engine: &RunningEngine) -> Self {
        let mut socket = TcpStream::connect(engine.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        // The greeting comes in two parts, and the reply before any request.
        socket.write_all(&GREETING[..2]).unwrap();
        socket.write_all(&GREETING[2..]).unwrap();
        let mut reply = vec![0; REPLY.len()];
        socket.read_exact(&mut reply).unwrap();
        assert_eq!(reply, REPLY);
        Self { socket, input: Vec::new(), text: Vec::new() }
    }

    fn send(&mut self, bytes: &[u8]) {
        let mut out = Vec::new();
        bytes.chunks(STEP).for_each(|part| push_frame(part, &mut out));
        self.socket.write_all(&out).unwrap();
    }

    fn read_more(&mut self) {
        let mut bytes = vec![0; 64 * 1024];
        let count = self.socket.read(&mut bytes).unwrap();
        assert!(count > 0, "the connection has ended");
        self.input.extend_from_slice(&bytes[..count]);
        while let Some(frame) = take_frame(&mut self.input) {
            self.text.extend_from_slice(&frame);
        }
    }

    /// The body of the next response.
    fn response(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = self.text.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = String::from_utf8(self.text[..end].to_vec()).unwrap();
                assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
                let (_, length) = head.split_once("Content-Length: ").unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                while self.text.len() < end + 4 + length {
                    self.read_more();
                }
                let body = self.text[end + 4..end + 4 + length].to_vec();
                self.text.drain(..end + 4 + length);
                return body;
            }
            self.read_more();
        }
    }

    fn ask(&mut self, target: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        self.send(head.as_bytes());
        self.send(body);
        self.response()
    }
}

#[test]
fn requests_of_every_size_are_served_through_a_layer() {
    let engine = start("layer-sizes");
    let mut client = FramedClient::connect(&engine);
    for length in [0, 1, 100, 20_000, 300_000] {
        assert_eq!(client.ask("/", &vec![b'a'; length]), length.to_string().as_bytes());
    }
    for length in [0, 1, 100, 20_000, 3_000_000] {
        assert_eq!(client.ask(&format!("/{length}"), b"").len(), length);
    }
}

#[test]
fn requests_that_arrive_together_are_served_one_after_the_other() {
    let engine = start("layer-pipelined");
    let mut client = FramedClient::connect(&engine);
    let requests = (1..=50).map(|length| format!("GET /{length} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client.send(requests.collect::<String>().as_bytes());
    for length in 1..=50 {
        assert_eq!(client.response().len(), length);
    }
}

#[test]
fn a_connection_that_cannot_be_opened_is_closed() {
    let engine = start("layer-refused");
    let mut socket = TcpStream::connect(engine.address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut rest = Vec::new();
    let end = socket.read_to_end(&mut rest);
    assert!(end.is_ok() || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    assert_eq!(rest, b"", "nothing is sent without the layer");
}

#[test]
fn a_refusal_goes_through_the_layer_too() {
    let engine = start("layer-refusal");
    let mut client = FramedClient::connect(&engine);
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    while !client.text.ends_with(b"400 Bad Request\n") {
        client.read_more();
    }
    assert!(client.text.starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
}
