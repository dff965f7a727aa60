//! Figures for statsd: those that gunicorn sends, by the names, types and sums that a statsd
//! server gets.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::client::Connection;
use crate::support::proxy::free_address;
use crate::support::server::Server;
use crate::support::setup::{Setup, python};
use crate::support::until;

const APPLICATION: &str = "
def application(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/fail':
        raise ValueError('wrong')
    start_response('404 Not Found' if path == '/none' else '200 OK', [('Content-Length', '2')])
    return [b'ok']
";

/// The sums of what a statsd server has got, by name and type; of times and values how many.
#[derive(Debug, Default)]
struct Figures {
    sums: BTreeMap<(String, String), u64>,
    datagrams: usize,
    times: Vec<f64>,
}

impl Figures {
    fn add(&mut self, datagram: &[u8]) {
        assert!(datagram.len() <= 1432, "{}", datagram.len());
        self.datagrams += 1;
        for line in std::str::from_utf8(datagram).unwrap().lines() {
            let (name, rest) = line.split_once(':').unwrap();
            let (value, kind) = rest.split_once('|').unwrap();
            let sum = self.sums.entry((name.to_owned(), kind.to_owned())).or_default();
            if kind.starts_with('c') {
                *sum += value.parse::<u64>().unwrap();
            } else if kind.starts_with('g') {
                *sum = value.parse().unwrap();
            } else {
                *sum += 1;
                self.times.push(value.parse().unwrap());
            }
        }
    }

    fn sum(&self, name: &str, kind: &str) -> u64 {
        self.sums.get(&(name.to_owned(), kind.to_owned())).copied().unwrap_or(0)
    }

    /// Receives until a sum is reached.
    fn receive(&mut self, socket: &UdpSocket, name: &str, kind: &str, least: u64) {
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        until::holds(&format!("{least} of {name}|{kind}"), || {
            let mut bytes = [0; 65536];
            match socket.recv(&mut bytes) {
                Ok(count) => self.add(&bytes[..count]),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}"),
            }
            self.sum(name, kind) >= least
        });
    }
}

fn ask(address: SocketAddr, target: &str) -> u16 {
    let mut connection = Connection::tcp(address).unwrap();
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    connection.response().status
}

/// The requests of both servers.
fn load(address: SocketAddr) {
    for (target, status, count) in [("/", 200, 7), ("/none", 404, 3), ("/fail", 500, 2)] {
        for _ in 0..count {
            assert_eq!(ask(address, target), status);
        }
    }
}

fn ours(setup: Setup, flags: &[&str]) -> Server {
    let setup = setup.file("figures.py", APPLICATION).flags(&["--pythonpath=."]);
    let server = setup.flags(flags).start();
    for text in ["the application failed", "Traceback", "ValueError"] {
        server.allow(text);
    }
    server
}

/// gunicorn, until it is dropped.
struct Gunicorn(Child);

impl Drop for Gunicorn {
    fn drop(&mut self) {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM).ok();
        self.0.wait().ok();
    }
}

