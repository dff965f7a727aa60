//! A connection to a metrics address: reads requests, one at a time, and writes responses. It
//! never waits, and limits the size of a request and the time for each step. Owned and called by
//! the metrics server.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use monoceros_http::{Framing, Head, Limits};
use monoceros_sys::socket;

use super::metrics_response::{MetricsResponse, OutgoingResponse};

/// The limits of a request. A browser sends a few hundred bytes.
const LIMITS: Limits = Limits { request_line: 4094, fields: 64, field_size: 4096 };
/// The most bytes of a request head, so that each client takes little memory.
const MAX_HEAD: usize = 16 << 10;
/// How many bytes are read at once.
const PIECE: usize = 4 << 10;
/// How long a request head may take, from the accept or from its first byte.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a connection may be idle between two requests: longer than the usual interval of
/// scrapes.
const IDLE_TIME: Duration = Duration::from_secs(90);
/// How long the first request of a connection may take when the master is about to end.
const LEAVE_TIME: Duration = Duration::from_secs(1);
/// How long the whole response may take.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// How long a closed connection is read to its end.
const LINGER_TIME: Duration = Duration::from_secs(1);
/// How many bytes are read from a closed connection.
const LINGER_BYTES: usize = 64 << 10;

/// One connection.
#[derive(Debug)]
pub(crate) struct MetricsClient {
    socket: OwnedFd,
    /// It has come by a unix socket.
    pub(crate) is_local: bool,
    /// What has arrived and is not read yet.
    input: Vec<u8>,
    head: Head,
    step: ClientStep,
    /// It has got a response.
    is_served: bool,
    /// When the current step must have ended.
    until: Instant,
    /// When the current step began.
    since: Instant,
}

/// What a connection is doing.
#[derive(Debug)]
enum ClientStep {
    /// It reads a request.
    Reading,
    /// A request has arrived, which has this length, and waits for its response.
    Asking { length: usize },
    /// It writes a response.
    Writing(OutgoingResponse),
    /// It is closed for the client, and reads what is still to come, so that the client is not
    /// reset before it has read the response.
    Lingering { left: usize },
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advance {
    /// It waits for its client.
    Waits,
    /// A request waits for its response.
    Asks,
    /// A response is written. There may be another request.
    Answered,
    /// It has ended.
    Ended,
}

impl MetricsClient {
    /// An accepted connection.
    pub(crate) fn new(socket: OwnedFd, is_local: bool, now: Instant) -> Self {
        Self {
            socket,
            is_local,
            input: Vec::new(),
            head: Head::new(),
            step: ClientStep::Reading,
            is_served: false,
            until: now + HEAD_TIME,
            since: now,
        }
    }

    /// When the current step must have ended.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// Since when it may be closed to make room for another one; `None` while its client gets a
    /// response.
    pub(crate) fn spare_since(&self) -> Option<Instant> {
        match self.step {
            ClientStep::Reading | ClientStep::Lingering { .. } => Some(self.since),
            ClientStep::Asking { .. } | ClientStep::Writing(_) => None,
        }
    }

    /// Whether its client has got a response, and has sent no byte of another request since.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.step, ClientStep::Reading) && self.is_served && self.input.is_empty()
    }

    /// Whether its client is owed a response: to a request, or to the first one, which is on its
    /// way.
    pub(crate) fn is_open(&self) -> bool {
        match self.step {
            ClientStep::Reading => !self.is_idle(),
            ClientStep::Asking { .. } | ClientStep::Writing(_) => true,
            ClientStep::Lingering { .. } => false,
        }
    }

    /// The master is about to end: a request that has not arrived has less time for that.
    pub(crate) fn hurry(&mut self, now: Instant) {
        if matches!(self.step, ClientStep::Reading) {
            self.until = self.until.min(now + LEAVE_TIME);
        }
    }

    /// The request that waits for its response.
    pub(crate) fn asked(&self) -> Option<&Head> {
        matches!(self.step, ClientStep::Asking { .. }).then_some(&self.head)
    }

    /// Does what its socket allows now.
    pub(crate) fn advance(&mut self, now: Instant) -> Advance {
        match &mut self.step {
            ClientStep::Reading => self.read(now),
            ClientStep::Asking { .. } => Advance::Asks,
            ClientStep::Writing(_) => self.write(now),
            ClientStep::Lingering { left } => drain(self.socket.as_fd(), left),
        }
    }

