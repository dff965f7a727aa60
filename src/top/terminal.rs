//! Owns the terminal: raw input, the alternate screen, the hidden cursor. Each end of the view
//! takes all of it back, a panic too.

use std::io::{self, IsTerminal, Stdout, Write, stdin, stdout};
use std::panic;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use crate::top::screen;
use crate::top::view::{TopKey, TopView};

/// Rows that a page key moves by.
const PAGE: i16 = 10;
/// A terminal that is readable so often in a row without a key is gone.
const MOST_EMPTY_READS: u32 = 1_000;

/// Whether standard input and standard output are terminals.
pub(crate) fn is_there() -> bool {
    stdin().is_terminal() && stdout().is_terminal()
}

/// The terminal while the view has it.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    empty_reads: u32,
    _mode: RawTerminal,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// Those of the terminal.
    pub(crate) fn open() -> io::Result<Self> {
        let mode = RawTerminal::enter()?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(Self { terminal, empty_reads: 0, _mode: mode })
    }

    /// Draws the view, in the present size of the terminal.
    ///
    /// # Errors
    /// Those of the terminal.
    pub(crate) fn draw(&mut self, view: &mut TopView, now: Instant) -> io::Result<()> {
        self.terminal.draw(|frame| screen::draw(frame.buffer_mut(), view, now)).map(drop)
    }

    /// The next key that was pressed, if there is one.
    ///
    /// # Errors
    /// Those of the terminal; `UnexpectedEof` when it is gone.
    pub(crate) fn read_key(&mut self) -> io::Result<Option<TopKey>> {
        while event::poll(Duration::ZERO)? {
            self.empty_reads = 0;
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
            {
                return Ok(Some(meaning(key)));
            }
        }
        // A terminal that was hung up stays readable, and has no key.
        let is_readable = monoceros_sys::wait::is_readable(std::os::fd::AsFd::as_fd(&stdin()));
        self.empty_reads = if is_readable { self.empty_reads + 1 } else { 0 };
        if self.empty_reads > MOST_EMPTY_READS {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(None)
    }
}

fn meaning(key: KeyEvent) -> TopKey {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if is_control => TopKey::Quit,
        KeyCode::Char(_) if is_control => TopKey::Other,
        KeyCode::Char('q') | KeyCode::Esc => TopKey::Quit,
        KeyCode::Char('?' | 'h') => TopKey::Help,
        KeyCode::Char('s') => TopKey::Sort,
        KeyCode::Char('p') => TopKey::Pause,
        KeyCode::Char('j') | KeyCode::Down => TopKey::Scroll(1),
        KeyCode::Char('k') | KeyCode::Up => TopKey::Scroll(-1),
        KeyCode::Char(' ') | KeyCode::PageDown => TopKey::Scroll(PAGE),
        KeyCode::PageUp => TopKey::Scroll(-PAGE),
        KeyCode::Home => TopKey::First,
        KeyCode::End => TopKey::Last,
        _ => TopKey::Other,
    }
}

/// Raw input and the alternate screen, until it is dropped.
struct RawTerminal;

impl RawTerminal {
    fn enter() -> io::Result<Self> {
        enable_raw_mode()?;
        let mode = Self;
        // The message of a panic is written to the screen that the user had before.
        let inner = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            restore();
            inner(panicked);
        }));
        execute!(stdout(), EnterAlternateScreen, Hide)?;
        Ok(mode)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Takes everything back. A terminal that is gone has nothing to take back.
fn restore() {
    drop(write_end(&mut stdout()));
    drop(disable_raw_mode());
}

fn write_end(out: &mut impl Write) -> io::Result<()> {
    execute!(out, LeaveAlternateScreen, Show)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_a_meaning_each() {
        let key = |code, modifiers| meaning(KeyEvent::new(code, modifiers));
        for (code, expected) in [
            (KeyCode::Char('q'), TopKey::Quit),
            (KeyCode::Esc, TopKey::Quit),
            (KeyCode::Char('?'), TopKey::Help),
            (KeyCode::Char('s'), TopKey::Sort),
            (KeyCode::Char('p'), TopKey::Pause),
            (KeyCode::Down, TopKey::Scroll(1)),
            (KeyCode::PageUp, TopKey::Scroll(-PAGE)),
            (KeyCode::Char('x'), TopKey::Other),
        ] {
            assert_eq!(key(code, KeyModifiers::NONE), expected, "{code:?}");
        }
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), TopKey::Quit);
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::CONTROL), TopKey::Other);
    }

    #[test]
    fn the_end_shows_the_cursor_on_the_screen_from_before() {
        let mut written = Vec::new();
        write_end(&mut written).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "\u{1b}[?1049l\u{1b}[?25h");
    }
}
