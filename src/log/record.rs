//! A record of the error log: what happened, before it has a form.

use std::borrow::Cow;

use log::kv::{self, Key, Value, VisitSource};

use crate::severity::Severity;

/// The key of the identifier of an event ([`MessageId`](crate::MessageId)).
pub(crate) const MESSAGE_ID: &str = "message_id";

/// One record.
#[derive(Clone, Debug)]
pub struct LogRecord<'a> {
    /// How severe it is.
    pub severity: Severity,
    /// The name of the application's logger; `None` for a record of the server.
    pub logger: Option<&'a str>,
    /// The text for people, of one line or several.
    pub message: Cow<'a, str>,
    /// A traceback, or the stacks of threads; shown below the message.
    pub traceback: Option<Cow<'a, str>>,
    /// More facts, by the names that JSON has for them: `request_id`, `message_id`, and others.
    pub fields: Vec<(Cow<'a, str>, String)>,
}

impl<'a> LogRecord<'a> {
    /// A record of the server without more facts. Lines below the first one are a traceback.
    #[must_use]
    pub fn own(severity: Severity, text: &'a str) -> Self {
        let (message, traceback) = match text.split_once('\n') {
            Some((message, rest)) => (message, Some(Cow::Borrowed(rest))),
            None => (text, None),
        };
        let (message, fields) = (Cow::Borrowed(message), Vec::new());
        Self { severity, logger: None, message, traceback, fields }
    }

    /// A text of the application, or a record of one of its loggers.
    #[must_use]
    pub fn of_application(severity: Severity, logger: &'a str, text: &'a str) -> Self {
        let (logger, message) = (Some(logger), Cow::Borrowed(text));
        Self { severity, logger, message, traceback: None, fields: Vec::new() }
    }

    /// The same with the facts of these keys and values.
    #[must_use]
    pub(crate) fn with(mut self, source: &dyn kv::Source) -> Self {
        let mut collected = CollectedFields(Vec::new());
        // A value that cannot be shown is left out; the rest of the record stays.
        source.visit(&mut collected).ok();
        self.fields = collected.0;
        self
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

struct CollectedFields<'a>(Vec<(Cow<'a, str>, String)>);

impl<'kvs> VisitSource<'kvs> for CollectedFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        self.0.push((Cow::Owned(key.as_str().to_owned()), value.to_string()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_below_the_first_one_are_a_traceback() {
        let record = LogRecord::own(Severity::Error, "GET /: failed\nTraceback\n  x");
        assert_eq!(record.message, "GET /: failed");
        assert_eq!(record.traceback.as_deref(), Some("Traceback\n  x"));
        assert_eq!(LogRecord::own(Severity::Info, "serving").traceback, None);
    }

    #[test]
    fn keys_and_values_of_a_record_become_fields() {
        let pairs = [("request_id", "a-1"), ("trace_id", "00ff")];
        let record = LogRecord::own(Severity::Info, "x").with(&pairs.as_slice());
        assert_eq!(record.field("trace_id"), Some("00ff"));
        assert_eq!(record.field("request_id"), Some("a-1"));
        assert_eq!(record.field("span_id"), None);
    }
}
