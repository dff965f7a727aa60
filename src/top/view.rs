//! What the view shows and what keys change about it. Pure: time is an argument.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use monoceros_wire::report::Report;

use crate::top::comparison::{TopFigures, WorkerFigures, compare};

/// An answer of the server, or why there is none.
#[derive(Clone, Debug)]
pub(crate) enum TopAnswer {
    /// A report, by the master with this pid.
    Reported(i32, Box<Report>),
    /// The master does not answer: the reason.
    Silent(String),
    /// The server has ended, and no other master has taken over from it so far.
    Ended(String),
}

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopKey {
    /// End the view.
    Quit,
    /// Show or hide the help.
    Help,
    /// Sort by the next column.
    Sort,
    /// Stop and go on.
    Pause,
    /// Move the rows by this number.
    Scroll(i16),
    /// Go to the first row.
    First,
    /// Go to the last row.
    Last,
    /// Any other key.
    Other,
}

/// What a key asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViewCommand {
    /// Go on.
    Stay,
    /// End.
    Quit,
}

/// The order of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SortKey {
    /// By slot and generation.
    #[default]
    Slot,
    /// Most requests in a second first.
    Rate,
    /// Most processor time first.
    Processors,
    /// Most memory first.
    Memory,
    /// The longest running request first.
    Running,
    /// The oldest process first.
    Age,
}

impl SortKey {
    const ALL: [Self; 6] =
        [Self::Slot, Self::Rate, Self::Processors, Self::Memory, Self::Running, Self::Age];

    fn next(self) -> Self {
        let at = Self::ALL.iter().position(|it| *it == self).unwrap_or_default();
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    /// Its name on the screen.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Slot => "slot",
            Self::Rate => "req/s",
            Self::Processors => "cpu",
            Self::Memory => "memory",
            Self::Running => "running",
            Self::Age => "age",
        }
    }

    fn compare(self, one: &WorkerFigures, other: &WorkerFigures) -> Ordering {
        let largest = |of: fn(&WorkerFigures) -> f64| of(other).total_cmp(&of(one));
        let order = match self {
            Self::Slot => Ordering::Equal,
            Self::Rate => largest(|it| it.rate.unwrap_or(-1.0)),
            Self::Processors => largest(|it| it.processors.unwrap_or(-1.0)),
            Self::Memory => other.memory.cmp(&one.memory),
            Self::Running => largest(|it| it.runs.as_ref().map_or(-1.0, |runs| runs.age)),
            Self::Age => largest(|it| it.age),
        };
        let place = |it: &WorkerFigures| (it.slot.is_none(), it.slot, it.generation, it.pid);
        order.then_with(|| place(one).cmp(&place(other)))
    }
}

/// The state of the view.
#[derive(Clone, Debug)]
pub(crate) struct TopView {
    master: i32,
    report: Report,
    figures: TopFigures,
    /// When the last report arrived.
    arrived: Instant,
    /// What is wrong with the server.
    trouble: Option<ServerTrouble>,
    sort: SortKey,
    is_paused: bool,
    shows_help: bool,
    first_row: usize,
    /// How many rows the screen had at the last drawing.
    page: usize,
}

/// Why no report comes.
#[derive(Clone, Debug)]
struct ServerTrouble {
    text: String,
    has_ended: bool,
    since: Instant,
}

impl TopView {
    /// Before the first report.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            master: 0,
            report: Report::default(),
            figures: TopFigures::default(),
            arrived: now,
            trouble: None,
            sort: SortKey::default(),
            is_paused: false,
            shows_help: false,
            first_row: 0,
            page: 1,
        }
    }

    /// Takes an answer of the server.
    pub(crate) fn take(&mut self, answer: TopAnswer, now: Instant) {
        match answer {
            TopAnswer::Reported(master, report) => {
                let before = std::mem::replace(&mut self.report, *report);
                // The default report is that of no server.
                let before = Some(before).filter(|before| before.at > 0.0);
                self.figures = compare(before.as_ref(), &self.report);
                (self.master, self.arrived, self.trouble) = (master, now, None);
                self.order();
            }
            TopAnswer::Silent(text) => self.note_trouble(text, false, now),
            TopAnswer::Ended(text) => self.note_trouble(text, true, now),
        }
    }

    fn note_trouble(&mut self, text: String, has_ended: bool, now: Instant) {
        let since = self.trouble.as_ref().filter(|it| it.has_ended == has_ended);
        let since = since.map_or(now, |it| it.since);
        self.trouble = Some(ServerTrouble { text, has_ended, since });
    }

    /// Does what a key asks for.
    pub(crate) fn press(&mut self, key: TopKey) -> ViewCommand {
        let all = isize::try_from(self.figures.rows.len()).unwrap_or(isize::MAX);
        match key {
            TopKey::Quit if self.shows_help => self.shows_help = false,
            TopKey::Quit => return ViewCommand::Quit,
            TopKey::Help => self.shows_help = !self.shows_help,
            TopKey::Sort => {
                self.sort = self.sort.next();
                self.order();
            }
            TopKey::Pause => self.is_paused = !self.is_paused,
            TopKey::Scroll(by) => self.scroll(by.into()),
            TopKey::First => self.scroll(-all),
            TopKey::Last => self.scroll(all),
            TopKey::Other => {}
        }
        ViewCommand::Stay
    }

    fn scroll(&mut self, by: isize) {
        let most = self.figures.rows.len().saturating_sub(self.page);
        self.first_row = self.first_row.saturating_add_signed(by).min(most);
    }

    fn order(&mut self) {
        let sort = self.sort;
        self.figures.rows.sort_by(|one, other| sort.compare(one, other));
        self.scroll(0);
    }

    /// The screen has room for so many rows.
    pub(crate) fn set_page(&mut self, rows: usize) {
        self.page = rows.max(1);
        self.scroll(0);
    }

    /// The rows that are shown, and how many are above and below them.
    pub(crate) fn rows(&self) -> (&[WorkerFigures], usize, usize) {
        let rows = &self.figures.rows;
        let first = self.first_row.min(rows.len());
        let end = first.saturating_add(self.page).min(rows.len());
        (&rows[first..end], first, rows.len() - end)
    }

    /// The last report.
    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// What has happened between the last two reports.
    pub(crate) fn figures(&self) -> &TopFigures {
        &self.figures
    }

    /// The pid of the master.
    pub(crate) fn master(&self) -> i32 {
        self.master
    }

    /// The order of the rows.
    pub(crate) fn sort(&self) -> SortKey {
        self.sort
    }

    /// No report is asked for.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// The help is shown.
    pub(crate) fn shows_help(&self) -> bool {
        self.shows_help
    }

    /// What is wrong with the server, for how long, and whether it has ended.
    pub(crate) fn trouble(&self, now: Instant) -> Option<(&str, Duration, bool)> {
        let trouble = self.trouble.as_ref()?;
        let lasted = now.saturating_duration_since(trouble.since);
        Some((&trouble.text, lasted, trouble.has_ended))
    }

    /// How long ago the last report arrived.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.arrived)
    }
}

