//! Responses of the server itself, and the rule that decides on them: at the end of a
//! request's head, or of the head of an application's response.

use std::fmt;
use std::sync::Arc;

use monoceros_http::{Head, PathPrefix};
use monoceros_wire::listener::Scheme;
use monoceros_wire::scoreboard::{GivenUp, Scoreboard, StaticResult};

use crate::connection::address::Address;
use crate::stream::content::{FilePart, LocalContent};
use crate::stream::encoding::BodyEncoder;
use crate::stream::response::{Asked, Fault, Response};

/// A whole response of the server itself. Copies share status and fields, so a response that
/// is sent again and again is best kept and cloned.
#[derive(Clone, Debug)]
pub struct LocalResponse {
    response: Arc<Response>,
    content: LocalContent,
    /// It is about a static file.
    is_static: bool,
}

impl LocalResponse {
    /// A response with this status, its usual reason phrase, and nothing else.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let response = Arc::new(Response::own(status));
        Self { response, content: LocalContent::EMPTY, is_static: false }
    }

    /// Adds a field. `Connection: close` closes the connection after the response.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        Arc::make_mut(&mut self.response).field(name, value)
    }

    /// Sets the body. To HEAD only its length is sent.
    #[must_use]
    pub fn body(self, content: impl Into<LocalContent>) -> Self {
        Self { content: content.into(), ..self }
    }

    /// Has the response counted among those about static files.
    #[must_use]
    pub fn about_static_file(self) -> Self {
        Self { is_static: true, ..self }
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.status()
    }

    /// Whether it is about a static file.
    pub(crate) fn is_static(&self) -> bool {
        self.is_static
    }

    /// Whether the body is a part of a file.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.content, LocalContent::File(_))
    }

    /// The status in plain text, with no detail of the server; with 503, that another
    /// try may be served soon (RFC 9110 section 10.2.3).
    pub(crate) fn refusal(status: u16) -> Self {
        Self::explained_refusal(status, "")
    }

    /// As above, with a sentence behind the status.
    pub(crate) fn explained_refusal(status: u16, explanation: &str) -> Self {
        let mut response = Response::own(status);
        if status == 503 {
            response.own_field(b"Retry-After", b"1");
        }
        response.own_field(b"Content-Type", b"text/plain; charset=utf-8");
        let content = [response.status_text(), b"\n", explanation.as_bytes()].concat().into();
        Self { response: Arc::new(response), content, is_static: false }
    }

    /// Completes the response for the request's method and version.
    pub(crate) fn conclude(self, asked: Asked) -> ConcludedResponse {
        let mut response = Arc::unwrap_or_clone(self.response);
        let content = conclude(&mut response, self.content, asked);
        ConcludedResponse { response, content, is_static: self.is_static }
    }

    /// As above; the head is made in `into`, in the memory that it has. Returns the content
    /// that is sent.
    pub(crate) fn conclude_in(self, into: &mut Response, asked: Asked) -> LocalContent {
        into.copy_from(&self.response);
        conclude(into, self.content, asked)
    }
}

/// Counts a response of the server itself.
pub(crate) fn count_local(board: &Scoreboard, status: u16, is_static: bool) {
    board.count_answer(status);
    if is_static {
        board.count_static(StaticResult::of_status(status));
    }
}

/// Completes the head of a response. Returns the content that is sent.
fn conclude(response: &mut Response, mut content: LocalContent, asked: Asked) -> LocalContent {
    let length = content.len();
    response.promise(length);
    response.conclude(asked, None);
    content.truncate(response.take(length));
    content
}

/// As above, ready to be sent.
#[derive(Debug)]
pub(crate) struct ConcludedResponse {
    response: Response,
    content: LocalContent,
    is_static: bool,
}

impl ConcludedResponse {
    pub(crate) fn response(&self) -> &Response {
        &self.response
    }

    /// Counts it on the scoreboard.
    pub(crate) fn count(&self, board: &Scoreboard) {
        count_local(board, self.response.status(), self.is_static);
    }

    /// The content, as far as it is in memory.
    pub(crate) fn body(&self) -> &[u8] {
        self.content.bytes()
    }

    /// Takes the content, where it is a part of a file.
    pub(crate) fn take_file(&mut self) -> Option<FilePart> {
        match std::mem::replace(&mut self.content, LocalContent::EMPTY) {
            LocalContent::File(part) => Some(part),
            content => {
                self.content = content;
                None
            }
        }
    }

    /// Head and body in the syntax of HTTP/1.
    pub(crate) fn bytes(mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.body().len());
        self.response.push_head(&mut out);
        out.extend_from_slice(self.body());
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
    /// The listener: its position in [`EngineParts::listeners`](crate::EngineParts::listeners).
    pub listener: usize,
    /// The scheme of the client's URL.
    pub scheme: Scheme,
    /// The scheme of the connection: that of its listener. Behind a proxy the client's may
    /// be another one.
    pub connection_scheme: Scheme,
}

/// The decision on a request at the end of its head.
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
    /// The server does not serve the request: that is counted by its kind, and a line in the
    /// log. The connection continues, unless the response has `Connection: close`.
    Refuse {
        /// What it is counted as.
        kind: GivenUp,
        /// The response.
        response: LocalResponse,
        /// The reason, for the log.
        reason: String,
    },
    /// The decision needs something that may wait, such as a look at a disk: it is made on
    /// another thread, and the request waits for it. The call must end by itself.
    Later(Box<dyn FnOnce() -> Decision + Send>),
}

