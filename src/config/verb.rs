//! The commands to a running server, each with what its words ask for.

use std::fmt;

use crate::log::{LEVELS, LogLevel};
use crate::value::{Value, integer};
use crate::worker::MOST_WORKERS;

/// A command to a running server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read the settings and the code again.
    Reload,
    /// Replace the master.
    Upgrade,
    /// End when every client is served.
    Stop,
    /// Show the state of the server.
    Status,
    /// Show the requests that run, and the last ones.
    Requests,
    /// Show where in its code each thread is.
    Stacks {
        /// The slot of the only worker that is meant.
        worker: Option<u16>,
    },
    /// Change the number of workers.
    Workers(WorkersChange),
    /// Change the lowest level of messages in the error log.
    LogLevel(LogLevel),
    /// Open the logs again.
    Reopen,
    /// Replace workers.
    Recycle {
        /// The slot of the only worker that is meant.
        worker: Option<u16>,
    },
    /// Show the server on the terminal until the user ends it.
    Top,
}

/// How the number of workers changes. As text: `+2`, `-1`, `=8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkersChange {
    /// So many more.
    Add(u16),
    /// So many fewer.
    Remove(u16),
    /// So many in all.
    Set(u16),
}

/// The word for all workers in place of the number of one.
const ALL: &str = "all";

/// How the words of a command are read.
pub(crate) struct VerbForm {
    /// Its first word.
    pub(crate) name: &'static str,
    /// Its word before the PID, if it has one.
    pub(crate) argument: Option<&'static ArgumentForm>,
    /// Whether it can print JSON.
    pub(crate) has_json: bool,
    /// Makes the command of the argument.
    pub(crate) make: fn(Option<&str>) -> Result<Verb, String>,
}

/// A word that a command takes before the PID.
pub(crate) struct ArgumentForm {
    /// How help shows it.
    pub(crate) placeholder: &'static str,
    /// Its description for completions.
    pub(crate) text: &'static str,
    /// The words that it may be, with their meanings; none if it is a number.
    pub(crate) choices: &'static [(&'static str, &'static str)],
}

const WORKER: ArgumentForm =
    ArgumentForm { placeholder: "[WORKER]", text: "The number of a worker, or all", choices: &[] };
const CHANGE: ArgumentForm = ArgumentForm {
    placeholder: "+N|-N|=N",
    text: "How many workers more, fewer, or in all",
    choices: &[],
};
const LEVEL: ArgumentForm =
    ArgumentForm { placeholder: "LEVEL", text: "The lowest level", choices: &LEVELS };

/// A command without a word before the PID.
const PLAIN: VerbForm =
    VerbForm { name: "", argument: None, has_json: true, make: |_| Ok(Verb::Status) };

/// The commands, in the order of help.
pub(crate) static FORMS: [VerbForm; 11] = [
    VerbForm { name: "reload", make: |_| Ok(Verb::Reload), ..PLAIN },
    VerbForm { name: "upgrade", make: |_| Ok(Verb::Upgrade), ..PLAIN },
    VerbForm { name: "stop", make: |_| Ok(Verb::Stop), ..PLAIN },
    VerbForm { name: "status", make: |_| Ok(Verb::Status), ..PLAIN },
    VerbForm { name: "requests", make: |_| Ok(Verb::Requests), ..PLAIN },
    VerbForm {
        name: "stacks",
        argument: Some(&WORKER),
        make: |word| Ok(Verb::Stacks { worker: worker("stacks", word)? }),
        ..PLAIN
    },
    VerbForm {
        name: "workers",
        argument: Some(&CHANGE),
        make: |word| change(word).map(Verb::Workers),
        ..PLAIN
    },
    VerbForm {
        name: "log-level",
        argument: Some(&LEVEL),
        make: |word| level(word).map(Verb::LogLevel),
        ..PLAIN
    },
    VerbForm { name: "reopen", make: |_| Ok(Verb::Reopen), ..PLAIN },
    VerbForm {
        name: "recycle",
        argument: Some(&WORKER),
        make: |word| Ok(Verb::Recycle { worker: worker("recycle", word)? }),
        ..PLAIN
    },
    VerbForm { name: "top", has_json: false, make: |_| Ok(Verb::Top), ..PLAIN },
];

