//! Counts and logs what the server gives up by its own decision: a line in the error
//! log, and a number on the scoreboard. A client can cause many, so only a few lines of
//! each kind are written in a time. At its end one line has the number of the omitted
//! ones.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use log::Level;
use monoceros_log::write_with;
use monoceros_sys::clock;
use monoceros_wire::scoreboard::{GivenUp, KINDS, Scoreboard};

use crate::record::line_window::LineWindow;
use crate::record::request_facts::RequestFacts;

/// The lines of each kind.
#[derive(Debug, Default)]
pub(crate) struct LossLog {
    windows: [Mutex<LineWindow>; KINDS],
    /// The lines of threads that slow clients hold.
    held: Mutex<LineWindow>,
    /// A window has begun.
    is_open: AtomicBool,
}

impl LossLog {
    /// Counts something that the server gives up by its own decision, and writes a line
    /// to the log, unless there are many of its kind. `facts` are those of the request, if it is
    /// about one.
    pub(crate) fn give_up(
        &self,
        board: &Scoreboard,
        kind: GivenUp,
        facts: Option<RequestFacts>,
        line: fmt::Arguments,
    ) {
        board.count_given_up(kind);
        if self.admit(&self.windows[kind.index()]) {
            write_with(level(kind), &facts.map(RequestFacts::pairs).unwrap_or_default(), line);
        }
    }

    /// Logs, with the same limit, that a slow client holds an application thread. `facts` are
    /// those of its request.
    pub(crate) fn log_held(&self, facts: RequestFacts, line: fmt::Arguments) {
        if self.admit(&self.held) {
            write_with(Level::Warn, &facts.pairs(), line);
        }
    }

    /// Logs how many lines were omitted, when their time is over or in any case.
    pub(crate) fn log_omitted(&self, in_any_case: bool) {
        if !self.is_open.swap(false, Ordering::Relaxed) {
            return;
        }
        let now_ms = clock::monotonic_ms();
        let held = (Level::Warn, "held by slow clients", &self.held);
        let kinds = GivenUp::ALL.into_iter().zip(&self.windows);
        let kinds = kinds.map(|(kind, window)| (level(kind), kind.name(), window));
        for (level, name, window) in kinds.chain([held]) {
            let mut window = lock(window);
            let omitted = window.end(now_ms, in_any_case);
            if window.is_open() {
                self.is_open.store(true, Ordering::Relaxed);
            }
            drop(window);
            if omitted > 0 {
                log::log!(level, "{name}: {omitted} more within a minute");
            }
        }
    }

    fn admit(&self, window: &Mutex<LineWindow>) -> bool {
        self.is_open.store(true, Ordering::Relaxed);
        lock(window).admit(clock::monotonic_ms())
    }
}

/// The level of a kind: a fault that a client can cause by itself is routine.
fn level(kind: GivenUp) -> Level {
    match kind {
        GivenUp::Refused
        | GivenUp::Late
        | GivenUp::Handshake
        | GivenUp::Denied
        | GivenUp::Misdirected
        | GivenUp::RateLimited
        | GivenUp::TooManyConnections
        | GivenUp::TooLarge => Level::Info,
        GivenUp::Unkept => Level::Error,
        GivenUp::Unbegun
        | GivenUp::Expired
        | GivenUp::Displaced
        | GivenUp::Untaken
        | GivenUp::Slowest
        | GivenUp::Unreadable
        | GivenUp::Unfinished
        | GivenUp::ProxyHeader
        | GivenUp::Overdue
        | GivenUp::Unencoded => Level::Warn,
    }
}

fn lock(window: &Mutex<LineWindow>) -> std::sync::MutexGuard<'_, LineWindow> {
    window.lock().unwrap_or_else(PoisonError::into_inner)
}