impl fmt::Debug for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Pass => formatter.write_str("Pass"),
            Self::Respond { response, .. } => write!(formatter, "Respond({})", response.status()),
            Self::Refuse { kind, reason, .. } => write!(formatter, "Refuse({kind}: {reason})"),
            Self::Later(_) => formatter.write_str("Later"),
        }
    }
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
pub struct ResponseDraft<'a> {
    response: &'a mut Response,
    /// The length of the body, if the application gives it at once.
    whole: Option<u64>,
}

impl ResponseDraft<'_> {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.status()
    }

    /// The length of the body in bytes: the application's Content-Length, or that of a body that
    /// the application gives at once. `None` for a body in pieces, and for HEAD where the
    /// application gives no Content-Length.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.response.promised().or(self.whole)
    }

    /// The value of a field, by its name in lower case.
    #[must_use]
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.response.field_value(name)
    }

    /// Names and values of the fields, in order, without Content-Length.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.response.head().fields.iter()
    }

    /// The Content-Length that the application has given.
    #[must_use]
    pub fn promised_length(&self) -> Option<u64> {
        self.response.promised()
    }

    /// Adds a field.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.response.field(name, value)
    }

    /// Removes the fields of a name, in any case. Returns whether there were some.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        self.response.remove(name)
    }

    /// Replaces the fields of a name, in any case, by one.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.remove(name);
        self.add(name, value)
    }

    /// Replaces the status by one with its usual reason phrase. The fields stay.
    pub fn change_status(&mut self, status: u16) {
        self.response.change_status(status);
    }
}

/// The decision on an application's response at the end of its head.
#[derive(Debug)]
pub enum Revision {
    /// The response is sent, with the added fields.
    Keep,
    /// Sent in place of the application's response, whose body is dropped.
    Replace(LocalResponse),
    /// Sent in place of the application's body. Status and fields stay, but for
    /// Content-Length, which is that of the content.
    ReplaceBody(LocalContent),
    /// The body is sent as this encoder encodes it. Its length is that of the encoded body, if
    /// the whole body is known when the head is sent; otherwise the response has none, nor has
    /// the response to HEAD.
    Encode(Box<dyn BodyEncoder>),
}

/// The result of a revision.
#[derive(Debug)]
pub(crate) enum Revised {
    /// The response is sent as it is.
    Kept,
    /// The response, or its body, has been replaced, and this is its content.
    Replaced(LocalContent),
    /// The body is sent as this encoder encodes it.
    Encoded(Box<dyn BodyEncoder>),
}

/// Revises the responses of the application: the counterpart of [`LocalDecision`]. It
/// runs on the application's thread.
#[derive(Clone)]
pub struct ResponseReviser {
    revise: Arc<ReviseFn>,
    encodes: bool,
}

type ReviseFn = dyn Fn(&Head, &mut ResponseDraft) -> Revision + Send + Sync;

impl ResponseReviser {
    /// Calls `revise` with the request's head at the end of the head of each response.
    pub fn new(
        revise: impl Fn(&Head, &mut ResponseDraft) -> Revision + Send + Sync + 'static,
    ) -> Self {
        Self { revise: Arc::new(revise), encodes: false }
    }

    /// As above, for one that may return [`Revision::Encode`].
    pub fn encoding(
        revise: impl Fn(&Head, &mut ResponseDraft) -> Revision + Send + Sync + 'static,
    ) -> Self {
        Self { revise: Arc::new(revise), encodes: true }
    }

    /// This one, and then `next` for the responses that this one keeps.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        let (first, second) = (self.revise, next.revise);
        let revise = move |asked: &Head, draft: &mut ResponseDraft| match first(asked, draft) {
            Revision::Keep => second(asked, draft),
            decided => decided,
        };
        Self { revise: Arc::new(revise), encodes: self.encodes || next.encodes }
    }

    /// Whether it may have a body encoded.
    pub(crate) fn encodes(&self) -> bool {
        self.encodes
    }

    /// Revises a response. `whole` is the length of its body, if that is given at once.
    pub(crate) fn revise(
        &self,
        asked: &Head,
        response: &mut Response,
        whole: Option<u64>,
    ) -> Revised {
        let content = match (self.revise)(asked, &mut ResponseDraft { response, whole }) {
            Revision::Keep => return Revised::Kept,
            Revision::Encode(encoder) => return Revised::Encoded(encoder),
            Revision::Replace(LocalResponse { response: own, content, .. }) => {
                *response = Arc::unwrap_or_clone(own);
                content
            }
            Revision::ReplaceBody(content) => {
                response.remove(b"content-length");
                content
            }
        };
        response.promise(content.len());
        Revised::Replaced(content)
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
    use crate::stream::response::OwnFields;

    fn text(status: u16, is_head: bool) -> String {
        let refusal =
            LocalResponse::refusal(status).conclude(Asked::last(is_head, OwnFields::NONE));
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
    fn the_length_is_sent_also_where_it_is_zero() {
        let text = |status: u16, is_head| {
            let local = LocalResponse::new(status).conclude(Asked::last(is_head, OwnFields::NONE));
            String::from_utf8(local.bytes()).unwrap()
        };
        for is_head in [false, true] {
            assert!(text(200, is_head).contains("\r\nContent-Length: 0\r\n"));
            assert!(!text(304, is_head).contains("Content-Length"));
            assert!(!text(204, is_head).contains("Content-Length"));
        }
    }

    #[test]
    fn a_copy_of_a_response_changes_apart_from_it() {
        let one = LocalResponse::new(200);
        let mut other = one.clone();
        other.field(b"A", b"b").unwrap();
        let has = |it: LocalResponse| it.response.field_value(b"a").is_some();
        assert!(has(other) && !has(one));
    }

    #[test]
    fn a_503_names_the_time_of_the_next_try() {
        assert!(text(503, false).contains("\r\nRetry-After: 1\r\n"));
        assert!(!text(504, false).contains("Retry-After"));
    }
}
