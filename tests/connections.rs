//! Connections: kept, pipelined, half-closed, slow, and many.

use std::net::SocketAddr;
use std::thread;

use nix::sys::signal::Signal;

use crate::support::client::{Connection, get, request};
use crate::support::pipe::Pipe;
use crate::support::setup::Setup;
use crate::support::{process, until};

#[test]
fn a_connection_is_kept_until_the_client_sends_close() {
    let server = Setup::of("environ:echo").start();
    let mut connection = server.connect();
    for _ in 0..20 {
        connection.send(request("POST", "/", &[], "hello"));
        let response = connection.response();
        assert_eq!(response.text(), "hello");
        assert!(!response.closes());
    }
    connection.send(request("GET", "/", &[("Connection", "close")], ""));
    assert!(connection.response().closes());
    connection.assert_closed();
}

#[test]
fn connection_is_a_list_of_tokens_in_any_case() {
    let server = Setup::of("environ:echo").start();
    for value in ["CLOSE", "upgrade, Close", "x,close ,y"] {
        let mut connection = server.connect();
        connection.send(request("GET", "/", &[("Connection", value)], ""));
        assert!(connection.response().closes(), "{value}");
        connection.assert_closed();
    }
    let mut connection = server.connect();
    connection.send(request("GET", "/", &[("Connection", "closed")], ""));
    assert!(!connection.response().closes());
    assert_eq!(connection.get("/").status, 200);
}

#[test]
fn http_1_0_closes_unless_it_is_asked_to_keep() {
    let server = Setup::of("environ").start();
    let mut connection = server.connect();
    connection.send("GET / HTTP/1.0\r\n\r\n");
    let response = connection.response();
    assert_eq!(response.json()["SERVER_PROTOCOL"], "HTTP/1.0");
    assert_eq!(response.header("transfer-encoding"), None);
    connection.assert_closed();
    let mut connection = server.connect();
    for _ in 0..2 {
        connection.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let response = connection.response();
        assert_eq!(
            response.header("connection").map(str::to_lowercase).as_deref(),
            Some("keep-alive")
        );
    }
}

