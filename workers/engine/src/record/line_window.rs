//! How many lines of a kind are written to the log within a time. Pure.

/// How many lines of a kind are written in a [`WINDOW_MS`].
const LINES: u64 = 10;

/// For how long they are counted, in milliseconds.
const WINDOW_MS: u64 = 60_000;

/// How many lines there were within a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineWindow {
    since_ms: u64,
    count: u64,
}

impl LineWindow {
    /// Whether a line was due within the time.
    pub(crate) fn is_open(&self) -> bool {
        self.count > 0
    }

    /// Whether one more line may be written.
    pub(crate) fn admit(&mut self, now_ms: u64) -> bool {
        if self.count == 0 {
            self.since_ms = now_ms;
        }
        self.count += 1;
        self.count <= LINES
    }

    /// Returns how many lines were omitted, when the time is over or in any case. Then
    /// a new time begins.
    pub(crate) fn end(&mut self, now_ms: u64, in_any_case: bool) -> u64 {
        if self.count == 0 || !in_any_case && now_ms.saturating_sub(self.since_ms) < WINDOW_MS {
            return 0;
        }
        std::mem::take(self).count.saturating_sub(LINES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_are_written_and_the_rest_counted() {
        let mut window = LineWindow::default();
        let lines = (0..LINES + 5).filter(|step| window.admit(1000 + step)).count();
        assert_eq!(lines as u64, LINES);
        assert_eq!(window.end(1000 + WINDOW_MS - 1, false), 0);
        assert_eq!(window.end(1000 + WINDOW_MS, false), 5);
        assert_eq!(window, LineWindow::default());
        assert!(window.admit(2000 + WINDOW_MS), "it begins anew");
    }

    #[test]
    fn at_the_end_of_a_worker_the_omitted_lines_are_counted() {
        let mut window = LineWindow::default();
        assert_eq!(window.end(0, true), 0);
        (0..LINES + 1).for_each(|_| _ = window.admit(10));
        assert_eq!(window.end(11, true), 1);
        assert_eq!(window.end(11, true), 0);
    }
}
