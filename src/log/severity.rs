//! How severe a record of the error log is, with the names that each kind of log has for it.

use log::Level;

/// The severity of a record: the levels of Python's `logging`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For the search for errors.
    Debug,
    /// What happens.
    Info,
    /// What may need attention.
    Warning,
    /// What failed.
    Error,
    /// What ends a program. The server's own records have no such severity.
    Critical,
}

impl Severity {
    /// The severity of a level's number in Python's `logging`.
    #[must_use]
    pub fn of_python(level: i64) -> Self {
        match level {
            50.. => Self::Critical,
            40.. => Self::Error,
            30.. => Self::Warning,
            20.. => Self::Info,
            _ => Self::Debug,
        }
    }

    /// The number of the level in Python's `logging`.
    #[must_use]
    pub fn python_level(self) -> i64 {
        match self {
            Self::Debug => 10,
            Self::Info => 20,
            Self::Warning => 30,
            Self::Error => 40,
            Self::Critical => 50,
        }
    }

    /// gunicorn's name in the error log, which log parsers know.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }

    /// The word in JSON, which is that of the setting `log-level`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// The number that `syslog(3)` and systemd's journal have for it.
    #[must_use]
    pub fn priority(self) -> u8 {
        match self {
            Self::Debug => 7,
            Self::Info => 6,
            Self::Warning => 4,
            Self::Error => 3,
            Self::Critical => 2,
        }
    }
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warn => Self::Warning,
            Level::Info => Self::Info,
            Level::Debug | Level::Trace => Self::Debug,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_python_have_the_severity_of_the_level_below_them() {
        let found = [0, 10, 19, 20, 30, 39, 40, 50, 99].map(Severity::of_python);
        use Severity::{Critical, Debug, Error, Info, Warning};
        let expected = [Debug, Debug, Debug, Info, Warning, Warning, Error, Critical, Critical];
        assert_eq!(found, expected);
        for severity in expected {
            assert_eq!(Severity::of_python(severity.python_level()), severity);
        }
    }

    #[test]
    fn priorities_are_those_of_syslog() {
        let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];
        let found = levels.map(|level| Severity::from(level).priority());
        assert_eq!(found, [3, 4, 6, 7, 7]);
        assert_eq!(Severity::Critical.priority(), 2);
    }
}
