//! HTTP/1 on a connection (RFC 9112): one stream at a time, the next head behind the
//! last response. Takes bytes and returns steps; no I/O.

use std::fmt;
use std::io;

use monoceros_http::{Framing, Limits, Reject};
use monoceros_sys::clock;
use monoceros_wire::listener::Scheme;
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::address::Address;
use crate::connection::limit::TOO_MANY_CONNECTIONS;
use crate::forwarding::{Forwarding, Sender};
use crate::protocol::input::Input;
use crate::protocol::progress::BodyProgress;
use crate::protocol::upload::{
    BodyStep, Broken, Discard, Left, LocalBody, PassState, Passed, Passing, TOO_LARGE, Upload,
};
use crate::spool::Spools;
use crate::stream::body::{MEMORY_LIMIT, Received};
use crate::stream::inbound::Inbound;
use crate::stream::local::{Arrival, Decision, LocalDecision, LocalResponse};
use crate::stream::request::Request;
use crate::transport::socket::Socket;

/// The received part of a request.
#[derive(Debug, Default)]
pub(crate) struct Http1 {
    /// A part of a head, or what was sent behind a request.
    input: Input,
    arriving: Arriving,
}

/// The part of a request that arrives.
#[derive(Debug, Default)]
enum Arriving {
    /// None: the connection is idle, or its request has a response in progress.
    #[default]
    Nothing,
    Head(Box<Request>),
    Body(Upload),
    /// The server has responded by itself, and drops the body.
    Discarding(Discard),
    /// The application has the request, and takes the body as it arrives.
    Passing(Passing),
    /// Its head has arrived, and a background thread decides on it.
    Deciding(Box<Request>),
}

/// How much of a request has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArrivalStage {
    /// Nothing but empty lines, which may stand in front of a request (RFC 9112 section 2.2).
    Blank,
    /// A part of the head.
    Head,
    /// A part of the body, which makes this progress.
    Body(BodyProgress),
    /// A part of a body that is dropped.
    Discarding,
}

/// A request that the server responds to by itself, at the end of its head.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) request: Box<Request>,
    pub(crate) response: LocalResponse,
    /// What it is counted as, and why, if it is refused.
    pub(crate) refusal: Option<(GivenUp, String)>,
    /// Its body, as far as the connection waits for it.
    pub(crate) body: LocalBody,
}

/// The result of feeding bytes.
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
    /// This call decides on the request, on a background thread.
    Later(LateDecision),
    /// A body was dropped completely.
    Discarded,
    /// A body that must be dropped is too large or malformed.
    Undiscarded,
    /// The request is refused.
    Refused {
        /// What it counts as.
        kind: GivenUp,
        /// The status of the response, and the reason.
        reject: Reject,
        /// The part of the request that could be read.
        request: Box<Request>,
    },
    /// The body cannot be kept.
    Unkept {
        /// The reason.
        error: io::Error,
        /// The request.
        request: Box<Request>,
    },
}

/// A decision that is made on a background thread.
pub(crate) struct LateDecision(pub(crate) Box<dyn FnOnce() -> Decision + Send>);

impl fmt::Debug for LateDecision {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("LateDecision")
    }
}

/// How many bytes of the body of a refused request are dropped, so that the connection can
/// continue.
const REFUSED_DISCARD: u64 = 64 * 1024;

/// The connection's settings for reading.
pub(crate) struct Reading<'a> {
    /// The requests that the server responds to by itself.
    pub(crate) decide: Option<&'a LocalDecision>,
    pub(crate) forwarding: &'a Forwarding,
    pub(crate) limits: &'a Limits,
    pub(crate) spools: &'a Spools,
    /// The longest body, in bytes.
    pub(crate) longest_body: u64,
    /// A request is ready only when its body has arrived.
    pub(crate) waits_for_bodies: bool,
    pub(crate) new_request: &'a mut dyn FnMut() -> Box<Request>,
}