impl Verb {
    /// Its first word.
    fn name(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Upgrade => "upgrade",
            Self::Stop => "stop",
            Self::Status => "status",
            Self::Requests => "requests",
            Self::Stacks { .. } => "stacks",
            Self::Workers(_) => "workers",
            Self::LogLevel(_) => "log-level",
            Self::Reopen => "reopen",
            Self::Recycle { .. } => "recycle",
            Self::Top => "top",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl fmt::Display for WorkersChange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(count) => write!(out, "+{count}"),
            Self::Remove(count) => write!(out, "-{count}"),
            Self::Set(count) => write!(out, "={count}"),
        }
    }
}

/// Reads the slot of a worker; `None` for all workers.
fn worker(command: &str, word: Option<&str>) -> Result<Option<u16>, String> {
    let Some(word) = word.filter(|word| *word != ALL) else { return Ok(None) };
    let slot = integer(word).and_then(|slot| u16::try_from(slot).ok());
    match slot.filter(|slot| *slot < MOST_WORKERS) {
        Some(slot) => Ok(Some(slot)),
        None => Err(format!(
            "{word:?} is no worker: 0 to {}, or {ALL}; a PID stands behind it, as in monoceros \
             {command} {ALL} PID",
            MOST_WORKERS - 1
        )),
    }
}

/// Reads how the number of workers changes.
fn change(word: Option<&str>) -> Result<WorkersChange, String> {
    let missing = "names no number; examples: workers +2, workers -1, workers =8";
    let word = word.ok_or(missing)?;
    let count = |digits| u16::parse(digits, Some((1, MOST_WORKERS.into())));
    if word.starts_with(|letter: char| letter.is_ascii_digit()) {
        let number = count(word)?;
        return Err(format!(
            "{word:?} is neither +N, -N nor =N; for {number} workers write ={number}"
        ));
    }
    match word.split_at_checked(1) {
        Some(("+", digits)) => count(digits).map(WorkersChange::Add),
        Some(("-", digits)) => count(digits).map(WorkersChange::Remove),
        Some(("=", digits)) => count(digits).map(WorkersChange::Set),
        Some(_) | None => Err(format!("{word:?} is neither +N, -N nor =N; examples: +2, -1, =8")),
    }
}

fn level(word: Option<&str>) -> Result<LogLevel, String> {
    let word = word.ok_or("names no level; examples: log-level debug, log-level info")?;
    LogLevel::parse(word, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(name: &str) -> &'static VerbForm {
        FORMS.iter().find(|form| form.name == name).expect(name)
    }

    #[test]
    fn each_command_has_its_name() {
        for form in &FORMS {
            let word = match form.argument.map(|argument| argument.placeholder) {
                Some("+N|-N|=N") => Some("+2"),
                Some("LEVEL") => Some("debug"),
                _ => None,
            };
            assert_eq!((form.make)(word).unwrap().to_string(), form.name);
        }
    }

    #[test]
    fn the_number_of_workers_changes_in_three_ways() {
        let change = |word| (form("workers").make)(Some(word));
        for (word, expected) in [
            ("+2", WorkersChange::Add(2)),
            ("-1", WorkersChange::Remove(1)),
            ("=8", WorkersChange::Set(8)),
        ] {
            assert_eq!(change(word), Ok(Verb::Workers(expected)));
            assert_eq!(expected.to_string(), word);
        }
        for (word, reason) in [
            ("8", "\"8\" is neither +N, -N nor =N; for 8 workers write =8"),
            ("two", "\"two\" is neither +N, -N nor =N; examples: +2, -1, =8"),
            ("0", "0 is not between 1 and 1024"),
            ("+0", "0 is not between 1 and 1024"),
            ("=9999", "9999 is not between 1 and 1024"),
            ("-x", "cannot read \"x\" as a whole number"),
        ] {
            assert_eq!(change(word).unwrap_err(), reason);
        }
        assert!((form("workers").make)(None).unwrap_err().starts_with("names no number"));
    }

    #[test]
    fn a_worker_has_a_small_number() {
        let stacks = |word| (form("stacks").make)(word);
        for (word, worker) in [(None, None), (Some("all"), None), (Some("3"), Some(3))] {
            assert_eq!(stacks(word), Ok(Verb::Stacks { worker }));
        }
        let reason = stacks(Some("70000")).unwrap_err();
        assert_eq!(
            reason,
            "\"70000\" is no worker: 0 to 1023, or all; a PID stands behind it, as in monoceros \
             stacks all PID"
        );
        let level = (form("log-level").make)(Some("loud")).unwrap_err();
        assert!(level.starts_with("\"loud\" is not one of debug, info"), "{level}");
    }
}
