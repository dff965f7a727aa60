//! Owns how many reports about slow requests were written lately: many slow requests at a time
//! have one cause, and a few stacks show it. Called by `monitoring.rs` only.

use std::time::{Duration, Instant};

use log::Level;

use crate::master::decide::action::Actions;

/// The time in which only a few reports are written.
const WINDOW: Duration = Duration::from_secs(60);

/// The reports that are written in this time.
const MOST: u32 = 10;

/// The reports of the current window.
#[derive(Debug, Default)]
pub(crate) struct SlowReports {
    /// When the window began; `None` without reports.
    begun: Option<Instant>,
    written: u32,
    omitted: usize,
}

impl SlowReports {
    /// Whether another report may be written.
    pub(crate) fn admits(&self) -> bool {
        self.written < MOST
    }

    /// A report is written.
    pub(crate) fn note_written(&mut self, now: Instant) {
        self.begun.get_or_insert(now);
        self.written += 1;
    }

    /// So many slow requests are not reported.
    pub(crate) fn note_omitted(&mut self, count: usize) {
        self.omitted += count;
    }

    /// Ends the window if its time is over, and logs what was not reported in it.
    pub(crate) fn look(&mut self, now: Instant, actions: &mut Actions) {
        if self.begun.is_some_and(|begun| now >= begun + WINDOW) {
            self.end(actions);
        }
    }

    /// Ends the window, and logs what was not reported in it.
    pub(crate) fn end(&mut self, actions: &mut Actions) {
        let Self { omitted, .. } = std::mem::take(self);
        if omitted > 0 {
            let text = format!("slow-request: {omitted} more within a minute");
            actions.log(Level::Warn, text);
        }
    }

    /// Moves the window by a suspend of the master.
    pub(crate) fn shift(&mut self, by: Duration) {
        self.begun = self.begun.map(|begun| begun + by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::decide::action::Action;
    use crate::master::decide::state::Purpose;

    #[test]
    fn ten_reports_are_written_in_a_minute_and_the_others_counted() {
        let now = Instant::now();
        let mut reports = SlowReports::default();
        let mut actions = Actions::new(Purpose::Serve);
        for second in 0..MOST {
            assert!(reports.admits());
            reports.note_written(now + Duration::from_secs(second.into()));
        }
        assert!(!reports.admits());
        reports.note_omitted(2);
        reports.note_omitted(1);
        reports.look(now + WINDOW / 2, &mut actions);
        assert!(!reports.admits() && actions.take().is_empty());
        reports.look(now + WINDOW, &mut actions);
        assert!(reports.admits());
        let logged = actions.take();
        assert!(
            matches!(&logged[..], [Action::Log(line)] if line.text.contains(": 3 more")),
            "{logged:?}"
        );
        reports.look(now + 3 * WINDOW, &mut actions);
        assert!(actions.take().is_empty());
        reports.note_omitted(1);
        reports.end(&mut actions);
        assert_eq!(actions.take().len(), 1, "the server ends within the minute");
        reports.end(&mut actions);
        assert!(actions.take().is_empty());
    }
}
