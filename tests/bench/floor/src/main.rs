//! The floor under every measurement: a bare epoll loop that responds with fixed bytes.
//!
//! Edge-triggered, one thread, one `recv` and one `send` a request, no parsing:
//! whatever arrives in one `recv` is taken for one request. It is no HTTP server: it
//! measures what the kernel costs any server that uses TCP through epoll.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

const USAGE: &str = "usage: bench-floor HOST:PORT BODY_BYTES [--close]";

/// The token of the listener; connections use their descriptor's number, which is never this.
const LISTENER: u64 = u64::MAX;

/// What every request is answered with, and whether the connection ends there.
struct Answer {
    bytes: Vec<u8>,
    close: bool,
}

impl Answer {
    /// A plausible HTTP/1.1 response, with as many headers as the servers it is compared with send.
    fn new(body: usize, close: bool) -> Self {
        let connection = if close { "Connection: close\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 200 OK\r\nServer: floor\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Content-Type: text/plain\r\nContent-Length: {body}\r\n{connection}\r\n"
        );
        let mut bytes = head.into_bytes();
        bytes.resize(bytes.len() + body, b'x');
        Self { bytes, close }
    }
}

/// One accepted socket and what of the current answer the kernel has not taken yet.
struct Connection {
    stream: TcpStream,
    unsent: usize,
}

/// What becomes of a connection after an event.
#[derive(PartialEq)]
enum Fate {
    Keep,
    Drop,
}

struct Floor {
    epoll: Epoll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    answer: Answer,
    input: Vec<u8>,
}

impl Floor {
    fn bind(address: &str, answer: Answer) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        Ok(Self { epoll, listener, connections: Vec::new(), answer, input: vec![0; 16 * 1024] })
    }

    fn run(&mut self) -> Result<()> {
        let mut events = vec![EpollEvent::empty(); 256];
        loop {
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => continue,
                other => other?,
            };
            for event in &events[..count] {
                match event.data() {
                    LISTENER => self.accept()?,
                    token => self.serve(token as usize, event.events()),
                }
            }
        }
    }

    /// Takes one connection; the level-triggered listener is reported again while more of them wait.
    fn accept(&mut self) -> Result<()> {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        let token = stream.as_raw_fd() as usize;
        // Both directions once: a later change of interest would cost a system call.
        let flags = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        self.epoll.add(&stream, EpollEvent::new(flags, token as u64))?;
        if self.connections.len() <= token {
            self.connections.resize_with(token + 1, || None);
        }
        self.connections[token] = Some(Connection { stream, unsent: 0 });
        Ok(())
    }

    fn serve(&mut self, token: usize, events: EpollFlags) {
        let Some(connection) = self.connections.get_mut(token).and_then(Option::as_mut) else {
            return;
        };
        let fate = if connection.unsent > 0 {
            connection.send(&self.answer)
        } else if events.contains(EpollFlags::EPOLLIN) {
            connection.receive(&mut self.input, &self.answer)
        } else {
            Fate::Keep
        };
        if fate == Fate::Drop || events.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            // Closing the last descriptor takes it out of the epoll set too.
            self.connections[token] = None;
        }
    }
}

impl Connection {
    fn receive(&mut self, input: &mut [u8], answer: &Answer) -> Fate {
        match self.stream.read(input) {
            Ok(0) => Fate::Drop,
            Ok(_) => {
                self.unsent = answer.bytes.len();
                self.send(answer)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Fate::Keep,
            Err(_) => Fate::Drop,
        }
    }

    fn send(&mut self, answer: &Answer) -> Fate {
        let start = answer.bytes.len() - self.unsent;
        match self.stream.write(&answer.bytes[start..]) {
            Ok(sent) => self.unsent -= sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Fate::Keep,
            Err(_) => return Fate::Drop,
        }
        if self.unsent == 0 && answer.close { Fate::Drop } else { Fate::Keep }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (address, body, close) = match arguments.as_slice() {
        [address, body] => (address, body.parse(), false),
        [address, body, flag] if flag == "--close" => (address, body.parse(), true),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let Ok(body) = body else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match Floor::bind(address, Answer::new(body, close)).and_then(|mut floor| floor.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-floor: cannot serve on {address}: {error}");
            ExitCode::FAILURE
        }
    }
}
