//! What one client may use: requests and connections, in all workers together, and over
//! everything that the server survives.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;

use nix::sys::signal::Signal;

use crate::given_up::given_up;
use crate::support::client::{Connection, Response, request};
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// Its responses have the pid of the worker.
fn setup(flags: &[&str]) -> Setup {
    Setup::of("stream:route").patient().flags(flags)
}

fn rate(text: &str) -> [&str; 2] {
    ["--limit-rate", text]
}

fn source(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low).into()
}

fn connect_from(server: &Server, source: IpAddr) -> Connection {
    Connection::from(source, server.address()).expect("the server listens")
}

/// Sends so many requests, each on its own connection. Returns how many were served.
fn served(server: &Server, target: &str, count: usize) -> usize {
    served_at(server.address(), target, count)
}

fn served_at(address: SocketAddr, target: &str, count: usize) -> usize {
    let responses = (0..count).map(|_| Connection::tcp(address).unwrap().get(target));
    responses.filter(is_served).count()
}

/// Whether a response is that of the application; the other ones refuse the request as one too
/// many.
fn is_served(response: &Response) -> bool {
    if response.status == 200 {
        return true;
    }
    assert_eq!((response.status, response.text().as_str()), (429, "429 Too Many Requests\n"));
    false
}

#[test]
fn several_workers_do_not_multiply_a_limit() {
    let server = setup(&rate("1/h burst 40")).workers(3).start();
    let mut connections = Vec::new();
    let mut workers = BTreeSet::new();
    for _ in 0..40 {
        let mut connection = server.connect();
        let response = connection.get("/");
        assert!(is_served(&response));
        workers.insert(response.text());
        connections.push(connection);
    }
    assert!(workers.len() > 1, "one worker has served all: {workers:?}");
    for connection in &mut connections {
        assert!(!is_served(&connection.get("/")), "on a connection that stays open");
    }
    let refused = server.get("/");
    assert!(!is_served(&refused) && !refused.closes());
    let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&seconds), "{seconds}");
    assert!(is_served(&connect_from(&server, source(1)).get("/")), "another client");
    server.wait_for_log("refused 127.0.0.1:");
    let line = ": 429 its client has sent more than limit-rate 1/h burst 40";
    assert!(server.log().lines().any(|it| it.contains(line)), "{}", server.log());
    until::holds("a count of those", || given_up(&server, "rate-limited") == 41);
}

#[test]
fn requests_at_the_same_time_are_counted_exactly() {
    let server = setup(&rate("1/h burst 50")).workers(2).threads(2).start();
    let address = server.address();
    let senders: Vec<_> =
        (0..8).map(|_| thread::spawn(move || served_at(address, "/", 20))).collect();
    let count: usize = senders.into_iter().map(|it| it.join().unwrap()).sum();
    assert_eq!(count, 50);
}

#[test]
fn what_a_client_has_used_outlives_workers_generations_and_masters() {
    for flags in [&[][..], &["--preload"]] {
        let server = setup(&rate("1/h burst 12")).flags(flags).workers(2).start();
        server.allow("SIGKILL");
        assert_eq!(served(&server, "/", 3), 3);
        let old = server.workers();
        server.signal(Signal::SIGHUP);
        until::holds("new workers", || {
            let now = server.workers();
            now.len() == old.len() && !now.iter().any(|pid| old.contains(pid))
        });
        assert_eq!(served(&server, "/", 3), 3);
        for _ in 0..2 {
            let old = server.workers();
            let killed = old.iter().find(|pid| process::title(**pid).contains("worker"));
            process::signal(*killed.unwrap(), Signal::SIGKILL);
            server.wait_for_replacement(&old);
        }
        assert_eq!(served(&server, "/", 3), 3);
        server.upgrade();
        assert_eq!(served(&server, "/", 9), 3, "{flags:?}");
        server.upgrade();
        assert_eq!(served(&server, "/", 3), 0, "{flags:?}");
    }
}

#[test]
fn a_reload_keeps_the_limits_that_stay_the_same() {
    let setup = setup(&["--config", "limits.yaml"]);
    let setup = setup.file("limits.yaml", "limit-rate: [{/a: 1/h}, {/b: 1/h}]\n");
    let server = setup.start();
    assert_eq!((served(&server, "/a", 3), served(&server, "/b", 3)), (1, 1));
    let reload = |text: &str| {
        let old = server.workers();
        server.directory.write("limits.yaml", text);
        server.signal(Signal::SIGHUP);
        server.wait_for_new_workers(&old, 1);
    };
    reload("limit-rate: [{/a: 1/h}, {/b: 2/h}]\n");
    assert_eq!(served(&server, "/a", 3), 0, "it is the same");
    assert_eq!(served(&server, "/b", 3), 2, "it is another one");
    reload("timeout: 60\n");
    assert_eq!((served(&server, "/a", 3), served(&server, "/b", 3)), (3, 3));
}

