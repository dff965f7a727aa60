//! What a command has brought about, for people and for programs.

use std::fmt;

use serde::Serialize;

/// The outcome of a command that has succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum CommandOutcome {
    /// Of `reload`.
    Reloaded {
        /// The generation that serves.
        generation: u32,
        /// The number of its workers.
        workers: u16,
    },
    /// Of `upgrade`.
    Upgraded {
        /// The pid of the new master.
        pid: i32,
    },
    /// Of `stop`.
    Stopped {
        /// The pid of the master that has ended.
        stopped: i32,
    },
    /// Of `workers`.
    Resized {
        /// How many serve.
        workers: u16,
    },
    /// Of `recycle`.
    Recycled {
        /// How many were replaced.
        recycled: u16,
    },
    /// Of `log-level`.
    Levelled {
        /// The lowest level that is logged.
        level: String,
        /// How many processes log it.
        processes: u32,
    },
    /// Of `reopen`.
    Reopened {
        /// How many processes have opened their logs again.
        processes: u32,
    },
}

impl fmt::Display for CommandOutcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reloaded { generation, workers } => {
                let workers = count((*workers).into(), "worker");
                write!(out, "reloaded: gen={generation} serves with {workers}")
            }
            Self::Upgraded { pid } => write!(out, "upgraded: the new master has pid {pid}"),
            Self::Stopped { .. } => write!(out, "stopped"),
            Self::Resized { workers: 1 } => write!(out, "1 worker serves"),
            Self::Resized { workers } => write!(out, "{workers} workers serve"),
            Self::Recycled { recycled } => {
                write!(out, "recycled: {}", count((*recycled).into(), "worker"))
            }
            Self::Levelled { level, processes } => {
                let processes = count_processes(*processes);
                write!(out, "log level {level} in {processes}, until a reload")
            }
            Self::Reopened { processes } => {
                write!(out, "reopened: the logs of {}", count_processes(*processes))
            }
        }
    }
}

/// Such as `1 worker`, `2 workers`.
fn count(number: u32, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn count_processes(number: u32) -> String {
    if number == 1 { "1 process".to_owned() } else { format!("{number} processes") }
}

#[cfg(test)]
mod tests {
    use monoceros_wire::control::to_json;

    use super::*;

    #[test]
    fn an_outcome_is_a_line_or_an_object() {
        for (outcome, text, json) in [
            (
                CommandOutcome::Reloaded { generation: 2, workers: 1 },
                "reloaded: gen=2 serves with 1 worker",
                "{\"generation\":2,\"workers\":1}",
            ),
            (CommandOutcome::Stopped { stopped: 7 }, "stopped", "{\"stopped\":7}"),
            (CommandOutcome::Resized { workers: 8 }, "8 workers serve", "{\"workers\":8}"),
            (CommandOutcome::Resized { workers: 1 }, "1 worker serves", "{\"workers\":1}"),
            (CommandOutcome::Recycled { recycled: 2 }, "recycled: 2 workers", "{\"recycled\":2}"),
            (
                CommandOutcome::Reopened { processes: 3 },
                "reopened: the logs of 3 processes",
                "{\"processes\":3}",
            ),
        ] {
            assert_eq!(
                (outcome.to_string().as_str(), to_json(&outcome).unwrap()),
                (text, json.to_owned())
            );
        }
    }
}
