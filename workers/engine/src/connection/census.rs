//! What the scoreboard shows of all connections: how many are open by listener and state, and the
//! bytes that have passed. It is counted a few times a second and when a connection ends, so that
//! a request costs nothing here.

use monoceros_wire::scoreboard::{ConnectionCounts, Scoreboard};

use crate::connection::{Connection, Phase};
use crate::transport::socket::Traffic;

/// What is counted of all connections.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// The open connections of each listener, by its position.
    open: Vec<ConnectionCounts>,
}

impl Census {
    /// Writes how many of these connections are open, and counts the bytes that have passed.
    pub(crate) fn show<'a>(
        &mut self,
        connections: impl Iterator<Item = &'a mut Connection>,
        board: &Scoreboard,
    ) {
        self.open.fill(ConnectionCounts::default());
        let mut passed = Traffic::default();
        for connection in connections {
            let listener = connection.link.listener;
            if listener >= self.open.len() {
                self.open.resize(listener + 1, ConnectionCounts::default());
            }
            connection.count_in(&mut self.open[listener]);
            let more = connection.take_traffic();
            passed.received += more.received;
            passed.sent += more.sent;
        }
        for (listener, open) in self.open.iter().enumerate() {
            board.show_open(listener, *open);
        }
        board.count_traffic(passed.received, passed.sent);
    }
}

impl Connection {
    fn count_in(&self, counts: &mut ConnectionCounts) {
        let state = match self.phase {
            Phase::Opening(_) => &mut counts.opening,
            Phase::Idle { .. } => &mut counts.idle,
            Phase::Carrying if self.streams.is_empty() => &mut counts.idle,
            Phase::Arriving
            | Phase::Deciding { .. }
            | Phase::Carrying
            | Phase::Lent
            | Phase::Writing(_)
            | Phase::Lingering { .. } => &mut counts.active,
        };
        *state += 1;
    }

    /// The bytes that have passed since the last call.
    fn take_traffic(&mut self) -> Traffic {
        let now = self.link.socket.traffic();
        let before = std::mem::replace(&mut self.traffic, now);
        Traffic {
            received: now.received.wrapping_sub(before.received),
            sent: now.sent.wrapping_sub(before.sent),
        }
    }

    /// Counts the last bytes of a connection that is closed.
    pub(super) fn count_last_bytes(&mut self, board: &Scoreboard) {
        let Traffic { received, sent } = self.take_traffic();
        board.count_traffic(received, sent);
    }
}
