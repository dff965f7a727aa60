//! The environment variables with our name. Those of settings are made of the
//! setting's name; the others, by which the processes of a server pass things on,
//! are listed here.

/// How the names begin.
pub(crate) const PREFIX: &str = "MONOCEROS_";

/// The descriptor of the channel; only workers of ours have one.
pub const CHANNEL: &str = "MONOCEROS_CHANNEL";
/// The descriptor of the scoreboard; only workers of ours have one.
pub const SCOREBOARD: &str = "MONOCEROS_SCOREBOARD";
/// The descriptor of the file for stacks; only workers of ours have one.
pub const STACKS: &str = "MONOCEROS_STACKS";
/// The descriptor of the error log, if the settings name one of the master's
/// descriptors (`/dev/fd/5`).
pub const ERROR_LOG: &str = "MONOCEROS_ERROR_LOG_FD";
/// The same of the access log.
pub const ACCESS_LOG: &str = "MONOCEROS_ACCESS_LOG_FD";
/// The descriptor of the extension module, as it was when the master started: the
/// file on the disk may be of another version meanwhile.
pub const EXTENSION: &str = "MONOCEROS_EXTENSION";
/// The slot's number; stays in the application's environment.
pub const SLOT: &str = "MONOCEROS_SLOT";
/// The generation's number; stays in the application's environment.
pub const GENERATION: &str = "MONOCEROS_GENERATION";
/// In a new master: the descriptor of its channel to the old one.
pub const PREDECESSOR: &str = "MONOCEROS_PREDECESSOR";
/// The interpreter that has executed `python -m monoceros`.
pub const CALLER: &str = "MONOCEROS_CALLER";

/// What only the worker's boot reads. It takes these out of the environment, so
/// that programs of the application do not take them for theirs.
pub const BOOT: [&str; 5] = [CHANNEL, SCOREBOARD, STACKS, ERROR_LOG, ACCESS_LOG];

/// What a worker is given in all.
pub const WORKER: [&str; 8] =
    [EXTENSION, SLOT, GENERATION, CHANNEL, SCOREBOARD, STACKS, ERROR_LOG, ACCESS_LOG];

/// What is about the master, and not passed on to workers.
pub const MASTER: [&str; 2] = [PREDECESSOR, CALLER];

/// By which listening sockets are passed (`sd_listen_fds(3)`).
pub const LISTEN: [&str; 3] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// Whether a variable with our name is none of a setting.
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
