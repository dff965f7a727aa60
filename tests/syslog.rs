//! The logs in syslog: RFC 5424 over datagrams and streams, never in the way of the service.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// A message as (priority, name of the program, pid, id, text).
fn parse(message: &str) -> (u8, String, i32, String, String) {
    let (priority, rest) = message.strip_prefix('<').unwrap().split_once(">1 ").unwrap();
    let words: Vec<_> = rest.splitn(7, ' ').collect();
    let [time, host, name, pid, id, data, text] = words[..] else { panic!("{message}") };
    assert!(time.contains('T') && !host.is_empty() && data == "-", "{message}");
    (
        priority.parse().unwrap(),
        name.to_owned(),
        pid.parse().unwrap(),
        id.to_owned(),
        text.to_owned(),
    )
}

/// Reads messages until one has this text, and returns all of them.
fn read_until(mut next: impl FnMut() -> String, text: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let message = next();
        let is_last = message.contains(text);
        seen.push(message);
        if is_last {
            return seen;
        }
    }
}

fn setup(address: &str) -> Setup {
    Setup::of("faults").flags(&["--log-syslog", "--log-syslog-to", address, "--name", "my shop"])
}

/// Asks for a page and for an error, and looks at what syslog gets.
fn assert_logs(server: &Server, mut next: impl FnMut() -> String) {
    for text in ["[ERROR]", "Traceback", "ValueError"] {
        server.allow(text);
    }
    let seen = read_until(&mut next, "master: serving");
    assert_eq!(server.get("/page").status, 200);
    let page = read_until(&mut next, "GET /page HTTP/1.1\" 200").pop().unwrap();
    assert_eq!(server.get("/before").status, 500);
    let failure = read_until(&mut next, "raised before start_response").pop().unwrap();
    let (priority, name, pid, id, _) = parse(seen.last().unwrap());
    assert_eq!((priority, name.as_str()), (14, "monoceros.my_shop.error"), "user.info");
    assert_eq!((pid, id.as_str()), (server.pid(), "-"));
    let (priority, name, pid, ..) = parse(&page);
    assert_eq!((priority, name.as_str()), (14, "monoceros.my_shop.access"));
    assert_eq!(pid, server.workers()[0]);
    let (priority, name, .., text) = parse(&failure);
    assert_eq!((priority, name.as_str()), (11, "monoceros.my_shop.error"), "user.err");
    assert!(text.contains("\n  Traceback (most recent call last)"), "{text}");
    server.signal(Signal::SIGHUP);
    let reload = read_until(&mut next, "reloaded: gen=2").pop().unwrap();
    assert_eq!(parse(&reload).3.len(), 32, "the event has an identifier");
}

#[test]
fn messages_go_by_datagrams() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(until::DEADLINE)).unwrap();
    let server = setup(&format!("udp://{}", udp.local_addr().unwrap())).start();
    let mut bytes = [0; 16 * 1024];
    assert_logs(&server, || {
        let length = udp.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    });
    for kind in ["", "#dgram"] {
        let setup = Setup::of("faults");
        let path = setup.directory.join("syslog");
        let unix = UnixDatagram::bind(&path).unwrap();
        unix.set_read_timeout(Some(until::DEADLINE)).unwrap();
        let address = format!("unix://{}{kind}", path.display());
        let setup =
            setup.flags(&["--log-syslog", "--log-syslog-to", &address, "--name", "my shop"]);
        let server = setup.start();
        assert_logs(&server, || {
            let length = unix.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..length].to_vec()).unwrap()
        });
        fs::remove_file(path).unwrap();
    }
}

/// Has the connections of all processes of a server read by one thread each.
fn messages_of_streams<S: Read + Send + 'static>(
    accept: impl Fn() -> S + Send + 'static,
    read: impl Fn(&mut BufReader<S>) -> Option<String> + Send + Copy + 'static,
) -> std::sync::mpsc::Receiver<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    // The threads end with the test program.
    std::thread::spawn(move || {
        loop {
            let (mut stream, sender) = (BufReader::new(accept()), sender.clone());
            std::thread::spawn(move || {
                while let Some(message) = read(&mut stream) {
                    if sender.send(message).is_err() {
                        return;
                    }
                }
            });
        }
    });
    receiver
}

