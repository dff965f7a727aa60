//! Whether there are too many connections, and for how long clients are asked to close theirs.
//! Owned by the table of connections. Pure.

/// How long clients are told to close their connections after one was told, or
/// there were too many, in milliseconds.
const TOLD_MS: u64 = 30_000;

/// The places that are to be free then: one in so many, and so many at most.
const RESERVE_SHARE: usize = 10;
const RESERVE_MOST: usize = 100;

/// What is known of there being too many connections.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    /// How many there were when that was too many.
    count: usize,
    /// How long clients are told, in milliseconds of the rising clock.
    until_ms: u64,
    /// When a connection last ended, but for those closed to make room.
    pub(crate) freed_ms: u64,
    /// When it was last looked whether one could be closed, and what was found.
    pub(super) looked_ms: u64,
    pub(super) has_found: bool,
}

impl Pressure {
    /// There are too many, or as many as there may be.
    pub(crate) fn note(&mut self, count: usize, now_ms: u64) {
        self.count = count;
        self.until_ms = now_ms + TOLD_MS;
    }

    /// Whether the client of one of `count` connections is told that its
    /// connection ends with the next response.
    pub(crate) fn tells(&mut self, count: usize, now_ms: u64) -> bool {
        let reserve = self.count.div_ceil(RESERVE_SHARE).min(RESERVE_MOST);
        let tells = now_ms < self.until_ms && count + reserve > self.count;
        if tells {
            self.until_ms = now_ms + TOLD_MS;
        }
        tells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_only_while_there_are_too_many_and_until_some_places_are_free() {
        let mut pressure = Pressure::default();
        assert!(!pressure.tells(1000, 0));
        pressure.note(1000, 10);
        assert!(pressure.tells(1000, 11) && pressure.tells(901, 12) && !pressure.tells(900, 13));
        assert!(pressure.tells(901, 11 + TOLD_MS), "there are still as many");
        assert!(!pressure.tells(1000, 11 + 2 * TOLD_MS));
        pressure.note(10, 20);
        assert!(pressure.tells(10, 21) && !pressure.tells(9, 21));
    }
}
