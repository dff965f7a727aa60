//! Since when slow clients have taken all the room, and when a response must be given
//! up because of that. Pure.

/// How long waiting responses may take too much room, with no thread left for waiting
/// requests, until the slowest response is given up; in milliseconds.
const SHORT_MS: u64 = 10_000;

/// How long after that the next response is given up, in milliseconds.
const NEXT_MS: u64 = 1_000;

/// The shortage, in milliseconds of the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    since_ms: Option<u64>,
}

impl Shortage {
    /// Checks again. Returns whether a response must be given up now.
    pub(crate) fn look(&mut self, is_short: bool, now_ms: u64) -> bool {
        if !is_short {
            self.since_ms = None;
            return false;
        }
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        let is_due = now_ms.saturating_sub(since_ms) >= SHORT_MS;
        if is_due {
            self.since_ms = Some(now_ms.saturating_sub(SHORT_MS - NEXT_MS));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_given_up_one_after_the_other_while_room_is_short() {
        let mut shortage = Shortage::default();
        let start = 50_000;
        assert!(!shortage.look(true, start) && !shortage.look(true, start + SHORT_MS - 1));
        assert!(shortage.look(true, start + SHORT_MS));
        assert!(!shortage.look(true, start + SHORT_MS + NEXT_MS - 1));
        assert!(shortage.look(true, start + SHORT_MS + NEXT_MS));
        assert!(!shortage.look(false, start + SHORT_MS + 2 * NEXT_MS));
        assert!(!shortage.look(true, start + SHORT_MS + 3 * NEXT_MS), "it begins anew");
    }
}
