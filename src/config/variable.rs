//! The environment variables with the prefix `MONOCEROS_`. Those of settings are made from
//! the setting's name. The others, which the server's processes pass to each other, are
//! listed here.

/// The prefix of all names.
pub(crate) const PREFIX: &str = "MONOCEROS_";

/// The descriptor of the channel, for workers that are not of class exec.
pub const CHANNEL: &str = "MONOCEROS_CHANNEL";
/// The descriptor of the scoreboard, for workers that are not of class exec.
pub const SCOREBOARD: &str = "MONOCEROS_SCOREBOARD";
/// The descriptor of the file for stacks, for workers that are not of class exec.
pub const STACKS: &str = "MONOCEROS_STACKS";
/// The descriptor of the extension module that the master has opened at its start: the file
/// on the disk may have another version meanwhile.
pub const EXTENSION: &str = "MONOCEROS_EXTENSION";
/// The directory for the files of `prometheus_client` that the master has made, if it could.
pub const APPLICATION_METRICS: &str = "MONOCEROS_APPLICATION_METRICS";
/// The number of the slot. The application has it in its environment.
pub const SLOT: &str = "MONOCEROS_SLOT";
/// The number of the generation. The application has it in its environment.
pub const GENERATION: &str = "MONOCEROS_GENERATION";
/// In a new master: the descriptor of its channel to the old one.
pub const PREDECESSOR: &str = "MONOCEROS_PREDECESSOR";
/// The interpreter that has executed `python -m monoceros`.
pub const CALLER: &str = "MONOCEROS_CALLER";

/// The variables for the start of a worker. It removes them from the environment, so that
/// programs of the application do not use them.
pub const BOOT: [&str; 4] = [CHANNEL, SCOREBOARD, STACKS, APPLICATION_METRICS];

/// All variables of a worker.
pub const WORKER: [&str; 7] =
    [EXTENSION, SLOT, GENERATION, CHANNEL, SCOREBOARD, STACKS, APPLICATION_METRICS];

/// The variables of the master, which workers do not get.
pub const MASTER: [&str; 2] = [PREDECESSOR, CALLER];

/// The variables for listening sockets (`sd_listen_fds(3)`).
pub const LISTEN: [&str; 3] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// Whether a variable with the prefix does not belong to a setting.
pub(crate) fn is_internal(name: &str) -> bool {
    WORKER.contains(&name) || MASTER.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Row;

    #[test]
    fn no_variable_is_also_that_of_a_setting() {
        for name in WORKER.iter().chain(&MASTER) {
            let key = name.strip_prefix(PREFIX).unwrap();
            assert!(Row::find(&key.to_lowercase()).is_none(), "{name}");
        }
        assert!(BOOT.iter().all(|name| WORKER.contains(name)));
    }
}
