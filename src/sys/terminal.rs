//! The mode of the terminal at standard input (`termios(3)`).

use std::io::stdin;

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};

/// The mode of the terminal at one moment.
#[derive(Debug)]
pub struct TerminalMode(Option<Termios>);

impl TerminalMode {
    /// The present mode; nothing if standard input is no terminal.
    #[must_use]
    pub fn of_input() -> Self {
        Self(tcgetattr(stdin()).ok())
    }

    /// Gives the terminal this mode back. Without a terminal there is nothing to restore.
    pub fn restore(&self) {
        if let Some(mode) = &self.0 {
            tcsetattr(stdin(), SetArg::TCSADRAIN, mode).ok();
        }
    }
}
