//! Types of settings: the level, the file and the format of a log.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::choice::choice;
use crate::raw::{bytes_of, text_of};
use crate::row::{Arity, Bounds};
use crate::value::{Value, not_empty};

/// The lowest level of messages that are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// All messages.
    Debug,
    /// Normal events.
    Info,
    /// Events that may need attention.
    Warning,
    /// Failures.
    Error,
    /// Failures that end the server.
    Critical,
}

/// The names of the levels, from the lowest to the highest, and what each adds.
pub(crate) const LEVELS: [(&str, &str); 5] = [
    ("debug", "everything"),
    ("info", "what happens"),
    ("warning", "what may need attention"),
    ("error", "what failed"),
    ("critical", "what ends the server"),
];

impl LogLevel {
    /// All of them, in the order of [`LEVELS`].
    const ALL: [Self; LEVELS.len()] =
        [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// The level for the `log` crate, which has none above error.
    #[must_use]
    pub fn filter(self) -> log::LevelFilter {
        match self {
            Self::Debug => log::LevelFilter::Debug,
            Self::Info => log::LevelFilter::Info,
            Self::Warning => log::LevelFilter::Warn,
            Self::Error | Self::Critical => log::LevelFilter::Error,
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(LEVELS[*self as usize].0)
    }
}

impl Value for LogLevel {
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        let found = LEVELS.iter().position(|(name, _)| text.eq_ignore_ascii_case(name));
        found.map(|index| Self::ALL[index]).ok_or_else(|| {
            format!("{text:?} is not one of {}", LEVELS.map(|(name, _)| name).join(", "))
        })
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

choice! {
    /// The format of the logs.
    LogFormat, takes Arity::One;
    Text = "text", "lines for people";
    Json = "json", "one JSON object in each line";
}

/// The target of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// `-`: standard error for the error log, standard output for the access log.
    Stream,
    /// A file to append to, which is reopened on SIGUSR1.
    Path(PathBuf),
}

impl LogTarget {
    /// The path of a file; `None` for a stream.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stream => None,
            Self::Path(path) => Some(path),
        }
    }
}

impl fmt::Display for LogTarget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream => out.write_str("-"),
            Self::Path(path) => path.display().fmt(out),
        }
    }
}

impl Value for LogTarget {
    const RAW: bool = true;

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        not_empty(text)?;
        Ok(if text == "-" { Self::Stream } else { Self::Path(PathBuf::from(bytes_of(text))) })
    }

    fn texts(&self) -> Vec<String> {
        vec![match self {
            Self::Stream => self.to_string(),
            Self::Path(path) => text_of(path.as_os_str()),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_gunicorns_in_any_case() {
        for (level, (name, _)) in LogLevel::ALL.iter().zip(LEVELS) {
            assert_eq!(
                (LogLevel::parse(name, None), level.to_string().as_str()),
                (Ok(*level), name)
            );
        }
        assert_eq!(LogLevel::parse("WARNING", None), Ok(LogLevel::Warning));
        assert_eq!(
            LogLevel::parse("loud", None).unwrap_err(),
            "\"loud\" is not one of debug, info, warning, error, critical"
        );
    }

    #[test]
    fn a_dash_is_the_stream() {
        assert_eq!(LogTarget::parse("-", None), Ok(LogTarget::Stream));
        assert_eq!(LogTarget::parse("a.log", None), Ok(LogTarget::Path("a.log".into())));
        assert!(LogTarget::parse("", None).is_err());
    }
}
