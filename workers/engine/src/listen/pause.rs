//! A pause of accepting: descriptors or memory are short.

/// How long a pause lasts, in milliseconds.
const PAUSE_MS: u64 = 250;

/// How long no further line with the same error is logged, in milliseconds.
const COMPLAIN_MS: u64 = 60_000;

/// The pause, in milliseconds of the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    until_ms: u64,
    complain_at_ms: u64,
}

impl Pause {
    /// Begins a pause. Returns whether the log gets a line.
    pub(crate) fn begin(&mut self, now_ms: u64) -> bool {
        self.until_ms = now_ms + PAUSE_MS;
        let complains = now_ms >= self.complain_at_ms;
        if complains {
            self.complain_at_ms = now_ms + COMPLAIN_MS;
        }
        complains
    }

    /// Whether there is a pause, whose time may be over.
    pub(crate) fn is_set(&self) -> bool {
        self.until_ms > 0
    }

    /// Whether the pause continues; one whose time is over ends.
    pub(crate) fn goes_on(&mut self, now_ms: impl FnOnce() -> u64) -> bool {
        if self.is_set() && now_ms() >= self.until_ms {
            self.until_ms = 0;
        }
        self.is_set()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_and_is_logged_once_in_a_while() {
        let mut pause = Pause::default();
        assert!(!pause.goes_on(|| 0));
        assert!(pause.begin(1000));
        assert!(pause.goes_on(|| 1000 + PAUSE_MS - 1) && !pause.goes_on(|| 1000 + PAUSE_MS));
        assert!(!pause.begin(1000 + COMPLAIN_MS - 1) && pause.begin(1000 + COMPLAIN_MS));
    }
}
