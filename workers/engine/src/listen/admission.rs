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
                + self.count_expected(),
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

    fn count_expected(&mut self) -> usize {
        let connections = &self.connections;
        self.expected.count(clock::monotonic_us, |token| {
            let connection = connections.get(token);
            connection.is_some_and(|it| matches!(it.phase, Phase::Idle { used: false }))
        })
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
        if self.pause.begin(clock::monotonic_ms()) {
            log::error!("cannot accept connections: {}; trying again", reason(error));
        }
    }

    /// Whether there is anything to accept from.
    pub(crate) fn accepts(&mut self) -> bool {
        !self.pause.goes_on(clock::monotonic_ms) && !self.gate.listeners.is_empty()
    }
}