#[test]
fn a_limit_for_a_path_counts_each_spelling_of_it() {
    let server = setup(&rate("/login=1/h burst 5")).start();
    for target in ["/login", "//login", "/%6cogin", "/x/../login", "/login/x?y"] {
        assert!(is_served(&server.get(target)), "{target}");
    }
    for target in ["/login", "/./login", "/login/../x", "http://a/login"] {
        assert!(!is_served(&server.get(target)), "{target}");
    }
    for target in ["/loginx", "/", "/x/login"] {
        assert_eq!(served(&server, target, 9), 9, "{target}");
    }
}

#[test]
fn each_address_has_its_own_limit() {
    let server = setup(&rate("1/h burst 2")).workers(2).start();
    for _ in 0..2 {
        for number in 0..400 {
            let response = connect_from(&server, source(number)).get("/");
            assert!(is_served(&response), "{number}");
        }
    }
    for number in 0..400 {
        assert!(!is_served(&connect_from(&server, source(number)).get("/")), "{number}");
    }
}

/// Requests of many clients, as a trusted proxy reports them, over one connection.
fn served_through_proxy(server: &Server, clients: impl Iterator<Item = String> + Clone) -> usize {
    let mut connection = server.connect();
    let mut count = 0;
    let clients: Vec<_> = clients.collect();
    // So that neither side waits for room in the other's buffers.
    for some in clients.chunks(50) {
        let requests = some.iter().map(|it| request("GET", "/", &[("X-Forwarded-For", it)], ""));
        connection.send(requests.map(|it| it.as_bytes().to_vec()).collect::<Vec<_>>().concat());
        count += some.iter().filter(|_| is_served(&connection.response())).count();
    }
    count
}

#[test]
fn an_ipv6_network_is_one_client_and_a_mapped_address_is_ipv4() {
    let flags = [&rate("1/h burst 3")[..], &["--real-ip", "x-forwarded-for"]].concat();
    let server = setup(&flags).start();
    let one_network = (0..9).map(|number| format!("2001:db8:0:1:{number}::7"));
    assert_eq!(served_through_proxy(&server, one_network), 3);
    let networks = (2..9).map(|number| format!("2001:db8:0:{number}::7"));
    assert_eq!(served_through_proxy(&server, networks), 7);
    let mapped = ["192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201", "192.0.2.1"];
    assert_eq!(served_through_proxy(&server, mapped.map(str::to_owned).into_iter()), 3);
}

#[test]
fn thousands_of_clients_are_remembered() {
    let flags = [&rate("1/h")[..], &["--real-ip", "x-forwarded-for"]].concat();
    let server = setup(&flags).workers(2).start();
    let clients = || (0..4000).map(|number| format!("10.0.{}.{}", number / 200, number % 200));
    assert_eq!(served_through_proxy(&server, clients()), 4000);
    assert_eq!(served_through_proxy(&server, clients()), 0);
}

#[test]
fn a_client_beyond_its_limit_is_refused_while_every_thread_is_stuck() {
    let server = setup(&rate("1/h burst 1")).start();
    let (mut busy, writer) = server.occupy("stuck");
    assert!(!is_served(&server.get("/")));
    writer.finish();
    assert_eq!(busy.response().status, 200);
}

#[test]
fn a_server_without_limits_has_no_table_and_one_with_limits_has_one_for_all() {
    let tables = |server: &Server| -> Vec<_> {
        let maps = |pid| fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let lines = server.workers().into_iter().map(|pid| {
            let maps = maps(pid);
            let line = maps.lines().find(|line| line.contains("monoceros-clients"));
            // Its device and inode are those of all processes that share it.
            line.map(|line| line.split_whitespace().skip(3).take(2).collect::<String>())
        });
        lines.collect()
    };
    assert_eq!(tables(&setup(&[]).workers(2).start()), [None, None]);
    let server = setup(&["--limit-connections", "9"]).workers(2).start();
    let found = tables(&server);
    assert!(found[0].is_some() && found[0] == found[1], "{found:?}");
}

// Connections.

/// Opens connections, each with a request, until one is refused.
fn fill(server: &Server, source: IpAddr) -> Vec<Connection> {
    let mut open = Vec::new();
    loop {
        let mut connection = connect_from(server, source);
        let response = connection.get("/");
        if !is_served(&response) {
            assert!(response.closes());
            assert!(connection.try_response("GET").is_err(), "it is closed");
            return open;
        }
        open.push(connection);
        assert!(open.len() < 100, "no limit");
    }
}