/// The client whose request is read.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) sender: Sender<'a>,
    /// Our end of the connection.
    pub(crate) local: &'a Address,
    /// The position of the listener.
    pub(crate) listener: usize,
    /// The scheme of the listener.
    pub(crate) scheme: Scheme,
    /// The client has too many connections.
    pub(crate) is_too_many: bool,
}

impl<'a> Caller<'a> {
    /// A request of this client, whose head has arrived.
    pub(crate) fn arrival(&self, request: &'a Request) -> Arrival<'a> {
        let Request { head, forwarded, .. } = request;
        Arrival {
            head,
            peer: forwarded.client.as_deref().unwrap_or(self.sender.peer),
            local: self.local,
            prefix: forwarded.prefix.as_deref(),
            listener: self.listener,
            scheme: forwarded.scheme.unwrap_or(self.scheme),
            connection_scheme: self.scheme,
        }
    }
}

/// A request that is malformed, or whose head is too large.
fn refused(reject: Reject, request: Box<Request>) -> Step {
    Step::Refused { kind: GivenUp::Refused, reject, request }
}

/// A request whose body is too large.
fn too_large(request: Box<Request>) -> Step {
    Step::Refused { kind: GivenUp::TooLarge, reject: TOO_LARGE, request }
}

impl Http1 {
    /// How far the arriving request has been read; `None` if none arrives.
    pub(crate) fn stage(&self) -> Option<ArrivalStage> {
        match &self.arriving {
            Arriving::Nothing => None,
            Arriving::Head(_) if self.is_blank() => Some(ArrivalStage::Blank),
            Arriving::Head(_) => Some(ArrivalStage::Head),
            Arriving::Body(upload) => Some(ArrivalStage::Body(upload.progress)),
            Arriving::Discarding(_) => Some(ArrivalStage::Discarding),
            // The descriptor does not belong to the connection any more.
            Arriving::Passing(_) => None,
            Arriving::Deciding(_) => None,
        }
    }

    /// Whether only line ends wait.
    fn is_blank(&self) -> bool {
        self.input.rest().iter().all(|byte| b"\r\n".contains(byte))
    }

    /// Whether bytes wait that arrived behind the last request.
    pub(crate) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Forgets what waits behind the last request.
    pub(crate) fn drop_input(&mut self) {
        self.input.clear();
    }

    /// Begins a request, whose first byte has arrived.
    pub(crate) fn begin(&mut self, request: Box<Request>) {
        self.arriving = Arriving::Head(request);
    }

    /// Whether the body of the application's request is still arriving.
    pub(crate) fn passes_body(&self) -> bool {
        matches!(self.arriving, Arriving::Passing(_))
    }

    /// The progress of that body; `None` if there is none that has to make some.
    pub(crate) fn passing_progress(&self) -> Option<BodyProgress> {
        match &self.arriving {
            Arriving::Passing(Passing { left: Left::Raw, .. }) => None,
            Arriving::Passing(passing) => Some(passing.progress),
            _ => None,
        }
    }

    /// Later bytes are not HTTP/1, and go to the application unchanged.
    pub(crate) fn pass_raw(&mut self) {
        self.arriving = Arriving::Passing(Passing::new(Left::Raw, u64::MAX, clock::monotonic_ms()));
    }

    /// Whether everything to the end of the connection goes to the application.
    pub(crate) fn is_raw(&self) -> bool {
        matches!(&self.arriving, Arriving::Passing(Passing { left: Left::Raw, .. }))
    }

    /// Passes bytes that have arrived to the application, behind those that wait.
    pub(crate) fn pass(&mut self, bytes: &[u8], to: &Inbound) -> Passed {
        self.input.append(bytes);
        let Arriving::Passing(passing) = &mut self.arriving else {
            return Passed { used: 0, is_news: false, state: PassState::Ended };
        };
        let passed = passing.pass(self.input.rest(), to);
        self.input.consume(passed.used);
        if matches!(passed.state, PassState::Ended | PassState::Refused(..)) {
            self.arriving = Arriving::Nothing;
        }
        passed
    }

    /// Passes no further bytes.
    pub(crate) fn stop_passing(&mut self) {
        if self.passes_body() {
            self.arriving = Arriving::Nothing;
        }
    }

