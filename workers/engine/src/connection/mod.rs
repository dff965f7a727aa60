//! The I/O thread's part of a connection: what is being read, and what comes
//! of it. Bytes in, steps out; sockets are the loop's business.

pub(crate) mod address;
pub(crate) mod deadlines;
pub(crate) mod displace;
pub(crate) mod expire;
pub(crate) mod input;
pub(crate) mod loss;
pub(crate) mod owner;
pub(crate) mod responding;
pub(crate) mod shared;
pub(crate) mod shortage;
pub(crate) mod table;
pub(crate) mod traffic;
pub(crate) mod upload;

use std::io;
use std::sync::Arc;

use monoceros_http::{Framing, Head, Limits, Reject};
use monoceros_sys::clock;

use crate::connection::address::Address;
use crate::connection::input::Input;
use crate::connection::shared::{After, SharedConnection};
use crate::connection::upload::{BodyStep, Broken, Discard, Left, LocalBody, TOO_LARGE, Upload};
use crate::options::Options;
use crate::spool::Spools;
use crate::stream::body::Received;
use crate::stream::local::{Arrival, Decision, LocalDecision, LocalResponse};
use crate::stream::request::Request;
use crate::trim;

/// A connection as the I/O thread sees it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) link: Arc<SharedConnection>,
    pub(crate) phase: Phase,
    /// A part of a head, or what was sent behind a request.
    input: Input,
    /// The client sends nothing more.
    pub(crate) read_closed: bool,
    /// The loop gets this connection's events.
    pub(crate) registered: bool,
    /// More may have arrived than was received.
    pub(crate) unread: bool,
    /// The last request had a body, behind which some clients send a line end.
    pub(crate) had_body: bool,
    /// When the phase began, in milliseconds of the rising clock.
    pub(crate) since_ms: u64,
    /// The request that the application side has, or had.
    pub(crate) lent: Lent,
    /// The application side has lost the connection, but not its descriptor.
    pub(crate) expired: bool,
    /// Whether the client has the last response; `None` if it was not looked at.
    delivery: Option<Delivery>,
    /// How long what is read first has been waiting for the connection to be
    /// accepted, in microseconds.
    waited_us: u64,
}

/// How far the last response has come that the kernel has as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    /// So many bytes were not acknowledged, and when that last became less.
    Going { left: usize, progress_ms: u64 },
    /// The client's system has all bytes, or takes nothing more.
    Over,
}

/// What the I/O thread keeps of a request that it has lent, to respond by itself when
/// its time is over.
#[derive(Debug, Default)]
pub(crate) struct Lent {
    /// The request's number.
    pub(crate) number: u64,
    /// When its first byte was seen, in microseconds of the rising clock.
    pub(crate) begun_us: u64,
    /// Its response has no body.
    pub(crate) is_head: bool,
    /// Its head, if the access log needs it.
    pub(crate) head: Head,
}

impl Lent {
    /// Keeps the head no longer, and of its memory little: a connection may be
    /// idle for long.
    fn forget_head(&mut self) {
        trim::note(self.head.bytes().len());
        self.head.clear();
    }
}

/// What a connection is doing.
#[derive(Debug)]
pub(crate) enum Phase {
    /// What comes before the first request is under way, such as a handshake.
    Opening,
    /// Waiting for a request; nothing of it has come.
    Idle {
        /// Requests have been answered on this connection.
        used: bool,
    },
    /// Reading a request's head.
    Head(Box<Request>),
    /// Reading a request's body.
    Body(Upload),
    /// The server has responded by itself, and drops the body that the client sends.
    Discarding(Discard),
    /// The application side has it.
    Lent,
    /// The application side is through, and what it left is being written.
    Writing(After),
    /// Our side is closed; what the client still sends is thrown away.
    Lingering {
        /// When the client last sent something.
        heard_ms: u64,
    },
}

/// A request that the server responds to by itself, at the end of its head.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) request: Box<Request>,
    pub(crate) response: LocalResponse,
    /// Its body, as far as the connection waits for it.
    pub(crate) body: LocalBody,
}

/// What feeding bytes came to.
#[derive(Debug)]
pub(crate) enum Step {
    /// More bytes are needed.
    More,
    /// The client waits for `100 Continue` before it sends the body.
    Continue,
    /// The request is complete.
    Ready(Box<Request>),
    /// The server responds by itself.
    Respond(Box<Local>),
    /// A body was dropped as a whole.
    Discarded,
    /// A body that was to be dropped is too large or malformed.
    Undiscarded,
    /// The request is refused.
    Refused {
        /// The status to respond with, and why.
        reject: Reject,
        /// What could be read of it.
        request: Box<Request>,
    },
    /// The body cannot be kept.
    Unkept {
        /// Why.
        error: io::Error,
        /// The request.
        request: Box<Request>,
    },
}

