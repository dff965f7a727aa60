//! An answer in the making: its head, and how its body is delimited. No I/O.

use monoceros_http::reply::{self, BadReply};
use monoceros_http::{Version, has_token};

use crate::record::clock;

/// The memory that is kept for the next answer's head, in bytes.
const KEPT: usize = 4 * 1024;

/// How a body is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Not decided: the head has not gone.
    #[default]
    Open,
    /// So many bytes are left of the promised length.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Whatever comes before the connection is closed.
    UntilClose,
    /// The answer has no body, whatever the application gives.
    NoBody,
}

/// What the head of an answer depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// The request's version.
    pub(crate) version: Version,
    /// The request's method is HEAD.
    pub(crate) is_head: bool,
    /// Both sides want to use the connection again.
    pub(crate) keep_alive: bool,
}

/// The head of an answer and what is known of its body.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The status line and the application's fields; empty before a status.
    head: Vec<u8>,
    status: u16,
    length: Option<u64>,
    has_date: bool,
    has_server: bool,
    /// The connection is closed after this answer.
    closes: bool,
    /// Nothing of the body is to be kept for a slow client.
    unbuffered: bool,
    framing: Framing,
    /// Bytes of the body that were taken for sending.
    body_bytes: u64,
    /// Bytes that were cut because they came after the promised length.
    cut: bool,
}

impl Answer {
    /// Forgets the answer, and keeps its memory.
    pub(crate) fn clear(&mut self) {
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        head.shrink_to(KEPT);
        *self = Self { head, ..Self::default() };
    }

    /// Begins with a status, such as `200 OK`, forgetting what was set before.
    ///
    /// # Errors
    /// When the status is malformed, or below 200: such an answer is not the
    /// last one (RFC 9110 section 15.2).
    pub(crate) fn begin(&mut self, status: &[u8]) -> Result<(), Fault> {
        let number = reply::check_status(status)?;
        if number < 200 {
            return Err(Fault::Interim);
        }
        self.clear();
        self.status = number;
        reply::push_status_line(&mut self.head, status);
        Ok(())
    }

