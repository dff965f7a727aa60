//! What the server gives up by its own decision is counted and told: a line in
//! the error log, and a number on the scoreboard. A client can cause many, so
//! only a few lines of each kind are written in a time; how many more there were
//! is told at the end of that time.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use log::Level;
use monoceros_sys::clock;
use monoceros_wire::scoreboard::{GivenUp, KINDS};

use crate::shared::Shared;

/// How many lines of a kind are written in a [`WINDOW_MS`].
const LINES: u64 = 10;

/// For how long they are counted, in milliseconds.
const WINDOW_MS: u64 = 60_000;

/// How often something was to be told within a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineWindow {
    since_ms: u64,
    count: u64,
}

impl LineWindow {
    /// Whether one more is to be told.
    pub(crate) fn admit(&mut self, now_ms: u64) -> bool {
        if self.count == 0 {
            self.since_ms = now_ms;
        }
        self.count += 1;
        self.count <= LINES
    }

    /// When its time is over, or in any case: how many were not told. Then it
    /// begins anew.
    pub(crate) fn end(&mut self, now_ms: u64, in_any_case: bool) -> u64 {
        if self.count == 0 || !in_any_case && now_ms.saturating_sub(self.since_ms) < WINDOW_MS {
            return 0;
        }
        std::mem::take(self).count.saturating_sub(LINES)
    }
}

/// What is told of each kind.
#[derive(Debug, Default)]
pub(crate) struct Told {
    windows: [Mutex<LineWindow>; KINDS],
    /// Of threads that slow clients hold.
    held: Mutex<LineWindow>,
    /// A window has begun.
    is_open: AtomicBool,
}

impl Told {
    fn admit(&self, window: &Mutex<LineWindow>) -> bool {
        self.is_open.store(true, Ordering::Relaxed);
        lock(window).admit(clock::monotonic_ms())
    }
}

impl Shared {
    /// Counts something that the server gives up by its own decision, and
    /// writes a line to the log, unless there are many of its kind.
    pub(crate) fn give_up(&self, kind: GivenUp, line: fmt::Arguments) {
        self.board.count_given_up(kind);
        if self.told.admit(&self.told.windows[kind.index()]) {
            log::log!(level(kind), "{line}");
        }
    }

    /// Tells, as seldom, that a slow client holds an application thread.
    pub(crate) fn tell_held(&self, line: fmt::Arguments) {
        if self.told.admit(&self.told.held) {
            log::warn!("{line}");
        }
    }

    /// Tells how many more there were where lines were left out for long enough,
    /// or in any case.
    pub(crate) fn tell_omitted(&self, in_any_case: bool) {
        if !self.told.is_open.swap(false, Ordering::Relaxed) {
            return;
        }
        let now_ms = clock::monotonic_ms();
        let held = (Level::Warn, "held by slow clients", &self.told.held);
        let kinds = GivenUp::ALL.into_iter().zip(&self.told.windows);
        let kinds = kinds.map(|(kind, window)| (level(kind), kind.name(), window));
        for (level, name, window) in kinds.chain([held]) {
            let mut window = lock(window);
            let omitted = window.end(now_ms, in_any_case);
            if window.count > 0 {
                self.told.is_open.store(true, Ordering::Relaxed);
            }
            drop(window);
            if omitted > 0 {
                log::log!(level, "{name}: {omitted} more within a minute");
            }
        }
    }
}

/// How much a kind matters: what a client can do wrong by itself is routine.
fn level(kind: GivenUp) -> Level {
    match kind {
        GivenUp::Refused | GivenUp::Late => Level::Info,
        GivenUp::Unkept => Level::Error,
        GivenUp::Unbegun
        | GivenUp::Expired
        | GivenUp::Displaced
        | GivenUp::Untaken
        | GivenUp::Slowest
        | GivenUp::Unreadable
        | GivenUp::Unfinished => Level::Warn,
    }
}

fn lock(window: &Mutex<LineWindow>) -> std::sync::MutexGuard<'_, LineWindow> {
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_told_and_the_rest_counted() {
        let mut window = LineWindow::default();
        let told = (0..LINES + 5).filter(|step| window.admit(1000 + step)).count();
        assert_eq!(told as u64, LINES);
        assert_eq!(window.end(1000 + WINDOW_MS - 1, false), 0);
        assert_eq!(window.end(1000 + WINDOW_MS, false), 5);
        assert_eq!(window, LineWindow::default());
        assert!(window.admit(2000 + WINDOW_MS), "it begins anew");
    }

    #[test]
    fn at_the_end_of_a_worker_the_rest_is_told_too() {
        let mut window = LineWindow::default();
        assert_eq!(window.end(0, true), 0);
        (0..LINES + 1).for_each(|_| _ = window.admit(10));
        assert_eq!(window.end(11, true), 1);
        assert_eq!(window.end(11, true), 0);
    }
}
