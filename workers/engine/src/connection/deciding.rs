//! Requests on which a background thread decides, and parts of files that it reads ahead.
//! Meanwhile the loop serves other connections.

use mio::event::Event;
use monoceros_http::Reject;
use monoceros_sys::clock;
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::Phase;
use crate::connection::table::Connections;
use crate::connection::turn_work::Unfinished;
use crate::handoff::task::{Task, TaskResult, Ticket};
use crate::stream::local::{Decision, LocalResponse};

/// How much of a file is read ahead at once, in bytes.
pub(super) const READ_AHEAD: u64 = 1 << 20;

/// The disk of a file does not respond.
pub(super) const UNDECIDED: Reject =
    Reject { status: 503, reason: "its file could not be looked up within 30 s" };

/// The call that decides on a request has failed.
const FAILED: &str = "the server has failed to find what was asked for";

impl Connections {
    /// Has a background thread decide on the request of a connection.
    pub(super) fn decide_later(
        &mut self,
        token: usize,
        decide: Box<dyn FnOnce() -> Decision + Send>,
    ) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let number = self.work.submit(token, Task::Decide(decide));
        connection.enter(Phase::Deciding { number });
        let (hung_up, socket) = (connection.hung_up, &connection.link.socket);
        if hung_up && socket.is_broken() {
            // The event that reported this came with the request, and comes only once.
            return self.close(token);
        }
        // Without events only the end of the client is not noticed now.
        self.register(token).ok();
    }

    /// Takes what a background thread has done.
    pub(super) fn take_result(&mut self, ticket: Ticket, result: TaskResult) {
        let Ticket { token, number } = ticket;
        match result {
            TaskResult::Decided(decision) => {
                self.take_decision(token, number, decision.unwrap_or_else(failed));
            }
            TaskResult::ReadAhead(until) => self.take_read_ahead(token, number, until),
        }
    }

    /// Follows a decision, unless the request has been given up.
    fn take_decision(&mut self, token: usize, number: u64, decision: Decision) {
        let Some(connection) = self.slab.get(token) else { return };
        let more = connection.unread;
        match connection.phase {
            Phase::Deciding { number: current } if current == number => {}
            Phase::Carrying => return self.take_stream_decision(token, number, decision),
            _ => return,
        }
        let step = self.with_reading(token, |it, reading| it.follow_late(decision, reading));
        self.take_step(token, step, more);
        if let Some(connection) = self.slab.get(token)
            && connection.is_reading()
        {
            connection.link.redeem();
        }
        self.go_on_reading(token);
    }

    /// Takes an event of a connection whose request waits for a decision. A client that
    /// has only ended its side still gets the response.
    pub(super) fn note_client_of_decision(&mut self, token: usize, event: &Event) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        connection.unread = true;
        if event.is_error() || event.is_write_closed() {
            self.close(token);
        }
    }

    /// The time of a decision is over.
    pub(super) fn give_up_decision(&mut self, token: usize) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let request = connection.take_request();
        self.refuse(token, GivenUp::Unreadable, UNDECIDED, request);
    }

    /// Has a background thread read the part of a file that a response sends next, unless
    /// one does so already.
    pub(super) fn read_ahead(&mut self, token: usize) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        if connection.read_ahead.is_some() {
            return;
        }
        let Some(outlet) = connection.link.try_outlet() else {
            return self.work.unfinished.push(Unfinished::Contended { token });
        };
        let part = outlet.outgoing.cold_part(READ_AHEAD);
        drop(outlet);
        if let Some(part) = part {
            connection.read_ahead = Some(self.work.submit(token, Task::ReadAhead(part)));
        }
    }

    /// A part of a file was read ahead: the response continues.
    fn take_read_ahead(&mut self, token: usize, number: u64, until: u64) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        if connection.read_ahead.take_if(|current| *current == number).is_none() {
            return self.take_stream_read_ahead(token, number, until);
        }
        // An application thread that has the lock is about to write, and finds the same.
        if let Some(mut outlet) = connection.link.try_outlet() {
            outlet.outgoing.note_read_ahead(until);
            outlet.progress_ms = clock::monotonic_ms();
        }
        self.write(token);
    }
}

/// The decision where the call that makes it has failed.
pub(super) fn failed() -> Decision {
    let reason = FAILED.to_owned();
    Decision::Refuse { kind: GivenUp::Unreadable, response: LocalResponse::refusal(500), reason }
}