#[cfg(test)]
mod tests {
    use monoceros_wire::report::{ProcessReport, WorkerReport};

    use super::*;

    fn report(at: f64, memory: &[(u16, u64)]) -> TopAnswer {
        let workers = memory.iter().map(|(slot, bytes)| WorkerReport {
            slot: Some(*slot),
            process: ProcessReport { pid: 1, rss: Some(*bytes), ..ProcessReport::default() },
            ..WorkerReport::default()
        });
        let workers = workers.collect();
        TopAnswer::Reported(7, Box::new(Report { at, workers, ..Report::default() }))
    }

    fn slots(view: &TopView) -> Vec<u16> {
        view.rows().0.iter().filter_map(|row| row.slot).collect()
    }

    #[test]
    fn rows_are_sorted_by_the_key_that_is_chosen() {
        let now = Instant::now();
        let mut view = TopView::new(now);
        view.set_page(10);
        view.take(report(1.0, &[(1, 5), (0, 3), (2, 9)]), now);
        assert_eq!(slots(&view), [0, 1, 2]);
        while view.sort() != SortKey::Memory {
            assert_eq!(view.press(TopKey::Sort), ViewCommand::Stay);
        }
        assert_eq!(slots(&view), [2, 1, 0]);
        view.take(report(2.0, &[(1, 50), (0, 3), (2, 9)]), now);
        assert_eq!(slots(&view), [1, 2, 0]);
        for _ in 0..6 {
            assert_eq!(view.press(TopKey::Sort), ViewCommand::Stay);
        }
        assert_eq!(view.sort(), SortKey::Memory, "the keys go round");
    }

    #[test]
    fn rows_beyond_the_screen_are_reached_by_keys() {
        let now = Instant::now();
        let mut view = TopView::new(now);
        view.take(report(1.0, &[(0, 0), (1, 0), (2, 0), (3, 0)]), now);
        view.set_page(2);
        assert_eq!((slots(&view), view.rows().1, view.rows().2), (vec![0, 1], 0, 2));
        view.press(TopKey::Scroll(1));
        assert_eq!(slots(&view), [1, 2]);
        view.press(TopKey::Last);
        assert_eq!((slots(&view), view.rows().2), (vec![2, 3], 0));
        view.press(TopKey::Scroll(9));
        assert_eq!(slots(&view), [2, 3]);
        view.set_page(3);
        assert_eq!(slots(&view), [1, 2, 3], "a larger screen is filled");
        view.take(report(2.0, &[(0, 0)]), now);
        assert_eq!(slots(&view), [0]);
        view.press(TopKey::First);
        view.take(report(2.0, &[]), now);
        assert_eq!(view.rows(), (&[][..], 0, 0));
    }

    #[test]
    fn the_trouble_of_a_server_has_a_beginning_and_an_end() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut view = TopView::new(now);
        view.take(TopAnswer::Ended("gone".to_owned()), now);
        view.take(TopAnswer::Ended("still gone".to_owned()), now + second);
        assert_eq!(view.trouble(now + 2 * second), Some(("still gone", 2 * second, true)));
        view.take(TopAnswer::Silent("no answer".to_owned()), now + 2 * second);
        assert_eq!(view.trouble(now + 3 * second), Some(("no answer", second, false)));
        view.take(report(1.0, &[]), now + 3 * second);
        assert_eq!((view.trouble(now), view.master()), (None, 7));
        assert_eq!(view.age(now + 4 * second), second);
    }

    #[test]
    fn a_key_ends_the_help_before_it_ends_the_view() {
        let mut view = TopView::new(Instant::now());
        view.press(TopKey::Help);
        assert!(view.shows_help());
        assert_eq!(view.press(TopKey::Quit), ViewCommand::Stay);
        assert!(!view.shows_help());
        assert_eq!(view.press(TopKey::Other), ViewCommand::Stay);
        assert_eq!(view.press(TopKey::Quit), ViewCommand::Quit);
        view.press(TopKey::Pause);
        assert!(view.is_paused());
    }
}
