//! A log of lines that have a form already, such as the access log.

use std::sync::Arc;

use crate::destination::LogFile;
use crate::syslog::Syslog;

/// Lines that go to a file or stream, to syslog, or to both.
#[derive(Debug, Default)]
pub struct LineLog {
    file: Option<Arc<LogFile>>,
    syslog: Option<Syslog>,
}

impl LineLog {
    /// A log that goes to these.
    #[must_use]
    pub fn new(file: Option<Arc<LogFile>>, syslog: Option<Syslog>) -> Self {
        Self { file, syslog }
    }

    /// Whether its only reader is a person at a terminal.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.syslog.is_none() && self.file.as_ref().is_some_and(|file| file.is_terminal())
    }

    /// Writes bytes that end in a newline, without waiting.
    pub fn write(&self, lines: &[u8]) {
        if let Some(file) = &self.file {
            file.write(lines);
        }
        if let Some(syslog) = &self.syslog {
            syslog.send_lines(lines);
        }
    }
}
