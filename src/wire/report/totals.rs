//! What a server counts. The figures never become smaller while the server lives: the master
//! adds the scoreboard of each worker that ends, and passes the sums to its successor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scoreboard::{GivenUp, Histogram, Scoreboard};

/// The sums of what a server has counted. A name that has not occurred is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Responses by status; an unregistered status counts in its class, such as `4xx`. A request
    /// that got no response counts as `none`.
    pub requests: BTreeMap<String, u64>,
    /// How long the application took for its requests.
    pub duration: Histogram,
    /// How long requests waited for the application, from their arrival on.
    pub queue: Histogram,
    /// Bytes that were received from clients, as they were on the connection.
    pub received: u64,
    /// Bytes that were sent to clients, as they were on the connection.
    pub sent: u64,
    /// What was given up by the server's own decision, by [`GivenUp::name`].
    pub refused: BTreeMap<String, u64>,
    /// Connections that were accepted.
    pub connections: u64,
    /// The same by the address of the listener.
    pub accepted: BTreeMap<String, u64>,
    /// TLS handshakes: `full`, `resumed`, `failed`.
    pub handshakes: BTreeMap<String, u64>,
    /// Responses from static files: `sent`, `not-modified`, `not-found`, `refused`.
    pub static_files: BTreeMap<String, u64>,
    /// Requests that took longer than `timeout`.
    pub timeouts: u64,
    /// Workers that were started.
    pub spawns: u64,
    /// Workers that have ended, by reason.
    pub exits: BTreeMap<String, u64>,
    /// Reloads that are over: `done`, `failed`, `superseded`.
    pub reloads: BTreeMap<String, u64>,
    /// How long they took together.
    pub reload_seconds: f64,
    /// Upgrades that are over: `done`, `failed`.
    pub upgrades: BTreeMap<String, u64>,
    /// How long they took together.
    pub upgrade_seconds: f64,
    /// Workers that became ready.
    pub boots: u64,
    /// How long that took them together.
    pub boot_seconds: f64,
}

impl Totals {
    /// What the scoreboard of a worker shows. `listeners` are the addresses of its listeners, in
    /// the order in which the worker was given them.
    #[must_use]
    pub fn of_board(board: &Scoreboard, listeners: &[String]) -> Self {
        let mut totals = Self::default();
        totals.add_board(board, listeners);
        totals
    }

    /// Adds what the scoreboard of a worker shows.
    pub fn add_board(&mut self, board: &Scoreboard, listeners: &[String]) {
        let kinds = GivenUp::ALL.iter().zip(board.losses());
        for (kind, count) in kinds {
            count_more(&mut self.refused, kind.name(), count);
            if *kind == GivenUp::Handshake {
                count_more(&mut self.handshakes, "failed", count);
            }
        }
        let counters = board.counters();
        for (status, count) in counters.statuses.named() {
            count_more(&mut self.requests, &status, count);
        }
        for (result, count) in counters.static_results() {
            count_more(&mut self.static_files, result.name(), count);
        }
        count_more(&mut self.handshakes, "full", counters.full_handshakes);
        count_more(&mut self.handshakes, "resumed", counters.resumed_handshakes);
        for (listener, counts) in board.listeners().iter().enumerate() {
            self.connections = self.connections.saturating_add(counts.accepted);
            if let Some(address) = listeners.get(listener) {
                count_more(&mut self.accepted, address, counts.accepted);
            }
        }
        self.received = self.received.saturating_add(counters.received);
        self.sent = self.sent.saturating_add(counters.sent);
        self.timeouts = self.timeouts.saturating_add(counters.timeouts);
        self.duration.add(&board.latency());
        self.queue.add(&board.queue_time());
    }

    /// Adds other sums.
    pub fn add(&mut self, other: &Self) {
        let maps = [
            (&mut self.requests, &other.requests),
            (&mut self.refused, &other.refused),
            (&mut self.accepted, &other.accepted),
            (&mut self.handshakes, &other.handshakes),
            (&mut self.static_files, &other.static_files),
            (&mut self.exits, &other.exits),
            (&mut self.reloads, &other.reloads),
            (&mut self.upgrades, &other.upgrades),
        ];
        for (sums, more) in maps {
            more.iter().for_each(|(name, count)| count_more(sums, name, *count));
        }
        let numbers = [
            (&mut self.received, other.received),
            (&mut self.sent, other.sent),
            (&mut self.connections, other.connections),
            (&mut self.timeouts, other.timeouts),
            (&mut self.spawns, other.spawns),
            (&mut self.boots, other.boots),
        ];
        numbers.into_iter().for_each(|(sum, more)| *sum = sum.saturating_add(more));
        self.duration.add(&other.duration);
        self.queue.add(&other.queue);
        self.reload_seconds += other.reload_seconds;
        self.upgrade_seconds += other.upgrade_seconds;
        self.boot_seconds += other.boot_seconds;
    }
}

/// Adds to the count of a name, which is in the map only if it has occurred.
fn count_more(counts: &mut BTreeMap<String, u64>, name: &str, more: u64) {
    if more == 0 {
        return;
    }
    match counts.get_mut(name) {
        Some(count) => *count = count.saturating_add(more),
        None => drop(counts.insert(name.to_owned(), more)),
    }
}