/// What reading needs from outside.
pub(crate) struct Reading<'a> {
    /// What the server responds to by itself.
    pub(crate) decide: Option<&'a LocalDecision>,
    pub(crate) limits: &'a Limits,
    pub(crate) spools: &'a Spools,
    /// The longest body, in bytes.
    pub(crate) longest_body: u64,
    pub(crate) new_request: &'a mut dyn FnMut() -> Box<Request>,
}

impl Connection {
    pub(crate) fn new(link: Arc<SharedConnection>, waited_us: u64) -> Self {
        let phase = if link.is_plain { Phase::Idle { used: false } } else { Phase::Opening };
        Self {
            link,
            phase,
            input: Input::default(),
            read_closed: false,
            registered: false,
            unread: false,
            had_body: false,
            since_ms: clock::monotonic_ms(),
            lent: Lent::default(),
            expired: false,
            delivery: None,
            waited_us,
        }
    }

    /// Enters a phase now. The application side has no request of this connection
    /// any more.
    pub(crate) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.lent.forget_head();
        self.since_ms = clock::monotonic_ms();
        self.delivery = None;
    }

    /// Sees whether the application side has given the connection back without
    /// a message.
    pub(crate) fn notice_return(&mut self) {
        if matches!(self.phase, Phase::Lent) && self.link.owner.is_free() {
            self.phase = Phase::Idle { used: true };
            self.since_ms = self.link.finished_ms();
            self.lent.forget_head();
            self.delivery = None;
        }
    }

    /// Sees whether the client has the last response: it is idle only from then on.
    /// What it takes nothing of for `write-timeout` does not count any more; the
    /// kernel goes on to deliver it.
    pub(crate) fn note_delivery(&mut self, options: &Options, now_ms: u64) {
        let (left, progress_ms) = match self.delivery {
            Some(Delivery::Over) => return,
            Some(Delivery::Going { left, progress_ms }) => (left, progress_ms),
            None => (usize::MAX, now_ms),
        };
        let undelivered = self.link.socket.undelivered();
        let progress_ms = if undelivered < left { now_ms } else { progress_ms };
        let quiet_ms = u128::from(now_ms.saturating_sub(progress_ms));
        if undelivered == 0 || quiet_ms > options.write_timeout.as_millis() {
            self.delivery = Some(Delivery::Over);
        } else {
            self.delivery = Some(Delivery::Going { left: undelivered, progress_ms });
            self.since_ms = self.since_ms.max(now_ms);
        }
    }

    /// Whether the request that comes may need a pledge: its client could not tell
    /// the end of the connection from a failure, see `pledge`.
    pub(crate) fn may_be_last(&self) -> bool {
        self.link.is_plain
            && matches!(self.phase, Phase::Idle { used: false })
            && matches!(self.link.peer, Address::Unix(_))
            && self.input.is_empty()
    }

    /// Whether a request is being waited for or read.
    pub(crate) fn is_reading(&self) -> bool {
        matches!(
            self.phase,
            Phase::Idle { .. } | Phase::Head(_) | Phase::Body(_) | Phase::Discarding(_)
        )
    }

    /// Begins the measure of a body's progress anew.
    pub(crate) fn measure(&mut self, now_ms: u64) {
        if let Phase::Body(upload) = &mut self.phase {
            (upload.window_ms, upload.window_bytes) = (now_ms, 0);
        }
    }

    /// Forgets what waits behind the last request.
    pub(crate) fn drop_input(&mut self) {
        self.input.clear();
    }

    /// Takes the request that is being read, if one is.
    pub(crate) fn take_request(&mut self) -> Option<Box<Request>> {
        match std::mem::replace(&mut self.phase, Phase::Idle { used: true }) {
            Phase::Head(request) => Some(request),
            Phase::Body(upload) => Some(upload.request),
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// Whether nothing of a request has come but an empty line in front of it.
    pub(crate) fn is_blank(&self) -> bool {
        self.input.rest().iter().all(|byte| b"\r\n".contains(byte))
    }

    /// Whether bytes wait that came behind the last request.
    pub(crate) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Takes bytes that have arrived, after those that wait, and goes on until
    /// a request is complete or more is needed.
    pub(crate) fn feed(&mut self, bytes: &[u8], reading: &mut Reading) -> Step {
        if self.input.is_empty() {
            let (step, used) = self.read(bytes, reading);
            self.input.append(&bytes[used..]);
            return step;
        }
        self.input.append(bytes);
        let input = std::mem::take(&mut self.input);
        let (step, used) = self.read(input.rest(), reading);
        self.input = input;
        self.input.consume(used);
        if matches!(step, Step::More) {
            self.input.settle();
        }
        step
    }

    /// Receives a part of a large body to where it is kept, and what follows it
    /// to `beyond`. `None` when the connection is not at that.
    ///
    /// # Errors
    /// The body cannot be kept.
    pub(crate) fn receive_body(
        &mut self,
        beyond: &mut [u8],
        spools: &Spools,
    ) -> io::Result<Option<io::Result<Received>>> {
        if !self.input.is_empty() || !self.link.is_plain {
            return Ok(None);
        }
        let Phase::Body(Upload { request, left: Left::Length(left), window_bytes, .. }) =
            &mut self.phase
        else {
            return Ok(None);
        };
        let received = request.body.receive(&self.link.socket, *left, beyond, spools)?;
        Ok(received.map(|received| {
            received.inspect(|received| {
                *left -= received.body as u64;
                *window_bytes += received.body as u64;
            })
        }))
    }

    /// Reads a request from `bytes`: what came of it and how many were used.
    fn read(&mut self, bytes: &[u8], reading: &mut Reading) -> (Step, usize) {
        let is_new = matches!(self.phase, Phase::Idle { .. }) && !bytes.is_empty();
        let waited_us = std::mem::take(&mut self.waited_us);
        if is_new {
            let mut request = (reading.new_request)();
            request.begun_us = clock::monotonic_us();
            self.enter(Phase::Head(request));
        }
        let (mut step, used) = match std::mem::replace(&mut self.phase, Phase::Lent) {
            Phase::Head(request) => self.read_head(request, bytes, reading),
            Phase::Body(upload) => self.read_body(upload, bytes, reading),
            Phase::Discarding(discard) => self.discard(discard, bytes),
            other => {
                self.phase = other;
                (Step::More, 0)
            }
        };
        if let Step::Ready(request) = &mut step {
            let read_us = if is_new { request.begun_us } else { clock::monotonic_us() };
            request.ready_us = read_us.saturating_sub(waited_us);
        }
        (step, used)
    }

    fn read_head(
        &mut self,
        mut request: Box<Request>,
        bytes: &[u8],
        reading: &mut Reading,
    ) -> (Step, usize) {
        let used = match request.head.read(bytes, reading.limits) {
            Ok(Some(used)) => used,
            Ok(None) => {
                self.phase = Phase::Head(request);
                return (Step::More, 0);
            }
            Err(reject) => return (Step::Refused { reject, request }, bytes.len()),
        };
        if let Some(decide) = reading.decide {
            let (head, link) = (&request.head, &self.link);
            let arrival = Arrival { head, peer: &link.peer, scheme: link.scheme };
            if let Decision::Respond { response, discard } = decide.decide(&arrival) {
                let body = LocalBody::of(head, discard, reading.limits);
                return (Step::Respond(Box::new(Local { request, response, body })), used);
            }
        }
        let left = match request.head.framing() {
            Framing::Length(length) if length > reading.longest_body => {
                return (Step::Refused { reject: TOO_LARGE, request }, bytes.len());
            }
            framing => Left::of(framing, reading.limits),
        };
        let Some(left) = left else { return (self.complete(request), used) };
        let asks = request.head.expects_continue() && bytes.len() == used;
        let window_ms = clock::monotonic_ms();
        let upload = Upload { request, left, window_ms, window_bytes: 0 };
        if asks {
            self.phase = Phase::Body(upload);
            return (Step::Continue, used);
        }
        let (step, more) = self.read_body(upload, &bytes[used..], reading);
        (step, used + more)
    }

    fn read_body(
        &mut self,
        mut upload: Upload,
        bytes: &[u8],
        reading: &mut Reading,
    ) -> (Step, usize) {
        upload.window_bytes += bytes.len() as u64;
        match upload.take(bytes, reading.spools, reading.longest_body) {
            Ok(BodyStep { used, ended: true }) => (self.complete(upload.request), used),
            Ok(BodyStep { used, ended: false }) => {
                self.phase = Phase::Body(upload);
                (Step::More, used)
            }
            Err(Broken::Reject(reject)) => {
                (Step::Refused { reject, request: upload.request }, bytes.len())
            }
            Err(Broken::Disk(error)) => {
                (Step::Unkept { error, request: upload.request }, bytes.len())
            }
        }
    }

    fn discard(&mut self, mut discard: Discard, bytes: &[u8]) -> (Step, usize) {
        match discard.take(bytes) {
            None => (Step::Undiscarded, bytes.len()),
            Some(BodyStep { used, ended: true }) => (Step::Discarded, used),
            Some(BodyStep { used, ended: false }) => {
                self.phase = Phase::Discarding(discard);
                (Step::More, used)
            }
        }
    }

    fn complete(&mut self, request: Box<Request>) -> Step {
        self.phase = Phase::Lent;
        Step::Ready(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::shared::test_pair;
    use crate::stream::body::Body;
    use crate::test_options::LIMITS;

    fn connection() -> Connection {
        let (link, _) = test_pair();
        Connection::new(Arc::new(link), 0)
    }

    fn feed(connection: &mut Connection, bytes: &[u8]) -> Step {
        let (limits, spools) = (LIMITS, Spools::new(std::env::temp_dir()));
        connection.feed(
            bytes,
            &mut Reading {
                limits: &limits,
                spools: &spools,
                decide: None,
                longest_body: 1000,
                new_request: &mut Box::default,
            },
        )
    }

    fn ready(step: Step) -> Box<Request> {
        match step {
            Step::Ready(request) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_the_same_however_it_is_cut() {
        let bytes = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
            3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n";
        for cut in 0..bytes.len() {
            let mut connection = connection();
            let mut found = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                let mut step = feed(&mut connection, part);
                while let Step::Ready(request) = step {
                    found.push(request);
                    connection.enter(Phase::Idle { used: true });
                    step = feed(&mut connection, b"");
                    if !connection.has_input() && !matches!(step, Step::Ready(_)) {
                        break;
                    }
                }
            }
            assert_eq!(found.len(), 2, "cut at {cut}");
            assert_eq!(found[0].head.path(), b"/a");
            assert!(matches!(&found[0].body, Body::Memory(body) if body == b"abcde"));
            assert_eq!(found[1].head.path(), b"/b");
        }
    }

    #[test]
    fn a_connection_keeps_no_memory_of_a_large_head() {
        let mut connection = connection();
        let fields = format!("X: {}\r\n", "a".repeat(8000)).repeat(50);
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        for part in head.as_bytes().chunks(60_000) {
            let step = feed(&mut connection, part);
            assert!(matches!(step, Step::More | Step::Ready(_)), "{step:?}");
        }
        assert!(matches!(connection.phase, Phase::Lent));
        connection.notice_return();
        assert!(matches!(connection.phase, Phase::Idle { used: true }));
        assert!(connection.input.is_empty() && connection.lent.head.bytes().is_empty());
    }

    #[test]
    fn what_follows_a_request_waits() {
        let mut connection = connection();
        let one = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2";
        assert!(ready(feed(&mut connection, one)).body.is_empty());
        assert!(connection.has_input());
        assert!(matches!(connection.phase, Phase::Lent));
    }

    #[test]
    fn a_body_is_asked_for_only_when_it_has_not_come() {
        let head =
            b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
        let mut waiting = connection();
        assert!(matches!(feed(&mut waiting, head), Step::Continue));
        assert_eq!(ready(feed(&mut waiting, b"ab")).body.len(), 2);
        let mut eager = connection();
        assert_eq!(ready(feed(&mut eager, &[&head[..], b"ab"].concat())).body.len(), 2);
    }

    #[test]
    fn a_body_that_is_too_large_is_refused_as_soon_as_that_is_known() {
        let announced = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n";
        let chunked = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n";
        let half = [b'a'; 500];
        let chunked = [&chunked[..], &half, b"\r\n1f5\r\n", &half, b"a"].concat();
        for bytes in [&announced[..], &chunked] {
            let Step::Refused { reject, .. } = feed(&mut connection(), bytes) else {
                panic!("served")
            };
            assert_eq!(reject.status, 413);
        }
        let enough = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
        assert!(matches!(feed(&mut connection(), enough), Step::More));
    }

    #[test]
    fn a_bad_chunk_is_refused() {
        let mut connection = connection();
        let bytes = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\n";
        let Step::Refused { reject, .. } = feed(&mut connection, bytes) else { panic!("served") };
        assert_eq!(reject.status, 400);
    }
}
