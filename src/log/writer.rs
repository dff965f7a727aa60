//! The error log of a process: its records go to a file or stream, to systemd's journal, and
//! to syslog.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock, RwLock};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::counts;
use crate::destination::LogFile;
use crate::form::RecordForm;
use crate::identity::{Identity, identify};
use crate::journal::{self, JournalSocket};
use crate::record::{LogRecord, MESSAGE_ID};
use crate::sink::RecordSink;
use crate::syslog::Syslog;

/// Writes records. Writing never waits.
pub struct RecordWriter {
    file: Arc<LogFile>,
    /// The journal's own protocol, looked for when the file is the stream to the journal.
    journal: OnceLock<Option<JournalSocket>>,
    syslog: RwLock<Option<Syslog>>,
    /// What takes the records instead.
    sink: OnceLock<Arc<dyn RecordSink>>,
}

impl RecordWriter {
    /// Writes to a file or stream in the form of that file.
    #[must_use]
    pub fn new(file: Arc<LogFile>) -> Self {
        let (journal, syslog, sink) = (OnceLock::new(), RwLock::new(None), OnceLock::new());
        Self { file, journal, syslog, sink }
    }

    /// The file or stream.
    #[must_use]
    pub fn file(&self) -> &Arc<LogFile> {
        &self.file
    }

    /// Sends records to syslog too, or not any more.
    pub fn set_syslog(&self, syslog: Option<Syslog>) {
        if let Ok(mut present) = self.syslog.write() {
            *present = syslog;
        }
    }

    /// Gives records to a sink from now on, as long as it takes them. The first sink stays.
    pub fn divert(&self, sink: Arc<dyn RecordSink>) {
        self.sink.set(sink).ok();
    }

    /// Writes a record.
    pub fn write(&self, record: &LogRecord) {
        counts::count(record);
        if !self.sink.get().is_some_and(|sink| sink.take(record)) {
            self.write_here(record);
        }
    }

    /// Writes a record to the file or stream, past a sink.
    pub fn write_here(&self, record: &LogRecord) {
        if !self.send_to_journal(record) {
            self.file.write((self.file.form().render(record) + "\n").as_bytes());
        }
        // A process that the application has forked may have a lock that is never released.
        if let Ok(syslog) = self.syslog.try_read()
            && let Some(syslog) = &*syslog
        {
            let message = self.file.form().message(record);
            let id = record.field(MESSAGE_ID);
            syslog.send(record.severity.priority(), id, &message);
        }
    }

    /// Sends the record by the journal's own protocol, if the journal reads the stream. Returns
    /// whether the journal has it.
    fn send_to_journal(&self, record: &LogRecord) -> bool {
        if !self.file.is_journal() {
            return false;
        }
        let connect = || {
            let stream = self.file.as_fd().try_clone_to_owned().ok()?;
            JournalSocket::for_stream(&File::from(stream))
        };
        let Some(socket) = self.journal.get_or_init(connect) else { return false };
        let message = match self.file.form() {
            RecordForm::Json => RecordForm::Json.message(record),
            // As in the stream: `journalctl` shows no level.
            form => format!("[{}] {}", record.severity.name(), form.message(record)),
        };
        socket.send(&journal::entry(record, &message, Identity::own()))
    }

    /// Sends what waits for a connection to syslog.
    pub fn flush(&self) {
        if let Ok(syslog) = self.syslog.try_read()
            && let Some(syslog) = &*syslog
        {
            syslog.flush();
        }
    }
}

impl fmt::Debug for RecordWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RecordWriter").field("file", &self.file).finish_non_exhaustive()
    }
}

/// The records of the `log` crate go to a writer.
struct Installed(Arc<RecordWriter>);

impl Log for Installed {
    fn enabled(&self, _: &Metadata) -> bool {
        // The macros have compared the level already (`log::max_level`).
        true
    }

    fn log(&self, record: &Record) {
        let text = record.args().to_string();
        let own = LogRecord::own(record.level().into(), &text);
        self.0.write(&own.with(record.key_values()));
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// Writes this process's log records from `level` up by `writer`. The level can be changed
/// later with [`set_level`], the identity with [`identify`]. Only the first call in a process
/// has an effect.
pub fn install(identity: &Identity, level: LevelFilter, writer: Arc<RecordWriter>) {
    // After a second call the logger of the first one stays.
    if log::set_boxed_logger(Box::new(Installed(writer))).is_ok() {
        identify(identity);
        set_level(level);
    }
}

/// Writes a record of this process with facts, by the names that JSON has for them, if its
/// level is written. Like the macros of the crate `log`, for facts that are not known when it is
/// compiled.
pub fn write_with(level: Level, facts: &[(&str, &str)], text: fmt::Arguments) {
    if level <= log::max_level() {
        let record = Record::builder().level(level).args(text).key_values(&facts).build();
        log::logger().log(&record);
    }
}

/// From now on records of this process from `level` up are written.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// Sends what waits for a connection to syslog. To be called about once a second.
pub fn flush() {
    log::logger().flush();
}
