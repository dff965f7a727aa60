//! Responses that do not reach their clients completely: given up here, or lost because
//! the client has gone. The client of a response that has begun gets a reset, whatever
//! delimits the response; the access log has the bytes that the client can have got.

use std::fmt;

use monoceros_wire::scoreboard::GivenUp;

use crate::connection::table::Connections;
use crate::connection::{Connection, Phase};
use crate::record::request_facts::RequestFacts;
use crate::shared::Shared;
use crate::stream::label::RequestLabel;
use crate::stream::shared_stream::{Account, Lost};
use crate::transport::file_range::Failure;

impl Connections {
    /// Gives up the response to the slowest client where slow clients take all the
    /// room: the client that would take longest to read what waits for it. `is_asked`
    /// returns whether connections wait at a listener.
    pub(crate) fn relieve(&mut self, now_ms: u64, is_asked: impl FnOnce() -> bool) {
        let (room, handoff) = (&self.shared.room, &self.shared.handoff);
        let is_short =
            room.is_short() && handoff.slots.is_full() && (handoff.has_requests() || is_asked());
        if !self.shortage.look(is_short, now_ms) {
            return;
        }
        let left = self.slab.iter().filter_map(|(token, connection)| {
            let outlet = connection.link.try_outlet()?;
            let waiting = outlet.outgoing.waiting();
            let age_ms = now_ms.saturating_sub(connection.lent.begun_us / 1000);
            let left_ms =
                u128::from(waiting) * u128::from(age_ms) / u128::from(outlet.handed.max(1));
            outlet.outgoing.takes_room().then_some((left_ms, token))
        });
        if let Some((_, token)) = left.max() {
            let why = "too much waits for slow clients, and its client is the slowest";
            self.give_up_response(token, GivenUp::Slowest, why);
        }
    }

    /// Gives up a response that has begun, and logs it.
    pub(crate) fn give_up_response(&mut self, token: usize, kind: GivenUp, why: &str) {
        let Some(connection) = self.slab.get(token) else { return };
        let Lost { label, sent, account } = connection.stream.give_up();
        let ((name, facts), peer) = (name_and_facts(label.as_ref()), connection.link.peer());
        let line =
            format_args!("gave up the response to {name} for {peer} after {sent} bytes: {why}");
        self.shared.give_up(kind, facts, line);
        account_for(&self.shared, account, Some(sent));
        self.break_off(token);
    }

    /// A response cannot be written any further.
    pub(crate) fn fail_response(&mut self, token: usize, failure: Failure) {
        match failure {
            Failure::File(why) => self.give_up_response(token, GivenUp::Unreadable, &why),
            Failure::Client(_) => self.break_off(token),
        }
    }

    /// Breaks a connection in a way that its client takes for a failure, also while
    /// other processes have copies of the descriptor.
    pub(crate) fn break_off(&mut self, token: usize) {
        let Some(connection) = self.slab.get(token) else { return };
        let Lost { sent, account, .. } = connection.stream.give_up();
        account_for(&self.shared, account, Some(sent));
        connection.link.reset();
        self.close(token);
    }

    /// Gives up what has not been sent, and closes what has no request: the worker ends. A
    /// client that sends slowly, or nothing, would keep it until the master kills it.
    pub(crate) fn give_up_unfinished(&mut self) {
        for token in self.tokens() {
            let Some(connection) = self.slab.get_mut(token) else { continue };
            connection.notice_return();
            if connection.is_taken_over() {
                // The application reads the end, and can still send one.
                connection.link.socket.end_reading();
                continue;
            }
            let is_unfinished = match connection.phase {
                Phase::Opening(_) => {
                    self.give_up_opening(token, "the worker ends");
                    // There is no time to read what the client still sends.
                    self.close(token);
                    continue;
                }
                Phase::Idle { .. } | Phase::Arriving | Phase::Lingering { .. } => {
                    self.close(token);
                    continue;
                }
                Phase::Lent if connection.stream.claim.has_begun() => true,
                Phase::Carrying if !connection.streams.is_empty() => true,
                Phase::Carrying | Phase::Lent | Phase::Writing(_) => {
                    !connection.link.outlet().outgoing.is_empty()
                }
                Phase::Deciding { .. } => false,
            };
            if is_unfinished {
                connection.name_unfinished(&self.shared);
                self.give_up_response(token, GivenUp::Unfinished, "the worker ends");
            }
        }
    }
}

impl Connection {
    /// The file of a response cannot be sent to its end. The application side, which
    /// has the connection, gets the error by itself.
    pub(super) fn log_unreadable(&self, shared: &Shared, why: &str) {
        let tail = self.stream.tail();
        let (name, facts) = name_and_facts(tail.label.as_ref());
        let peer = self.link.peer();
        let line = format_args!("gave up the response to {name} for {peer}: {why}");
        shared.give_up(GivenUp::Unreadable, facts, line);
    }

    /// Writes the access log's line for a response that has been sent completely.
    pub(super) fn settle_account(&self, shared: &Shared) {
        account_for(shared, self.stream.settle_account(), None);
    }

    /// A request that the application still runs has the same identifier as on the
    /// scoreboard.
    fn name_unfinished(&self, shared: &Shared) {
        let mut tail = self.stream.tail();
        if tail.label.is_none() && matches!(self.phase, Phase::Lent) {
            let number = self.lent.number;
            let mut running = shared.board.running().into_iter();
            let found = running.find(|it| it.number == number);
            tail.label = found.map(|it| RequestLabel::of_running(&it, &self.lent.head));
        }
    }
}

/// The name of a request in a log line, and what else its record has, as far as they are known.
fn name_and_facts(label: Option<&RequestLabel>) -> (&dyn fmt::Display, Option<RequestFacts<'_>>) {
    match label {
        Some(label) => (label, Some(label.facts())),
        None => (&"a request", None),
    }
}

/// Writes the access log's line for a response of which the kernel has sent `sent`
/// bytes, or all.
fn account_for(shared: &Shared, account: Option<Account>, sent: Option<u64>) {
    if let (Some(account), Some(access)) = (account, &shared.access) {
        let body = sent.map_or(account.body, |sent| account.body_in(sent));
        access.add_draft(account.draft, body);
    }
}