#[test]
fn the_figures_are_those_of_gunicorn() {
    let server_socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = server_socket.local_addr().unwrap().to_string();
    let flags =
        ["--statsd-host", &to, "--statsd-prefix", "shop", "--enable-backlog-metric", "--workers=2"];
    let server = ours(Setup::of("figures:application"), &flags);
    load(server.address());
    let ends = [
        ("shop.gunicorn.requests", "c|@1.0", 12),
        ("shop.gunicorn.request.duration", "ms", 12),
        ("shop.gunicorn.request.status.200", "c|@1.0", 7),
        ("shop.gunicorn.request.status.404", "c|@1.0", 3),
        ("shop.gunicorn.request.status.500", "c|@1.0", 2),
        ("shop.gunicorn.log.exception", "c|@1.0", 2),
        ("shop.gunicorn.workers", "g", 2),
        ("shop.gunicorn.backlog", "h", 1),
    ];
    let mut own = Figures::default();
    for (name, kind, least) in ends {
        own.receive(&server_socket, name, kind, least);
    }
    server.stop();
    // gunicorn sends to the same socket, from a port that is free a moment before.
    let port = free_address();
    let other_socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let directory = crate::support::directory::Directory::new();
    std::fs::write(directory.join("figures.py"), APPLICATION).unwrap();
    let mut command = Command::new(python());
    let other = other_socket.local_addr().unwrap().to_string();
    command.current_dir(directory.join(".")).args(["-m", "gunicorn", "--no-control-socket"]);
    command.args(["--bind", &port.to_string(), "--statsd-host", &other]);
    command.args(["--statsd-prefix", "shop", "--enable-backlog-metric", "--workers=2"]);
    command.arg("figures:application").env_clear().stdout(Stdio::null()).stderr(Stdio::null());
    let gunicorn = Gunicorn(command.spawn().unwrap());
    until::holds("gunicorn", || TcpStream::connect(port).is_ok());
    load(port);
    let mut theirs = Figures::default();
    for (name, kind, least) in ends {
        theirs.receive(&other_socket, name, kind, least);
    }
    drop(gunicorn);
    let names = |figures: &Figures| {
        let measured = ["shop.gunicorn.workers", "shop.gunicorn.backlog"];
        let counted =
            figures.sums.iter().filter(|((name, _), _)| !measured.contains(&name.as_str()));
        // The connection of the test that finds gunicorn, and its log records at the end, are
        // not of the load.
        let counted = counted.filter(|((name, _), _)| !name.ends_with("log.warning"));
        counted.map(|(key, sum)| (key.clone(), *sum)).collect::<Vec<_>>()
    };
    assert_eq!(names(&own), names(&theirs));
    assert!(own.datagrams < theirs.datagrams, "{} and {}", own.datagrams, theirs.datagrams);
}

#[test]
fn datagrams_have_tags_and_many_requests() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = socket.local_addr().unwrap().to_string();
    for threads in [1, 4] {
        let setup = Setup::of("figures:application").threads(threads);
        let flags = ["--statsd-host", &to, "--dogstatsd-tags", "env:prod,region:eu"];
        let server = ours(setup, &flags);
        let mut connection = server.connect();
        let count = 500;
        for _ in 0..count {
            assert_eq!(connection.get("/").status, 200);
        }
        let mut figures = Figures::default();
        let kind = "c|@1.0|#env:prod,region:eu";
        figures.receive(&socket, "gunicorn.requests", kind, count);
        assert_eq!(figures.sum("gunicorn.request.status.200", kind), count);
        assert_eq!(figures.sum("gunicorn.request.duration", "ms|#env:prod,region:eu"), count);
        assert!(figures.datagrams < 200, "{}", figures.datagrams);
        assert!(figures.times.iter().all(|time| *time < 60_000.0));
        server.stop();
    }
}

#[test]
fn the_responses_of_the_server_itself_count_too() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = socket.local_addr().unwrap().to_string();
    let flags = ["--statsd-host", &to, "--limit-request-body", "10"];
    let server = ours(Setup::of("figures:application"), &flags);
    let large = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n";
    assert_eq!(server.ask(large).status, 413);
    assert_eq!(server.ask("GET\r\n\r\n").status, 400);
    let mut figures = Figures::default();
    figures.receive(&socket, "gunicorn.request.status.400", "c|@1.0", 1);
    figures.receive(&socket, "gunicorn.request.status.413", "c|@1.0", 1);
    assert_eq!(figures.sum("gunicorn.requests", "c|@1.0"), 2);
}

#[test]
fn a_server_at_a_unix_socket_may_come_later_and_never_holds_up_a_request() {
    let server = {
        let setup = Setup::of("figures:application");
        let path = setup.directory.join("statsd.sock");
        let to = format!("unix://{}", path.display());
        ours(setup, &["--statsd-host", &to])
    };
    assert_eq!(server.get("/").status, 200, "no socket is there");
    let socket = UnixDatagram::bind(server.directory.join("statsd.sock")).unwrap();
    let mut connection = server.connect();
    // More than the queue of a socket holds that no process reads.
    until::holds("a full queue", || {
        assert_eq!(connection.get("/").status, 200);
        socket.set_nonblocking(true).unwrap();
        socket.recv(&mut [0; 2000]).is_ok()
    });
    drop(socket);
    std::fs::remove_file(server.directory.join("statsd.sock")).unwrap();
    assert_eq!(connection.get("/none").status, 404, "the socket has gone");
}
