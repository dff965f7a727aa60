//! What the server sends by itself: local responses, refusals, and the request for a body.

use std::io;
use std::sync::Arc;

use monoceros_http::{Fields, Head, Reject, h1};
use monoceros_sys::{clock, reason};
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::table::Connections;
use crate::connection::{Connection, Phase};
use crate::forwarding::forwarded::Forwarded;
use crate::protocol::http1::Local;
use crate::protocol::upload::LocalBody;
use crate::record::access::Record;
use crate::shared::Shared;
use crate::stream::local::{ConcludedResponse, LocalResponse};
use crate::stream::request::Request;
use crate::stream::response::Asked;
use crate::stream::shared_stream::After;

impl Connections {
    /// Responds to a request without the application. Returns whether the connection
    /// continues with the bytes behind the request.
    pub(crate) fn respond(&mut self, token: usize, local: Local) -> bool {
        let Local { mut request, response, body } = local;
        request.closes = self.pressure.closes(self.slab.len(), request.begun_us / 1_000)
            || matches!(body, LocalBody::Unread);
        let hsts = self.slab.get(token).map_or(0, |it| it.hsts(&self.shared, &request.forwarded));
        let response = response.conclude(request.asked(self.shared.keeps_alive(), hsts));
        let goes_on = !response.response().closes();
        self.shared.board.count_answer(response.response().status());
        if let Some(connection) = self.slab.get(token) {
            connection.log_local(&self.shared, Some(Answered::of(&request)), &response);
        }
        self.shared.handoff.recycle(request);
        if !goes_on {
            self.end_with(token, response);
            return false;
        }
        let Some(connection) = self.slab.get_mut(token) else { return false };
        connection.send_now(&self.shared, response.bytes());
        if let LocalBody::Discard(discard) = body {
            connection.discard(discard);
            return true;
        }
        self.go_on_behind_response(token)
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
        let error = reason(error);
        let line = format_args!("cannot keep a request's body: {error}; answered 503");
        self.shared.give_up(GivenUp::Unkept, line);
        let Some(connection) = self.slab.get_mut(token) else { return };
        let request = request.or_else(|| connection.take_request());
        self.respond_with_refusal(token, 503, request);
    }

    /// Responds to a request that is not served, and closes the connection in a way
    /// that lets the client read the response.
    pub(crate) fn refuse(
        &mut self,
        token: usize,
        kind: GivenUp,
        reject: Reject,
        request: Option<Box<Request>>,
    ) {
        let Some(connection) = self.slab.get(token) else { return };
        let Reject { status, reason } = reject;
        let peer = connection.link.peer();
        self.shared.give_up(kind, format_args!("refused {peer}: {status} {reason}"));
        self.respond_with_refusal(token, status, request);
    }

    /// Responds to a request that is not served, and which the log already names.
    fn respond_with_refusal(&mut self, token: usize, status: u16, request: Option<Box<Request>>) {
        let Some(connection) = self.slab.get(token) else { return };
        let asked = Asked::last(
            request.as_deref().is_some_and(|request| request.head.is_head()),
            request.as_deref().map_or(0, |it| connection.hsts(&self.shared, &it.forwarded)),
        );
        let local = LocalResponse::refusal(status).conclude(asked);
        self.shared.board.count_answer(status);
        connection.log_local(&self.shared, request.as_deref().map(Answered::of), &local);
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
    /// For how many seconds the client of a request may not use plain HTTP.
    pub(super) fn hsts(&self, shared: &Shared, forwarded: &Forwarded) -> u32 {
        shared.hsts(forwarded.scheme.unwrap_or(self.link.scheme))
    }

    /// Adds a response of the server itself to the access log.
    pub(super) fn log_local(
        &self,
        shared: &Shared,
        answered: Option<Answered>,
        local: &ConcludedResponse,
    ) {
        let Some(access) = &shared.access else { return };
        let begun_us = answered.map_or(0, |it| it.begun_us);
        let took_us = clock::monotonic_us().saturating_sub(begun_us);
        let client = answered.and_then(|it| it.forwarded.client.as_deref());
        access.add(&Record {
            peer: client.unwrap_or(self.link.peer()),
            head: answered.map(|it| it.head).filter(|head| !head.method().is_empty()),
            took_us: if begun_us == 0 { 0 } else { took_us },
            response: local.response(),
            environ: &|_| None,
            session: self.link.session().map(Arc::as_ref),
        });
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

/// `100 Continue` (RFC 9110 section 15.2.1).
pub(super) fn request_for_body() -> Vec<u8> {
    let mut bytes = Vec::new();
    h1::push_interim(&mut bytes, 100, &Fields::default());
    bytes
}
