//! Which connection is closed to make room for a new one, when the limit of connections
//! is reached or no descriptor is left.
//!
//! A client whose connection is closed loses the request that it is about to send. So
//! clients get a warning first: while there are too many connections, responses have
//! `Connection: close`, until a part of the places is free. Only a connection that is
//! idle for a while is closed without warning.

use monoceros_http::Reject;
use monoceros_sys::clock;
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::table::Connections;
use crate::connection::{Connection, Phase};
use crate::protocol::http1::ArrivalStage;

/// How long a connection has been idle at least when it is closed to make room, in
/// milliseconds.
const IDLE_MS: u64 = 2_000;

/// As above, while connections end by themselves.
const LONG_IDLE_MS: u64 = 10_000;

/// How long after a place became free another one is expected to; in milliseconds.
const FREEING_MS: u64 = 100;

/// As [`IDLE_MS`], for how long a client has been sending a request.
const PART_MS: u64 = 1_000;

/// As above, for a connection whose response has been sent, and which is only read to
/// its end.
const LINGER_MS: u64 = 250;

/// For how long a client reads its response, at least, before its connection is
/// closed to make room, in milliseconds.
const SLOW_MS: u64 = 10_000;

/// How long the result of a search for a connection to close is valid, in milliseconds.
const LOOK_MS: u64 = 10;

/// A part of a request has arrived and is discarded.
const DISPLACED: Reject = Reject { status: 503, reason: "it had to make room for others" };

/// Which connections may be closed to make room.
#[derive(Clone, Copy, Debug)]
struct Choice {
    /// Connections that have been idle for so long, in milliseconds.
    idle_ms: u64,
    /// Also connections that are not idle.
    all: bool,
}

impl Choice {
    /// No descriptor is left.
    const URGENT: Self = Self { idle_ms: 0, all: true };

    /// The limit of connections is reached; the last one ended at `freed_ms`.
    fn at(now_ms: u64, freed_ms: u64) -> Self {
        let is_freeing = now_ms.saturating_sub(freed_ms) < FREEING_MS;
        Self { idle_ms: if is_freeing { LONG_IDLE_MS } else { IDLE_MS }, all: !is_freeing }
    }
}

/// The order in which connections are closed: idle ones first, then those with a part
/// of a head, those that send a body, those that read their response. Of idle
/// connections the one that is idle for longest is first, of bodies the one with the
/// least progress, of responses the one that would be read last. `None` for a
/// connection that must not be closed.
fn rank(connection: &Connection, now_ms: u64, idle_ms: u64) -> Option<(u8, u64)> {
    let since_ms = connection.since_ms;
    let is_for = |since_ms: u64, least_ms: u64| now_ms.saturating_sub(since_ms) >= least_ms;
    match &connection.phase {
        Phase::Lingering { .. } => is_for(since_ms, LINGER_MS).then_some((0, since_ms)),
        // A request has arrived that was not read.
        Phase::Idle { .. } if connection.http1.has_input() => None,
        Phase::Opening(_) | Phase::Idle { .. } => {
            is_for(since_ms, idle_ms).then_some((0, since_ms))
        }
        Phase::Arriving => match connection.arrival()? {
            ArrivalStage::Discarding => is_for(since_ms, idle_ms).then_some((0, since_ms)),
            ArrivalStage::Blank => is_for(since_ms, PART_MS).then_some((0, since_ms)),
            ArrivalStage::Head => is_for(since_ms, PART_MS).then_some((1, since_ms)),
            ArrivalStage::Body(progress) => {
                is_for(since_ms, PART_MS).then_some((2, progress.bytes))
            }
        },
        // Its request is complete.
        Phase::Deciding { .. } => None,
        Phase::Carrying if !connection.is_at_rest() => None,
        Phase::Carrying => is_for(since_ms, idle_ms).then_some((0, since_ms)),
        Phase::Lent if connection.stream.end.is_over() => {
            let since_ms = connection.stream.finished_ms();
            is_for(since_ms, idle_ms).then_some((0, since_ms))
        }
        Phase::Lent | Phase::Writing(_) => {
            let age_ms = now_ms.saturating_sub(connection.lent.begun_us / 1_000);
            if age_ms < SLOW_MS {
                return None;
            }
            let outlet = connection.link.try_outlet()?;
            let waiting = outlet.outgoing.waiting();
            let left_ms = waiting.saturating_mul(age_ms) / outlet.handed.max(1);
            (waiting > 0).then_some((3, u64::MAX - left_ms))
        }
    }
}

impl Connections {
    /// Makes room where the limit of connections is reached. Returns whether there is
    /// some.
    pub(crate) fn make_room(&mut self) -> bool {
        let choice = Choice::at(clock::monotonic_ms(), self.pressure.freed_ms);
        let is_found = self.displace(choice, false);
        self.pressure.has_found &= is_found;
        is_found
    }

    /// Makes room where no descriptor is left, and one is needed now. Returns whether
    /// there is some.
    pub(crate) fn free_descriptor(&mut self) -> bool {
        self.note_pressure();
        self.displace(Choice::URGENT, true)
    }

    /// Notes that the limit of connections is reached.
    pub(super) fn note_pressure(&mut self) {
        self.pressure.note(self.slab.len(), clock::monotonic_ms());
    }

