//! The socket to syslog: datagrams, or a stream of framed messages. Sending never waits. What
//! has no room, or comes while there is no connection, is lost and counted.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

use monoceros_config::{SyslogAddress, SyslogSocket};
use monoceros_sys::clock::monotonic_ms;
use monoceros_sys::wait::{Readiness, wait};
use socket2::{Domain, SockAddr, Socket, Type};

/// After a failure the next attempt to connect comes this much later.
const PAUSE_MS: u64 = 1_000;
/// How many bytes may wait for the connection.
const WAITING_LIMIT: usize = 256 * 1024;
/// The length that every receiver takes in a datagram (RFC 5424, section 6.1: 2048 bytes should
/// be taken). A longer message is cut to it if the socket does not take it.
const SHORT_DATAGRAM: usize = 2048;
/// How often the lock is tried. It is held for the time of a few system calls; in a process that
/// was forked while another thread held it, it is never released.
const MOST_TRIES: u32 = 200;

/// How messages are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MessageFraming {
    /// Each is a datagram.
    Datagram,
    /// NUL follows each one, as of `syslog(3)`.
    Terminated,
    /// Its length precedes each one (octet counting, RFC 6587).
    Counted,
}

/// A connection that is made when it is needed, and again when it is lost.
#[derive(Debug)]
pub struct SyslogLink {
    target: SyslogAddress,
    /// The addresses of a machine's name, looked up once: a lookup may wait.
    addresses: Vec<SocketAddr>,
    state: Mutex<LinkState>,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct LinkState {
    socket: Option<OpenSocket>,
    /// The process that has opened the socket. One that the application forks opens its own:
    /// messages of two processes in one stream would mix.
    pid: u32,
    /// No attempt to connect before this time.
    pause_until_ms: u64,
    /// The address that is tried next.
    next_address: usize,
    /// What waits for the connection.
    waiting: VecDeque<WaitingMessage>,
    waiting_bytes: usize,
    /// How much of the first one was sent.
    sent: usize,
}

/// A message as it is sent.
#[derive(Debug)]
struct WaitingMessage {
    framed: Vec<u8>,
    /// How many messages are lost with it: one, or as many as a report about lost ones has.
    stands_for: u64,
}

#[derive(Debug)]
struct OpenSocket {
    socket: Socket,
    framing: MessageFraming,
    /// A stream that is being opened.
    is_opening: bool,
}

impl SyslogLink {
    /// Looks up the address. The connection is made when the first message is sent.
    #[must_use]
    pub fn new(target: SyslogAddress) -> Self {
        let addresses = match &target {
            SyslogAddress::Udp { host, port } | SyslogAddress::Tcp { host, port } => {
                let found = (host.as_str(), *port).to_socket_addrs();
                found.map(Iterator::collect).unwrap_or_default()
            }
            SyslogAddress::Unix { .. } => Vec::new(),
        };
        Self { target, addresses, state: Mutex::default(), lost: AtomicU64::new(0) }
    }

    /// Why no message can be sent, if the machine's name has no address.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match &self.target {
            SyslogAddress::Udp { host, .. } | SyslogAddress::Tcp { host, .. }
                if self.addresses.is_empty() =>
            {
                Some(format!("syslog: {host} has no address"))
            }
            _ => None,
        }
    }

    /// Sends a message without waiting. `report` makes the message about lost ones, which comes
    /// before the next one that is sent.
    pub(crate) fn send(&self, message: &[u8], report: impl FnOnce(u64) -> Vec<u8>) {
        let Some(mut state) = self.lock() else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let lost = self.connect(&mut state);
        self.lost.fetch_add(lost, Ordering::Relaxed);
        let Some(framing) = state.socket.as_ref().map(|it| it.framing) else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let before = self.lost.swap(0, Ordering::Relaxed);
        if before > 0 && !state.add(framing, &report(before), before) {
            self.lost.fetch_add(before, Ordering::Relaxed);
        }
        if !state.add(framing, message, 1) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        let (lost, _) = state.write_out();
        self.lost.fetch_add(lost, Ordering::Relaxed);
    }

    /// Sends what waits for the connection.
    pub(crate) fn flush(&self) {
        let Some(mut state) = self.lock() else { return };
        if state.waiting.is_empty() {
            return;
        }
        let lost = self.connect(&mut state) + state.write_out().0;
        self.lost.fetch_add(lost, Ordering::Relaxed);
    }

    /// The state, unless another thread keeps it for long.
    fn lock(&self) -> Option<MutexGuard<'_, LinkState>> {
        for _ in 0..MOST_TRIES {
            match self.state.try_lock() {
                Ok(state) => return Some(state),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
        None
    }

    /// Connects if there is no connection. Returns the number of messages that were lost with
    /// the former one.
    fn connect(&self, state: &mut LinkState) -> u64 {
        let pid = std::process::id();
        if state.pid != pid {
            // What waits is sent by the process that it belongs to.
            *state = LinkState { pid, ..LinkState::default() };
        }
        let lost = if state.socket.as_ref().is_some_and(OpenSocket::has_ended) {
            state.close()
        } else {
            0
        };
        if state.socket.is_some() || monotonic_ms() < state.pause_until_ms {
            return lost;
        }
        match self.open(state.next_address) {
            Ok(socket) => state.socket = Some(socket),
            Err(_) => {
                state.next_address = state.next_address.wrapping_add(1);
                state.pause_until_ms = monotonic_ms() + PAUSE_MS;
            }
        }
        lost
    }

    fn open(&self, number: usize) -> io::Result<OpenSocket> {
        let unix = |path: &Path, kind, framing| {
            OpenSocket::open(Domain::UNIX, kind, framing, &SockAddr::unix(path)?)
        };
        let datagram = |path| unix(path, Type::DGRAM, MessageFraming::Datagram);
        let stream = |path| unix(path, Type::STREAM, MessageFraming::Terminated);
        let internet = |kind, framing| {
            let count = self.addresses.len().max(1);
            let address = self.addresses.get(number % count).ok_or(io::ErrorKind::NotFound)?;
            OpenSocket::open(Domain::for_address(*address), kind, framing, &(*address).into())
        };
        match &self.target {
            SyslogAddress::Unix { path, kind } => match kind {
                Some(SyslogSocket::Datagram) => datagram(path),
                Some(SyslogSocket::Stream) => stream(path),
                None => datagram(path).or_else(|_| stream(path)),
            },
            SyslogAddress::Udp { .. } => internet(Type::DGRAM, MessageFraming::Datagram),
            SyslogAddress::Tcp { .. } => internet(Type::STREAM, MessageFraming::Counted),
        }
    }
}

