//! Logs: their files and streams, the forms of the error log's records, systemd's journal and
//! syslog.
//!
//! The master and its workers use this crate. The engine formats the access log's lines;
//! this crate has only where they go.

mod counts;
mod destination;
mod form;
mod identity;
pub mod journal;
pub mod json;
mod line_log;
mod loss;
mod message_id;
pub mod printable;
mod record;
mod severity;
mod sink;
mod syslog;
mod syslog_link;
mod text;
mod writer;

pub use counts::{LogCounts, count};
pub use destination::{Destination, LogFile};
pub use form::RecordForm;
pub use identity::{Identity, identify};
pub use line_log::LineLog;
pub use message_id::MessageId;
pub use record::LogRecord;
pub use severity::Severity;
pub use sink::{DetachedRecord, RecordSink};
pub use syslog::Syslog;
pub use syslog_link::SyslogLink;
pub use writer::{RecordWriter, flush, install, set_level, write_with};
