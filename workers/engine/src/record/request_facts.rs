//! What a record of the error log has of the request that it is about, beside its text: the
//! identifier, and those of the trace that the request belongs to.

use monoceros_http::{Head, TraceParent};
use monoceros_wire::request_id::RequestId;

/// The identifiers of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    id: &'a str,
    trace: Option<TraceParent<'a>>,
}

impl<'a> RequestFacts<'a> {
    /// Those of a request with this head; without one, nothing of it could be read.
    pub(crate) fn new(id: &'a RequestId, head: Option<&'a Head>) -> Self {
        Self::of(id.as_str(), head.and_then(TraceParent::of))
    }

    /// These identifiers.
    pub(crate) fn of(id: &'a str, trace: Option<TraceParent<'a>>) -> Self {
        Self { id, trace }
    }

    /// The identifier of the request.
    #[must_use]
    pub fn id(self) -> &'a str {
        self.id
    }

    /// The keys and values of the record.
    #[must_use]
    pub fn pairs(self) -> Vec<(&'static str, &'a str)> {
        let trace = self.trace.map(|it| [("trace_id", it.trace_id), ("span_id", it.span_id)]);
        [("request_id", self.id)].into_iter().chain(trace.into_iter().flatten()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_options::LIMITS;

    #[test]
    fn a_record_has_the_trace_of_a_request_that_has_one() {
        let mut id = RequestId::NONE;
        id.take(b"a-1");
        let alone = vec![("request_id", "a-1")];
        assert_eq!(RequestFacts::new(&id, None).pairs(), alone);
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        for (field, expected) in [
            (String::new(), alone.clone()),
            ("traceparent: 00-4bf9-01\r\n".to_owned(), alone),
            (
                format!("traceparent: 00-{trace}-{span}-01\r\n"),
                vec![("request_id", "a-1"), ("trace_id", trace), ("span_id", span)],
            ),
        ] {
            let mut head = Head::new();
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n");
            head.read(text.as_bytes(), &LIMITS).unwrap().unwrap();
            assert_eq!(RequestFacts::new(&id, Some(&head)).pairs(), expected);
        }
    }
}
