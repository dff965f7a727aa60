//! The format of the error log's lines: time, process, level, and the part of the
//! server. The journal adds time and process, so a line for it has the other two.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, PoisonError, RwLock};

use log::{Level, LevelFilter};
use monoceros_sys::clock::{LocalTime, local_time, wall_seconds};

use crate::journal::JournalEntry;
use crate::{LogFile, printable};

/// The name of the process that writes a line, in front of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The master.
    Master,
    /// A worker, by its slot and generation.
    Worker {
        /// The slot's number.
        slot: u16,
        /// The generation's number.
        generation: u32,
    },
    /// A mold, by its generation.
    Mold {
        /// The generation's number.
        generation: u32,
    },
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Master => write!(formatter, "master"),
            Self::Worker { slot, generation } => {
                write!(formatter, "worker={slot} gen={generation}")
            }
            Self::Mold { generation } => write!(formatter, "mold gen={generation}"),
        }
    }
}

/// The pid and the name in front of this process's lines.
static SPEAKER: RwLock<(u32, String)> = RwLock::new((0, String::new()));

/// Sets the pid and the name of this process, after a fork.
pub fn identify(identity: &Identity) {
    if let Ok(mut speaker) = SPEAKER.write() {
        *speaker = (std::process::id(), identity.to_string());
    }
}

/// Writes this process's log records from `level` up to `file`. The level can be changed
/// later with [`log::set_max_level`], the name with [`identify`]. Only the first call in
/// a process has an effect.
pub fn install(identity: &Identity, level: LevelFilter, file: Arc<LogFile>) {
    let form = Arc::clone(&file);
    let format = move |buffer: &mut env_logger::fmt::Formatter, record: &log::Record| {
        let text = printable::text(&record.args().to_string());
        writeln!(buffer, "{}", own_line(&form, record.level(), text))
    };
    let installed = env_logger::Builder::new()
        .filter_level(LevelFilter::Trace)
        .format(format)
        .target(env_logger::Target::Pipe(Box::new(Lines(file))))
        .try_init();
    // After a second call the logger of the first one stays.
    if installed.is_ok() {
        identify(identity);
        log::set_max_level(level);
    }
}

/// Formats a message of this process as a line of the error log `file`, or as several,
/// without the last line end.
pub fn own_line(file: &LogFile, level: Level, text: impl fmt::Display) -> String {
    let speaker = SPEAKER.read().unwrap_or_else(PoisonError::into_inner);
    let (pid, identity) = &*speaker;
    line(file.is_journal(), level, *pid, &format!("{identity}: {text}"))
}

/// Formats a message as a line of the error log, or as several, without the last line
/// end.
pub(crate) fn line(is_journal: bool, level: Level, pid: u32, text: &str) -> String {
    let name = name(level);
    if is_journal {
        return JournalEntry { level, text: &format!("[{name}] {text}") }.to_string();
    }
    format!("[{}] [{pid}] [{name}] {text}", Stamp::now())
}

/// gunicorn's name of a level, which log parsers know.
fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}

/// A time in the format of gunicorn's error log: `2026-11-22 09:23:00 +0000`.
pub(crate) struct Stamp(LocalTime);

impl Stamp {
    pub(crate) fn now() -> Self {
        Self(local_time(wall_seconds()))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let LocalTime { year, month, day, hour, minute, second, offset } = self.0;
        let sign = if offset < 0 { '-' } else { '+' };
        let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
        write!(formatter, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} ")?;
        write!(formatter, "{sign}{hours:02}{minutes:02}")
    }
}

struct Lines(Arc<LogFile>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_has_the_sign_of_its_zone() {
        let mut time = local_time(0);
        (time.year, time.month, time.day) = (2026, 1, 2);
        (time.hour, time.minute, time.second, time.offset) = (3, 4, 5, -12_600);
        assert_eq!(Stamp(time).to_string(), "2026-01-02 03:04:05 -0330");
        time.offset = 7_200;
        assert_eq!(Stamp(time).to_string(), "2026-01-02 03:04:05 +0200");
    }
}
