//! Errors in settings. Each error has the origin of its value. All errors are collected
//! before the first one is shown.

use std::fmt;

use crate::raw::bytes_of;
use crate::variable::PREFIX;

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueOrigin {
    /// The default in the table.
    Default,
    /// The command `dev`.
    Development,
    /// The configuration file.
    File {
        /// The file as the user named it.
        name: String,
        /// The line, from 1, if it could be found.
        line: Option<usize>,
    },
    /// The configuration file in Python.
    PythonFile {
        /// The file or module as the user named it.
        name: String,
    },
    /// An environment variable.
    Variable(String),
    /// The command line.
    CommandLine,
    /// The master's message to a worker.
    Master,
}

/// The variable with gunicorn's arguments.
pub(crate) const GUNICORN_ARGUMENTS: &str = "GUNICORN_CMD_ARGS";

impl ValueOrigin {
    /// Whether it is the configuration file in Python.
    pub(crate) fn is_python(&self) -> bool {
        matches!(self, Self::PythonFile { .. })
    }

    /// Whether values of gunicorn's settings are read here as gunicorn reads them.
    pub(crate) fn is_gunicorns(&self) -> bool {
        match self {
            Self::PythonFile { .. } | Self::CommandLine => true,
            Self::Variable(name) => !name.starts_with(PREFIX),
            Self::Default | Self::Development | Self::File { .. } | Self::Master => false,
        }
    }
}

impl fmt::Display for ValueOrigin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::Development => out.write_str("monoceros dev"),
            Self::File { name, line: Some(line) } => write!(out, "{name} line {line}"),
            Self::File { name, line: None } | Self::PythonFile { name } | Self::Variable(name) => {
                out.write_str(name)
            }
            Self::CommandLine => out.write_str("command line"),
            Self::Master => out.write_str("settings from the master"),
        }
    }
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The origin of the value.
    pub origin: ValueOrigin,
    /// The key or flag as written there; empty if the origin names it.
    pub subject: String,
    /// The reason, and what to do.
    pub reason: String,
}

impl Error {
    pub(crate) fn new(origin: ValueOrigin, subject: &str, reason: impl Into<String>) -> Self {
        // Bytes that cannot be shown are replaced.
        let shown = |text: &str| bytes_of(text).to_string_lossy().into_owned();
        Self { origin, subject: shown(subject), reason: shown(&reason.into()) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A flag is always on the command line.
        if self.origin != ValueOrigin::CommandLine {
            write!(out, "{}: ", self.origin)?;
        }
        if !self.subject.is_empty() {
            write!(out, "{}: ", self.subject)?;
        }
        out.write_str(&self.reason)
    }
}

/// All errors, with a line for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors(pub Vec<Error>);

impl Errors {
    /// The exit code: 2 if the command line itself is wrong, else 1, as in gunicorn.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.0.iter().any(|error| error.origin == ValueOrigin::CommandLine) { 2 } else { 1 }
    }

    /// The only error of a command line: what is wrong with `subject`.
    pub(crate) fn of_command_line(subject: &str, reason: impl Into<String>) -> Self {
        Self(vec![Error::new(ValueOrigin::CommandLine, subject, reason)])
    }

    pub(crate) fn add(&mut self, origin: ValueOrigin, subject: &str, reason: impl Into<String>) {
        self.0.push(Error::new(origin, subject, reason));
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                out.write_str("\n")?;
            }
            error.fmt(out)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_starts_with_its_origin() {
        let file = ValueOrigin::File { name: "shop.yaml".to_owned(), line: Some(3) };
        let variable = ValueOrigin::Variable("MONOCEROS_BIND".to_owned());
        let errors = Errors(vec![
            Error::new(file, "bind", "bad"),
            Error::new(variable, "", "bad"),
            Error::new(ValueOrigin::CommandLine, "--bind", "bad"),
        ]);
        assert_eq!(
            errors.to_string(),
            "shop.yaml line 3: bind: bad\nMONOCEROS_BIND: bad\n--bind: bad"
        );
    }

    #[test]
    fn only_the_command_line_is_a_usage_error() {
        let variable = Error::new(ValueOrigin::Variable("PORT".to_owned()), "", "bad");
        let flag = Error::new(ValueOrigin::CommandLine, "--bind", "bad");
        assert_eq!(Errors(vec![variable.clone()]).exit_code(), 1);
        assert_eq!(Errors(vec![variable, flag]).exit_code(), 2);
    }
}