    /// Adds a field. Those that are about the connection are the server's own
    /// business and are left out (RFC 9110 section 7.6.1, PEP 3333).
    ///
    /// # Errors
    /// When it is malformed, or contradicts an earlier one.
    pub(crate) fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        reply::check_field(name, value)?;
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"date") => self.has_date = true,
            6 if name.eq_ignore_ascii_case(b"server") => self.has_server = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => return self.set_length(value),
            // nginx reads this header of the answer, with the same meaning.
            17 if name.eq_ignore_ascii_case(b"x-accel-buffering") => {
                self.unbuffered = value.trim_ascii().eq_ignore_ascii_case(b"no");
            }
            _ if reply::is_hop_by_hop(name) => {
                self.closes |=
                    name.eq_ignore_ascii_case(b"connection") && has_token(value, b"close");
                return Ok(());
            }
            _ => {}
        }
        reply::push_field(&mut self.head, name, value);
        Ok(())
    }

    fn set_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let digits = value.trim_ascii();
        let length = std::str::from_utf8(digits)
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse::<u64>().ok())
            .ok_or(Fault::Length)?;
        if self.length.is_some_and(|earlier| earlier != length) {
            return Err(Fault::Length);
        }
        self.length = Some(length);
        Ok(())
    }

    /// Completes the head and decides how the body is delimited. `whole` is the
    /// body's length where it is known without the application's word.
    pub(crate) fn conclude(&mut self, asked: Asked, whole: Option<u64>) {
        let no_body = asked.is_head || reply::has_no_body(self.status) || self.status == 205;
        if self.status == 205 {
            // RFC 9110 15.3.6: nothing, and said to be nothing.
            self.length = Some(0);
        }
        let length = self.length.or(whole.filter(|length| !no_body || *length > 0));
        self.framing = match length {
            _ if no_body => Framing::NoBody,
            Some(length) => Framing::Length(length),
            None if asked.version == Version::Http11 => Framing::Chunked,
            None => Framing::UntilClose,
        };
        self.closes |= !asked.keep_alive || self.framing == Framing::UntilClose;
        self.push_own_fields(asked, length);
        self.head.extend_from_slice(b"\r\n");
    }

    fn push_own_fields(&mut self, asked: Asked, length: Option<u64>) {
        let head = &mut self.head;
        if !self.has_server {
            head.extend_from_slice(b"Server: monoceros\r\n");
        }
        if !self.has_date {
            head.extend_from_slice(b"Date: ");
            clock::push_date(head);
            head.extend_from_slice(b"\r\n");
        }
        // RFC 9112 6.1 and RFC 9110 8.6: neither field goes with 204, and a 304
        // has the length of what is not sent only if the application knows it.
        match (self.framing, length) {
            (Framing::Chunked, _) => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            (_, Some(length))
                if self.status != 204 && (self.status != 304 || self.length.is_some()) =>
            {
                head.extend_from_slice(b"Content-Length: ");
                reply::push_decimal(head, length);
                head.extend_from_slice(b"\r\n");
            }
            _ => {}
        }
        if self.closes {
            head.extend_from_slice(b"Connection: close\r\n");
        } else if asked.version == Version::Http10 {
            head.extend_from_slice(b"Connection: keep-alive\r\n");
        }
    }

    /// Takes `count` bytes of the body: how many of them are to be sent.
    pub(crate) fn take(&mut self, count: u64) -> u64 {
        let taken = match &mut self.framing {
            Framing::Length(left) => {
                let taken = count.min(*left);
                *left -= taken;
                self.cut |= taken < count;
                taken
            }
            Framing::Chunked | Framing::UntilClose => count,
            Framing::NoBody | Framing::Open => 0,
        };
        self.body_bytes += taken;
        taken
    }

    /// Whether a status has been given.
    pub(crate) fn has_begun(&self) -> bool {
        self.status != 0
    }

    /// Whether the head is complete: nothing in it can be changed any more.
    pub(crate) fn is_concluded(&self) -> bool {
        self.framing != Framing::Open
    }

    /// Whether less than the promised length was given.
    pub(crate) fn is_short(&self) -> bool {
        matches!(self.framing, Framing::Length(left) if left > 0)
    }

    /// Whether more than the promised length was given.
    pub(crate) fn was_cut(&self) -> bool {
        self.cut
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    pub(crate) fn closes(&self) -> bool {
        self.closes
    }

    /// Whether the application is to wait for its client.
    pub(crate) fn is_unbuffered(&self) -> bool {
        self.unbuffered
    }

    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// The length that the application promised.
    pub(crate) fn promised(&self) -> Option<u64> {
        self.length
    }
}

/// What is wrong with an application's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A malformed status or field.
    Malformed(BadReply),
    /// A status below 200.
    Interim,
    /// A Content-Length that is no number, or two that differ.
    Length,
}

