//! Where the concerns of a check and of the application go: to the error log, or as lines to
//! standard output, which are counted for the exit code. Owned by the event loop.

use std::io::{self, Write as _};

use log::Level;

/// What the operator should correct is written here.
#[derive(Debug, Default)]
pub(crate) struct ConcernReport {
    /// The number of lines on standard output; `None` to write to the error log.
    printed: Option<u32>,
}

impl ConcernReport {
    /// Writes to standard output.
    pub(crate) fn to_output() -> Self {
        Self { printed: Some(0) }
    }

    /// Writes a text. A grave one is an error in the log, so that every log level shows it.
    pub(crate) fn write(&mut self, text: &str, is_grave: bool) {
        let Some(printed) = &mut self.printed else {
            let level = if is_grave { Level::Error } else { Level::Warn };
            return log::log!(level, "{text}");
        };
        *printed += 1;
        // If standard output cannot be written to, the exit code still counts the line.
        drop(writeln!(io::stdout(), "{}", text.replace('\n', " ")));
    }

    /// The exit code of a process that would end with `code`.
    pub(crate) fn exit_code(&self, code: u8) -> u8 {
        let has_lines = self.printed.is_some_and(|count| count > 0);
        if code == 0 && has_lines { 1 } else { code }
    }
}
