//! Connections that are closed at accept, and the limit of connections of a client.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use monoceros_engine::{
    AcceptDecision, Address, ConnectionCounter, ConnectionLimit, CountedConnection, Exchange,
    Options,
};
use monoceros_wire::listener::ProxyProtocol;
use monoceros_wire::scoreboard::GivenUp;

use crate::options::options;
use crate::running::{DEADLINE, RunningEngine, Wire, serve, some};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn respond(mut exchange: Exchange) {
    exchange.begin(b"200 OK").unwrap();
    exchange.write(b"served", None, Some(6)).unwrap();
    exchange.finish(&|_| None);
}

fn start(name: &str, options: Options, proxy_protocol: ProxyProtocol) -> RunningEngine {
    let wire = Wire { proxy_protocol, ..Wire::default() };
    let engine = RunningEngine::prepare(name, options, wire, || {});
    engine.worker.start().unwrap();
    let worker = engine.worker.clone();
    thread::spawn(move || serve(&worker.requests(0), respond));
    engine
}

/// A connection that has sent this.
fn send(engine: &RunningEngine, bytes: &[u8]) -> TcpStream {
    let mut client = TcpStream::connect(engine.address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.write_all(bytes).unwrap();
    client
}

/// Reads a response with the body `served`.
fn is_served(client: &mut TcpStream) {
    let (mut received, mut byte) = (Vec::new(), [0]);
    while !received.ends_with(b"\r\n\r\nserved") {
        assert_eq!(client.read(&mut byte).unwrap(), 1, "{}", received.escape_ascii());
        received.push(byte[0]);
    }
}

fn given_up(engine: &RunningEngine, kind: GivenUp) -> u64 {
    engine.board.losses()[kind.index()]
}

#[test]
fn a_peer_that_is_denied_is_closed_at_accept_and_others_are_served() {
    let denies = Arc::new(AtomicBool::new(false));
    let rule = Arc::clone(&denies);
    let accept = AcceptDecision::new(move |peer| {
        assert!(peer.ip.is_some_and(|ip| ip.is_loopback()) && peer.listener == 0);
        !rule.load(Ordering::SeqCst)
    });
    let options = Options { accept: Some(accept), ..options() };
    let engine = start("denied", options, ProxyProtocol::Off);
    let mut admitted = send(&engine, REQUEST);
    is_served(&mut admitted);
    denies.store(true, Ordering::SeqCst);
    // More than are closed at a time.
    let mut denied: Vec<_> = (0..100).map(|_| send(&engine, REQUEST)).collect();
    for client in &mut denied {
        // The kernel sends a reset when bytes were not read.
        assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "a response");
    }
    assert_eq!(given_up(&engine, GivenUp::Denied), 100);
    admitted.write_all(REQUEST).unwrap();
    is_served(&mut admitted);
    denies.store(false, Ordering::SeqCst);
    is_served(&mut send(&engine, REQUEST));
}

/// With two connections at most, a client that is served displaces one of them.
#[test]
fn a_peer_that_is_denied_displaces_no_connection() {
    let denies = Arc::new(AtomicBool::new(false));
    let rule = Arc::clone(&denies);
    let accept = AcceptDecision::new(move |_| !rule.load(Ordering::SeqCst));
    let options = Options { accept: Some(accept), connections: 2, ..options() };
    let engine = start("denied-crowd", options, ProxyProtocol::Off);
    let mut idle = send(&engine, REQUEST);
    is_served(&mut idle);
    let _part = send(&engine, b"GET");
    some("both connections", || (engine.board.connections() == 2).then_some(()));
    denies.store(true, Ordering::SeqCst);
    assert!(matches!(send(&engine, REQUEST).read(&mut [0]), Ok(0) | Err(_)), "a response");
    assert_eq!(given_up(&engine, GivenUp::Displaced), 0);
    denies.store(false, Ordering::SeqCst);
    is_served(&mut send(&engine, REQUEST));
    assert_eq!(given_up(&engine, GivenUp::Displaced), 1);
}

/// Allows one connection of each address; the ticket is the port of the client.
#[derive(Default)]
struct OneEach {
    open: Mutex<HashMap<String, u32>>,
    ended: Mutex<Vec<u64>>,
}

#[derive(Clone, Default)]
struct SharedCounter(Arc<OneEach>);

impl ConnectionCounter for SharedCounter {
    fn begin(&self, client: &Address, listener: usize) -> CountedConnection {
        assert_eq!(listener, 0);
        let Address::Internet { host, port, .. } = client else { panic!("{client}") };
        let mut open = self.0.open.lock().unwrap();
        let count = open.entry(host.clone()).or_default();
        *count += 1;
        CountedConnection { ticket: (*port).into(), is_too_many: *count > 1 }
    }

    fn end(&self, client: &Address, connection: CountedConnection) {
        let Address::Internet { host, port, .. } = client else { panic!("{client}") };
        assert_eq!(connection.ticket, u64::from(*port));
        *self.0.open.lock().unwrap().get_mut(host).unwrap() -= 1;
        self.0.ended.lock().unwrap().push(connection.ticket);
    }
}

impl SharedCounter {
    fn open(&self) -> u32 {
        self.0.open.lock().unwrap().values().sum()
    }
}

fn counted(name: &str, proxy_protocol: ProxyProtocol) -> (RunningEngine, SharedCounter) {
    let counter = SharedCounter::default();
    let limit = ConnectionLimit::new(counter.clone());
    let options = Options { connection_limit: Some(limit), ..options() };
    (start(name, options, proxy_protocol), counter)
}

/// Everything up to the end of the connection.
fn rest(client: &mut TcpStream) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_first_request_of_a_connection_beyond_the_limit_gets_429_and_the_connection_ends() {
    let (engine, counter) = counted("too-many", ProxyProtocol::Off);
    let mut one = send(&engine, REQUEST);
    is_served(&mut one);
    let upload = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    for request in [REQUEST, upload] {
        let text = rest(&mut send(&engine, &[request, REQUEST].concat()));
        assert!(text.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{text}");
        assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
    }
    assert_eq!(given_up(&engine, GivenUp::TooManyConnections), 2);
    one.write_all(REQUEST).unwrap();
    is_served(&mut one);
    drop(one);
    some("the ends to be counted", || (counter.open() == 0).then_some(()));
    is_served(&mut send(&engine, REQUEST));
    some("one end for each", || (counter.0.ended.lock().unwrap().len() == 4).then_some(()));
}

#[test]
fn connections_are_counted_for_the_client_that_the_proxy_protocol_names() {
    let (engine, counter) = counted("proxied", ProxyProtocol::Auto);
    let header = |client: &str, port: u16| format!("PROXY TCP4 {client} 10.0.0.1 {port} 80\r\n");
    let mut silent = TcpStream::connect(engine.address).unwrap();
    silent.write_all(b"PROXY").unwrap();
    let ask = |client: &str, port| {
        let header = header(client, port);
        send(&engine, &[header.as_bytes(), REQUEST].concat())
    };
    let mut held = [ask("1.2.3.4", 1), ask("1.2.3.5", 2)];
    held.iter_mut().for_each(is_served);
    assert_eq!(counter.open(), 2, "a connection without a known client does not count");
    assert!(rest(&mut ask("1.2.3.4", 3)).starts_with("HTTP/1.1 429 "));
    // Without a header the client is the peer of the socket.
    let mut plain = send(&engine, REQUEST);
    is_served(&mut plain);
    assert!(counter.0.open.lock().unwrap().contains_key("127.0.0.1"));
    drop((silent, held, plain));
    some("the ends to be counted", || (counter.open() == 0).then_some(()));
}
