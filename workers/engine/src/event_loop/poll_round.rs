//! Until which time the loop has read what clients have sent. Deadlines are compared
//! with that time and not with the clock, so that no client pays for a time in which
//! this process did not run. Pure.

/// How much of the events the turns of the loop have handled.
#[derive(Debug, Default)]
pub(crate) struct PollRound {
    read_ms: u64,
    /// When the current round began.
    begun_ms: u64,
    /// Turns that it still takes at most; 0 between rounds.
    turns: usize,
}

impl PollRound {
    /// Notes a turn that began to ask for events at `begun_ms`, with so many `sources`,
    /// and got so many `events` of at most `most`. When it got `most`, more may have
    /// waited: `epoll_wait(2)` reports ready descriptors in turn, so after `sources /
    /// most + 1` turns each of them has been reported at least once.
    pub(crate) fn note(&mut self, begun_ms: u64, sources: usize, events: usize, most: usize) {
        if self.turns == 0 {
            (self.begun_ms, self.turns) = (begun_ms, sources / most + 1);
        }
        self.turns -= 1;
        if events < most {
            (self.read_ms, self.turns) = (begun_ms, 0);
        } else if self.turns == 0 {
            self.read_ms = self.begun_ms;
        }
    }

    /// Whatever had arrived by this time, in milliseconds of the monotonic clock, has
    /// been read.
    pub(crate) fn until_ms(&self) -> u64 {
        self.read_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_with_fewer_events_than_it_takes_has_read_everything() {
        let mut round = PollRound::default();
        round.note(10, 100, 3, 4);
        assert_eq!(round.until_ms(), 10);
        round.note(20, 100, 4, 4);
        round.note(30, 100, 0, 4);
        assert_eq!(round.until_ms(), 30);
    }

    #[test]
    fn endless_events_are_read_in_rounds() {
        let mut round = PollRound::default();
        for turn in 0..3 {
            round.note(10 + turn, 9, 4, 4);
        }
        assert_eq!(round.until_ms(), 10, "all nine were reported, four at a time");
        for turn in 0..3 {
            assert_eq!(round.until_ms(), 10);
            round.note(20 + turn, 9, 4, 4);
        }
        assert_eq!(round.until_ms(), 20);
    }

    #[test]
    fn a_round_is_as_long_as_there_were_sources_when_it_began() {
        let mut round = PollRound::default();
        // Each turn closes the connections that it has read.
        round.note(10, 9, 4, 4);
        round.note(11, 5, 4, 4);
        assert_eq!(round.until_ms(), 0, "one of the nine was not reported");
        round.note(12, 1, 1, 4);
        assert_eq!(round.until_ms(), 12);
    }
}
