//! Responses of the server itself, and the rule that decides on them: at the end of a
//! request's head, or of the head of an application's response.

use std::fmt;
use std::sync::Arc;

use monoceros_http::{Head, PathPrefix};
use monoceros_wire::listener::Scheme;

use crate::connection::address::Address;
use crate::stream::response::{Asked, Fault, Response};

/// A whole response of the server itself.
#[derive(Debug)]
pub struct LocalResponse {
    response: Response,
    body: Vec<u8>,
}

impl LocalResponse {
    /// A response with this status, its usual reason phrase, and nothing else.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { response: Response::own(status), body: Vec::new() }
    }

    /// Adds a field.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.response.field(name, value)
    }

    /// Sets the body.
    #[must_use]
    pub fn body(self, body: Vec<u8>) -> Self {
        Self { body, ..self }
    }

    /// The status in plain text, with no detail of the server; with 503, that another
    /// try may be served soon (RFC 9110 section 10.2.3).
    pub(crate) fn refusal(status: u16) -> Self {
        let mut response = Response::own(status);
        if status == 503 {
            response.own_field(b"Retry-After", b"1");
        }
        response.own_field(b"Content-Type", b"text/plain; charset=utf-8");
        let mut body = response.status_text().to_vec();
        body.push(b'\n');
        Self { response, body }
    }

    /// As above, with a sentence behind the status.
    pub(crate) fn explained_refusal(status: u16, explanation: &str) -> Self {
        let mut refusal = Self::refusal(status);
        refusal.body.extend_from_slice(explanation.as_bytes());
        refusal
    }

    /// Completes the response for the request's method and version.
    pub(crate) fn conclude(mut self, asked: Asked) -> ConcludedResponse {
        let length = self.body.len() as u64;
        self.response.conclude(asked, Some(length));
        let taken = self.response.take(length);
        self.body.truncate(usize::try_from(taken).unwrap_or(self.body.len()));
        ConcludedResponse(self)
    }
}

/// As above, ready to be sent.
#[derive(Debug)]
pub(crate) struct ConcludedResponse(LocalResponse);

impl ConcludedResponse {
    pub(crate) fn response(&self) -> &Response {
        &self.0.response
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// Head and body in the syntax of HTTP/1.
    pub(crate) fn bytes(mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.0.body.len());
        self.0.response.push_head(&mut out);
        out.extend_from_slice(&self.0.body);
        out
    }
}

/// A request whose head has arrived: nothing of its body was asked for, read or kept.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// Request line and header fields.
    pub head: &'a Head,
    /// The client's address.
    pub peer: &'a Address,
    /// Our end of the connection.
    pub local: &'a Address,
    /// The prefix of the application's paths that a trusted proxy reports, in place of the
    /// worker's own.
    pub prefix: Option<&'a PathPrefix>,
    /// The scheme of the client's URL.
    pub scheme: Scheme,
    /// The scheme of the connection: that of its listener. Behind a proxy the client's may
    /// be another one.
    pub connection_scheme: Scheme,
}

/// The decision on a request at the end of its head.
#[derive(Debug)]
pub enum Decision {
    /// The application serves it.
    Pass,
    /// The server responds by itself.
    Respond {
        /// The response.
        response: LocalResponse,
        /// How many bytes of a body are dropped, so that the connection can continue; a
        /// connection with a longer body is closed.
        discard: u64,
    },
}

/// Decides which requests the server responds to by itself. It runs on the I/O thread,
/// so it must not wait.
#[derive(Clone)]
pub struct LocalDecision(Arc<dyn Fn(&Arrival) -> Decision + Send + Sync>);

impl LocalDecision {
    /// Calls `decide` at the end of each head.
    pub fn new(decide: impl Fn(&Arrival) -> Decision + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    pub(crate) fn decide(&self, arrival: &Arrival) -> Decision {
        (self.0)(arrival)
    }
}

impl fmt::Debug for LocalDecision {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("LocalDecision")
    }
}

/// The head of an application's response, before it is sent.
#[derive(Debug)]
pub struct ResponseDraft<'a>(&'a mut Response);

impl ResponseDraft<'_> {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status()
    }

    /// The value of a field, by its name in lower case.
    #[must_use]
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.field_value(name)
    }

    /// Adds a field.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.0.field(name, value)
    }
}

/// The decision on an application's response at the end of its head.
#[derive(Debug)]
pub enum Revision {
    /// The response is sent, with the added fields.
    Keep,
    /// Sent in place of the application's response, whose body is dropped.
    Replace(LocalResponse),
}

/// Revises the responses of the application: the counterpart of [`LocalDecision`]. It
/// runs on the application's thread.
#[derive(Clone)]
pub struct ResponseReviser(Arc<ReviseFn>);

type ReviseFn = dyn Fn(&Head, &mut ResponseDraft) -> Revision + Send + Sync;

impl ResponseReviser {
    /// Calls `revise` with the request's head at the end of the head of each response.
    pub fn new(
        revise: impl Fn(&Head, &mut ResponseDraft) -> Revision + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(revise))
    }

    /// Revises a response: the body of the response that replaces it, if one does.
    pub(crate) fn revise(&self, asked: &Head, response: &mut Response) -> Option<Vec<u8>> {
        match (self.0)(asked, &mut ResponseDraft(response)) {
            Revision::Keep => None,
            Revision::Replace(LocalResponse { response: own, body }) => {
                *response = own;
                Some(body)
            }
        }
    }
}

impl fmt::Debug for ResponseReviser {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("ResponseReviser")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(status: u16, is_head: bool) -> String {
        let refusal = LocalResponse::refusal(status).conclude(Asked::last(is_head, 0));
        String::from_utf8(refusal.bytes()).unwrap()
    }

    #[test]
    fn a_refusal_is_a_whole_response() {
        let text = text(431, false);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "431 Request Header Fields Too Large\n");
        let lines: Vec<_> = head.split("\r\n").collect();
        assert_eq!(lines[0], "HTTP/1.1 431 Request Header Fields Too Large");
        for line in [
            "Server: monoceros",
            "Connection: close",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Length: 36",
        ] {
            assert!(lines.contains(&line), "{line} in {head}");
        }
        assert!(lines[1..].iter().filter(|line| line.starts_with("Date: ")).count() == 1);
    }

    #[test]
    fn the_response_to_head_has_the_length_and_no_body() {
        let text = text(400, true);
        assert!(
            text.contains("\r\nContent-Length: 16\r\n") && text.ends_with("\r\n\r\n"),
            "{text}"
        );
    }

    #[test]
    fn a_503_names_the_time_of_the_next_try() {
        assert!(text(503, false).contains("\r\nRetry-After: 1\r\n"));
        assert!(!text(504, false).contains("Retry-After"));
    }
}
