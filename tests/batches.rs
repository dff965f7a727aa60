//! Responses that are written together, since other requests wait for the same thread.

use std::thread;

use nix::sys::signal::Signal;

use crate::support::client::{Connection, get, request};
use crate::support::pipe::Pipe;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::{process, until};

/// Makes the server sure that requests are quick.
fn warm(server: &Server) {
    let mut connection = server.connect();
    for _ in 0..100 {
        assert_eq!(connection.get("/warm").status, 200);
    }
}

#[test]
fn a_response_does_not_wait_for_a_stuck_request_behind_it() {
    let server = Setup::of("batched").start();
    let mut clients: Vec<_> = (0..16).map(|_| server.connect()).collect();
    for round in 0..10 {
        warm(&server);
        let pipe = Pipe::new(&server.directory, &format!("pipe-{round}"));
        for (number, client) in clients.iter_mut().enumerate() {
            let stuck = format!("/stuck?{}", pipe.query());
            client.send(get(&if number == 8 { stuck } else { format!("/{round}-{number}") }));
        }
        let writer = pipe.open();
        // What was answered before the thread got stuck has to arrive.
        let answered = server.directory.read("answered");
        let mut waiting = Vec::new();
        for (number, client) in clients.iter_mut().enumerate() {
            let path = format!("/{round}-{number}");
            if answered.lines().any(|line| line == path) {
                assert_eq!(client.response().text(), path);
            } else {
                waiting.push(client);
            }
        }
        writer.finish();
        waiting.into_iter().for_each(|client| assert_eq!(client.response().status, 200));
    }
}

#[test]
fn a_response_does_not_wait_for_the_requests_behind_it() {
    let server = Setup::of("batched").start();
    let worker = server.workers()[0];
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for round in 0..5 {
        clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
        warm(&server);
        let pipe = Pipe::new(&server.directory, &format!("pipe-{round}"));
        // All of them are there when it goes on.
        process::signal(worker, Signal::SIGSTOP);
        for (number, client) in clients.iter_mut().enumerate() {
            let behind = format!("/behind?{}", pipe.query());
            client.send(get(if number == 4 { &behind } else { "/" }));
        }
        process::signal(worker, Signal::SIGCONT);
        let writer = pipe.open();
        assert_eq!(clients[4].response().text(), "/behind");
        writer.finish();
        for client in clients.iter_mut().enumerate().filter(|(number, _)| *number != 4) {
            assert_eq!(client.1.response().status, 200);
        }
    }
}

#[test]
fn a_response_arrives_though_the_server_stops_at_once() {
    let server = Setup::of("batched").start();
    warm(&server);
    let clients: Vec<_> = (0..16).map(|number| (number, server.connect())).collect();
    let received: Vec<_> = thread::scope(|scope| {
        let asking = clients.into_iter().map(|(client, mut connection)| {
            scope.spawn(move || {
                let paths = (0..).map(|number| format!("/{client}-{number}"));
                let is_answered = |path: &String| {
                    connection.send_if_taken(get(path)).is_ok()
                        && connection.try_response("GET").is_ok_and(|answer| answer.text() == *path)
                };
                paths.take_while(is_answered).collect::<Vec<_>>()
            })
        });
        let asking: Vec<_> = asking.collect();
        until::holds("requests", || server.directory.read("answered").lines().count() > 1000);
        server.signal(Signal::SIGQUIT);
        asking.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(server.wait_for_exit(), 0);
    let answered = server.directory.read("answered");
    let is_lost = |path: &&str| *path != "/warm" && !received.iter().any(|it| it == path);
    let lost: Vec<_> = answered.lines().filter(is_lost).collect();
    // One may have been about to be answered.
    assert!(lost.len() <= 1, "{lost:?}");
}

/// What a client does.
#[derive(Clone, Copy)]
enum Habit {
    Plain,
    Head,
    Close,
    OldVersion,
    Body,
    Pipeline,
    /// Ends its side behind the request.
    HalfClose,
    /// Sends a part of the next request with this one.
    Hurry,
}

impl Habit {
    const ALL: [Self; 8] = [
        Self::Plain,
        Self::Head,
        Self::Close,
        Self::OldVersion,
        Self::Body,
        Self::Pipeline,
        Self::HalfClose,
        Self::Hurry,
    ];

    fn send(self, client: &mut Connection) {
        client.send(match self {
            Self::Plain | Self::HalfClose => get("/a"),
            Self::Head => request("HEAD", "/a", &[], ""),
            Self::Close => request("GET", "/a", &[("Connection", "close")], ""),
            Self::OldVersion => "GET /a HTTP/1.0\r\n\r\n".to_owned(),
            Self::Body => request("POST", "/a", &[], "body"),
            Self::Pipeline => get("/a") + &get("/b") + &get("/c"),
            Self::Hurry => get("/a") + "GET /b HT",
        });
        if let Self::HalfClose = self {
            client.finish_sending();
        }
    }

    /// Reads what is to come; whether the connection goes on.
    fn receive(self, client: &mut Connection) -> bool {
        let (method, text) = if let Self::Head = self { ("HEAD", "") } else { ("GET", "/a") };
        let answer = client.try_response(method).unwrap();
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("2")));
        assert_eq!(answer.text(), text);
        match self {
            Self::Plain | Self::Head | Self::Body => {}
            Self::Close | Self::OldVersion | Self::HalfClose => {
                client.assert_closed();
                return false;
            }
            Self::Pipeline => {
                assert_eq!([0; 2].map(|_| client.response().text()), ["/b", "/c"]);
            }
            Self::Hurry => {
                client.send("TP/1.1\r\nHost: localhost\r\n\r\n");
                assert_eq!(client.response().text(), "/b");
            }
        }
        true
    }
}

#[test]
fn responses_to_clients_of_every_kind_arrive_from_a_batch() {
    let server = Setup::of("batched").start();
    warm(&server);
    let habits = Habit::ALL.repeat(4);
    let mut clients: Vec<_> = habits.iter().map(|_| server.connect()).collect();
    for _ in 0..20 {
        for (habit, client) in habits.iter().zip(&mut clients) {
            habit.send(client);
        }
        for (habit, client) in habits.iter().zip(&mut clients) {
            if !habit.receive(client) {
                *client = server.connect();
            }
        }
    }
}
