//! The I/O thread's part of a connection: its phase, and since when.

pub(crate) mod address;
pub(crate) mod carrying;
pub(crate) mod census;
pub(crate) mod closing;
pub(crate) mod deadlines;
pub(crate) mod deciding;
pub(crate) mod displace;
pub(crate) mod expire;
pub(crate) mod limit;
pub(crate) mod loss;
pub(crate) mod opening;
pub(crate) mod opening_step;
pub(crate) mod passing;
pub(crate) mod pressure;
pub(crate) mod reading;
pub(crate) mod relay;
pub(crate) mod responding;
pub(crate) mod shared;
pub(crate) mod shortage;
pub(crate) mod stream_files;
pub(crate) mod streaming;
pub(crate) mod table;
pub(crate) mod turn_work;
pub(crate) mod writing;

use std::sync::Arc;

use monoceros_http::Head;
use monoceros_sys::clock;

use crate::connection::address::Address;
use crate::connection::limit::CountedConnection;
use crate::connection::opening_step::OpeningStep;
use crate::connection::shared::SharedConnection;
use crate::forwarding::Sender;
use crate::forwarding::forwarded::Forwarded;
use crate::options::Options;
use crate::protocol::http1::{ArrivalStage, Caller, Http1, Reading, Step};
use crate::protocol::streams::Streams;
use crate::protocol::upload::Discard;
use crate::stream::local::Decision;
use crate::stream::request::Request;
use crate::stream::shared_stream::{After, SharedStream};
use crate::transport::socket::Traffic;
use crate::trim;

/// A connection, as the I/O thread has it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) link: Arc<SharedConnection>,
    /// The stream that the connection carries, or carried last.
    pub(crate) stream: Arc<SharedStream>,
    pub(crate) phase: Phase,
    /// The peer of the socket is a trusted proxy.
    is_trusted: bool,
    /// The connection among those of its client, if they are counted.
    counted: Option<CountedConnection>,
    /// What is being read with HTTP/1.
    pub(crate) http1: Http1,
    /// The streams of another protocol.
    pub(crate) streams: Streams,
    /// The client sends nothing more.
    pub(crate) read_closed: bool,
    /// The client has ended its side. The event occurs only once: reading reaches the
    /// end behind what the client has sent.
    pub(crate) hung_up: bool,
    /// The loop gets this connection's events.
    pub(crate) registered: bool,
    /// More may have arrived than was received.
    pub(crate) unread: bool,
    /// The last request had a body, behind which some clients send a line end.
    pub(crate) had_body: bool,
    /// When the phase began, in milliseconds of the monotonic clock.
    pub(crate) since_ms: u64,
    /// The request that the application side has, or had.
    pub(crate) lent: Lent,
    /// The connection was taken from the application side, which still has the
    /// descriptor.
    pub(crate) expired: bool,
    /// The number of the task by which the next part of a response's file is read.
    pub(crate) read_ahead: Option<u64>,
    /// Whether the client has received the last response; `None` if this was not
    /// checked.
    delivery: Option<Delivery>,
    /// How long the first bytes waited for the connection to be accepted, in
    /// microseconds.
    waited_us: u64,
    /// The bytes that are counted already.
    traffic: Traffic,
}

/// Delivery of the last response, which the kernel has completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    /// So many bytes were not acknowledged, and when their number last became less.
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
    /// When its first byte was seen, in microseconds of the monotonic clock.
    pub(crate) begun_us: u64,
    /// Its response has no body.
    pub(crate) is_head: bool,
    /// What trusted proxies have reported about its client.
    pub(crate) forwarded: Forwarded,
    /// Its head, if the access log needs it, or if it has the request's identifier.
    pub(crate) head: Head,
}

impl Lent {
    /// Releases the head and most of its memory: a connection may be idle for long.
    fn forget_head(&mut self) {
        self.forwarded = Forwarded::default();
        trim::note(self.head.bytes().len());
        self.head.clear();
    }
}

/// The phase of a connection.
#[derive(Debug)]
pub(crate) enum Phase {
    /// What precedes the first request is under way, such as a handshake.
    Opening(OpeningStep),
    /// Waiting for a request, of which no byte has arrived.
    Idle {
        /// There were responses on this connection.
        used: bool,
    },
    /// A request arrives, or a body is dropped.
    Arriving,
    /// The head of a request has arrived, and a background thread decides on it.
    Deciding {
        /// The number of its task.
        number: u64,
    },
    /// Streams begin and end on it.
    Carrying,
    /// The application side has the request.
    Lent,
    /// The application side has finished, and what it left is being written.
    Writing(After),
    /// Our side is closed; what the client still sends is discarded.
    Lingering {
        /// When the client last sent something.
        received_ms: u64,
    },
}

