//! What the server sends by itself: local responses, refusals, and the request for a body.

use std::io::{self, IoSlice};
use std::sync::Arc;

use monoceros_http::{Fields, Head, Reject, h1};
use monoceros_sys::clock;
use monoceros_wire::request_id::RequestId;
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::table::Connections;
use crate::connection::{Connection, Phase};
use crate::forwarding::forwarded::Forwarded;
use crate::protocol::http1::Local;
use crate::protocol::upload::LocalBody;
use crate::record::access_record::Record;
use crate::record::request_facts::RequestFacts;
use crate::shared::Shared;
use crate::stream::content::LocalContent;
use crate::stream::exchange::COPY_LIMIT;
use crate::stream::local::{ConcludedResponse, LocalResponse, count_local};
use crate::stream::request::Request;
use crate::stream::response::{Asked, OwnFields, Response};
use crate::stream::shared_stream::{Account, After};
use crate::transport::file_range::{Failure, FileRange, is_for_now};
use crate::transport::outgoing::Flushed;

impl Connections {
    /// Responds to a request without the application. Returns whether the connection
    /// continues with the bytes behind the request.
    pub(crate) fn respond(&mut self, token: usize, local: Local) -> bool {
        let Local { mut request, response, refusal, body } = local;
        self.work.identify(&mut request);
        let Some(connection) = self.slab.get_mut(token) else { return false };
        if let Some((kind, reason)) = &refusal {
            connection.log_refusal(&self.shared, *kind, &request, response.status(), reason);
        }
        // Nothing is read while a file is sent.
        let is_unread = match body {
            LocalBody::None => false,
            LocalBody::Discard(_) => response.is_file(),
            LocalBody::Unread => true,
        };
        request.closes =
            self.pressure.closes(self.slab.len(), request.begun_us / 1_000) || is_unread;
        let Some(connection) = self.slab.get_mut(token) else { return false };
        let own = connection.own_fields(&self.shared, &request.forwarded);
        let (asked, concluded) = request.asked(self.shared.keeps_alive(), own);
        let is_static = response.is_static();
        let content = response.conclude_in(concluded, asked);
        let goes_on = !request.response.closes();
        count_local(&self.shared.board, request.response.status(), is_static);
        let head = &mut self.work.head;
        head.clear();
        request.response.push_head(head);
        let flushed = connection.send_local(&self.shared, head, content);
        let is_sent = matches!(flushed, Ok(Flushed::All));
        // A body that is dropped is waited for first, so the line cannot wait for the response.
        let is_logged_now = is_sent || goes_on && matches!(body, LocalBody::Discard(_));
        connection.account_local(&self.shared, &request, is_logged_now);
        self.work.recycle(request);
        let after = if goes_on { After::KeepAlive } else { After::Linger };
        match body {
            LocalBody::Discard(discard) if goes_on && flushed.is_ok() => {
                connection.discard(discard);
                true
            }
            _ if goes_on && is_sent => {
                connection.enter(Phase::Idle { used: true });
                true
            }
            _ => {
                if !goes_on {
                    connection.http1.drop_input();
                }
                connection.enter(Phase::Writing(after));
                if let Some(after) = self.settle_flush(token, after, flushed) {
                    self.end_response(token, after);
                }
                false
            }
        }
    }

