//! One request and its response, while an application thread has them.

mod account;
mod encoded;
mod on_stream;
mod sending;
mod switching;

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use monoceros_http::{Fields, Head, PathPrefix, TraceParent, h1};
use monoceros_sys::clock;
use monoceros_tls::Session;
use monoceros_wire::listener::Scheme;
use monoceros_wire::scoreboard::{Begun, ShownRequest};
use monoceros_wire::trace_ids::TraceIds;

use crate::connection::address::{Address, ProxiedConnection};
use crate::connection::shared::{SharedConnection, Waited};
use crate::shared::Shared;
use crate::stream::body::Body;
use crate::stream::content::{FilePart, LocalContent};
use crate::stream::encoding::EncodedBody;
use crate::stream::inbound::BodyPiece;
use crate::stream::local::Revised;
use crate::stream::request::{QueuedRequest, Request};
use crate::stream::response::{BodyFraming, Fault, Response};
use crate::stream::shared_stream::{After, SharedStream};
use crate::transport::file_range::FileRange;
use crate::transport::payload::Payload;

pub use sending::COPY_LIMIT;
use switching::SwitchedConnection;
pub use switching::SwitchedSocket;

thread_local! {
    /// The memory for a piece of a response.
    static PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How long a slow client may hold an application thread until a line is logged, in
/// milliseconds.
const HELD_MS: u64 = 10_000;

/// The client has gone, or has taken nothing for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientDisconnected;

/// A request, while the application has it. It ends with [`Exchange::finish`]; an
/// exchange that is dropped before breaks the connection, so that the client does not
/// take half a response for a complete one.
#[derive(Debug)]
pub struct Exchange {
    shared: Arc<Shared>,
    thread: usize,
    /// The request's entry on the scoreboard.
    shown: Option<ShownRequest>,
    /// Present until the end, when the memory is returned.
    request: Option<Box<Request>>,
    stream: Arc<SharedStream>,
    /// When the application got the request, in microseconds of the monotonic clock.
    taken_us: u64,
    /// The I/O thread may have a part of this response to write.
    handed_over: bool,
    /// The response has begun, and the application will give more.
    streams: bool,
    /// The client could not take the whole response at once.
    is_slow: bool,
    /// Bytes that the kernel has taken since the last report to the link.
    handed: u64,
    /// Since when the client holds this thread, in milliseconds of the monotonic clock;
    /// logged once.
    held_ms: Option<u64>,
    /// The body that is sent in place of the application's; empty when it has been sent. Boxed,
    /// as is the next one: few responses have one, and exchanges are moved often.
    replacement: Option<Box<LocalContent>>,
    /// The body, if it is encoded before it is sent.
    encoded: Option<Box<EncodedBody>>,
    /// The application has taken over the connection.
    switched: Option<Box<SwitchedConnection>>,
    gone: bool,
    completed: bool,
    /// Its line is in the access log.
    logged: bool,
    /// The application side has the facts for the access log.
    is_recorded: bool,
    ended: bool,
}

impl Exchange {
    pub(crate) fn new(shared: Arc<Shared>, thread: usize, job: QueuedRequest) -> Self {
        let QueuedRequest { request, stream } = job;
        let taken_us = clock::monotonic_us();
        let handed_over = request.behind;
        let begun = Begun {
            number: request.number,
            now_us: taken_us,
            queued_us: taken_us.saturating_sub(request.ready_us),
            method: request.head.method(),
            target: request.head.target(),
            id: request.id.given(),
            trace: trace_of(&request.head),
            client: client_of(&request, &stream),
        };
        let shown = shared.board.begin(thread, &begun);
        shared.handoff.note_begin(thread, taken_us);
        Self {
            shared,
            thread,
            shown,
            request: Some(request),
            stream,
            taken_us,
            handed_over,
            streams: false,
            is_slow: false,
            handed: 0,
            held_ms: None,
            replacement: None,
            encoded: None,
            switched: None,
            gone: false,
            completed: false,
            logged: false,
            is_recorded: false,
            ended: false,
        }
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request {
        self.request.as_deref().expect("present until the end")
    }

    fn request_mut(&mut self) -> &mut Request {
        self.request.as_deref_mut().expect("present until the end")
    }

    fn link(&self) -> &SharedConnection {
        &self.stream.connection
    }

    fn response(&self) -> &Response {
        &self.request().response
    }

    /// Takes the body out of the request.
    pub fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.request_mut().body)
    }

    /// Takes the next piece of a body that arrives while the application has the
    /// request, at most `most` bytes. Where there is none yet, an event announces more
    /// ([`InboxEvent::Body`](crate::InboxEvent::Body)).
    pub fn take_piece(&mut self, most: usize) -> BodyPiece {
        let (piece, notifies) = self.stream.inbound.take(most);
        if notifies {
            self.shared.handoff.call_back(Arc::clone(&self.stream));
        }
        piece
    }

    /// The client's address: that of the connection, unless a trusted proxy has reported
    /// another one.
    #[must_use]
    pub fn peer(&self) -> &Address {
        self.request().forwarded.client.as_deref().unwrap_or(self.link().peer())
    }

    /// The client's connection to the proxy in front, if the PROXY protocol has reported it.
    #[must_use]
    pub fn proxied(&self) -> Option<&ProxiedConnection> {
        self.link().proxied()
    }

    /// Our end of the connection.
    #[must_use]
    pub fn local(&self) -> &Address {
        &self.link().local
    }

    /// The scheme of the client's URL: that of the listener, unless a trusted proxy has
    /// reported another one.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.request().forwarded.scheme.unwrap_or(self.link().scheme)
    }

    /// The prefix of the application's paths, if a trusted proxy has reported one. The
    /// request's path begins with it.
    #[must_use]
    pub fn prefix(&self) -> Option<&PathPrefix> {
        self.request().forwarded.prefix.as_deref()
    }

    /// Whether a field with an underscore in its name becomes a variable of the
    /// application.
    #[must_use]
    pub fn maps(&self, name: &[u8]) -> bool {
        let is_trusted = self.request().forwarded.is_from_trusted;
        self.shared.options.forwarding.maps(name, is_trusted)
    }

    /// Facts of the connection's encryption, if it has one.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.link().session().map(Arc::as_ref)
    }

    /// Begins the response, or begins it anew, with a status such as `200 OK`.
    ///
    /// # Errors
    /// The status is malformed.
    pub fn begin(&mut self, status: &[u8]) -> Result<(), Fault> {
        self.request_mut().response.begin(status)
    }

    /// Forgets the status and the fields of the response.
    pub fn reset(&mut self) {
        if !self.is_committed() {
            self.request_mut().response.clear();
        }
    }

    /// Adds a field to the response's head.
    ///
    /// # Errors
    /// The field is malformed, or contradicts an earlier one.
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.request_mut().response.field(name, value)
    }

    /// Whether a status has been given.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.response().has_begun()
    }

    /// Whether the head has been sent, and cannot be changed any more.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.response().is_concluded()
    }

    /// Whether the whole response has been given.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.completed
    }

    /// Whether the client cannot be written to any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether no byte of a body is sent: to HEAD, and with 204 and 304.
    #[must_use]
    pub fn is_bodiless(&self) -> bool {
        self.request().head.is_head() || self.response().framing() == BodyFraming::NoBody
    }

    /// Whether the application gave more than its Content-Length.
    #[must_use]
    pub fn was_cut(&self) -> bool {
        self.response().was_cut() || self.encoded.as_ref().is_some_and(|it| it.was_cut())
    }

    /// Whether the application gave less than its Content-Length.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.response().is_short() || self.encoded.as_ref().is_some_and(|it| it.is_short())
    }

    /// The Content-Length that the application gave.
    #[must_use]
    pub fn promised_length(&self) -> Option<u64> {
        self.response().promised()
    }

    /// Sends a piece of the body, with the head if it has not been sent yet; drops it if the
    /// application has taken over the connection. `whole` is the length of the body where it
    /// is known, and `owner` owns the same bytes, so that they need not be copied if they have
    /// to wait. This never waits: bytes for which the socket has no room are sent later, see
    /// [`Exchange::is_crowded`].
    ///
    /// # Errors
    /// The client has gone; the application may stop.
    pub fn write(
        &mut self,
        bytes: &[u8],
        owner: Option<Box<dyn Payload>>,
        whole: Option<u64>,
    ) -> Result<(), ClientDisconnected> {
        if self.is_switched() {
            return Ok(());
        }
        let with_head = self.commit(whole, bytes)?;
        if self.replacement.is_some() {
            return self.put_replacement(with_head);
        }
        if self.encoded.is_some() {
            return self.write_encoded(with_head, bytes, whole.is_none());
        }
        self.put(with_head, bytes, owner)
    }

    /// Sends the response that replaces the application's, if it is due.
    fn put_replacement(&mut self, with_head: bool) -> Result<(), ClientDisconnected> {
        if !with_head {
            return Ok(());
        }
        let Some(content) = &mut self.replacement else { return Ok(()) };
        match std::mem::replace(&mut **content, LocalContent::EMPTY) {
            LocalContent::Bytes(bytes) => self.put(true, &bytes, None),
            LocalContent::Shared(shared) => {
                let owner = shared.clone();
                self.put(true, shared.bytes(), Some(Box::new(owner)))
            }
            LocalContent::File(FilePart { file, offset, length }) => {
                self.put_file(offset, length, || Ok(file))
            }
        }
    }

    /// Sends a piece of the body, with the head if it is due.
    fn put(
        &mut self,
        with_head: bool,
        bytes: &[u8],
        owner: Option<Box<dyn Payload>>,
    ) -> Result<(), ClientDisconnected> {
        let count = self.request_mut().response.take(bytes.len() as u64);
        // The owner has all bytes of the piece, so it is kept only if none was cut.
        let owner = owner.filter(|_| count == bytes.len() as u64);
        let bytes = &bytes[..usize::try_from(count).unwrap_or(bytes.len())];
        if !with_head && bytes.is_empty() {
            return if self.gone { Err(ClientDisconnected) } else { Ok(()) };
        }
        if with_head
            && !matches!(self.response().framing(), BodyFraming::Length(0) | BodyFraming::NoBody)
        {
            self.streams = true;
            self.shared.board.show_stream(self.shown, true);
        }
        if !with_head {
            // A response that makes progress is not stuck, however long it takes.
            self.shared.board.progress(self.shown, clock::monotonic_ms());
        }
        if self.link().is_multiplexed {
            return self.send_on_stream(with_head, bytes, false);
        }
        let sent = PIECE.with_borrow_mut(|piece| {
            piece.clear();
            if with_head {
                self.request_mut().response.push_head(piece);
            }
            self.send(piece, bytes, owner)
        });
        if with_head && self.response().framing() == BodyFraming::Raw {
            self.stream.inbound.open(self.shared.options.application.body_buffer(), false);
            self.stream.tail().is_raw = true;
            self.shared.handoff.call_back(Arc::clone(&self.stream));
        }
        sent
    }

    /// Sends a range of a file as the whole body.
    ///
    /// # Errors
    /// The client has gone.
    pub fn write_file(
        &mut self,
        source: &File,
        offset: u64,
        length: u64,
    ) -> Result<(), ClientDisconnected> {
        if self.is_switched() {
            return Ok(());
        }
        let with_head = self.commit(Some(length), b"")?;
        if self.replacement.is_some() {
            return self.put_replacement(with_head);
        }
        if !with_head {
            return Ok(());
        }
        if self.encoded.is_some() {
            return self.write_encoded_file(source, offset, length);
        }
        self.put_file(offset, length, || source.try_clone().map(Arc::new))
    }

    /// Sends the head, and a range of a file as the whole body.
    fn put_file(
        &mut self,
        offset: u64,
        length: u64,
        open: impl FnOnce() -> io::Result<Arc<File>>,
    ) -> Result<(), ClientDisconnected> {
        let length = self.request_mut().response.take(length);
        let range = match (length > 0).then(open) {
            Some(Ok(file)) => Some(FileRange::new(file, offset, length)),
            Some(Err(_)) => return self.give_up_file("no descriptor is left for its file"),
            None => None,
        };
        if self.link().is_multiplexed {
            return self.send_file_on_stream(range);
        }
        let mut head = Vec::new();
        self.request_mut().response.push_head(&mut head);
        // The head waits for the first bytes of the file, if there are any.
        self.push_bytes(&head, range.is_some())?;
        range.map_or(Ok(()), |range| self.push_file(range))
    }

    /// Whether so much waits for the client that the application must wait.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        if !self.handed_over {
            return false;
        }
        let outlet = self.link().outlet();
        let outgoing = &outlet.outgoing;
        let is_full = if self.response().is_unbuffered() {
            !outgoing.is_empty()
        } else {
            outgoing.is_full(&self.shared.room)
        };
        is_full && !outlet.failed
    }

    /// Requests an event when there is room for more of the response
    /// ([`InboxEvent::Room`](crate::InboxEvent::Room)), or none will be. Returns
    /// `false` if there is room now.
    pub fn await_room(&self) -> bool {
        let all = self.response().is_unbuffered();
        self.handed_over && self.link().await_room(self.request().number, &self.shared.room, all)
    }

    /// Waits until the client has taken most of what waits for it. May return early,
    /// after a second: check [`Exchange::is_crowded`] again.
    ///
    /// # Errors
    /// The client has gone.
    pub fn wait_for_room(&mut self) -> Result<(), ClientDisconnected> {
        // A slow client is not a fault of the application.
        self.shared.board.pause(self.shown);
        let (all, limit) = (self.response().is_unbuffered(), Duration::from_secs(1));
        let waited = self.link().wait_for_room(&self.shared.room, all, limit);
        let now_ms = clock::monotonic_ms();
        self.shared.board.resume(self.shown, now_ms);
        match waited {
            Waited::Room => self.held_ms = None,
            Waited::None => self.log_held(now_ms, all),
            Waited::ClientDisconnected => return self.lose(),
        }
        Ok(())
    }

    /// Logs, once, that a client holds this thread. `all` is set when the application
    /// waits by its own choice.
    fn log_held(&mut self, now_ms: u64, all: bool) {
        let since_ms = *self.held_ms.get_or_insert(now_ms);
        if all || now_ms < since_ms.saturating_add(HELD_MS) {
            return;
        }
        self.held_ms = Some(u64::MAX);
        let (label, peer) = (self.request().label(), self.link().peer());
        let line = format_args!(
            "{label} for {peer} holds thread {}: its client is slow, and more of its response waits \
             than --response-memory and --response-disk leave room for",
            self.thread
        );
        self.shared.losses.log_held(label.facts(), line);
    }

    /// Ends the response. The access log reads the variables of the application's
    /// environment by `environ`.
    pub fn finish(mut self, environ: &dyn Fn(&str) -> Option<Vec<u8>>) {
        self.complete();
        let response = self.response();
        let after = if self.gone || !response.is_concluded() || self.is_short() {
            self.broken()
        } else if response.closes() {
            After::Close
        } else {
            After::KeepAlive
        };
        self.end(after, environ);
    }

    /// Ends the response by breaking the connection: the response cannot be completed.
    pub fn abort(mut self, environ: &dyn Fn(&str) -> Option<Vec<u8>>) {
        self.end(self.broken(), environ);
    }

    /// How the connection ends when the response cannot be completed.
    fn broken(&self) -> After {
        if self.response().framing().ends_with_connection() { After::Reset } else { After::Abort }
    }

    /// Sends the missing part of a whole response: the head if nothing was sent, the
    /// end of a chunked body. Nothing can be written afterwards.
    pub fn complete(&mut self) {
        if self.completed || self.gone || !self.has_begun() {
            return;
        }
        self.completed = true;
        if self.streams {
            // The time of what the application does after the response is measured
            // anew.
            self.shared.board.progress(self.shown, clock::monotonic_ms());
            self.shared.board.show_stream(self.shown, false);
        }
        // `self.gone` is set for a client that has gone.
        if !self.is_committed() {
            let whole = (!self.request().head.is_head()).then_some(0);
            self.write(b"", None, whole).ok();
        }
        if self.gone || self.is_short() {
            return;
        }
        self.send_end().ok();
        if !self.gone {
            self.stream.claim.give();
        }
    }

    /// Sends the end of the body: what an encoder has kept, and the protocol's mark.
    fn send_end(&mut self) -> Result<(), ClientDisconnected> {
        let rest = self.finish_encoding()?;
        if !rest.is_empty() {
            self.request_mut().response.take(rest.len() as u64);
        }
        if self.link().is_multiplexed {
            return self.send_on_stream(false, &rest, true);
        }
        let is_chunked = self.response().framing() == BodyFraming::Chunked;
        if !is_chunked && rest.is_empty() {
            return Ok(());
        }
        PIECE.with_borrow_mut(|end| {
            end.clear();
            if is_chunked && !rest.is_empty() {
                h1::push_chunk_head(end, rest.len());
            }
            end.extend_from_slice(&rest);
            if is_chunked && !rest.is_empty() {
                end.extend_from_slice(h1::CHUNK_END);
            }
            if is_chunked {
                h1::push_last_chunk(end, &Fields::default());
            }
            self.push_bytes(end, false)
        })
    }

    /// Completes the head. Returns whether it has still to be sent. From then on the
    /// response belongs to this side. The body begins with `first`.
    ///
    /// # Errors
    /// The time of the request is over, and its client has got a response; or an encoder
    /// has failed.
    fn commit(&mut self, whole: Option<u64>, first: &[u8]) -> Result<bool, ClientDisconnected> {
        if self.is_committed() {
            return Ok(false);
        }
        if !self.stream.claim.begin() {
            return self.lose().map(|()| false);
        }
        let whole = self.revise(whole, first)?;
        let own = self.shared.own_fields(self.scheme());
        let is_multiplexed = self.stream.connection.is_multiplexed;
        let request = self.request.as_deref_mut().expect("present until the end");
        let (asked, response) = if is_multiplexed {
            request.asked_on_stream(own)
        } else {
            request.asked(self.shared.keeps_alive(), own)
        };
        response.conclude(asked, whole);
        if self.response().framing().ends_with_connection() {
            self.link().guard();
        }
        if self.response().is_unbuffered() {
            self.link().socket.hold_little(true);
        }
        Ok(true)
    }

    /// Has the response revised before its head is sent. Returns the length of the body
    /// that is sent, if it is known: of the application's body (`whole`), the one that
    /// replaces it, or the encoded one.
    fn revise(
        &mut self,
        whole: Option<u64>,
        first: &[u8],
    ) -> Result<Option<u64>, ClientDisconnected> {
        let Some(reviser) = &self.shared.options.revise else { return Ok(whole) };
        let Some(request) = self.request.as_deref_mut() else { return Ok(whole) };
        match reviser.revise(&request.head, &mut request.response, whole) {
            Revised::Kept => Ok(whole),
            Revised::Replaced(content) => {
                let length = content.len();
                self.replacement = Some(Box::new(content));
                Ok(Some(length))
            }
            Revised::Encoded(encoder) => self.begin_encoding(encoder, whole, first),
        }
    }

    fn lose(&mut self) -> Result<(), ClientDisconnected> {
        self.gone = true;
        Err(ClientDisconnected)
    }

    fn end(&mut self, after: After, environ: &dyn Fn(&str) -> Option<Vec<u8>>) {
        self.ended = true;
        let now_us = clock::monotonic_us();
        let took_us = now_us.saturating_sub(self.taken_us);
        let is_ours = self.is_committed() || self.stream.claim.begin();
        if is_ours {
            if self.response().is_unbuffered() {
                self.link().socket.hold_little(false);
            }
            self.log(now_us, environ);
        }
        self.show_end(took_us, is_ours);
        match self.switched.take() {
            Some(switched) => self.return_switched(*switched),
            None if is_ours => self.give_back(after, now_us / 1000),
            None => {}
        }
        let number = self.request().number;
        if let Some(request) = self.request.take() {
            self.shared.handoff.recycle(request);
        }
        self.shared.handoff.finish(self.thread, number, took_us, now_us);
    }

    fn give_back(&self, after: After, now_ms: u64) {
        if self.handed_over || after != After::KeepAlive || !self.stream.finish(now_ms) {
            self.stream.tail().after = Some(after);
            self.shared.handoff.call_back(Arc::clone(&self.stream));
        }
    }
}

/// The trace that a request belongs to, as its caller has sent it.
fn trace_of(head: &Head) -> Option<TraceIds> {
    let TraceParent { trace_id, span_id } = TraceParent::of(head)?;
    TraceIds::parse(trace_id, span_id)
}

/// The address of a request's client, if it has one.
fn client_of(request: &Request, stream: &SharedStream) -> Option<IpAddr> {
    let reported = request.forwarded.client.as_deref();
    reported.unwrap_or(stream.connection.peer()).ip()
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.ended {
            self.end(self.broken(), &|_| None);
        }
    }
}

impl AsFd for Exchange {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link().as_fd()
    }
}
