//! Reading requests, and giving them to the application.

use std::io;
use std::sync::Arc;

use mio::event::Event;
use monoceros_http::{Framing, Reject};
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::table::{Connections, SHARE};
use crate::connection::turn_work::Unfinished;
use crate::connection::{Connection, Phase};
use crate::protocol::http1::{ArrivalStage, LateDecision, Reading, Step};
use crate::stream::body::Received;
use crate::stream::request::{QueuedRequest, Request};
use crate::transport::file_range::is_for_now;
use crate::transport::pledge;

/// epoll has no room for another descriptor.
const UNWATCHED: Reject = Reject { status: 503, reason: "its connection cannot be watched" };

/// How many requests of a connection the server responds to by itself before other
/// connections are handled.
const LOCAL_SHARE: usize = 64;

/// What has been received.
enum Got {
    /// So many bytes, in the scratch memory; `true` when more may be available at once.
    Bytes(usize, bool),
    /// Nothing is available now.
    Nothing,
    /// The client has ended its side, or has gone.
    End,
    /// The bytes cannot be kept.
    Unkept(io::Error),
}

impl Connections {
    /// Takes an event of a connection.
    pub(crate) fn take_traffic(&mut self, token: usize, event: &Event) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let news = event.is_readable() || event.is_read_closed() || event.is_error();
        connection.hung_up |= event.is_read_closed();
        if matches!(connection.phase, Phase::Lent) {
            let passes = connection.http1.passes_body();
            let is_ours = news && !passes && connection.stream.end.watch();
            if event.is_writable() && connection.link.has_waiting() {
                self.write_for_application(token);
            }
            if news && !is_ours && self.shared.handoff.events().is_some() {
                return self.note_client(token, event);
            }
            let Some(connection) = self.slab.get_mut(token).filter(|_| is_ours) else {
                return;
            };
            connection.notice_return();
        }
        let Some(connection) = self.slab.get_mut(token) else { return };
        match connection.phase {
            Phase::Writing(_) => {
                connection.unread |= news;
                self.write(token);
            }
            Phase::Opening(_) => self.open(token),
            Phase::Deciding { .. } => self.note_client_of_decision(token, event),
            Phase::Carrying => {
                if event.is_writable() {
                    self.write(token);
                }
                if news {
                    self.read_streams(token);
                }
            }
            Phase::Lingering { .. } if event.is_writable() && !connection.link.is_plain => {
                // The layer may not have announced the end yet.
                connection.link.end_writing().ok();
                self.read(token, event.is_read_closed());
            }
            // The event of the client's end occurs only once, so the connection is read
            // to its end.
            _ if news => self.read(token, event.is_read_closed()),
            _ => {}
        }
    }

    /// Takes an event of a connection whose request an event loop of the application has.
    fn note_client(&mut self, token: usize, event: &Event) {
        let Some(connection) = self.slab.get(token) else { return };
        let passes = connection.http1.passes_body();
        if event.is_error() || event.is_read_closed() && !passes {
            connection.notify_disconnected(&mut self.work);
        }
        self.go_on_passing(token);
    }

    /// Reads and handles bytes until none are available or the application side has the
    /// connection. A short piece counts as the last available one, unless `to_end`.
    pub(crate) fn read(&mut self, token: usize, to_end: bool) {
        for _ in 0..SHARE {
            let Some(connection) = self.slab.get_mut(token) else { return };
            match connection.phase {
                // Earlier bytes are not used up yet: `Unfinished::Input`.
                Phase::Idle { .. } if connection.http1.has_input() => {
                    connection.unread = true;
                    return;
                }
                Phase::Idle { .. } | Phase::Arriving => {}
                Phase::Opening(_) => return self.open(token),
                Phase::Carrying => return self.read_streams(token),
                Phase::Lingering { .. } => return self.linger(token),
                Phase::Deciding { .. } => {
                    connection.unread = true;
                    return;
                }
                Phase::Lent | Phase::Writing(_) => return,
            }
            match self.receive(token) {
                Got::Bytes(count, more) => {
                    self.feed(token, count, more || to_end);
                    if !more && !to_end {
                        return self.settle_reading(token);
                    }
                }
                Got::Nothing => return self.settle_reading(token),
                Got::End => return self.end_of_input(token),
                Got::Unkept(error) => return self.refuse_unkept(token, &error, None),
            }
        }
        self.settle_reading(token);
        self.work.unfinished.push(Unfinished::Reading { token, to_end });
    }

    /// A connection that waits for its client must be registered in the loop's epoll
    /// set.
    pub(super) fn settle_reading(&mut self, token: usize) {
        let Some(connection) = self.slab.get(token) else { return };
        if connection.registered
            || matches!(connection.phase, Phase::Lent)
            || self.register(token).is_ok()
        {
            return;
        }
        let request = self.slab.get_mut(token).and_then(Connection::take_request);
        match request {
            Some(request) => self.refuse(token, GivenUp::Displaced, UNWATCHED, Some(request)),
            None => self.close(token),
        }
    }

    fn receive(&mut self, token: usize) -> Got {
        let Some(connection) = self.slab.get_mut(token) else { return Got::End };
        let (http1, socket) = (&mut connection.http1, &connection.link.socket);
        let received = if connection.link.is_plain {
            http1.receive_body(socket, &mut self.work.scratch, &self.shared.spools)
        } else {
            Ok(None)
        };
        match received {
            Ok(None) => {}
            Ok(Some(Ok(Received { body: 0, .. }))) => return Got::End,
            Ok(Some(Ok(Received { beyond, is_all, .. }))) => return Got::Bytes(beyond, !is_all),
            Ok(Some(Err(error))) => return no_bytes(&error),
            Err(error) => return Got::Unkept(error),
        }
        if connection.may_be_last() {
            return match pledge::receive(&connection.link.socket, &mut self.work.scratch) {
                Ok((0, _)) => Got::End,
                Ok((count, is_pledged)) => {
                    if is_pledged {
                        connection.link.pledge();
                    }
                    Got::Bytes(count, count == self.work.scratch.len())
                }
                Err(error) => no_bytes(&error),
            };
        }
        match connection.link.read(&mut self.work.scratch) {
            Ok((0, _)) => Got::End,
            Ok((count, more)) => Got::Bytes(count, more),
            Err(error) => no_bytes(&error),
        }
    }

    /// Feeds what was received to the connection.
    fn feed(&mut self, token: usize, count: usize, more: bool) {
        let scratch = std::mem::take(&mut self.work.scratch);
        self.advance(token, &scratch[..count], more);
        self.work.scratch = scratch;
        if let Some(connection) = self.slab.get(token)
            && connection.is_reading()
        {
            // The request was not complete after all.
            connection.link.redeem();
        }
    }

    /// Handles the bytes that wait in the connection and `bytes` behind them, until
    /// more are needed or a request is lent. The number of requests in a turn that the
    /// server responds to by itself is limited: a client can send thousands at once.
    fn advance(&mut self, token: usize, mut bytes: &[u8], more: bool) {
        for _ in 0..LOCAL_SHARE {
            let step = self.step(token, bytes);
            bytes = b"";
            let goes_on = self.take_step(token, step, more);
            if !goes_on || !self.slab.get(token).is_some_and(|it| it.http1.has_input()) {
                return;
            }
        }
        self.work.unfinished.push(Unfinished::Input { token });
    }

    /// Takes the next step of a request; `more` is set when more bytes may have arrived.
    /// Returns whether the next request can be read.
    pub(super) fn take_step(&mut self, token: usize, step: Step, more: bool) -> bool {
        match step {
            Step::More => false,
            Step::Continue => {
                if let Some(connection) = self.slab.get(token) {
                    connection.ask_for_body(&self.shared);
                }
                false
            }
            Step::Ready(request) => {
                self.lend(token, request, more);
                false
            }
            Step::Respond(local) => self.respond(token, *local),
            Step::Later(LateDecision(decide)) => {
                self.decide_later(token, decide);
                false
            }
            Step::Discarded => self.go_on_behind_response(token),
            Step::Undiscarded => {
                self.end_response_politely(token);
                false
            }
            Step::Refused { kind, reject, request } => {
                self.refuse(token, kind, reject, Some(request));
                false
            }
            Step::Unkept { error, request } => {
                self.refuse_unkept(token, &error, Some(request));
                false
            }
        }
    }

    fn step(&mut self, token: usize, bytes: &[u8]) -> Step {
        self.with_reading(token, |connection, reading| connection.feed(bytes, reading))
    }

    /// Has a connection read, with the settings for that.
    pub(super) fn with_reading(
        &mut self,
        token: usize,
        read: impl FnOnce(&mut Connection, &mut Reading) -> Step,
    ) -> Step {
        let Some(connection) = self.slab.get_mut(token) else { return Step::More };
        let shared = &self.shared;
        let spare = &mut self.work.spare;
        read(
            connection,
            &mut Reading {
                decide: shared.options.local.as_ref(),
                forwarding: &shared.options.forwarding,
                limits: &shared.options.limits,
                spools: &shared.spools,
                longest_body: shared.options.longest_body,
                waits_for_bodies: shared.options.application.waits_for_bodies(),
                new_request: &mut || shared.handoff.spare_request(spare),
            },
        )
    }

    /// Gives a request to the application side.
    fn lend(&mut self, token: usize, mut request: Box<Request>, more: bool) {
        request.closes = self.pressure.closes(self.slab.len(), request.ready_us / 1_000);
        // The response to a closed connection needs no events, unless the application
        // wants to know when its client ends.
        let has_events = self.shared.handoff.events().is_some();
        let is_watched = has_events || request.is_kept_alive(self.shared.keeps_alive());
        if is_watched && self.register(token).is_err() {
            return self.refuse(token, GivenUp::Displaced, UNWATCHED, Some(request));
        }
        let Some(connection) = self.slab.get_mut(token) else { return };
        self.work.identify(&mut request);
        connection.lent.number = request.number;
        connection.lent.begun_us = request.begun_us;
        connection.lent.is_head = request.head.is_head();
        connection.lent.forwarded = request.forwarded.clone();
        if self.shared.access.is_some() || request.id().given().is_some() {
            connection.lent.head.copy_from(&request.head);
        }
        connection.unread = more;
        connection.had_body = request.head.framing() != Framing::None;
        request.has_more = connection.http1.has_input();
        // A part of `100 Continue` may wait: the response follows it.
        request.behind =
            request.head.expects_continue() && !connection.link.outlet().outgoing.is_empty();
        let wanted = more || connection.http1.has_input() || connection.read_closed;
        connection.stream.run(wanted || has_events);
        let stream = Arc::clone(&connection.stream);
        if has_events {
            request.behind |= request.head.expects_continue();
            connection.begin_passing(&self.shared, request.head.expects_continue());
        }
        self.work.jobs.push(QueuedRequest { request, stream });
        if !has_events {
            return;
        }
        let Some(connection) = self.slab.get(token) else { return };
        if connection.http1.passes_body() {
            self.go_on_passing(token);
        } else if connection.hung_up {
            // The event that reported the end came with the request.
            connection.notify_disconnected(&mut self.work);
        }
    }

    /// The client has ended its side. It still gets the responses to its requests.
    fn end_of_input(&mut self, token: usize) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        connection.read_closed = true;
        let is_body = matches!(connection.arrival(), Some(ArrivalStage::Body(_)));
        match connection.phase {
            Phase::Arriving if is_body => {
                let reject = Reject { status: 400, reason: "the body ended early" };
                let request = connection.take_request();
                self.refuse(token, GivenUp::Refused, reject, request);
            }
            Phase::Opening(_) | Phase::Idle { .. } | Phase::Arriving | Phase::Lingering { .. } => {
                self.close(token);
            }
            Phase::Deciding { .. } | Phase::Carrying | Phase::Lent | Phase::Writing(_) => {}
        }
    }

    /// Continues with the next request, which may have arrived already.
    pub(super) fn await_request(&mut self, token: usize) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        connection.enter(Phase::Idle { used: true });
        self.go_on_reading(token);
    }

    /// Continues with the bytes that arrived behind a request.
    pub(crate) fn go_on_reading(&mut self, token: usize) {
        if self.slab.get(token).is_some_and(|it| it.http1.has_input()) {
            self.advance(token, b"", true);
        }
        match self.slab.get(token) {
            Some(connection) if connection.read_closed => match connection.phase {
                // Some of the earlier bytes wait for the next turn.
                Phase::Idle { .. } if connection.http1.has_input() => {}
                Phase::Idle { .. } | Phase::Arriving => self.end_of_input(token),
                Phase::Opening(_)
                | Phase::Deciding { .. }
                | Phase::Carrying
                | Phase::Lent
                | Phase::Writing(_)
                | Phase::Lingering { .. } => {}
            },
            // Otherwise an event occurs when bytes arrive.
            Some(connection) if connection.unread || !connection.registered => {
                self.read(token, true);
            }
            Some(_) | None => {}
        }
    }
}

fn no_bytes(error: &io::Error) -> Got {
    if is_for_now(error) { Got::Nothing } else { Got::End }
}