    /// Ends a connection whose client sends more than is read, behind the response that it
    /// has got, or is getting.
    pub(super) fn end_response_politely(&mut self, token: usize) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        connection.enter(Phase::Writing(After::Linger));
        self.write(token);
    }

    /// The server has given its own response, and no byte of the request is still to
    /// arrive. Returns whether the next request can be read now; its response follows
    /// this one.
    pub(crate) fn go_on_behind_response(&mut self, token: usize) -> bool {
        let Some(connection) = self.slab.get_mut(token) else { return false };
        let is_sent = connection.link.outlet().outgoing.is_empty();
        if is_sent {
            connection.enter(Phase::Idle { used: true });
        } else {
            connection.enter(Phase::Writing(After::KeepAlive));
            self.write(token);
        }
        is_sent
    }

    /// Refuses a request whose body cannot be kept: there is no room for it.
    pub(crate) fn refuse_unkept(
        &mut self,
        token: usize,
        error: &io::Error,
        request: Option<Box<Request>>,
    ) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let mut request = request.or_else(|| connection.take_request());
        let id = self.work.id_of(request.as_deref_mut());
        let head = request.as_deref().map(|it| &it.head);
        self.shared.give_up_unkept(error, RequestFacts::new(&id, head));
        self.respond_with_refusal(token, 503, request, &id);
    }

    /// Responds to a request that is not served, and closes the connection in a way
    /// that lets the client read the response.
    pub(crate) fn refuse(
        &mut self,
        token: usize,
        kind: GivenUp,
        reject: Reject,
        mut request: Option<Box<Request>>,
    ) {
        let Some(connection) = self.slab.get(token) else { return };
        let Reject { status, reason } = reject;
        let id = self.work.id_of(request.as_deref_mut());
        let peer = connection.link.peer();
        let line = format_args!("refused {peer}: {status} {reason} (request {id})");
        let head = request.as_deref().map(|it| &it.head);
        self.shared.give_up(kind, Some(RequestFacts::new(&id, head)), line);
        self.respond_with_refusal(token, status, request, &id);
    }

    /// Responds to a request that is not served, and which the log already names.
    fn respond_with_refusal(
        &mut self,
        token: usize,
        status: u16,
        request: Option<Box<Request>>,
        id: &RequestId,
    ) {
        let Some(connection) = self.slab.get(token) else { return };
        let own = match request.as_deref() {
            Some(request) => connection.own_fields(&self.shared, &request.forwarded),
            None => self.shared.own_fields(connection.link.scheme),
        };
        let is_head = request.as_deref().is_some_and(|request| request.head.is_head());
        let asked = Asked::last(is_head, own.with_id(id));
        let local = LocalResponse::refusal(status).conclude(asked);
        self.shared.board.count_answer(status);
        connection.log_local(&self.shared, request.as_deref().map(Answered::of), id, &local);
        if let Some(request) = request {
            self.shared.handoff.recycle(request);
        }
        self.end_with(token, local);
    }

    /// Sends a response of the server itself as the last one of a connection.
    pub(crate) fn end_with(&mut self, token: usize, local: ConcludedResponse) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        connection.send_now(&self.shared, local.bytes());
        connection.http1.drop_input();
        connection.enter(Phase::Writing(After::Linger));
        self.write(token);
    }

    /// Gives up a request that takes too long to arrive.
    pub(crate) fn time_out(&mut self, token: usize, reason: &'static str) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let request = connection.take_request();
        self.refuse(token, GivenUp::Late, Reject { status: 408, reason }, request);
    }
}

/// The request that a response of the server itself is for, as far as the access log needs
/// it.
#[derive(Clone, Copy)]
pub(super) struct Answered<'a> {
    pub(super) head: &'a Head,
    pub(super) forwarded: &'a Forwarded,
    /// When its first byte was seen, in microseconds of the monotonic clock.
    pub(super) begun_us: u64,
}

impl<'a> Answered<'a> {
    pub(super) fn of(request: &'a Request) -> Self {
        let Request { head, forwarded, begun_us, .. } = request;
        Self { head, forwarded, begun_us: *begun_us }
    }
}

