//! The name of a request in log lines: its method and path, and its identifier.

use std::fmt;

use monoceros_http::{Head, TraceParent};
use monoceros_wire::request_id::RequestId;
use monoceros_wire::scoreboard::Running;

use crate::record::request_facts::RequestFacts;

/// The name of a request in a log line, which ends with the identifier.
#[derive(Clone, Debug)]
pub(crate) struct RequestLabel {
    text: String,
    id: String,
    trace: Option<LabelTrace>,
}

/// The identifiers of a trace, and of the caller's span in it.
#[derive(Clone, Debug)]
struct LabelTrace {
    trace_id: String,
    span_id: String,
}

impl RequestLabel {
    /// The label of a request with this head, which a client has chosen.
    pub(crate) fn new(head: &Head, id: &RequestId) -> Self {
        let (method, path) = (head.method().escape_ascii(), head.path().escape_ascii());
        let text = format!("{method} {path} (request {id})");
        Self { text, id: id.to_string(), trace: LabelTrace::of(head) }
    }

    /// The label of a request with this head that the scoreboard shows.
    pub(crate) fn of_running(running: &Running, head: &Head) -> Self {
        let (text, id) = (running.to_string(), running.id.clone());
        Self { text, id, trace: LabelTrace::of(head) }
    }

    /// What a record about the request has beside its text.
    pub(crate) fn facts(&self) -> RequestFacts<'_> {
        RequestFacts::of(&self.id, self.trace.as_ref().map(LabelTrace::parent))
    }
}

impl LabelTrace {
    fn of(head: &Head) -> Option<Self> {
        let TraceParent { trace_id, span_id } = TraceParent::of(head)?;
        Some(Self { trace_id: trace_id.to_owned(), span_id: span_id.to_owned() })
    }

    fn parent(&self) -> TraceParent<'_> {
        TraceParent { trace_id: &self.trace_id, span_id: &self.span_id }
    }
}

impl fmt::Display for RequestLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_options::LIMITS;

    #[test]
    fn a_label_keeps_the_identifiers_of_its_request() {
        let mut head = Head::new();
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let field = format!("traceparent: 00-{trace}-{span}-01\r\n");
        let text = format!("GET /a?q HTTP/1.1\r\nHost: a\r\n{field}\r\n");
        head.read(text.as_bytes(), &LIMITS).unwrap().unwrap();
        let mut id = RequestId::NONE;
        id.take(b"a-1");
        let label = RequestLabel::new(&head, &id);
        let pairs = [("request_id", "a-1"), ("trace_id", trace), ("span_id", span)];
        assert_eq!(label.facts().pairs(), pairs);
        assert!(label.to_string().starts_with("GET /"), "{label}");
        assert!(label.to_string().ends_with(" (request a-1)"), "{label}");
    }
}
