//! What the server sends by itself: local responses, refusals, and the request for a body.

use std::io;

use monoceros_http::{Fields, Head, Reject, h1};
use monoceros_sys::{clock, reason};
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::table::Connections;
use crate::connection::{Connection, Phase};
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
        let response = response.conclude(request.asked(self.shared.keeps_alive()));
        let goes_on = !response.response().closes();
        self.shared.board.count_answer(response.response().status());
        if let Some(connection) = self.slab.get(token) {
            connection.log_local(&self.shared, Some(&request.head), request.begun_us, &response);
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
        let peer = &connection.link.peer;
        self.shared.give_up(kind, format_args!("refused {peer}: {status} {reason}"));
        self.respond_with_refusal(token, status, request);
    }

    /// Responds to a request that is not served, and which the log already names.
    fn respond_with_refusal(&mut self, token: usize, status: u16, request: Option<Box<Request>>) {
        let head = request.as_deref().map(|request| &request.head);
        let asked = Asked::last(head.is_some_and(Head::is_head));
        let local = LocalResponse::refusal(status).conclude(asked);
        self.shared.board.count_answer(status);
        let begun_us = request.as_deref().map_or(0, |request| request.begun_us);
        if let Some(connection) = self.slab.get(token) {
            connection.log_local(&self.shared, head, begun_us, &local);
        }
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

impl Connection {
    /// Adds a response of the server itself to the access log.
    pub(super) fn log_local(
        &self,
        shared: &Shared,
        head: Option<&Head>,
        begun_us: u64,
        local: &ConcludedResponse,
    ) {
        let Some(access) = &shared.access else { return };
        let took_us = clock::monotonic_us().saturating_sub(begun_us);
        access.add(&Record {
            peer: &self.link.peer,
            head: head.filter(|head| !head.method().is_empty()),
            took_us: if begun_us == 0 { 0 } else { took_us },
            response: local.response(),
            environ: &|_| None,
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
