//! Whether and when the I/O thread takes connections: what it counts, and what
//! follows.

use std::io;

use monoceros_sys::{clock, reason};

use crate::connection::Phase;
use crate::event_loop::EventLoop;
use crate::listen::gate::{Listener, Load};

/// Requests that a worker alone reads ahead while its application is quick:
/// no other worker could serve them, and a batch costs less than each alone.
const AHEAD: usize = 32;

/// How long the gate stays shut when no connection can be accepted for lack of
/// descriptors or memory, in milliseconds.
const PAUSE_MS: u64 = 250;

/// How long the log is spared the same complaint, in milliseconds.
const COMPLAIN_MS: u64 = 60_000;

/// How long a connection that cannot be held back by the kernel counts as a
/// request that is about to come, in microseconds.
pub(crate) const FRESH_US: u64 = 2_000;

/// How often a full worker looks for connections while requests end, in
/// microseconds.
const LOOK_US: u64 = 2_000;

impl EventLoop {
    /// What the gate's decision depends on.
    pub(crate) fn load(&mut self) -> Load {
        let limit = self.shared.options.connections;
        Load {
            requests: self.shared.handoff.in_flight() as usize
                + self.jobs.len()
                + self.count_fresh(),
            capacity: usize::from(self.shared.options.threads)
                + self.ahead()
                + self.shared.options.reserve,
            connections: self.connections.len(),
            limit,
            has_idle: self.connections.len() >= limit && self.can_make_room(),
        }
    }

    /// Requests that are read although every thread has one.
    fn ahead(&self) -> usize {
        if !self.shared.is_shared() && self.shared.handoff.is_quick() { AHEAD } else { 0 }
    }

    /// Counts a connection as a request that is about to come.
    pub(crate) fn expect_request(&mut self, token: usize) {
        self.fresh.push((token, clock::monotonic_us() + FRESH_US));
    }

    /// Whether a connection's first request is expected now.
    pub(crate) fn is_fresh(&self, token: usize) -> bool {
        let mut fresh = self.fresh.iter().filter(|(other, _)| *other == token);
        fresh.any(|(_, until_us)| *until_us > clock::monotonic_us())
    }

    fn count_fresh(&mut self) -> usize {
        if self.fresh.is_empty() {
            return 0;
        }
        let now_us = clock::monotonic_us();
        let connections = &self.connections;
        self.fresh.retain(|(token, until_us)| {
            let connection = connections.get(*token);
            *until_us > now_us
                && connection.is_some_and(|it| matches!(it.phase, Phase::Idle { used: false }))
        });
        self.fresh.len()
    }

    /// Takes connections although every thread has a request, or as many as are
    /// read ahead: as many as requests are over since the last time. They join
    /// those who wait in the order of arrival.
    pub(crate) fn admit_in_turn(&mut self) {
        if self.gate.is_open() || !self.accepts() || !self.load().has_room() {
            self.turns.rest();
            self.shared.handoff.watch_ends(None);
            return;
        }
        let finished = self.shared.handoff.finished();
        let now_us = clock::monotonic_us();
        let due = self.turns.due(finished, self.shared.options.threads.into());
        let share = if due > 0 { self.share(now_us) } else { 0 };
        if share > 0 {
            self.turns.settle(finished);
            self.take_waiting(due.min(share));
        }
        self.shared.handoff.watch_ends(Some(now_us + LOOK_US));
    }

    /// How many of the connections that wait are this worker's: all of them if it
    /// is alone, else an equal part of those that no other worker takes.
    fn share(&mut self, now_us: u64) -> u32 {
        if !self.shared.is_shared() {
            return u32::MAX;
        }
        let crowd = self.gate.listeners.iter().map(Listener::crowd).sum::<u32>();
        let is_crowded = self.turns.is_crowded(crowd > 0, now_us);
        if is_crowded { crowd.div_ceil(self.shared.workers().into()) } else { 0 }
    }

    /// Takes so many connections, one from each listener after the other. A worker
    /// that shares them takes none that is behind its own requests: another worker
    /// may come to it earlier.
    fn take_waiting(&mut self, mut due: u32) {
        let mut is_empty = false;
        while due > 0 && !is_empty {
            is_empty = true;
            for index in (0..self.gate.listeners.len()).rev() {
                if due > 0 && self.is_turn_of_waiting() && self.accept_one(index, true) {
                    due -= 1;
                    is_empty = false;
                }
            }
        }
    }

    fn is_turn_of_waiting(&self) -> bool {
        !self.shared.is_shared() || self.turns.may_be_first(self.shared.handoff.first_us())
    }

    /// Stops accepting for a moment: descriptors or memory are short.
    pub(crate) fn pause(&mut self, error: &io::Error) {
        let now_ms = clock::monotonic_ms();
        if now_ms >= self.complain_at_ms {
            log::error!("cannot accept connections: {}; trying again", reason(error));
            self.complain_at_ms = now_ms + COMPLAIN_MS;
        }
        self.paused_until_ms = now_ms + PAUSE_MS;
    }

    /// Whether there is anything to accept from.
    pub(crate) fn accepts(&mut self) -> bool {
        if self.paused_until_ms > 0 && clock::monotonic_ms() >= self.paused_until_ms {
            self.paused_until_ms = 0;
        }
        self.paused_until_ms == 0 && !self.gate.listeners.is_empty()
    }
}
