//! Owns the signals that are collected as events, and knows what each means to the master.
//! Called by the event loop only.

use std::io::{self, IsTerminal, stdin};
use std::os::fd::AsFd;

use monoceros_config::{SIGNALS, SignalCommand};
use monoceros_sys::process;
use monoceros_sys::signal::{self, Signals};

use crate::master::act::poller::{PollSource, Poller};

/// The signals of this process that wait to be read.
pub(crate) struct SignalReader {
    signals: Signals,
    /// The server ends when the terminal at its standard input is closed.
    ends_with_terminal: bool,
}

/// What a signal means to the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceivedSignal {
    /// A child has ended (SIGCHLD).
    ChildEnded,
    /// An operator commands something.
    Command(SignalCommand),
}

impl SignalReader {
    /// From now on signals are collected: those of the table, and SIGCHLD. A server of a
    /// developer (`is_development`) ends with its terminal.
    pub(crate) fn new(poller: &Poller, is_development: bool) -> io::Result<Self> {
        let table = SIGNALS.iter().filter_map(|signal| signal::number(signal.name));
        let numbers: Vec<_> = table.chain([signal::CHLD]).collect();
        let signals = Signals::collect(&numbers)?;
        poller.register(signals.as_fd(), PollSource::Signals)?;
        Ok(Self { signals, ends_with_terminal: is_development && stdin().is_terminal() })
    }

    /// Takes out the signals that have arrived.
    pub(crate) fn take(&mut self) -> Vec<ReceivedSignal> {
        let ends_with_terminal = self.ends_with_terminal;
        // A terminal that has hung up is none any more (`EIO`).
        let is_closed = || ends_with_terminal && !stdin().is_terminal();
        let numbers = self.signals.take().into_iter();
        numbers.filter_map(|it| interpret(it, process::has_terminal, is_closed)).collect()
    }
}

/// What a signal means; `None` if it means nothing. A terminal sends SIGWINCH whenever its
/// window changes: it is a command only for a process without a terminal. The kernel sends SIGHUP
/// when a terminal is closed.
fn interpret(
    number: i32,
    has_terminal: impl Fn() -> bool,
    is_closed: impl Fn() -> bool,
) -> Option<ReceivedSignal> {
    let row = SIGNALS.iter().find(|row| signal::number(row.name) == Some(number));
    match row.map(|row| row.command) {
        None => Some(ReceivedSignal::ChildEnded),
        Some(SignalCommand::Withdraw) if has_terminal() => {
            log::debug!("SIGWINCH is ignored: this process has a terminal, whose window changed");
            None
        }
        Some(SignalCommand::Reload) if is_closed() => {
            log::info!("the terminal is closed");
            Some(ReceivedSignal::Command(SignalCommand::Stop))
        }
        Some(command) => Some(ReceivedSignal::Command(command)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_a_command_or_the_end_of_a_child() {
        let command = |number| interpret(number, || false, || false);
        assert_eq!(command(signal::CHLD), Some(ReceivedSignal::ChildEnded));
        for (number, expected) in [
            (signal::HUP, SignalCommand::Reload),
            (signal::TERM, SignalCommand::Drain),
            (signal::QUIT, SignalCommand::Stop),
            (signal::USR2, SignalCommand::Upgrade),
            (libc::SIGWINCH, SignalCommand::Withdraw),
        ] {
            assert_eq!(command(number), Some(ReceivedSignal::Command(expected)));
        }
    }

    #[test]
    fn a_window_that_changes_is_no_command() {
        assert_eq!(interpret(libc::SIGWINCH, || true, || false), None);
        let reload = Some(ReceivedSignal::Command(SignalCommand::Reload));
        assert_eq!(interpret(signal::HUP, || true, || false), reload);
    }

    #[test]
    fn a_terminal_that_is_closed_ends_a_server_of_development() {
        let stop = Some(ReceivedSignal::Command(SignalCommand::Stop));
        assert_eq!(interpret(signal::HUP, || false, || true), stop);
        let drain = Some(ReceivedSignal::Command(SignalCommand::Drain));
        assert_eq!(interpret(signal::TERM, || false, || true), drain);
    }
}
