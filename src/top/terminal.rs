//! Owns the terminal: raw input, the alternate screen, the hidden cursor. Each end of the view
//! takes all of it back, a panic too.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Stdout, Write, stdin, stdout};
use std::os::fd::AsFd;
use std::panic;
use std::time::Instant;

use monoceros_sys::wait::is_readable;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use crate::top::view::{TopKey, TopView};
use crate::top::{keys, screen};

/// Whether standard input and standard output are terminals.
pub(crate) fn is_there() -> bool {
    stdin().is_terminal() && stdout().is_terminal()
}

/// The terminal while the view has it.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    /// Standard input. It is not read through crossterm, which never returns from a terminal
    /// that was hung up.
    input: File,
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
        let input = File::from(stdin().as_fd().try_clone_to_owned()?);
        Ok(Self { terminal, input, _mode: mode })
    }

    /// Draws the view, in the present size of the terminal.
    ///
    /// # Errors
    /// Those of the terminal.
    pub(crate) fn draw(&mut self, view: &mut TopView, now: Instant) -> io::Result<()> {
        self.terminal.draw(|frame| screen::draw(frame.buffer_mut(), view, now)).map(drop)
    }

    /// The keys that were pressed.
    ///
    /// # Errors
    /// Those of the terminal; `UnexpectedEof` when it is gone.
    pub(crate) fn read_keys(&mut self) -> io::Result<Vec<TopKey>> {
        let mut bytes = [0; 1024];
        if !is_readable(self.input.as_fd()) {
            return Ok(Vec::new());
        }
        match self.input.read(&mut bytes)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(keys::keys(&bytes[..count])),
        }
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
    fn the_end_shows_the_cursor_on_the_screen_from_before() {
        let mut written = Vec::new();
        write_end(&mut written).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "\u{1b}[?1049l\u{1b}[?25h");
    }
}