impl Phase {
    /// The phase after the opening.
    pub(crate) fn opened(link: &SharedConnection) -> Self {
        if link.is_multiplexed { Self::Carrying } else { Self::Idle { used: false } }
    }
}

impl Connection {
    /// A connection of a peer that is a trusted proxy, if `is_trusted`.
    pub(crate) fn new(link: Arc<SharedConnection>, is_trusted: bool, waited_us: u64) -> Self {
        let step = OpeningStep::first(link.proxy_protocol, link.is_plain);
        let phase = step.map_or_else(|| Phase::opened(&link), Phase::Opening);
        Self {
            stream: Arc::new(SharedStream::new(Arc::clone(&link))),
            link,
            phase,
            is_trusted,
            counted: None,
            http1: Http1::default(),
            streams: Streams::default(),
            read_closed: false,
            hung_up: false,
            registered: false,
            unread: false,
            had_body: false,
            since_ms: clock::monotonic_ms(),
            lent: Lent::default(),
            expired: false,
            read_ahead: None,
            delivery: None,
            waited_us,
            traffic: Traffic::default(),
        }
    }

    /// Enters a phase now. The application side has no request of this connection any
    /// more.
    pub(crate) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.lent.forget_head();
        self.http1.stop_passing();
        self.read_ahead = None;
        self.since_ms = clock::monotonic_ms();
        self.delivery = None;
    }

    /// Whether its client has too many connections.
    fn is_too_many(&self) -> bool {
        self.counted.is_some_and(|it| it.is_too_many)
    }

    /// Checks whether the application side has ended the stream without a message.
    pub(crate) fn notice_return(&mut self) {
        if matches!(self.phase, Phase::Lent) && self.stream.end.is_over() {
            self.phase = Phase::Idle { used: true };
            self.since_ms = self.stream.finished_ms();
            self.lent.forget_head();
            self.delivery = None;
        }
    }

    /// Checks whether the client has received the last response: the connection is idle
    /// only from then on. A response of which the client takes nothing for
    /// `write-timeout` does not count any more; the kernel continues to deliver it.
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

    /// Whether the next request may need a pledge: its client could not distinguish the
    /// end of the connection from a failure, see `pledge`.
    pub(crate) fn may_be_last(&self) -> bool {
        self.link.is_plain
            && matches!(self.phase, Phase::Idle { used: false })
            && matches!(self.link.socket_peer(), Address::Unix(_))
            && !self.http1.has_input()
    }

    /// Whether a multiplexed connection has no stream and all its responses were sent.
    pub(crate) fn is_at_rest(&self) -> bool {
        let is_sent = || self.link.try_outlet().is_some_and(|it| it.outgoing.is_empty());
        self.streams.is_empty() && is_sent()
    }

    /// Whether the application has taken over the connection, and its request is not over.
    pub(crate) fn is_taken_over(&self) -> bool {
        self.link.is_switched()
            && matches!(self.phase, Phase::Lent)
            && self.stream.claim.has_begun()
    }

    /// Whether the connection waits for a request or reads one.
    pub(crate) fn is_reading(&self) -> bool {
        matches!(self.phase, Phase::Idle { .. } | Phase::Arriving)
    }

    /// How far the arriving request has been read; `None` if none arrives.
    pub(crate) fn arrival(&self) -> Option<ArrivalStage> {
        matches!(self.phase, Phase::Arriving).then(|| self.http1.stage()).flatten()
    }

    /// Takes the request that is being read, if one is.
    pub(crate) fn take_request(&mut self) -> Option<Box<Request>> {
        let request = self.http1.take_request();
        if request.is_some() {
            self.phase = Phase::Idle { used: true };
        }
        request
    }

    /// Drops the body of a request that the server has responded to.
    pub(crate) fn discard(&mut self, discard: Discard) {
        self.http1.discard(discard);
        self.enter(Phase::Arriving);
    }

    /// Takes bytes that have arrived, after those that wait, and parses until a request
    /// is complete or more is needed.
    pub(crate) fn feed(&mut self, bytes: &[u8], reading: &mut Reading) -> Step {
        let waited_us = std::mem::take(&mut self.waited_us);
        let is_new = match self.phase {
            Phase::Idle { .. } if bytes.is_empty() && !self.http1.has_input() => return Step::More,
            Phase::Idle { .. } => true,
            Phase::Arriving => false,
            Phase::Opening(_)
            | Phase::Deciding { .. }
            | Phase::Carrying
            | Phase::Lent
            | Phase::Writing(_)
            | Phase::Lingering { .. } => {
                self.http1.keep(bytes);
                return Step::More;
            }
        };
        if is_new {
            let mut request = (reading.new_request)();
            request.begun_us = clock::monotonic_us();
            self.enter(Phase::Arriving);
            self.http1.begin(request);
        }
        let caller = caller(&self.link, self.is_trusted, self.is_too_many());
        let mut step = self.http1.feed(bytes, caller, reading);
        if !matches!(step, Step::More | Step::Continue) {
            self.phase = Phase::Lent;
        }
        if let Step::Ready(request) = &mut step {
            let read_us = if is_new { request.begun_us } else { clock::monotonic_us() };
            request.ready_us = read_us.saturating_sub(waited_us);
        }
        step
    }

    /// Follows the decision that a background thread has made on the request.
    pub(crate) fn follow_late(&mut self, decision: Decision, reading: &mut Reading) -> Step {
        self.phase = Phase::Arriving;
        let mut step = self.http1.follow_late(decision, reading);
        if !matches!(step, Step::More | Step::Continue) {
            self.phase = Phase::Lent;
        }
        if let Step::Ready(request) = &mut step {
            request.ready_us = clock::monotonic_us();
        }
        step
    }
}

