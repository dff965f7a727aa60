//! The forms that a record can have in a file or stream.

use crate::identity::Identity;
use crate::record::LogRecord;
use crate::{json, text};

/// The form of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordForm {
    /// For people: a line, with indented lines below it.
    #[default]
    Text,
    /// As [`RecordForm::Text`], for the stream to systemd's journal.
    Prefixed,
    /// For machines: an object in one line.
    Json,
}

impl RecordForm {
    /// A record of this process in this form, without the last line end.
    pub(crate) fn render(self, record: &LogRecord) -> String {
        let (pid, identity) = (std::process::id(), Identity::own());
        match self {
            Self::Text => text::text(record, pid, identity),
            Self::Prefixed => text::prefixed(record, identity),
            Self::Json => json::object(record, pid, identity),
        }
    }

    /// The message of a record of this process, for logs that have time, process and severity in
    /// places of their own.
    pub(crate) fn message(self, record: &LogRecord) -> String {
        let (pid, identity) = (std::process::id(), Identity::own());
        match self {
            Self::Text | Self::Prefixed => text::message(record, identity),
            Self::Json => json::object(record, pid, identity),
        }
    }
}