    /// Drops a body from now on.
    pub(crate) fn discard(&mut self, discard: Discard) {
        self.arriving = Arriving::Discarding(discard);
    }

    /// Begins the measure of a body's progress anew.
    pub(crate) fn measure(&mut self, now_ms: u64) {
        match &mut self.arriving {
            Arriving::Body(upload) => upload.progress = BodyProgress::new(now_ms),
            Arriving::Passing(passing) => passing.progress = BodyProgress::new(now_ms),
            Arriving::Nothing
            | Arriving::Head(_)
            | Arriving::Discarding(_)
            | Arriving::Deciding(_) => {}
        }
    }

    /// Takes the arriving request, if there is one.
    pub(crate) fn take_request(&mut self) -> Option<Box<Request>> {
        match std::mem::take(&mut self.arriving) {
            Arriving::Head(request) | Arriving::Deciding(request) => Some(request),
            Arriving::Body(upload) => Some(upload.request),
            other => {
                self.arriving = other;
                None
            }
        }
    }

    /// Takes bytes that have arrived, behind those that wait, and parses until a
    /// request is complete or more is needed.
    pub(crate) fn feed(&mut self, bytes: &[u8], caller: Caller, reading: &mut Reading) -> Step {
        if self.input.is_empty() {
            let (step, used) = self.read(bytes, caller, reading);
            self.input.append(&bytes[used..]);
            return step;
        }
        self.input.append(bytes);
        let input = std::mem::take(&mut self.input);
        let (step, used) = self.read(input.rest(), caller, reading);
        self.input = input;
        self.input.consume(used);
        if matches!(step, Step::More) {
            self.input.settle();
        }
        step
    }

    /// Keeps bytes that have arrived behind the request whose response is in progress.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        self.input.append(bytes);
    }

    /// Receives a part of a large body directly to its file or memory, and the bytes
    /// behind it to `beyond`. `None` when the connection does not read such a body.
    ///
    /// # Errors
    /// The body cannot be kept.
    pub(crate) fn receive_body(
        &mut self,
        socket: &Socket,
        beyond: &mut [u8],
        spools: &Spools,
    ) -> io::Result<Option<io::Result<Received>>> {
        if !self.input.is_empty() {
            return Ok(None);
        }
        let Arriving::Body(Upload { request, left: Left::Length(left), progress, .. }) =
            &mut self.arriving
        else {
            return Ok(None);
        };
        let received = request.body.receive(socket, *left, beyond, spools)?;
        Ok(received.map(|received| {
            received.inspect(|received| {
                *left -= received.body as u64;
                progress.add(received.body);
            })
        }))
    }

    /// Reads from `bytes`. Returns the result, and how many bytes were used.
    fn read(&mut self, bytes: &[u8], caller: Caller, reading: &mut Reading) -> (Step, usize) {
        match std::mem::take(&mut self.arriving) {
            Arriving::Nothing => (Step::More, 0),
            Arriving::Head(request) => self.read_head(request, bytes, caller, reading),
            Arriving::Body(upload) => self.read_body(upload, bytes, reading),
            Arriving::Discarding(discard) => self.drop_body(discard, bytes),
            other @ (Arriving::Passing(_) | Arriving::Deciding(_)) => {
                self.arriving = other;
                (Step::More, 0)
            }
        }
    }

    fn read_head(
        &mut self,
        mut request: Box<Request>,
        bytes: &[u8],
        caller: Caller,
        reading: &mut Reading,
    ) -> (Step, usize) {
        let used = match request.head.read(bytes, reading.limits) {
            Ok(Some(used)) => used,
            Ok(None) => {
                self.arriving = Arriving::Head(request);
                return (Step::More, 0);
            }
            Err(reject) => return (refused(reject, request), bytes.len()),
        };
        match reading.forwarding.read(&request.head, caller.sender) {
            Ok(forwarded) => request.forwarded = forwarded,
            Err(reject) => return (refused(reject, request), bytes.len()),
        }
        if caller.is_too_many {
            let (kind, reject) = (GivenUp::TooManyConnections, TOO_MANY_CONNECTIONS);
            return (Step::Refused { kind, reject, request }, bytes.len());
        }
        match reading.decide.map(|decide| decide.decide(&caller.arrival(&request))) {
            None | Some(Decision::Pass) => self.begin_body(request, bytes, used, reading),
            Some(decision) => self.follow(decision, request, bytes, used, reading),
        }
    }

