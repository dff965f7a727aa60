//! The row of one listener: its connections. Written by the worker's loop.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use serde::{Deserialize, Serialize};

use super::sole_writer::add;

const ACCEPTED: usize = 0;
const IDLE: usize = 1;
const ACTIVE: usize = 2;
const OPENING: usize = 3;

/// How many words these are: a cache line.
pub(super) const WORDS: usize = 8;

/// Open connections by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionCounts {
    /// They wait for a request.
    pub idle: u64,
    /// A request or its response is under way.
    pub active: u64,
    /// A handshake, or a header of the PROXY protocol, is under way.
    pub opening: u64,
}

impl ConnectionCounts {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.idle.saturating_add(self.active).saturating_add(self.opening)
    }

    /// Adds those of another worker.
    pub fn add(&mut self, other: Self) {
        self.idle = self.idle.saturating_add(other.idle);
        self.active = self.active.saturating_add(other.active);
        self.opening = self.opening.saturating_add(other.opening);
    }
}

/// The connections of a listener in one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerCounts {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Those that are open, as of a moment ago.
    pub open: ConnectionCounts,
}

/// A view of the words.
pub(super) struct ListenerRow<'a>(pub(super) &'a [AtomicU64; WORDS]);

impl ListenerRow<'_> {
    pub(super) fn count_accepted(&self) {
        add(&self.0[ACCEPTED], 1);
    }

    pub(super) fn show_open(&self, open: ConnectionCounts) {
        self.0[IDLE].store(open.idle, Relaxed);
        self.0[ACTIVE].store(open.active, Relaxed);
        self.0[OPENING].store(open.opening, Relaxed);
    }

    pub(super) fn read(&self) -> ListenerCounts {
        let word = |word: usize| self.0[word].load(Relaxed);
        let open =
            ConnectionCounts { idle: word(IDLE), active: word(ACTIVE), opening: word(OPENING) };
        ListenerCounts { accepted: word(ACCEPTED), open }
    }
}
