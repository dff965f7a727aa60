//! What an access log outside of the engine gets of a request: owned, so that it can wait.

use std::fmt;

use monoceros_http::{Head, ResponseHead};
use monoceros_wire::listener::Scheme;
use monoceros_wire::request_id::RequestId;

use crate::record::access_record::Record;
use crate::record::session_variables::session_variables;

/// The facts of a request with its response.
#[derive(Debug)]
pub struct AccessFacts {
    /// The address of the client; none at a unix socket.
    pub client: Option<String>,
    /// `None` when the request could not be read.
    pub head: Option<Head>,
    /// The scheme of the client's URL.
    pub scheme: Scheme,
    /// The response as it was sent.
    pub response: ResponseHead,
    /// How many bytes of its body were sent.
    pub body_bytes: u64,
    /// From the first byte of the request to the end of the application's work, in microseconds.
    pub took_us: u64,
    /// The variables about the connection's encryption.
    pub variables: Vec<(&'static str, String)>,
    /// The request's identifier.
    pub request_id: RequestId,
}

/// An access log outside of the engine. It is called on any thread, and must not wait.
pub trait AccessSink: Send + Sync + fmt::Debug {
    /// Takes the facts of a request that has its response.
    fn take(&self, facts: AccessFacts);
}

impl AccessFacts {
    pub(super) fn of(record: &Record) -> Self {
        let head = record.head.map(|head| {
            let mut copy = Head::new();
            copy.copy_from(head);
            copy
        });
        let variables = record.session.into_iter().flat_map(session_variables);
        Self {
            client: record.client().map(str::to_owned),
            head,
            scheme: record.scheme,
            response: record.response.head().clone(),
            body_bytes: record.response.body_bytes(),
            took_us: record.took_us,
            variables: variables.map(|(name, value)| (name, value.to_owned())).collect(),
            request_id: record.request_id.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::access_record::tests::with_record;

    #[test]
    fn facts_are_those_of_the_record() {
        let facts = with_record("/a?b", AccessFacts::of);
        let head = facts.head.unwrap();
        assert_eq!((head.method(), head.target()), (&b"GET"[..], &b"/a?b"[..]));
        assert_eq!((facts.client.as_deref(), facts.took_us), (Some("1.2.3.4"), 1_234_567));
        assert_eq!(facts.response.status_text(), b"200 OK");
        assert_eq!(facts.response.fields.iter().count(), 2);
        assert!(facts.variables.contains(&("SSL_PROTOCOL", "TLSv1.3".to_owned())));
        assert_eq!(facts.request_id.as_str(), "a-1");
    }
}
