//! The signal table: every signal that means something, to whom, and what. The
//! master hears what is in it, and the documentation is printed from it.

/// What an operator wants of the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalCommand {
    /// Finish, then exit.
    Drain,
    /// Exit now.
    Stop,
    /// Take new settings and code.
    Reload,
    /// Have one worker more.
    Add,
    /// Have one worker less.
    Remove,
    /// Open the log files again.
    Reopen,
    /// Let a new master take over.
    Upgrade,
    /// Let the workers go, and stay.
    Withdraw,
}

/// One signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalRow {
    /// Its name, such as `SIGTERM`.
    pub name: &'static str,
    /// What the master takes it for.
    pub command: SignalCommand,
    /// What the master does.
    pub master: &'static str,
    /// What a single worker does that gets it, of a class of our own.
    pub worker: &'static str,
    /// How gunicorn differs, if it does.
    pub gunicorn: Option<&'static str>,
}

const NOTHING: &str = "nothing";
const LEAVES: &str = "drains; a new one takes its place";
const STOPS: &str = "stops at once; a new one takes its place";

/// The signal table, in the order of the printed pages.
pub static SIGNALS: [SignalRow; 9] = [
    SignalRow {
        name: "SIGHUP",
        command: SignalCommand::Reload,
        master: "Reload: reads the settings again and replaces the workers one by one, each by one \
                 that is ready. If the new settings or the new code cannot serve, the old workers \
                 go on. Workers that were withdrawn come back.",
        worker: NOTHING,
        gunicorn: Some("sends the old workers away before the new ones are ready"),
    },
    SignalRow {
        name: "SIGTERM",
        command: SignalCommand::Drain,
        master: "Drain: refuses new connections, serves those that are there, and exits, \
                 within `graceful-timeout`. With `shutdown-delay` it first serves as before \
                 for so long, or until the signal comes again. One more stops at once.",
        worker: LEAVES,
        gunicorn: Some("resets connections that wait to be accepted"),
    },
    SignalRow {
        name: "SIGINT",
        command: SignalCommand::Stop,
        master: "Stop: exits at once, whatever is open.",
        worker: STOPS,
        gunicorn: None,
    },
    SignalRow {
        name: "SIGQUIT",
        command: SignalCommand::Stop,
        master: "As SIGINT.",
        worker: STOPS,
        gunicorn: None,
    },
    SignalRow {
        name: "SIGTTIN",
        command: SignalCommand::Add,
        master: "One worker more. The number stays through reloads and upgrades until the setting \
                 `workers` changes.",
        worker: NOTHING,
        gunicorn: Some("forgets the number at a reload"),
    },
    SignalRow {
        name: "SIGTTOU",
        command: SignalCommand::Remove,
        master: "One worker less, but never none.",
        worker: NOTHING,
        gunicorn: Some("forgets the number at a reload"),
    },
    SignalRow {
        name: "SIGUSR1",
        command: SignalCommand::Reopen,
        master: "Reopen: opens the log files again by their names, and has the workers do so.",
        worker: "opens its log files again",
        gunicorn: None,
    },
    SignalRow {
        name: "SIGUSR2",
        command: SignalCommand::Upgrade,
        master: "Upgrade: executes the program again, passes it every listener and, when it serves \
                 with workers of its own, everything else; then drains and exits. If it does not \
                 serve within `upgrade-timeout`, all goes on as before.",
        worker: NOTHING,
        gunicorn: Some("keeps both masters until the old one is told to go"),
    },
    SignalRow {
        name: "SIGWINCH",
        command: SignalCommand::Withdraw,
        master: "Withdraw: lets the workers go and stays; connections wait until SIGHUP brings the \
                 workers back. Ignored by a master that has a terminal, which sends this signal \
                 whenever its window changes.",
        worker: NOTHING,
        gunicorn: Some("hears it only with `--daemon`"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_has_one_row() {
        for (index, signal) in SIGNALS.iter().enumerate() {
            assert!(SIGNALS[..index].iter().all(|other| other.name != signal.name));
        }
    }
}