#[test]
fn messages_go_by_streams() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = setup(&format!("tcp://{}", listener.local_addr().unwrap())).start();
    // The length precedes each message (RFC 6587).
    let counted = |stream: &mut BufReader<std::net::TcpStream>| {
        let mut length = Vec::new();
        stream.read_until(b' ', &mut length).ok().filter(|count| *count > 0)?;
        let length: usize = std::str::from_utf8(&length).unwrap().trim().parse().unwrap();
        let mut message = vec![0; length];
        stream.read_exact(&mut message).ok()?;
        Some(String::from_utf8(message).unwrap())
    };
    let messages = messages_of_streams(move || listener.accept().unwrap().0, counted);
    assert_logs(&server, || messages.recv_timeout(until::DEADLINE).unwrap());
    let setup = Setup::of("faults");
    let path = setup.directory.join("syslog");
    let listener = UnixListener::bind(&path).unwrap();
    let address = format!("unix://{}#stream", path.display());
    let setup = setup.flags(&["--log-syslog", "--log-syslog-to", &address, "--name", "my shop"]);
    let server = setup.start();
    let terminated = |stream: &mut BufReader<std::os::unix::net::UnixStream>| {
        let mut message = Vec::new();
        stream.read_until(0, &mut message).ok().filter(|count| *count > 0)?;
        assert_eq!(message.pop(), Some(0));
        Some(String::from_utf8(message).unwrap())
    };
    let messages = messages_of_streams(move || listener.accept().unwrap().0, terminated);
    assert_logs(&server, || messages.recv_timeout(until::DEADLINE).unwrap());
    fs::remove_file(path).unwrap();
}

#[test]
fn facility_and_prefix_are_those_of_the_settings() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(until::DEADLINE)).unwrap();
    let address = format!("udp://{}", udp.local_addr().unwrap());
    let flags = ["--log-syslog-facility", "local3", "--log-syslog-prefix", "front"];
    let server = setup(&address).flags(&flags).flag("--log-format=json").spawn();
    let mut bytes = [0; 16 * 1024];
    let mut next = || {
        let length = udp.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let ready = read_until(&mut next, "serving faults").pop().unwrap();
    let (priority, name, .., text) = parse(&ready);
    assert_eq!((priority, name.as_str()), (19 * 8 + 6, "monoceros.front.error"));
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["logger"], "monoceros.master");
    drop(server);
}

#[test]
fn a_syslog_that_is_not_there_or_does_not_read_holds_up_no_request() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    for target in [
        format!("tcp://{address}"),
        "unix:///nowhere/at/all".to_owned(),
        "udp://127.0.0.1:9".to_owned(),
    ] {
        let server = setup(&target).start();
        for text in ["[ERROR]", "Traceback"] {
            server.allow(text);
        }
        let mut connection = server.connect();
        for _ in 0..500 {
            assert_eq!(connection.get("/page").status, 200, "{target}");
        }
        assert_eq!(server.get("/before").status, 500);
        server.wait_for_log("raised before start_response");
    }
}

#[test]
fn a_syslog_that_comes_back_gets_the_number_of_lost_messages() {
    let setup = Setup::of("faults");
    let path = setup.directory.join("syslog");
    let address = format!("unix://{}", path.display());
    let flags = ["--log-syslog", "--log-syslog-to", &address, "--access-logfile", "access"];
    let server = setup.flags(&flags).start();
    for _ in 0..3 {
        assert_eq!(server.get("/lost").status, 200);
    }
    // A line comes after its response.
    until::holds("their lines", || server.directory.read("access").lines().count() == 3);
    let unix = UnixDatagram::bind(&path).unwrap();
    unix.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut bytes = [0; 16 * 1024];
    let mut seen = String::new();
    until::holds("messages", || {
        assert_eq!(server.get("/again").status, 200);
        while let Ok(length) = unix.recv(&mut bytes) {
            seen += &String::from_utf8_lossy(&bytes[..length]);
            seen += "\n";
        }
        seen.contains("GET /again")
    });
    let lost = seen.lines().find(|line| line.contains("messages were lost here")).expect(&seen);
    assert!(lost.starts_with("<12>1 ") && lost.contains(".access "), "user.warning: {lost}");
    assert!(!seen.contains("GET /lost"), "{seen}");
    fs::remove_file(path).unwrap();
}
