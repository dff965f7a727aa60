//! `monoceros top`: a live view of a server on the terminal. It asks the master for reports, as
//! `monoceros status` does, and shows what has happened between two of them.
//!
//! `comparison.rs` makes figures of two reports, `keys.rs` reads keys, `view.rs` decides what they
//! change, `text.rs` and `screen.rs` make lines; these are pure. `source.rs` asks the master,
//! `terminal.rs` owns the terminal, and this file waits for all of them.

mod comparison;
mod keys;
mod screen;
mod source;
mod terminal;
mod text;
mod view;

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use monoceros_config::ControlTarget;
use monoceros_sys::reason;
use monoceros_sys::signal::{self, Signals};
use monoceros_sys::wait::{Readiness, wait};

use crate::top::source::TopSource;
use crate::top::terminal::Screen;
use crate::top::view::{TopView, ViewCommand};

/// The time between two reports.
const INTERVAL: Duration = Duration::from_secs(1);
/// The signals that end the view.
const ENDING: [i32; 4] = [signal::TERM, signal::INT, signal::HUP, signal::QUIT];
/// The exit code after a signal is this and its number, as in shells.
const SIGNAL_BASE: u8 = 128;

/// Shows the server until the user ends the view; returns the exit code, or why nothing can be
/// shown.
pub(crate) fn run(target: &ControlTarget, limit: Option<Duration>) -> Result<u8, String> {
    if !terminal::is_there() {
        return Err("top needs a terminal as standard input and standard output; programs read \
                    `monoceros status --json`"
            .to_owned());
    }
    let cannot = |error: io::Error| format!("cannot use the terminal: {}", reason(&error));
    // Before there is another thread: each has a mask of its own.
    let watched = [&ENDING[..], &[signal::WINCH]].concat();
    let mut signals = Signals::collect(&watched).map_err(cannot)?;
    let (mut source, first) = TopSource::start(target, limit)?;
    let mut view = TopView::new(Instant::now());
    view.take(first, Instant::now());
    let mut screen = Screen::open().map_err(cannot)?;
    let code = watch(&mut screen, &mut view, &mut source, &mut signals);
    drop(screen);
    code.map_err(cannot)
}

/// Draws, waits for keys, signals and reports, and draws again.
fn watch(
    screen: &mut Screen,
    view: &mut TopView,
    source: &mut TopSource,
    signals: &mut Signals,
) -> io::Result<u8> {
    let mut next = Instant::now() + INTERVAL;
    loop {
        screen.draw(view, Instant::now())?;
        let left = next.saturating_duration_since(Instant::now());
        let input = io::stdin();
        let sources = [input.as_fd(), signals.as_fd(), source.as_fd()];
        wait(&sources.map(|fd| (fd, Readiness::Readable)), Some(left))?;
        // A change of the size is found at the next drawing.
        let ending = signals.take().into_iter().find(|arrived| ENDING.contains(arrived));
        if let Some(number) = ending.and_then(|arrived| u8::try_from(arrived).ok()) {
            return Ok(SIGNAL_BASE.saturating_add(number));
        }
        for key in screen.read_keys()? {
            if view.press(key) == ViewCommand::Quit {
                return Ok(0);
            }
        }
        while let Some(answer) = source.take() {
            view.take(answer, Instant::now());
        }
        if Instant::now() >= next {
            next = Instant::now() + INTERVAL;
            if !view.is_paused() {
                source.ask();
            }
        }
    }
}
