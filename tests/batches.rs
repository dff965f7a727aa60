//! Answers that are written together, because other requests wait for the same
//! thread.

use crate::support::client::{Connection, get, request};
use crate::support::pipe::Pipe;
use crate::support::server::Server;
use crate::support::setup::Setup;

/// Makes the server sure that requests are quick.
fn warm(server: &Server) {
    let mut connection = server.connect();
    for _ in 0..100 {
        assert_eq!(connection.get("/warm").status, 200);
    }
}

#[test]
fn an_answer_does_not_wait_for_what_gets_stuck_behind_it() {
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
fn answers_to_clients_of_every_kind_arrive_from_a_batch() {
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