#[test]
fn http_1_0_gets_a_body_of_unknown_length_until_the_close() {
    let server = Setup::of("responses").start();
    let mut connection = server.connect();
    connection.send("GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let response = connection.response();
    assert_eq!(response.text(), "one two three");
    assert_eq!(response.header("transfer-encoding"), None);
    connection.assert_closed();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Setup::of("environ:echo").workers(2).threads(4).start();
    let mut connection = server.connect();
    let body = |number: usize| format!("body {number}");
    let requests: Vec<_> = (0..300).map(|n| request("POST", "/", &[], &body(n))).collect();
    connection.send(requests.concat());
    for number in 0..300 {
        assert_eq!(connection.response().text(), body(number));
    }
}

#[test]
fn pipelining_stops_at_the_first_bad_request() {
    let server = Setup::of("environ:echo").start();
    let mut connection = server.connect();
    connection.send(get("/") + &get("/") + "BAD\r\n\r\n" + &get("/"));
    assert_eq!(connection.response().status, 200);
    assert_eq!(connection.response().status, 200);
    assert_eq!(connection.response().status, 400);
    connection.assert_closed();
}

#[test]
fn pipelining_stops_at_a_request_to_close() {
    let server = Setup::of("environ:echo").start();
    let mut connection = server.connect();
    connection.send(request("GET", "/", &[("Connection", "close")], "") + &get("/"));
    assert!(connection.response().closes());
    connection.assert_closed();
}

#[test]
fn a_client_that_closed_its_half_is_answered() {
    let server = Setup::of("stream:large").start();
    let mut connection = server.connect();
    connection.send(get("/?5000000"));
    connection.finish_sending();
    assert_eq!(connection.response().body.len(), 5_000_000);
    connection.assert_closed();
}

#[test]
fn a_client_that_sent_nothing_is_not_answered() {
    let server = Setup::of("environ").start();
    let mut connection = server.connect();
    connection.finish_sending();
    connection.assert_closed();
}

#[test]
fn a_head_that_is_cut_off_is_not_served() {
    let server = Setup::of("environ").start();
    let mut connection = server.connect();
    connection.send("GET / HTTP/1.1\r\nHost: local");
    connection.finish_sending();
    let answer = connection.rest().unwrap();
    assert_eq!(answer, b"");
}

#[test]
fn the_absolute_form_names_the_host() {
    let server = Setup::of("environ").start();
    for host in ["localhost:81", "another.example", ""] {
        let request = format!("GET http://localhost:81/a%20b?c HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let environ = server.ask(request).json();
        assert_eq!(environ["PATH_INFO"], "/a b");
        assert_eq!(environ["QUERY_STRING"], "c");
        assert_eq!(
            environ["HTTP_HOST"], "localhost:81",
            "the target counts (RFC 9112 section 3.2.2)"
        );
    }
    let invalid = server.ask("GET http://localhost/ HTTP/1.1\r\nHost: a/b\r\n\r\n");
    assert_eq!(invalid.status, 400);
}

#[test]
fn the_asterisk_asks_about_the_server() {
    let server = Setup::of("environ").start();
    let environ = server.ask("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n").json();
    assert_eq!(environ["RAW_URI"], "*");
    assert_eq!(environ["REQUEST_METHOD"], "OPTIONS");
}

#[test]
fn an_error_response_arrives_although_the_client_still_sends() {
    let server = Setup::of("environ").start();
    for bad in ["BAD\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"] {
        let mut connection = server.connect();
        // The server discards a bounded part for a bounded time, so the rest may fail to
        // be sent.
        let _taken = connection.send_if_taken(bad.to_owned() + &"x".repeat(200_000));
        connection.finish_sending();
        assert_eq!(connection.response().status, 400);
        connection.assert_closed();
    }
}

#[test]
fn an_early_response_arrives_although_the_client_still_sends() {
    let server = Setup::of("environ").flags(&["--limit-request-field_size", "100"]).start();
    let mut connection = server.connect();
    let long = "x".repeat(200_000);
    let _taken = connection.send_if_taken(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}"));
    assert_eq!(connection.response().status, 431);
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let server = Setup::of("environ:echo").start();
    let mut connection = server.connect();
    let headers = "Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n";
    connection.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}"));
    assert_eq!(connection.head().status, 100);
    connection.send("hello");
    let response = connection.response();
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    assert_eq!(connection.get("/").status, 200, "the connection goes on");
}

#[test]
fn an_expectation_is_ignored_in_http_1_0_and_needless_when_the_body_is_there() {
    let server = Setup::of("environ:echo").start();
    let headers = "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello";
    let response = server.ask(format!("POST / HTTP/1.0\r\n{headers}"));
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
}

#[test]
fn a_head_that_never_ends_is_given_up() {
    let server = Setup::of("environ").flags(&["--header-timeout", "1"]).start();
    let mut connection = server.connect();
    connection.send("GET / HTTP/1.1\r\nHost: localhost\r\n");
    assert_eq!(connection.response().status, 408);
    connection.assert_closed();
}

#[test]
fn a_head_that_arrives_byte_by_byte_is_given_up_too() {
    let server = Setup::of("environ").flags(&["--header-timeout", "1"]).start();
    let mut connection = server.connect();
    connection.send("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
    until::holds("the end of patience", || connection.send_if_taken("x").is_err());
}

#[test]
fn a_body_that_stops_coming_is_given_up() {
    let server = Setup::of("environ:echo").flags(&["--body-timeout", "1"]).start();
    let mut connection = server.connect();
    connection.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\nhello");
    assert_eq!(connection.response().status, 408);
    connection.assert_closed();
}

#[test]
fn an_idle_connection_is_closed_when_its_time_is_over() {
    let server = Setup::of("environ").flags(&["--keep-alive", "1"]).start();
    let mut connection = server.connect();
    assert_eq!(connection.get("/").status, 200);
    connection.assert_closed();
}

#[test]
fn a_connection_without_a_request_is_closed_after_its_time() {
    let server =
        Setup::of("environ").flags(&["--header-timeout", "1", "--keep-alive", "1"]).start();
    let mut connection = server.connect();
    let answer = connection.rest().unwrap();
    assert_eq!(answer, b"");
}

#[test]
fn a_connection_that_was_opened_in_advance_is_kept() {
    let server = Setup::of("environ").flags(&["--header-timeout", "1"]).start();
    let mut silent = server.connect();
    // The kernel hands it over after a second; each of these takes one more.
    for _ in 0..3 {
        let mut slow = server.connect();
        slow.send("GET / HTTP/1.1\r\n");
        assert_eq!(slow.response().status, 408);
    }
    assert_eq!(silent.get("/").status, 200);
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let server = Setup::of("closing").flags(&["--write-timeout", "1"]).start();
    let mut connection = server.connect();
    connection.send(get("/endless"));
    until::holds("the end of patience", || server.directory.read("closed") == "closed\n");
    let rest = connection.until_reset();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "no clean end of what was cut off");
    assert_eq!(server.get("/whole").text(), "onetwo");
}

/// The only thread answers a client that does not read, and is free again. What
/// the client asks meanwhile is answered too.
fn assert_waits_for_a_slow_reader(size: usize) {
    let server = Setup::of("stream:large").narrow().start();
    let mut slow = Connection::narrow(server.address()).unwrap();
    assert_eq!(slow.get("/?10").body.len(), 10);
    slow.send(get(&format!("/?{size}")));
    for _ in 0..20 {
        assert_eq!(server.get("/?10").body.len(), 10);
    }
    slow.send(get("/?20"));
    for _ in 0..20 {
        assert_eq!(server.get("/?10").body.len(), 10);
    }
    assert_eq!(slow.response().body.len(), size);
    assert_eq!(slow.response().body.len(), 20);
}

#[test]
fn a_response_waits_for_a_slow_reader_while_others_are_served() {
    assert_waits_for_a_slow_reader(500_000);
}

#[test]
fn a_very_large_response_waits_for_a_slow_reader_while_others_are_served() {
    assert_waits_for_a_slow_reader(5_000_000);
}

#[test]
fn idle_and_dripping_connections_do_not_delay_others() {
    let server = Setup::of("stream:who").workers(2).start();
    let idle: Vec<_> = (0..200).map(|_| server.connect()).collect();
    let mut dripping: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for connection in &mut dripping {
        connection.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n");
    }
    let mut kept = server.connect();
    for _ in 0..50 {
        dripping.iter_mut().for_each(|connection| connection.send("x"));
        assert_eq!(server.get("/").status, 200);
        assert_eq!(kept.get("/").status, 200);
    }
    drop(idle);
}

#[test]
fn of_two_requests_at_once_never_both_go_to_one_worker() {
    let server = Setup::of("stream:route").workers(2).start();
    for round in 0..60 {
        let pipes = [0, 1].map(|n| Pipe::new(&server.directory, &format!("pipe-{round}-{n}")));
        let mut clients = pipes.each_ref().map(|pipe| {
            let mut connection = server.connect();
            connection.send(get(&format!("/wait?{}", pipe.query())));
            connection
        });
        // Both are being worked on: neither waits behind the other.
        let writers = pipes.each_ref().map(Pipe::open);
        writers.into_iter().for_each(|writer| writer.finish());
        let seen = clients.each_mut().map(|client| client.response().text());
        assert_ne!(seen[0], seen[1], "round {round}");
    }
}

#[test]
fn a_new_connection_finds_the_worker_that_is_free() {
    let server = Setup::of("stream:route").workers(2).start();
    let (mut busy, writer) = server.occupy("pipe");
    for _ in 0..50 {
        assert_eq!(server.get("/").status, 200);
    }
    writer.finish();
    assert_eq!(busy.response().status, 200);
}

#[test]
fn kept_connections_are_spread_over_the_workers() {
    let server = Setup::of("stream:route").workers(2).start();
    let workers = server.workers();
    let mut kept: Vec<_> = (0..100).map(|_| server.connect()).collect();
    let seen = kept.iter_mut().map(|connection| {
        // One that does not come to run has to leave them to the other.
        let are_asleep = || workers.iter().all(|pid| process::is_asleep(*pid));
        until::holds("workers that wait for connections", are_asleep);
        connection.get("/").text()
    });
    let seen: std::collections::BTreeSet<_> = seen.collect();
    assert_eq!(seen.len(), 2);
}

#[test]
fn more_connections_than_allowed_wait_their_turn() {
    let server = Setup::of("stream:who").flags(&["--worker-connections", "10"]).start();
    let mut held: Vec<_> = (0..10).map(|_| server.connect()).collect();
    held.iter_mut().for_each(|connection| assert_eq!(connection.get("/").status, 200));
    let mut waiting: Vec<_> = (0..5).map(|_| server.connect()).collect();
    waiting.iter_mut().for_each(|connection| connection.send(get("/")));
    drop(held);
    waiting.iter_mut().for_each(|connection| assert_eq!(connection.response().status, 200));
}

#[test]
fn a_new_connection_is_not_closed_to_make_room() {
    let limit = ["--bind", "unix:here.sock", "--worker-connections", "10"];
    let server = Setup::bare().apps().flags(&limit).flag("batched").start();
    let connect = || Connection::unix(&server.directory.join("here.sock")).unwrap();
    for _ in 0..5 {
        let mut warm = connect();
        (0..100).for_each(|_| assert_eq!(warm.get("/").status, 200));
        drop(warm);
        // All of them are there when it goes on.
        process::signal(server.workers()[0], Signal::SIGSTOP);
        let mut clients: Vec<_> = (0..30).map(|_| connect()).collect();
        for client in &mut clients {
            client.send(request("GET", "/", &[("Connection", "close")], ""));
        }
        process::signal(server.workers()[0], Signal::SIGCONT);
        clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    }
}

#[test]
fn clients_that_reset_do_no_harm() {
    let server = Setup::of("stream:large").workers(2).start();
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    for round in 0..200 {
        let mut connection = server.connect();
        if round % 3 > 0 {
            connection.send(get("/?500000"));
        }
        if round % 3 > 1 {
            connection.head();
        }
        let crate::support::client::Stream::Tcp(stream) = &connection.stream else { continue };
        // Closing then sends a reset: socket(7), SO_LINGER.
        nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::Linger, &linger).unwrap();
    }
    assert_eq!(server.get("/?5").text(), "xxxxx");
}

