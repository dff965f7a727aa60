//! What takes the records of a process in place of its error log, and the form in which a record
//! leaves the process's own code.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::identity::Identity;
use crate::record::LogRecord;
use crate::severity::Severity;
use crate::text;

/// Takes the records of this process in place of its error log.
pub trait RecordSink: Send + Sync {
    /// Takes a record. Returns whether it did; otherwise the error log gets the record.
    fn take(&self, record: &LogRecord) -> bool;
}

/// A record of this process for another logger, which has a form of its own for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetachedRecord {
    /// How severe it is.
    pub severity: Severity,
    /// The message of the text form, with the part of the server in front, without a traceback.
    pub message: String,
    /// The traceback, in lines.
    pub traceback: Option<String>,
    /// The slot of the worker that has made it.
    pub worker: Option<u16>,
    /// The generation of the worker or mold that has made it.
    pub generation: Option<u32>,
    /// More facts, by the names that JSON has for them.
    pub fields: Vec<(String, String)>,
    /// When it was made, in microseconds since 1970.
    pub time_us: u64,
}

impl DetachedRecord {
    /// A record that is made now.
    #[must_use]
    pub fn of(record: &LogRecord) -> Self {
        let identity = Identity::own();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            severity: record.severity,
            message: text::headline(record, identity),
            traceback: record.traceback.as_deref().map(text::lines),
            worker: identity.slot(),
            generation: identity.generation(),
            fields: record
                .fields
                .iter()
                .map(|(name, value)| (name.clone().into_owned(), value.clone()))
                .collect(),
            time_us: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_record_can_control_a_terminal() {
        let mut record =
            LogRecord::own(Severity::Error, "GET /\u{1b}[2J: failed\nTraceback\n\ta\rb");
        record.fields.push(("request_id".into(), "a-1".to_owned()));
        let detached = DetachedRecord::of(&record);
        assert_eq!(detached.message, "master: GET /\\x1b[2J: failed");
        assert_eq!(detached.traceback.as_deref(), Some("Traceback\n\ta\\rb"));
        assert_eq!(detached.fields, [("request_id".to_owned(), "a-1".to_owned())]);
        let several = LogRecord::of_application(Severity::Info, "wsgi.errors", "one\ntwo");
        assert_eq!(DetachedRecord::of(&several).message, "master wsgi.errors: one\n  two");
    }
}