impl Connection {
    /// The server's own fields in the response to a request.
    pub(super) fn own_fields<'a>(
        &self,
        shared: &'a Shared,
        forwarded: &Forwarded,
    ) -> OwnFields<'a> {
        shared.own_fields(forwarded.scheme.unwrap_or(self.link.scheme))
    }

    /// Counts a request that is refused, and logs it.
    pub(super) fn log_refusal(
        &self,
        shared: &Shared,
        kind: GivenUp,
        request: &Request,
        status: u16,
        reason: &str,
    ) {
        let client = request.forwarded.client.as_deref().unwrap_or(self.link.peer());
        let facts = request.facts();
        let id = facts.id();
        let line = format_args!("refused {client}: {status} {reason} (request {id})");
        shared.give_up(kind, Some(facts), line);
    }

    /// Adds a response of the server itself to the access log: now, or when its last byte has
    /// gone or it is given up.
    fn account_local(&mut self, shared: &Shared, request: &Request, is_now: bool) {
        let Request { response, begun_us, .. } = request;
        add_to_figures(shared, *begun_us, response);
        if is_now {
            let answered = Some(Answered::of(request));
            return self.log_response(shared, answered, request.id(), response);
        }
        self.lent.begun_us = *begun_us;
        let draft = shared
            .access
            .as_ref()
            .and_then(|access| access.draft(&self.record_of(request, response)));
        let (head, body) = (response.head_bytes(), response.body_bytes());
        let mut tail = self.stream.tail();
        tail.account = draft.map(|draft| Account { draft, head, body });
        tail.label = Some(request.label());
    }

    /// Sends a response of the server itself, as far as the socket has room, and lets the
    /// rest wait. A small body is copied behind `head`.
    ///
    /// # Errors
    /// Those of sending; then nothing waits.
    fn send_local(
        &self,
        shared: &Shared,
        head: &mut Vec<u8>,
        mut content: LocalContent,
    ) -> Result<Flushed, Failure> {
        let (link, stores) = (&self.link, shared.stores());
        let is_file = matches!(content, LocalContent::File(_));
        if !is_file && content.len() <= COPY_LIMIT as u64 {
            head.extend_from_slice(content.bytes());
            content = LocalContent::EMPTY;
        }
        let has_body = !content.is_empty();
        let mut sent = 0;
        if link.sends_directly() && !link.has_left() {
            let result = if has_body && !is_file {
                let parts = [IoSlice::new(head), IoSlice::new(content.bytes())];
                link.socket.send_parts(&parts)
            } else {
                link.socket.send(head, has_body)
            };
            sent = match result {
                Ok(count) if !is_file && count == head.len() + content.bytes().len() => {
                    return Ok(Flushed::All);
                }
                Ok(count) => count,
                Err(error) if is_for_now(&error) => 0,
                Err(error) => {
                    link.fail();
                    return Err(error.into());
                }
            };
            link.outlet().handed = sent as u64;
        } else if link.has_layer() && !has_body {
            let (count, is_sent) = link.send_through_layer(&[head])?;
            link.outlet().handed = count as u64;
            if is_sent {
                link.outlet().handed = 0;
                return Ok(Flushed::All);
            }
            sent = count;
        }
        if sent < head.len() {
            link.leave(Box::new(head[sent..].to_vec()), 0, stores);
        }
        let gone = sent.saturating_sub(head.len());
        match content {
            LocalContent::File(part) => link.leave_file(FileRange::of(part)),
            LocalContent::Shared(shared) => link.leave(Box::new(shared), gone, stores),
            LocalContent::Bytes(bytes) => link.leave(Box::new(bytes), gone, stores),
        }
        let flushed = link.flush();
        if let Ok(Flushed::All) = flushed {
            link.outlet().handed = 0;
        }
        flushed
    }

    /// Adds a response of the server itself to the access log.
    pub(super) fn log_local(
        &self,
        shared: &Shared,
        answered: Option<Answered>,
        id: &RequestId,
        local: &ConcludedResponse,
    ) {
        add_to_figures(shared, answered.map_or(0, |it| it.begun_us), local.response());
        self.log_response(shared, answered, id, local.response());
    }

    fn log_response(
        &self,
        shared: &Shared,
        answered: Option<Answered>,
        id: &RequestId,
        response: &Response,
    ) {
        if let Some(access) = &shared.access {
            access.add(&self.record(answered, id, response));
        }
    }

    /// What the access log gets of a response of the server itself.
    pub(super) fn record_of<'a>(
        &'a self,
        request: &'a Request,
        response: &'a Response,
    ) -> Record<'a> {
        self.record(Some(Answered::of(request)), request.id(), response)
    }

    /// As above, for a request that could not be read, or is not there any more.
    fn record<'a>(
        &'a self,
        answered: Option<Answered<'a>>,
        request_id: &'a RequestId,
        response: &'a Response,
    ) -> Record<'a> {
        let begun_us = answered.map_or(0, |it| it.begun_us);
        let took_us = clock::monotonic_us().saturating_sub(begun_us);
        let client = answered.and_then(|it| it.forwarded.client.as_deref());
        Record {
            peer: client.unwrap_or(self.link.peer()),
            head: answered.map(|it| it.head).filter(|head| !head.method().is_empty()),
            took_us: if begun_us == 0 { 0 } else { took_us },
            queued_us: None,
            scheme: answered.and_then(|it| it.forwarded.scheme).unwrap_or(self.link.scheme),
            response,
            environ: &|_| None,
            session: self.link.session().map(Arc::as_ref),
            request_id,
        }
    }

    /// Asks the client to send the body that it has announced (RFC 9110 section
    /// 15.2.1).
    pub(super) fn ask_for_body(&self, shared: &Shared) {
        self.send_now(shared, request_for_body());
    }

    /// Sends bytes of the server's own; bytes for which the socket has no room wait.
    fn send_now(&self, shared: &Shared, bytes: Vec<u8>) {
        self.link.leave(Box::new(bytes), 0, shared.stores());
        // Reading notices a client that has gone.
        self.link.flush().ok();
        // Only the application's response is counted.
        self.link.outlet().handed = 0;
    }
}

/// Adds a response of the server itself to the figures for statsd.
pub(super) fn add_to_figures(shared: &Shared, begun_us: u64, response: &Response) {
    if shared.figures.is_some() {
        shared.add_to_figures(response.status(), begun_us, clock::monotonic_us());
    }
}

/// `100 Continue` (RFC 9110 section 15.2.1).
pub(super) fn request_for_body() -> Vec<u8> {
    let mut bytes = Vec::new();
    h1::push_interim(&mut bytes, 100, &Fields::default());
    bytes
}