#[test]
fn a_client_has_so_many_connections_in_all_workers() {
    let server = setup(&["--limit-connections", "6"]).workers(3).start();
    let mut open = fill(&server, source(1));
    assert_eq!(open.len(), 6);
    assert!(is_served(&connect_from(&server, source(2)).get("/")), "another client");
    for connection in &mut open {
        assert!(is_served(&connection.get("/")), "those within the limit go on");
    }
    server.wait_for_log("refused 127.1.0.1:");
    until::holds("a count of it", || given_up(&server, "too-many-connections") == 1);
    drop(open.pop());
    until::holds("room for a connection", || {
        let mut connection = connect_from(&server, source(1));
        let has_room = is_served(&connection.get("/"));
        open.push(connection);
        has_room
    });
    open.clear();
    until::holds("room for all connections", || fill(&server, source(1)).len() == 6);
}

#[test]
fn the_connections_of_workers_that_end_or_are_killed_do_not_count() {
    let server = setup(&["--limit-connections", "6"]).workers(2).start();
    server.allow("SIGKILL");
    // As many connections as the limit allows, as soon as no other one counts.
    let fill_all = || {
        until::some("room for 6 connections", || {
            Some(fill(&server, source(1))).filter(|open| open.len() == 6)
        })
    };
    for _ in 0..2 {
        let open = fill_all();
        for pid in server.workers() {
            let old = server.workers();
            process::signal(pid, Signal::SIGKILL);
            server.wait_for_replacement(&old);
        }
        // The clients have not closed their ends.
        fill_all();
        drop(open);
    }
    let open = fill_all();
    server.upgrade();
    fill_all();
    drop(open);
    fill_all();
}

/// The first request of a connection from this client.
fn behind_proxy(server: &Server, client: &str, headers: &[(&str, &str)]) -> (Connection, bool) {
    let mut connection = server.connect();
    connection.send(format!("PROXY TCP4 {client} 127.0.0.1 1024 80\r\n"));
    connection.send(request("GET", "/", headers, ""));
    let response = connection.response();
    (connection, is_served(&response))
}

#[test]
fn the_client_of_a_connection_is_named_by_the_proxy_protocol_and_not_by_header_fields() {
    let flags = ["--limit-connections", "2", "--proxy-protocol", "v1"];
    let flags = [&flags[..], &["--real-ip", "x-forwarded-for"]].concat();
    let server = setup(&flags).start();
    let mut open = Vec::new();
    for (client, forwarded, is_within) in [
        ("192.0.2.1", "198.51.100.1", true),
        ("192.0.2.1", "198.51.100.2", true),
        ("192.0.2.1", "198.51.100.3", false),
        ("192.0.2.2", "198.51.100.1", true),
        ("192.0.2.2", "198.51.100.1", true),
        ("192.0.2.2", "198.51.100.9", false),
    ] {
        let (connection, is_served) =
            behind_proxy(&server, client, &[("X-Forwarded-For", forwarded)]);
        assert_eq!(is_served, is_within, "{client} {forwarded}");
        open.push(connection);
    }
}

#[test]
fn a_connection_beyond_the_limit_is_refused_while_every_thread_is_stuck() {
    let server = setup(&["--limit-connections", "1"]).start();
    let (mut busy, writer) = server.occupy("stuck");
    let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
    assert!(fill(&server, localhost).is_empty());
    writer.finish();
    assert_eq!(busy.response().status, 200);
    drop(busy);
    until::holds("room", || fill(&server, localhost).len() == 1);
}

#[test]
fn connections_count_over_a_reload() {
    let server = setup(&["--limit-connections", "3"]).workers(1).start();
    let (busy, writers): (Vec<_>, Vec<_>) =
        ["one"].into_iter().map(|name| server.occupy(name)).unzip();
    let old = server.workers();
    server.signal(Signal::SIGHUP);
    // The old worker has a request, so it stays.
    server.wait_for_log("reloaded: gen=2 serves");
    until::holds("one connection of the old worker", || {
        fill(&server, IpAddr::V4(Ipv4Addr::LOCALHOST)).len() == 2
    });
    writers.into_iter().for_each(|writer| writer.finish());
    for mut connection in busy {
        assert_eq!(connection.response().status, 200);
    }
    server.wait_for_new_workers(&old, 1);
    until::holds("room", || fill(&server, IpAddr::V4(Ipv4Addr::LOCALHOST)).len() == 3);
}