impl OpenSocket {
    fn open(
        domain: Domain,
        kind: Type,
        framing: MessageFraming,
        to: &SockAddr,
    ) -> io::Result<Self> {
        let socket = Socket::new(domain, kind, None)?;
        socket.set_nonblocking(true)?;
        let is_opening = match socket.connect(to) {
            Ok(()) => false,
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => true,
            Err(error) => return Err(error),
        };
        Ok(Self { socket, framing, is_opening })
    }

    /// Whether the other end has closed a stream. It never sends anything.
    fn has_ended(&self) -> bool {
        if self.framing == MessageFraming::Datagram || self.is_opening {
            return false;
        }
        let mut byte = [MaybeUninit::uninit()];
        match self.socket.recv_with_flags(&mut byte, libc::MSG_DONTWAIT) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Whether bytes can be sent now.
    ///
    /// # Errors
    /// That of a connection that could not be opened.
    fn is_open(&mut self) -> io::Result<bool> {
        if self.is_opening {
            let asked = [(self.socket.as_fd(), Readiness::Writable)];
            if !wait(&asked, Some(std::time::Duration::ZERO))?[0] {
                return Ok(false);
            }
            if let Some(error) = self.socket.take_error()? {
                return Err(error);
            }
            self.is_opening = false;
        }
        Ok(true)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        match self.socket.send_with_flags(bytes, flags) {
            Err(error)
                if error.raw_os_error() == Some(libc::EMSGSIZE) && bytes.len() > SHORT_DATAGRAM =>
            {
                self.socket.send_with_flags(&bytes[..SHORT_DATAGRAM], flags)?;
                Ok(bytes.len())
            }
            sent => sent,
        }
    }
}

impl LinkState {
    /// Adds a message to those that wait. Returns false if there is no room.
    fn add(&mut self, framing: MessageFraming, message: &[u8], stands_for: u64) -> bool {
        let framed = match framing {
            MessageFraming::Datagram => message.to_vec(),
            MessageFraming::Terminated => [message, b"\0"].concat(),
            MessageFraming::Counted => [format!("{} ", message.len()).as_bytes(), message].concat(),
        };
        let has_room = self.waiting_bytes + framed.len() <= WAITING_LIMIT;
        if has_room {
            self.waiting_bytes += framed.len();
            self.waiting.push_back(WaitingMessage { framed, stands_for });
        }
        has_room
    }