impl From<BadReply> for Fault {
    fn from(bad: BadReply) -> Self {
        Self::Malformed(bad)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Malformed(bad) => bad.fmt(formatter),
            Self::Interim => formatter.write_str("a status below 200 cannot end a request"),
            Self::Length => formatter.write_str("Content-Length is not one whole number"),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked = Asked { version: Version::Http11, is_head: false, keep_alive: true };

    fn answer(status: &str, fields: &[(&str, &str)], asked: Asked, whole: Option<u64>) -> Answer {
        let mut answer = Answer::default();
        answer.begin(status.as_bytes()).unwrap();
        for (name, value) in fields {
            answer.field(name.as_bytes(), value.as_bytes()).unwrap();
        }
        answer.conclude(asked, whole);
        answer
    }

    fn text(answer: &Answer) -> String {
        String::from_utf8(answer.head().to_vec()).unwrap()
    }

    #[test]
    fn the_body_is_delimited_by_what_is_known() {
        let given = [("Content-Length", "5")];
        assert_eq!(answer("200 OK", &given, ASKED, None).framing(), Framing::Length(5));
        assert_eq!(answer("200 OK", &[], ASKED, Some(3)).framing(), Framing::Length(3));
        assert_eq!(answer("200 OK", &[], ASKED, None).framing(), Framing::Chunked);
        let old = Asked { version: Version::Http10, ..ASKED };
        let open = answer("200 OK", &[], old, None);
        assert_eq!(open.framing(), Framing::UntilClose);
        assert!(open.closes());
        assert!(text(&answer("200 OK", &given, old, None)).contains("Connection: keep-alive\r\n"));
    }

    #[test]
    fn answers_without_a_body_promise_none() {
        for status in ["204 No Content", "304 Not Modified"] {
            let answer = answer(status, &[], ASKED, Some(9));
            assert_eq!(answer.framing(), Framing::NoBody);
            let text = text(&answer);
            assert!(!text.contains("Content-Length") && !text.contains("Transfer"), "{text}");
        }
        let reset = answer("205 Reset Content", &[], ASKED, Some(9));
        assert_eq!(reset.framing(), Framing::NoBody);
        assert!(text(&reset).contains("Content-Length: 0\r\n"));
        let length = [("Content-Length", "9")];
        assert!(!text(&answer("204 No Content", &length, ASKED, None)).contains("Length"));
        assert!(text(&answer("304 Not Modified", &length, ASKED, None)).contains("Length: 9"));
        let head = Asked { is_head: true, ..ASKED };
        assert!(text(&answer("200 OK", &length, head, None)).contains("Content-Length: 9\r\n"));
        assert!(!text(&answer("200 OK", &[], head, Some(0))).contains("Content-Length"));
    }

    #[test]
    fn fields_about_the_connection_are_left_out() {
        let fields = [("Transfer-Encoding", "chunked"), ("Keep-Alive", "5"), ("X-A", "b")];
        let text = text(&answer("200 OK", &fields, ASKED, Some(0)));
        assert!(!text.contains("chunked") && !text.contains("Keep-Alive"), "{text}");
        assert!(text.contains("X-A: b\r\n"));
        assert!(answer("200 OK", &[("Connection", "x, Close")], ASKED, Some(0)).closes());
    }

    #[test]
    fn the_applications_own_date_and_server_are_kept() {
        let fields = [("Date", "today"), ("server", "mine")];
        let text = text(&answer("200 OK", &fields, ASKED, Some(0)));
        assert!(text.contains("Date: today\r\n") && text.contains("server: mine\r\n"));
        assert!(!text.contains("monoceros") && text.matches("ate: ").count() == 1);
    }

    #[test]
    fn an_answer_can_ask_not_to_be_buffered() {
        let asks = |value| answer("200 OK", &[("x-accel-buffering", value)], ASKED, None);
        assert!(asks("No").is_unbuffered() && !asks("yes").is_unbuffered());
        assert!(text(&asks("no")).contains("x-accel-buffering: no\r\n"), "a proxy hears it too");
    }

    #[test]
    fn the_promised_length_is_kept_to() {
        let mut answer = answer("200 OK", &[("Content-Length", "5")], ASKED, None);
        assert_eq!(answer.take(3), 3);
        assert!(answer.is_short());
        assert_eq!(answer.take(3), 2);
        assert!(answer.was_cut() && !answer.is_short());
        assert_eq!(answer.body_bytes(), 5);
    }

    #[test]
    fn a_faulty_answer_is_refused() {
        let mut answer = Answer::default();
        assert_eq!(answer.begin(b"100 Continue"), Err(Fault::Interim));
        assert!(answer.begin(b"OK").is_err());
        answer.begin(b"200 OK").unwrap();
        assert!(answer.field(b"X", b"a\r\nB: c").is_err());
        assert_eq!(answer.field(b"Content-Length", b"+5"), Err(Fault::Length));
        answer.field(b"Content-Length", b"5").unwrap();
        assert_eq!(answer.field(b"Content-Length", b"6"), Err(Fault::Length));
    }
}