#[test]
fn a_kept_connection_ends_well_when_the_server_stops() {
    let server = Setup::of("environ").workers(2).start();
    let mut kept: Vec<Connection> = (0..10).map(|_| server.connect()).collect();
    kept.iter_mut().for_each(|connection| assert_eq!(connection.get("/").status, 200));
    server.stop();
    kept.iter_mut().for_each(Connection::assert_closed);
}

/// Sends this number of requests, on one connection until the server closes it, and so on.
/// Returns the number of missing responses.
fn ask_without_pause(server: SocketAddr, count: usize) -> usize {
    let mut connection = Connection::tcp(server).unwrap();
    let mut lost = 0;
    for _ in 0..count {
        let sent = connection.send_if_taken(get("/"));
        let answer = sent.and_then(|()| connection.try_response("GET"));
        lost += usize::from(answer.is_err());
        if answer.map_or(true, |answer| answer.closes()) {
            connection = Connection::tcp(server).unwrap();
        }
    }
    lost
}

#[test]
fn clients_are_asked_to_close_before_the_limit_of_connections() {
    let server = Setup::of("stream:who").flags(&["--worker-connections", "10"]).start();
    let address = server.address();
    let clients: Vec<_> =
        (0..25).map(|_| thread::spawn(move || ask_without_pause(address, 100))).collect();
    let lost: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert_eq!(lost, 0, "requests lost of 2,500");
}

#[test]
fn a_partial_request_that_is_closed_to_make_room_gets_503() {
    let server = Setup::of("environ:echo").flags(&["--worker-connections", "2"]).start();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n";
    let body = format!("{head}\r\n");
    for parts in [[head, head], [&body, &(body.clone() + "abc")]] {
        let mut begun = parts.map(|part| {
            let mut connection = server.connect();
            connection.send(part);
            connection
        });
        assert_eq!(server.get("/").status, 200);
        let response = begun[0].response();
        assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    }
    server.wait_for_log_times(": 503 it had to make room for others", 2);
}

#[test]
fn slow_readers_cannot_shut_a_worker_out() {
    let server = Setup::of("stream:large").flags(&["--worker-connections", "3"]).narrow().start();
    let mut slow: Vec<_> = (0..3).map(|_| Connection::narrow(server.address()).unwrap()).collect();
    slow.iter_mut().for_each(|connection| connection.send(get("/?30000000")));
    let mut other = server.connect();
    assert_eq!(other.get("/?2").text(), "xx");
    server.wait_for_log("its client is the slowest, and there are too many connections");
    let is_cut = |connection: &mut Connection| connection.rest().is_err();
    assert!(slow.iter_mut().any(is_cut), "seen by the client");
}
