//! A worker with descriptions of its listeners. The test takes the place of the master, to
//! send descriptions that the real one never sends.

use std::ffi::CString;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr as UnixSocketAddr, UnixListener, UnixStream};
use std::path::Path;

use monoceros_config::{LogTarget, Settings, variable};
use monoceros_sys::process::{Process, Program, reap};
use monoceros_wire::channel::{Incoming, MasterEnd, pair};
use monoceros_wire::listener::{
    ListenerAddress, ListenerDescription, ListenerOptions, Scheme, UnixAddress,
};
use monoceros_wire::message::{BootFailure, FromWorker, Start, ToWorker};
use monoceros_wire::scoreboard::{BoardShape, Scoreboard};
use monoceros_wire::stacks::Stacks;
use monoceros_wire::{Generation, Slot};

use crate::support::client::Connection;
use crate::support::directory::Directory;
use crate::support::setup::{apps, own_name, program, python};
use crate::support::until;

const BOOT: &str = include_str!("../src/master/kind/boot.py");

/// A worker whose master is the test.
struct LoneWorker {
    process: Process,
    channel: MasterEnd,
    _directory: Directory,
}

impl LoneWorker {
    /// Starts one that has one listening socket.
    fn start(socket: OwnedFd, listeners: Vec<ListenerDescription>) -> Self {
        let directory = Directory::new();
        let settings = Settings {
            error_logfile: LogTarget::Path(directory.join("log")),
            ..Settings::default()
        };
        let start = Start {
            generation: Generation(1),
            workers: 1,
            app: Some("environ".to_owned()),
            settings: settings.worker_pairs(),
            listeners,
            ..Start::default()
        };
        let (channel, theirs) = pair().unwrap();
        channel.send(&ToWorker::Start(start)).unwrap();
        let shape = BoardShape::of_threads(settings.threads);
        let scoreboard = Scoreboard::create(Slot(0), Generation(1), shape).unwrap();
        let stacks = Stacks::create().unwrap();
        let path = program().with_file_name("libmonoceros_python.so");
        let extension = File::open(&path).unwrap();
        // The listening socket is number 3.
        let given = [
            (variable::CHANNEL, theirs.as_fd()),
            (variable::SCOREBOARD, scoreboard.as_fd()),
            (variable::STACKS, stacks.as_fd()),
            (variable::EXTENSION, extension.as_fd()),
        ];
        let numbers = given.iter().zip(4..).map(|((name, _), number)| format!("{name}={number}"));
        let others = ["LISTEN_FDS=1", "PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"];
        let environment = numbers.chain(others.map(str::to_owned));
        let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
        let interpreter = text(&python());
        let worker = Program {
            path: interpreter.clone(),
            arguments: vec![interpreter, c"-c".into(), CString::new(BOOT).unwrap(), text(&path)],
            environment: environment.map(|it| CString::new(it).unwrap()).collect(),
            directory: Some(text(&apps("wsgi"))),
            umask: None,
            credentials: None,
            orphan_signal: Some(libc::SIGKILL),
        };
        let sockets = std::iter::once(socket.as_fd()).chain(given.iter().map(|(_, fd)| *fd));
        let process = Process::start(&worker, &sockets.collect::<Vec<_>>()).unwrap();
        Self { process, channel, _directory: directory }
    }

    /// The first message that it sends.
    fn message(&self) -> FromWorker {
        until::some("a message of the worker", || match self.channel.receive().unwrap() {
            Incoming::Message(message) => Some(message),
            Incoming::Nothing => None,
            Incoming::Closed => panic!("it has ended: {:?}", self.process.exec_error()),
        })
    }
}

impl Drop for LoneWorker {
    fn drop(&mut self) {
        self.process.signal(libc::SIGKILL).unwrap();
        reap(self.process.pid()).unwrap();
    }
}

fn tcp() -> (OwnedFd, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener.into(), address)
}

fn https(address: ListenerAddress) -> ListenerDescription {
    ListenerDescription {
        name: "shop".to_owned(),
        address,
        scheme: Scheme::Https,
        alpn: Vec::new(),
        options: ListenerOptions { defer_accept: true, ..ListenerOptions::default() },
        access: None,
    }
}

#[test]
fn the_scheme_of_a_request_is_that_of_its_listener() {
    let (socket, address) = tcp();
    let worker = LoneWorker::start(socket, vec![https(ListenerAddress::Internet(address))]);
    assert!(matches!(worker.message(), FromWorker::Ready { .. }));
    let environ = Connection::tcp(address).unwrap().get("/").json();
    assert_eq!(environ["wsgi.url_scheme"], "https");
    assert_eq!(environ["SERVER_PORT"], address.port().to_string());
}

#[test]
fn the_port_of_a_unix_socket_is_that_of_its_scheme() {
    let name = own_name();
    let address = UnixSocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let own = ListenerAddress::Unix(UnixAddress::Abstract(name.clone().into_bytes()));
    let worker = LoneWorker::start(listener.into(), vec![https(own)]);
    assert!(matches!(worker.message(), FromWorker::Ready { .. }));
    let client = UnixStream::connect_addr(&address).unwrap();
    let mut connection = Connection::over_unix(client).unwrap();
    connection.send("GET / HTTP/1.0\r\n\r\n");
    let environ = connection.response().json();
    assert_eq!(
        (&environ["SERVER_PORT"], &environ["wsgi.url_scheme"]),
        (&"443".into(), &"https".into())
    );
    assert_eq!(environ["SERVER_NAME"], format!("@{name}"));
}

#[test]
fn a_worker_that_is_given_no_description_of_a_listener_does_not_serve() {
    let (socket, _) = tcp();
    let worker = LoneWorker::start(socket, Vec::new());
    let text = "cannot serve: the number of its listening sockets is 1, and the master \
        describes 0: []";
    let failed = FromWorker::Failed { failure: BootFailure::Boot, text: text.to_owned() };
    assert_eq!(worker.message(), failed);
}
