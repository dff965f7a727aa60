//! The order of requests, in the queue of a worker and among connections that are not
//! accepted yet: first come, first served.

use std::time::Duration;

use crate::support::client::{Connection, get};
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// Appends the path of each request to the file `order`. One that asks for
/// `/hold` ends when there is a file `go`.
const ORDER: &str = "
import os, time

def application(environ, start_response):
    path = environ['PATH_INFO']
    with open('order', 'a') as file:
        file.write(path + '\\n')
    while path == '/hold' and not os.path.exists('go'):
        time.sleep(0.005)
    time.sleep(0.02)
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

fn order(server: &Server) -> Vec<String> {
    server.directory.read("order").lines().map(str::to_owned).collect()
}

/// Connections on which a request has been answered.
fn kept(server: &Server, count: usize) -> Vec<Connection> {
    let connect = |_| {
        let mut connection = server.connect();
        assert_eq!(connection.get("/kept").status, 200);
        connection
    };
    (0..count).map(connect).collect()
}

#[test]
fn waiting_connections_are_served_in_the_order_of_their_arrival() {
    let server =
        Setup::of("order:application").file("order.py", ORDER).flags(&["--pythonpath", "."]);
    let server = server.start();
    let (mut early, mut late) = (kept(&server, 3), kept(&server, 40));
    let mut holder = server.connect();
    holder.send(get("/hold"));
    until::holds("the request that holds the thread", || {
        order(&server).ends_with(&["/hold".into()])
    });
    early.iter_mut().for_each(|connection| connection.send(get("/early")));
    let mut outside = server.connect();
    outside.send(get("/outside"));
    // The kernel knows when a connection came to within some milliseconds.
    until::passes(Duration::from_millis(100));
    late.iter_mut().for_each(|connection| connection.send(get("/late")));
    server.directory.write("go", "");
    let all = early.iter_mut().chain([&mut holder, &mut outside]).chain(late.iter_mut());
    all.for_each(|connection| assert_eq!(connection.response().status, 200));
    let served = order(&server);
    let behind = served.iter().skip_while(|path| *path != "/outside").count();
    assert!(behind > 20, "most of those that came later are served later: {served:?}");
}

#[test]
fn connections_that_come_in_a_crowd_all_have_their_turn() {
    for workers in [1, 2] {
        let server = Setup::of("order:application").file("order.py", ORDER).threads(2);
        let server = server.workers(workers).flags(&["--pythonpath", "."]).start();
        let mut crowd: Vec<_> = (0..40).map(|_| server.connect()).collect();
        crowd.iter_mut().for_each(|connection| connection.send(get("/first")));
        for connection in &mut crowd {
            assert_eq!(connection.response().status, 200);
            connection.send(get("/second"));
        }
        crowd.iter_mut().for_each(|connection| assert_eq!(connection.response().status, 200));
        let served = order(&server);
        let first_half = served.iter().take(served.len() / 2);
        let seconds = first_half.filter(|path| *path == "/second").count();
        assert!(seconds < 20, "served clients do not pass by waiting ones: {served:?}");
    }
}