    /// Whether a connection could be closed to make room.
    pub(crate) fn can_make_room(&mut self) -> bool {
        let now_ms = clock::monotonic_ms();
        if now_ms.saturating_sub(self.pressure.looked_ms) >= LOOK_MS {
            self.pressure.looked_ms = now_ms;
            let choice = Choice::at(now_ms, self.pressure.freed_ms);
            self.pressure.has_found = self.least_missed(choice).is_some();
        }
        self.pressure.has_found
    }

    /// Closes the connection that comes first in the order. Returns whether there was
    /// one.
    fn displace(&mut self, choice: Choice, is_urgent: bool) -> bool {
        while let Some(token) = self.least_missed(choice) {
            if !self.has_request(token) {
                let freed_ms = self.pressure.freed_ms;
                self.displace_one(token, is_urgent);
                self.pressure.freed_ms = freed_ms;
                return true;
            }
            self.read(token, false);
            if !self.slab.contains(token) {
                return true;
            }
        }
        false
    }

    fn displace_one(&mut self, token: usize, is_urgent: bool) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        match connection.phase {
            Phase::Lingering { .. } => self.close(token),
            Phase::Lent | Phase::Writing(_) => {
                let why = "its client is the slowest, and there are too many connections";
                self.give_up_response(token, GivenUp::Displaced, why);
            }
            Phase::Arriving if is_part_of_request(connection) => {
                let request = connection.take_request();
                self.refuse(token, GivenUp::Displaced, DISPLACED, request);
                // What the client still sends would be read to its end; but the
                // response is on its way.
                if is_urgent {
                    self.close(token);
                }
            }
            Phase::Opening(_)
            | Phase::Idle { .. }
            | Phase::Arriving
            | Phase::Deciding { .. }
            | Phase::Carrying => {
                let peer = connection.link.peer();
                let line = format_args!("closed {peer}, which was idle, to make room for others");
                self.shared.give_up(GivenUp::Displaced, None, line);
                self.close(token);
            }
        }
    }

    /// Whether a connection that seems idle has sent a request that was not read yet.
    fn has_request(&mut self, token: usize) -> bool {
        let Some(connection) = self.slab.get_mut(token) else { return false };
        connection.notice_return();
        matches!(connection.phase, Phase::Idle { .. }) && connection.link.socket.has_arrived()
    }

    /// The connection to be closed first: none with a complete request that has no
    /// response yet, or with a request that is about to arrive.
    fn least_missed(&self, choice: Choice) -> Option<usize> {
        let now_ms = clock::monotonic_ms();
        let ranked = self.slab.iter().filter_map(|(token, connection)| {
            let is_new =
                matches!(connection.phase, Phase::Idle { used: false } | Phase::Opening(_));
            let rank = rank(connection, now_ms, choice.idle_ms)?;
            let is_chosen = choice.all || rank.0 == 0;
            (is_chosen && !(is_new && self.expected.contains(token, clock::monotonic_us())))
                .then_some((rank, token))
        });
        ranked.min().map(|(_, token)| token)
    }
}

fn is_part_of_request(connection: &Connection) -> bool {
    matches!(connection.arrival(), Some(ArrivalStage::Head | ArrivalStage::Body(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::shared::test_pair;
    use crate::connection::test_feed;
    use crate::test_options::options;
    use std::sync::Arc;

    fn connection(bytes: &[u8]) -> Connection {
        let (link, _) = test_pair();
        let mut connection = Connection::new(Arc::new(link), false, 0);
        test_feed(&mut connection, bytes, options().longest_body);
        connection
    }

    fn after(connection: &Connection, passed_ms: u64) -> Option<u8> {
        rank(connection, connection.since_ms + passed_ms, IDLE_MS).map(|(rank, _)| rank)
    }

    #[test]
    fn idle_connections_are_closed_before_those_with_a_part_of_a_request() {
        let head = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n";
        let cases = [
            (&b""[..], IDLE_MS, 0),
            (b"\r\n", PART_MS, 0),
            (b"GET /", PART_MS, 1),
            (head, PART_MS, 2),
        ];
        for (bytes, least_ms, expected) in cases {
            let connection = connection(bytes);
            assert_eq!(after(&connection, least_ms - 1), None);
            assert_eq!(after(&connection, least_ms), Some(expected), "{bytes:?}");
        }
        let mut lingering = connection(b"");
        lingering.enter(Phase::Lingering { received_ms: 0 });
        assert_eq!(after(&lingering, LINGER_MS), Some(0));
    }

    #[test]
    fn while_places_get_free_only_long_idle_connections_are_closed() {
        let choice = Choice::at(FREEING_MS - 1, 0);
        assert!(!choice.all && choice.idle_ms == LONG_IDLE_MS);
        let choice = Choice::at(FREEING_MS, 0);
        assert!(choice.all && choice.idle_ms == IDLE_MS);
    }

    #[test]
    fn of_two_idle_connections_the_one_that_is_idle_for_longer_is_closed_first() {
        let (mut one, mut two) = (connection(b""), connection(b""));
        (one.since_ms, two.since_ms) = (5, 4);
        assert!(rank(&two, 5, 0) < rank(&one, 5, 0));
        assert!(rank(&one, 5, 0).is_some() && rank(&one, 5, 1).is_none());
    }
}