/// The client of a connection.
fn caller(link: &SharedConnection, is_trusted: bool, is_too_many: bool) -> Caller<'_> {
    let sender = Sender { peer: link.peer(), socket_peer: link.socket_peer(), is_trusted };
    Caller { sender, local: &link.local, listener: link.listener, scheme: link.scheme, is_too_many }
}

/// Feeds a connection in a test, without settings of its own.
#[cfg(test)]
pub(crate) fn test_feed(connection: &mut Connection, bytes: &[u8], longest_body: u64) -> Step {
    let spools = crate::spool::test_spools(std::env::temp_dir());
    let mut reading = Reading {
        limits: &crate::test_options::LIMITS,
        spools: &spools,
        decide: None,
        forwarding: &crate::forwarding::Forwarding::default(),
        longest_body,
        waits_for_bodies: true,
        new_request: &mut Box::default,
    };
    connection.feed(bytes, &mut reading)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::shared::test_pair;
    use crate::stream::body::Body;
    use monoceros_wire::scoreboard::GivenUp;

    fn connection() -> Connection {
        let (link, _) = test_pair();
        Connection::new(Arc::new(link), false, 0)
    }

    fn feed(connection: &mut Connection, bytes: &[u8]) -> Step {
        test_feed(connection, bytes, 1000)
    }

    fn ready(step: Step) -> Box<Request> {
        match step {
            Step::Ready(request) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_read_the_same_in_pieces_of_any_size() {
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
                    if !connection.http1.has_input() && !matches!(step, Step::Ready(_)) {
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
        assert!(!connection.http1.has_input() && connection.lent.head.bytes().is_empty());
    }

    #[test]
    fn bytes_behind_a_request_wait() {
        let mut connection = connection();
        let one = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2";
        assert!(ready(feed(&mut connection, one)).body.is_empty());
        assert!(connection.http1.has_input());
        assert!(matches!(connection.phase, Phase::Lent));
    }

    #[test]
    fn a_client_is_asked_for_a_body_only_before_it_arrives() {
        let head =
            b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
        let mut waiting = connection();
        assert!(matches!(feed(&mut waiting, head), Step::Continue));
        assert_eq!(ready(feed(&mut waiting, b"ab")).body.len(), 2);
        let mut eager = connection();
        assert_eq!(ready(feed(&mut eager, &[&head[..], b"ab"].concat())).body.len(), 2);
    }

    #[test]
    fn a_body_that_is_too_large_is_refused_as_early_as_possible() {
        let announced = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n";
        let chunked = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n";
        let half = [b'a'; 500];
        let chunked = [&chunked[..], &half, b"\r\n1f5\r\n", &half, b"a"].concat();
        for bytes in [&announced[..], &chunked] {
            let Step::Refused { kind, reject, .. } = feed(&mut connection(), bytes) else {
                panic!("served")
            };
            assert_eq!((reject.status, kind), (413, GivenUp::TooLarge));
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
