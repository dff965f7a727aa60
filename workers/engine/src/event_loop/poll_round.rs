//! Up to when the loop has heard what clients have sent. Deadlines are judged by
//! that, so that no client pays for a time in which this process did not run.
//! Pure.

/// What the turns of the loop have heard.
#[derive(Debug, Default)]
pub(crate) struct PollRound {
    heard_ms: u64,
    /// When the round at hand began.
    begun_ms: u64,
    /// Turns that it takes at most; 0 between rounds.
    turns: usize,
}

impl PollRound {
    /// Notes a turn that began to ask for events at `begun_ms`, of so many
    /// `sources` as there were then, and got so many of `most`. When it got as
    /// many as it takes, more may have waited: `epoll_wait(2)` takes ready
    /// descriptors in turn, so after `sources / most + 1` turns each of them has been
    /// reported at least once.
    pub(crate) fn note(&mut self, begun_ms: u64, sources: usize, events: usize, most: usize) {
        if self.turns == 0 {
            (self.begun_ms, self.turns) = (begun_ms, sources / most + 1);
        }
        self.turns -= 1;
        if events < most {
            (self.heard_ms, self.turns) = (begun_ms, 0);
        } else if self.turns == 0 {
            self.heard_ms = self.begun_ms;
        }
    }

    /// Whatever had come by this time, in milliseconds of the rising clock, has
    /// been heard.
    pub(crate) fn until_ms(&self) -> u64 {
        self.heard_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_get_as_much_as_it_takes_has_heard_everything() {
        let mut hearing = PollRound::default();
        hearing.note(10, 100, 3, 4);
        assert_eq!(hearing.until_ms(), 10);
        hearing.note(20, 100, 4, 4);
        hearing.note(30, 100, 0, 4);
        assert_eq!(hearing.until_ms(), 30);
    }

    #[test]
    fn a_crowd_that_never_stops_is_heard_in_rounds() {
        let mut hearing = PollRound::default();
        for turn in 0..3 {
            hearing.note(10 + turn, 9, 4, 4);
        }
        assert_eq!(hearing.until_ms(), 10, "nine have been told of, four at a time");
        for turn in 0..3 {
            assert_eq!(hearing.until_ms(), 10);
            hearing.note(20 + turn, 9, 4, 4);
        }
        assert_eq!(hearing.until_ms(), 20);
    }

    #[test]
    fn a_round_is_as_long_as_there_were_sources_when_it_began() {
        let mut hearing = PollRound::default();
        // Each turn closes those that it has heard.
        hearing.note(10, 9, 4, 4);
        hearing.note(11, 5, 4, 4);
        assert_eq!(hearing.until_ms(), 0, "one of the nine has not been told of");
        hearing.note(12, 1, 1, 4);
        assert_eq!(hearing.until_ms(), 12);
    }
}