    /// Takes the response to the request that waits for it. `closes`: it is the last one.
    pub(crate) fn respond(&mut self, response: &MetricsResponse, closes: bool, now: Instant) {
        let ClientStep::Asking { length } = self.step else { return };
        let keeps = self.head.keep_alive() && !closes && !response.closes();
        let outgoing = response.outgoing(&self.head, keeps);
        self.input.drain(..length);
        self.head.clear();
        self.is_served = true;
        self.enter(ClientStep::Writing(outgoing), WRITE_TIME, now);
    }

    fn enter(&mut self, step: ClientStep, time: Duration, now: Instant) {
        (self.step, self.since, self.until) = (step, now, now + time);
    }

    fn read(&mut self, now: Instant) -> Advance {
        loop {
            match self.head.read(&self.input, &LIMITS) {
                Ok(Some(length)) => return self.take_request(length, now),
                Ok(None) if self.input.len() > MAX_HEAD => return self.refuse(431, now),
                Ok(None) => {}
                Err(reject) => return self.refuse(reject.status, now),
            }
            let mut piece = [0; PIECE];
            match socket::receive(self.socket.as_fd(), &mut piece) {
                Ok(0) => return Advance::Ended,
                Ok(length) => {
                    if self.input.is_empty() {
                        (self.since, self.until) = (now, now + HEAD_TIME);
                    }
                    self.input.extend_from_slice(&piece[..length]);
                }
                Err(error) => return waits_for(&error),
            }
        }
    }

    /// A request head has arrived. A request with a body is not served: all routes are read only.
    fn take_request(&mut self, length: usize, now: Instant) -> Advance {
        if !matches!(self.head.framing(), Framing::None | Framing::Length(0)) {
            return self.refuse(413, now);
        }
        self.enter(ClientStep::Asking { length }, WRITE_TIME, now);
        Advance::Asks
    }

    /// Responds to what is no request, or none that is served. The beginning of the next request
    /// is not known.
    fn refuse(&mut self, status: u16, now: Instant) -> Advance {
        let outgoing = MetricsResponse::plain(status).outgoing(&Head::new(), false);
        (self.input, self.head) = (Vec::new(), Head::new());
        self.enter(ClientStep::Writing(outgoing), WRITE_TIME, now);
        self.write(now)
    }

    fn write(&mut self, now: Instant) -> Advance {
        let ClientStep::Writing(outgoing) = &mut self.step else { return Advance::Waits };
        while !outgoing.is_sent() {
            let parts = outgoing.parts().map(IoSlice::new);
            match socket::send_parts(self.socket.as_fd(), &parts, false) {
                Ok(count) => outgoing.note_sent(count),
                Err(error) => return waits_for(&error),
            }
        }
        if outgoing.keeps_connection() {
            self.enter(ClientStep::Reading, IDLE_TIME, now);
            if !self.input.is_empty() {
                self.until = now + HEAD_TIME;
            }
            return Advance::Answered;
        }
        if socket::shutdown_write(self.socket.as_fd()).is_err() {
            return Advance::Ended;
        }
        self.enter(ClientStep::Lingering { left: LINGER_BYTES }, LINGER_TIME, now);
        self.advance(now)
    }
}