    /// Follows the decision on a request whose head has used so many of `bytes`.
    fn follow(
        &mut self,
        decision: Decision,
        request: Box<Request>,
        bytes: &[u8],
        used: usize,
        reading: &mut Reading,
    ) -> (Step, usize) {
        let (response, discard, refusal) = match decision {
            Decision::Pass => return self.begin_body(request, bytes, used, reading),
            Decision::Later(decide) => {
                self.arriving = Arriving::Deciding(request);
                return (Step::Later(LateDecision(decide)), used);
            }
            Decision::Respond { response, discard } => (response, discard, None),
            Decision::Refuse { kind, response, reason } => {
                (response, REFUSED_DISCARD, Some((kind, reason)))
            }
        };
        let body = LocalBody::of(&request.head, discard, reading.limits);
        (Step::Respond(Box::new(Local { request, response, refusal, body })), used)
    }

    /// Follows the decision that a background thread has made on the request.
    pub(crate) fn follow_late(&mut self, decision: Decision, reading: &mut Reading) -> Step {
        let request = match std::mem::take(&mut self.arriving) {
            Arriving::Deciding(request) => request,
            other => {
                self.arriving = other;
                return Step::More;
            }
        };
        let input = std::mem::take(&mut self.input);
        let (step, used) = self.follow(decision, request, input.rest(), 0, reading);
        self.input = input;
        self.input.consume(used);
        step
    }

    /// Reads what follows the head of a request that the application serves.
    fn begin_body(
        &mut self,
        request: Box<Request>,
        bytes: &[u8],
        used: usize,
        reading: &mut Reading,
    ) -> (Step, usize) {
        let left = match request.head.framing() {
            Framing::Length(length) if length > reading.longest_body => {
                return (too_large(request), bytes.len());
            }
            Framing::Length(length) if length > MEMORY_LIMIT as u64 && reading.waits_for_bodies => {
                if let Err(error) = reading.spools.check_room(length) {
                    return (Step::Unkept { error, request }, bytes.len());
                }
                Some(Left::Length(length))
            }
            framing => Left::of(framing, reading.limits),
        };
        let Some(left) = left else { return (Step::Ready(request), used) };
        let now_ms = clock::monotonic_ms();
        if !reading.waits_for_bodies {
            self.arriving = Arriving::Passing(Passing::new(left, reading.longest_body, now_ms));
            return (Step::Ready(request), used);
        }
        let asks = request.head.expects_continue() && bytes.len() == used;
        let upload = Upload { request, left, progress: BodyProgress::new(now_ms) };
        if asks {
            self.arriving = Arriving::Body(upload);
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
        upload.progress.add(bytes.len());
        match upload.take(bytes, reading.spools, reading.longest_body) {
            Ok(BodyStep { used, ended: true }) => (Step::Ready(upload.request), used),
            Ok(BodyStep { used, ended: false }) => {
                self.arriving = Arriving::Body(upload);
                (Step::More, used)
            }
            Err(Broken::Malformed(reject)) => (refused(reject, upload.request), bytes.len()),
            Err(Broken::TooLarge) => (too_large(upload.request), bytes.len()),
            Err(Broken::Disk(error)) => {
                (Step::Unkept { error, request: upload.request }, bytes.len())
            }
        }
    }

    fn drop_body(&mut self, mut discard: Discard, bytes: &[u8]) -> (Step, usize) {
        match discard.take(bytes) {
            None => (Step::Undiscarded, bytes.len()),
            Some(BodyStep { used, ended: true }) => (Step::Discarded, used),
            Some(BodyStep { used, ended: false }) => {
                self.arriving = Arriving::Discarding(discard);
                (Step::More, used)
            }
        }
    }
}