    /// Sends what there is room for. Returns how many messages were lost, and whether none
    /// waits.
    fn write_out(&mut self) -> (u64, bool) {
        let Some(socket) = &mut self.socket else { return (0, self.waiting.is_empty()) };
        match socket.is_open() {
            Ok(true) => {}
            Ok(false) => return (0, false),
            Err(_) => return (self.close(), false),
        }
        while let Some(first) = self.waiting.front() {
            match socket.send(&first.framed[self.sent..]) {
                Ok(count) if self.sent + count < first.framed.len() => self.sent += count,
                Ok(_) => {
                    self.waiting_bytes -= first.framed.len();
                    self.sent = 0;
                    self.waiting.pop_front();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (0, false),
                Err(_) => return (self.close(), false),
            }
        }
        (0, true)
    }

    /// Gives the connection up, with what waits for it. Returns the number of messages.
    fn close(&mut self) -> u64 {
        let lost = self.waiting.iter().map(|message| message.stands_for).sum();
        self.socket = None;
        self.waiting.clear();
        (self.waiting_bytes, self.sent) = (0, 0);
        self.next_address = self.next_address.wrapping_add(1);
        self.pause_until_ms = monotonic_ms() + PAUSE_MS;
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read};
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    fn report(lost: u64) -> Vec<u8> {
        format!("{lost} lost").into_bytes()
    }

    fn unix_address(path: &Path, kind: Option<SyslogSocket>) -> SyslogAddress {
        SyslogAddress::Unix { path: path.to_owned(), kind }
    }

    fn path(name: &str) -> PathBuf {
        let name = format!("monoceros-syslog-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::remove_file(&path).ok();
        path
    }

    /// Sends until a message arrives, for no longer than some seconds.
    fn send_until(link: &SyslogLink, mut arrives: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !arrives() {
            assert!(Instant::now() < deadline);
            link.send(b"again", report);
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_datagram_is_a_message() {
        let path = path("datagram");
        let unix = UnixDatagram::bind(&path).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = udp.local_addr().unwrap().port();
        let targets = [
            unix_address(&path, None),
            unix_address(&path, Some(SyslogSocket::Datagram)),
            SyslogAddress::Udp { host: "127.0.0.1".to_owned(), port },
        ];
        let mut bytes = [0; 4096];
        for target in targets {
            let link = SyslogLink::new(target.clone());
            for text in [b"one", b"two"] {
                link.send(text, report);
                let length = match target {
                    SyslogAddress::Udp { .. } => udp.recv(&mut bytes),
                    _ => unix.recv(&mut bytes),
                };
                assert_eq!(&bytes[..length.unwrap()], text, "{target:?}");
            }
        }
        let link = SyslogLink::new(SyslogAddress::Udp { host: "127.0.0.1".to_owned(), port });
        link.send(&vec![b'x'; 100_000], report);
        assert_eq!(udp.recv(&mut bytes).unwrap(), SHORT_DATAGRAM);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_stream_has_frames() {
        let path = path("stream");
        let listener = UnixListener::bind(&path).unwrap();
        for target in [unix_address(&path, None), unix_address(&path, Some(SyslogSocket::Stream))] {
            let link = SyslogLink::new(target);
            link.send(b"one\n  more", report);
            let mut reader = BufReader::new(listener.accept().unwrap().0);
            let mut message = Vec::new();
            reader.read_until(0, &mut message).unwrap();
            assert_eq!(message, b"one\n  more\0");
        }
        std::fs::remove_file(path).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let link = SyslogLink::new(SyslogAddress::Tcp { host: "127.0.0.1".to_owned(), port });
        link.send(b"one\n  more", report);
        let (mut stream, _) = listener.accept().unwrap();
        link.flush();
        let mut bytes = [0; 13];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"10 one\n  more");
    }

    #[test]
    fn what_is_lost_without_a_connection_is_counted_and_reported_with_the_next_one() {
        let path = path("lost");
        let link = SyslogLink::new(unix_address(&path, None));
        (0..3).for_each(|_| link.send(b"lost", report));
        let unix = UnixDatagram::bind(&path).unwrap();
        unix.set_nonblocking(true).unwrap();
        let mut bytes = [0; 64];
        let mut first = Vec::new();
        send_until(&link, || {
            first =
                unix.recv(&mut bytes).map(|length| bytes[..length].to_vec()).unwrap_or_default();
            !first.is_empty()
        });
        let text = String::from_utf8(first).unwrap();
        let count = text.strip_suffix(" lost").and_then(|it| it.parse::<u64>().ok());
        assert!(count.is_some_and(|count| count >= 3), "{text}");
        let length = unix.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"again");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_report_about_lost_messages_that_is_lost_itself_counts_them_again() {
        // Connections to this port are refused.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let link = SyslogLink::new(SyslogAddress::Tcp { host: "127.0.0.1".to_owned(), port });
        for _ in 0..5 {
            link.lock().unwrap().pause_until_ms = 0;
            link.send(b"lost", report);
            link.flush();
        }
        let waiting: u64 = link.lock().unwrap().waiting.iter().map(|it| it.stands_for).sum();
        assert_eq!(link.lost.load(Ordering::Relaxed) + waiting, 5);
    }

    #[test]
    fn a_stream_that_was_closed_is_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let link = SyslogLink::new(SyslogAddress::Tcp { host: "127.0.0.1".to_owned(), port });
        link.send(b"one", report);
        drop(listener.accept().unwrap());
        listener.set_nonblocking(true).unwrap();
        let mut stream = None;
        send_until(&link, || {
            stream = listener.accept().ok();
            stream.is_some()
        });
        let (mut stream, _) = stream.unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut byte = [0];
        send_until(&link, || stream.peek(&mut byte).is_ok());
        stream.read_exact(&mut byte).unwrap();
        assert!(byte[0].is_ascii_digit());
    }

    #[test]
    fn a_receiver_that_does_not_read_holds_up_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let link = SyslogLink::new(SyslogAddress::Tcp { host: "127.0.0.1".to_owned(), port });
        let long = vec![b'x'; 60_000];
        while link.lost.load(Ordering::Relaxed) == 0 {
            link.send(&long, report);
        }
        drop(listener);
    }
}
