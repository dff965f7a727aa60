//! The signal table: every signal that the server acts on, and its effect. The master
//! collects these signals, and the documentation is printed from the table.

/// A command to the master that a signal stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalCommand {
    /// Finish the requests, then exit.
    Drain,
    /// Exit now.
    Stop,
    /// Read the settings and the code again.
    Reload,
    /// Add a worker.
    Add,
    /// Remove a worker.
    Remove,
    /// Open the log files again.
    Reopen,
    /// Start a new master, which takes over.
    Upgrade,
    /// Drain all workers, and stay.
    Withdraw,
}

/// A row of the signal table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalRow {
    /// Its name, such as `SIGTERM`.
    pub name: &'static str,
    /// The command that it is for the master.
    pub command: SignalCommand,
    /// What the master does.
    pub master: &'static str,
    /// What a worker of class wsgi does when it gets the signal itself.
    pub worker: &'static str,
    /// The difference in gunicorn, if there is one.
    pub gunicorn: Option<&'static str>,
}

const NOTHING: &str = "nothing";
const LEAVES: &str = "drains; the master starts a replacement";
const STOPS: &str = "stops at once; the master starts a replacement";

/// The signal table, in the order of the printed pages.
pub static SIGNALS: [SignalRow; 9] = [
    SignalRow {
        name: "SIGHUP",
        command: SignalCommand::Reload,
        master: "Reload: reads the settings again and replaces the workers. A new worker is ready \
                 before an old one drains. If the new settings or the new code fail, the old \
                 workers stay. Withdrawn workers start again.",
        worker: NOTHING,
        gunicorn: Some("stops the old workers before the new ones are ready"),
    },
    SignalRow {
        name: "SIGTERM",
        command: SignalCommand::Drain,
        master: "Drain: refuses new connections, finishes those that are open, and exits, within \
                 `graceful-timeout`. With `shutdown-delay` it first serves as before for that \
                 time, or until a second SIGTERM. One more SIGTERM stops at once.",
        worker: LEAVES,
        gunicorn: Some("resets connections that wait to be accepted"),
    },
    SignalRow {
        name: "SIGINT",
        command: SignalCommand::Stop,
        master: "Stop: exits at once, without finishing requests.",
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
        master: "Starts one worker more. The number is kept in reloads and upgrades, until the \
                 setting `workers` changes.",
        worker: NOTHING,
        gunicorn: Some("forgets the number at a reload"),
    },
    SignalRow {
        name: "SIGTTOU",
        command: SignalCommand::Remove,
        master: "Drains one worker; at least one stays.",
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
                 serve within `upgrade-timeout`, the old master stays.",
        worker: NOTHING,
        gunicorn: Some("keeps both masters until an operator stops the old one"),
    },
    SignalRow {
        name: "SIGWINCH",
        command: SignalCommand::Withdraw,
        master: "Withdraw: drains all workers; the master stays, and connections wait until SIGHUP \
                 starts workers again. A master with a terminal ignores the signal: the terminal \
                 sends it whenever its window changes.",
        worker: NOTHING,
        gunicorn: Some("acts on it only with `--daemon`"),
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
