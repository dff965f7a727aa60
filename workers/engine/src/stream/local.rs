//! Responses of the server itself.

use monoceros_http::Version;

use crate::stream::response::{Asked, Response};

/// A whole response of the server itself.
#[derive(Debug)]
pub(crate) struct LocalResponse {
    pub(crate) response: Response,
    body: Vec<u8>,
}

impl LocalResponse {
    /// The status in plain text, and nothing that tells more about the server; with 503,
    /// that another try may be served soon (RFC 9110 section 10.2.3). The connection ends
    /// with it.
    pub(crate) fn refusal(status: u16, is_head: bool) -> Self {
        let mut response = Response::own(status);
        if status == 503 {
            response.own_field(b"Retry-After", b"1");
        }
        response.own_field(b"Content-Type", b"text/plain; charset=utf-8");
        let mut body = response.status_text().to_vec();
        body.push(b'\n');
        Self::new(response, body, Asked { version: Version::Http11, is_head, keep_alive: false })
    }

    fn new(mut response: Response, mut body: Vec<u8>, asked: Asked) -> Self {
        response.conclude(asked, Some(body.len() as u64));
        let taken = response.take(body.len() as u64);
        body.truncate(usize::try_from(taken).unwrap_or(body.len()));
        Self { response, body }
    }

    /// Appends head and body as HTTP/1 has them.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>) {
        self.response.push_head(out);
        out.extend_from_slice(&self.body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(status: u16, is_head: bool) -> String {
        let mut out = Vec::new();
        LocalResponse::refusal(status, is_head).push(&mut out);
        String::from_utf8(out).unwrap()
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
    fn a_client_that_is_not_served_now_learns_when_to_try_again() {
        assert!(text(503, false).contains("\r\nRetry-After: 1\r\n"));
        assert!(!text(504, false).contains("Retry-After"));
    }
}