impl AsFd for MetricsClient {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Reads and drops what a client still sends.
fn drain(socket: BorrowedFd, left: &mut usize) -> Advance {
    let mut piece = [0; PIECE];
    while *left > 0 {
        match socket::receive(socket, &mut piece) {
            Ok(0) => return Advance::Ended,
            Ok(length) => *left = left.saturating_sub(length),
            Err(error) => return waits_for(&error),
        }
    }
    Advance::Ended
}

/// The result of a call that has failed: the connection waits, or has ended.
fn waits_for(error: &io::Error) -> Advance {
    let is_for_now = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
    if is_for_now.contains(&error.kind()) { Advance::Waits } else { Advance::Ended }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn connected() -> (UnixStream, MetricsClient, Instant) {
        let (client, ours) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let now = Instant::now();
        (client, MetricsClient::new(ours.into(), true, now), now)
    }

    fn read(client: &mut UnixStream) -> String {
        client.set_nonblocking(true).unwrap();
        let (mut text, mut piece) = (String::new(), [0; 4096]);
        while let Ok(length @ 1..) = client.read(&mut piece) {
            text.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        }
        text
    }

    #[test]
    fn requests_are_read_one_after_the_other() {
        let (mut client, mut connection, now) = connected();
        assert_eq!(connection.advance(now), Advance::Waits);
        client.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n").unwrap();
        assert_eq!(connection.advance(now), Advance::Waits);
        assert!(!connection.is_idle());
        client.write_all(b"\r\nHEAD /b HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(connection.advance(now), Advance::Asks);
        assert_eq!(connection.asked().unwrap().path(), b"/a");
        assert_eq!(connection.spare_since(), None);
        connection.respond(&MetricsResponse::plain(404), false, now);
        assert_eq!(connection.advance(now), Advance::Answered);
        assert!(read(&mut client).ends_with("\r\n\r\n404 Not Found\n"));
        assert_eq!(connection.advance(now), Advance::Asks);
        assert_eq!(connection.asked().unwrap().path(), b"/b");
        connection.respond(&MetricsResponse::plain(404), true, now);
        assert_eq!(connection.advance(now), Advance::Waits);
        let last = read(&mut client);
        assert!(last.contains("\r\nConnection: close\r\n") && last.ends_with("\r\n\r\n"), "{last}");
        drop(client);
        assert_eq!(connection.advance(now), Advance::Ended);
    }

    #[test]
    fn a_master_that_ends_owes_a_response_to_each_connection_that_had_none() {
        let (mut client, mut connection, now) = connected();
        assert!(connection.is_open() && !connection.is_idle(), "its request may be on its way");
        connection.hurry(now);
        assert_eq!(connection.until(), now + LEAVE_TIME);
        client.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(connection.advance(now), Advance::Asks);
        connection.hurry(now);
        assert_eq!(connection.until(), now + WRITE_TIME);
        assert!(connection.is_open());
        connection.respond(&MetricsResponse::plain(404), false, now);
        assert_eq!(connection.advance(now), Advance::Answered);
        assert!(connection.is_idle() && !connection.is_open());
        client.write_all(b"G").unwrap();
        assert_eq!(connection.advance(now), Advance::Waits);
        assert!(connection.is_open());
    }

    #[test]
    fn what_is_no_request_is_refused_and_closed() {
        for (text, status) in [
            (&b"\x16\x03\x01"[..], "400 Bad Request"),
            (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", "413 Content Too Large"),
            (b"GET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ] {
            let (mut client, mut connection, now) = connected();
            client.write_all(text).unwrap();
            assert_eq!(connection.advance(now), Advance::Waits);
            assert!(read(&mut client).starts_with(&format!("HTTP/1.1 {status}\r\n")), "{status}");
        }
    }

    #[test]
    fn a_head_has_a_limit_however_it_is_made() {
        let line = format!("GET /{} HTTP/1.1\r\n", "a".repeat(5000));
        let field = format!("GET / HTTP/1.1\r\nA: {}\r\n", "a".repeat(5000));
        let many = format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(100));
        let large =
            format!("GET / HTTP/1.1\r\n{}", format!("A: {}\r\n", "b".repeat(4000)).repeat(5));
        for (text, status) in [(line, 414), (field, 431), (many, 431), (large, 431)] {
            let (mut client, mut connection, now) = connected();
            client.write_all(text.as_bytes()).unwrap();
            connection.advance(now);
            assert!(connection.input.capacity() <= 2 * MAX_HEAD);
            assert!(read(&mut client).starts_with(&format!("HTTP/1.1 {status} ")), "{status}");
        }
    }

    #[test]
    fn each_step_has_its_deadline() {
        let (mut client, mut connection, now) = connected();
        assert_eq!(connection.until(), now + HEAD_TIME);
        let later = now + Duration::from_secs(1);
        client.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        connection.advance(later);
        assert_eq!(connection.until(), later + HEAD_TIME);
        client.write_all(b"Host: a\r\n").unwrap();
        connection.advance(later + Duration::from_secs(1));
        assert_eq!(connection.until(), later + HEAD_TIME, "more bytes give no more time");
        client.write_all(b"\r\n").unwrap();
        assert_eq!(connection.advance(later), Advance::Asks);
        connection.respond(&MetricsResponse::plain(200), false, later);
        assert_eq!(connection.until(), later + WRITE_TIME);
        connection.advance(later);
        assert_eq!(connection.until(), later + IDLE_TIME);
        assert!(connection.is_idle() && connection.spare_since() == Some(later));
    }

    #[test]
    fn a_client_that_takes_nothing_holds_up_no_other() {
        let (mut client, mut connection, now) = connected();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(connection.advance(now), Advance::Asks);
        let body = "x".repeat(4 << 20);
        connection.respond(&MetricsResponse::new(200, "text/plain", body.clone()), false, now);
        assert_eq!(connection.advance(now), Advance::Waits);
        let mut all = read(&mut client);
        while connection.advance(now) == Advance::Waits {
            all += &read(&mut client);
        }
        all += &read(&mut client);
        assert!(all.ends_with(&body));
    }
}
