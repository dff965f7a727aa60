//! A response of the metrics server, and its bytes. Made by `routes.rs` and the metrics server,
//! written by its connections.

use std::rc::Rc;

use monoceros_http::h1::{self, Persistence, Transfer};
use monoceros_http::{Head, ResponseHead, Version, date, response};
use monoceros_sys::clock;

use crate::master::page;

/// Fields of every response. The page loads nothing from elsewhere, runs no script but its own,
/// and is shown in no frame. No other site can read a response, whatever type the browser takes
/// it for. Nothing is kept: paths and addresses of clients are in it.
const FIELDS: [(&[u8], &[u8]); 6] = [
    (b"Content-Security-Policy", page::POLICY.as_bytes()),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cache-Control", b"no-store"),
];

/// The type of plain text.
const PLAIN: &str = "text/plain; charset=utf-8";

/// A response. Copies share the body.
#[derive(Clone, Debug)]
pub(crate) struct MetricsResponse {
    status: u16,
    content_type: &'static str,
    body: ResponseContent,
    /// Another field.
    field: Option<(&'static [u8], &'static [u8])>,
}

/// The body of a response.
#[derive(Clone, Debug)]
pub(crate) enum ResponseContent {
    /// A part of this program.
    Fixed(&'static [u8]),
    /// Made for one or more clients.
    Shared(Rc<[u8]>),
}

/// The bytes of a response, as far as they are sent.
#[derive(Debug)]
pub(crate) struct OutgoingResponse {
    head: Vec<u8>,
    body: Option<ResponseContent>,
    sent: usize,
    keeps: bool,
}

impl From<String> for ResponseContent {
    fn from(text: String) -> Self {
        Self::Shared(text.into_bytes().into())
    }
}

impl From<Vec<u8>> for ResponseContent {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Shared(bytes.into())
    }
}

impl From<&'static [u8]> for ResponseContent {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Fixed(bytes)
    }
}

impl ResponseContent {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl MetricsResponse {
    /// A response with this body.
    pub(crate) fn new(
        status: u16,
        content_type: &'static str,
        body: impl Into<ResponseContent>,
    ) -> Self {
        Self { status, content_type, body: body.into(), field: None }
    }

    /// The status as text.
    pub(crate) fn plain(status: u16) -> Self {
        Self::new(status, PLAIN, format!("{status} {}\n", response::reason(status)))
    }

    /// As above, with a sentence for people.
    pub(crate) fn explained(status: u16, sentence: &str) -> Self {
        Self::new(status, PLAIN, format!("{status} {}\n{sentence}\n", response::reason(status)))
    }

    /// Adds a field.
    pub(crate) fn with_field(self, name: &'static [u8], value: &'static [u8]) -> Self {
        Self { field: Some((name, value)), ..self }
    }

    /// The connection ends with it: the client sends something that is not served.
    pub(crate) fn closes(&self) -> bool {
        matches!(self.status, 400..=403 | 405..=499)
    }

    /// The bytes for a request with this head.
    pub(crate) fn outgoing(&self, request: &Head, keeps: bool) -> OutgoingResponse {
        let mut head = ResponseHead::default();
        head.begin_own(self.status);
        let seconds = u64::try_from(clock::wall_seconds()).unwrap_or(0);
        let mut length = Vec::new();
        response::push_decimal(&mut length, self.body.bytes().len() as u64);
        head.fields.push(b"Date", &date::imf_fixdate(seconds));
        head.fields.push(b"Content-Type", self.content_type.as_bytes());
        head.fields.push(b"Content-Length", &length);
        for (name, value) in FIELDS.into_iter().chain(self.field) {
            head.fields.push(name, value);
        }
        let persistence = match (keeps, request.version()) {
            (false, _) => Persistence::Close,
            (true, Version::Http11) => Persistence::Implied,
            (true, Version::Http10) => Persistence::KeepAlive,
        };
        let mut bytes = Vec::with_capacity(1024);
        h1::push_head(&mut bytes, &head, Transfer { is_chunked: false, persistence });
        let body = (!request.is_head()).then(|| self.body.clone());
        OutgoingResponse { head: bytes, body, sent: 0, keeps }
    }
}

impl OutgoingResponse {
    /// What is not sent yet: of the head, and of the body.
    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        let body = self.body.as_ref().map_or(&[][..], ResponseContent::bytes);
        let of_head = self.sent.min(self.head.len());
        [&self.head[of_head..], &body[(self.sent - of_head).min(body.len())..]]
    }

    /// So many more bytes are sent.
    pub(crate) fn note_sent(&mut self, count: usize) {
        self.sent += count;
    }

    /// Whether everything is sent.
    pub(crate) fn is_sent(&self) -> bool {
        self.parts().iter().all(|part| part.is_empty())
    }

    /// Whether the connection stays open after it.
    pub(crate) fn keeps_connection(&self) -> bool {
        self.keeps
    }
}

#[cfg(test)]
mod tests {
    use monoceros_http::Limits;

    use super::*;

    fn head(text: &str) -> Head {
        let limits = Limits { request_line: 100, fields: 10, field_size: 100 };
        let mut head = Head::new();
        head.read(text.as_bytes(), &limits).unwrap().unwrap();
        head
    }

    fn text(outgoing: &OutgoingResponse) -> String {
        String::from_utf8(outgoing.parts().concat()).unwrap()
    }

    #[test]
    fn a_response_protects_what_it_shows() {
        let response = MetricsResponse::new(200, "text/html; charset=utf-8", b"<p>".as_slice());
        let text = text(&response.outgoing(&head("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), true));
        assert!(text.starts_with("HTTP/1.1 200 OK\r\nDate: ") && text.ends_with("\r\n\r\n<p>"));
        for field in [
            "Content-Length: 3",
            "Content-Type: text/html; charset=utf-8",
            "X-Content-Type-Options: nosniff",
            "Cache-Control: no-store",
            "Cross-Origin-Resource-Policy: same-origin",
        ] {
            assert!(text.contains(&format!("\r\n{field}\r\n")), "{field}: {text}");
        }
        assert!(text.contains("Content-Security-Policy: default-src 'none'; script-src 'self'; "));
        assert!(!text.contains("Access-Control") && !text.contains("Connection"));
    }

    #[test]
    fn the_response_to_head_has_the_length_and_no_body() {
        let response = MetricsResponse::plain(200);
        let outgoing = response.outgoing(&head("HEAD / HTTP/1.0\r\n\r\n"), true);
        let text = text(&outgoing);
        assert!(text.contains("\r\nContent-Length: 7\r\n") && text.ends_with("\r\n\r\n"), "{text}");
        assert!(text.contains("\r\nConnection: keep-alive\r\n"));
    }

    #[test]
    fn parts_follow_what_is_sent() {
        let response = MetricsResponse::new(200, PLAIN, "body".to_owned());
        let mut outgoing = response.outgoing(&Head::new(), false);
        let all = outgoing.parts().concat();
        for sent in 0..all.len() {
            assert_eq!(outgoing.parts().concat(), all[sent..]);
            assert!(!outgoing.is_sent());
            outgoing.note_sent(1);
        }
        assert!(outgoing.is_sent() && !outgoing.keeps_connection());
    }
}
