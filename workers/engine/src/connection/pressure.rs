//! Whether there are too many connections, and for how long clients are asked to close theirs.
//! Owned by the table of connections. Pure.

/// How long responses have `Connection: close` after the first one, or after there were
/// too many connections, in milliseconds.
const CLOSE_MS: u64 = 30_000;

/// The places that must be free before `Connection: close` ends: this share of them,
/// and at most so many.
const RESERVE_SHARE: usize = 10;
const RESERVE_MOST: usize = 100;

/// The state of having too many connections.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    /// How many connections there were when they were too many.
    count: usize,
    /// Until when responses have `Connection: close`, in milliseconds of the monotonic
    /// clock.
    until_ms: u64,
    /// When a connection last ended that was not closed to make room.
    pub(crate) freed_ms: u64,
    /// When connections were last searched for one to close, and whether there was one.
    pub(super) looked_ms: u64,
    pub(super) has_found: bool,
}

impl Pressure {
    /// Notes that there are too many connections, or as many as the limit allows.
    pub(crate) fn note(&mut self, count: usize, now_ms: u64) {
        self.count = count;
        self.until_ms = now_ms + CLOSE_MS;
    }

    /// Whether the next response to the client of one of `count` connections has
    /// `Connection: close`.
    pub(crate) fn closes(&mut self, count: usize, now_ms: u64) -> bool {
        let reserve = self.count.div_ceil(RESERVE_SHARE).min(RESERVE_MOST);
        let closes = now_ms < self.until_ms && count + reserve > self.count;
        if closes {
            self.until_ms = now_ms + CLOSE_MS;
        }
        closes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_end_connections_only_while_there_are_too_many_and_until_some_places_are_free() {
        let mut pressure = Pressure::default();
        assert!(!pressure.closes(1000, 0));
        pressure.note(1000, 10);
        assert!(pressure.closes(1000, 11) && pressure.closes(901, 12) && !pressure.closes(900, 13));
        assert!(pressure.closes(901, 11 + CLOSE_MS), "there are still as many");
        assert!(!pressure.closes(1000, 11 + 2 * CLOSE_MS));
        pressure.note(10, 20);
        assert!(pressure.closes(10, 21) && !pressure.closes(9, 21));
    }
}
