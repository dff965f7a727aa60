//! A response in the making: its head, and how its body is delimited. No I/O.

use monoceros_http::h1::{self, Persistence, Transfer};
use monoceros_http::response::{check_field, has_no_body, is_hop_by_hop};
use monoceros_http::{Fields, InvalidResponse, ResponseHead, Version, has_token};
use monoceros_wire::request_id::RequestId;

use crate::record::clock;

/// The field by which a client uses no plain HTTP for some time (RFC 6797 section 6.1).
const HSTS: &[u8] = b"Strict-Transport-Security";

/// How a body is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// Not decided: the head has not been sent.
    #[default]
    Open,
    /// So many bytes are left of the promised length.
    Length(u64),
    /// In chunks.
    Chunked,
    /// The protocol of the connection marks its end.
    Framed,
    /// All bytes before the connection is closed.
    UntilClose,
    /// All bytes to the end of the stream; no syntax of the protocol follows the head,
    /// in either direction (RFC 9110 section 7.8).
    Raw,
    /// The response has no body, whatever the application gives.
    NoBody,
}

impl BodyFraming {
    /// Whether the end of the body is the end of the connection.
    pub(crate) fn ends_with_connection(self) -> bool {
        matches!(self, Self::UntilClose | Self::Raw)
    }
}

/// The fields that the server adds to a response by itself, beside Date.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnFields<'a> {
    /// For how many seconds the client may not use plain HTTP; 0 without such a rule.
    pub(crate) hsts: u32,
    /// `Server` is one of them.
    pub(crate) has_server: bool,
    /// Fields of the settings, which are added unless the response has them.
    pub(crate) added: &'a Fields,
    /// The name of the field for the request's identifier; `None` adds none.
    pub(crate) id_field: Option<&'a [u8]>,
    /// The identifier.
    pub(crate) id: Option<&'a RequestId>,
}

#[cfg(test)]
static NO_FIELDS: Fields = Fields::new();

impl<'a> OwnFields<'a> {
    /// Without settings.
    #[cfg(test)]
    pub(crate) const NONE: Self =
        Self { hsts: 0, has_server: true, added: &NO_FIELDS, id_field: None, id: None };

    /// For the response to the request with this identifier.
    pub(crate) fn with_id(self, id: &'a RequestId) -> Self {
        Self { id: Some(id), ..self }
    }
}

/// What the head of a response depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The request's version.
    pub(crate) version: Version,
    /// The request's method is HEAD.
    pub(crate) is_head: bool,
    /// Both sides want to use the connection again.
    pub(crate) keep_alive: bool,
    /// The connection's protocol carries several streams and frames their bodies.
    pub(crate) is_framed: bool,
    pub(crate) own: OwnFields<'a>,
}

impl<'a> Asked<'a> {
    /// For a response that ends the connection, to a request of which nothing else is
    /// known.
    pub(crate) fn last(is_head: bool, own: OwnFields<'a>) -> Self {
        Self { version: Version::Http11, is_head, keep_alive: false, is_framed: false, own }
    }

    /// For a response on one of several streams of a connection.
    pub(crate) fn on_stream(is_head: bool, own: OwnFields<'a>) -> Self {
        Self { version: Version::Http11, is_head, keep_alive: true, is_framed: true, own }
    }
}

/// A response in the making: its head, and the facts about its body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    /// The status and the fields; empty before a status.
    head: ResponseHead,
    state: ResponseState,
}

/// The facts about a response beside its head.
#[derive(Clone, Copy, Debug, Default)]
struct ResponseState {
    /// The Content-Length that the application gave.
    length: Option<u64>,
    has_date: bool,
    has_server: bool,
    has_hsts: bool,
    /// The connection is closed after this response.
    closes: bool,
    /// The header field for the connection.
    persistence: Option<Persistence>,
    /// No byte of the body may be kept for a slow client.
    unbuffered: bool,
    /// Another protocol follows the head.
    upgrades: bool,
    framing: BodyFraming,
    /// The length of the head as it was sent, in bytes.
    head_bytes: u64,
    /// Bytes of the body that were taken for sending.
    body_bytes: u64,
    /// Bytes that were cut because they follow the promised length.
    cut: bool,
}

impl Response {
    /// Forgets the response, and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.head.clear();
        self.state = ResponseState::default();
    }

    /// Becomes a copy of another, in the memory that this one has.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.head.copy_from(&other.head);
        self.state = other.state;
    }

    /// Begins with a status, such as `200 OK`, forgetting what was set before.
    ///
    /// # Errors
    /// When the status is malformed, or below 200: such a response is not the
    /// last one (RFC 9110 section 15.2).
    pub(crate) fn begin(&mut self, status: &[u8]) -> Result<(), Fault> {
        self.state = ResponseState::default();
        if self.head.begin(status)? < 200 {
            self.head.clear();
            return Err(Fault::Interim);
        }
        Ok(())
    }

    /// Begins a response behind which another protocol follows (101, RFC 9110 section 7.8).
    ///
    /// # Errors
    /// When the protocol's name is malformed.
    pub(crate) fn upgrade(&mut self, protocol: &[u8]) -> Result<(), Fault> {
        check_field(b"Upgrade", protocol)?;
        self.clear();
        self.head.begin_own(101);
        self.head.fields.push(b"Upgrade", protocol);
        self.state.upgrades = true;
        Ok(())
    }

    /// Begins a response of the server itself.
    pub(crate) fn own(status: u16) -> Self {
        let mut response = Self::default();
        response.head.begin_own(status);
        response
    }

    /// Adds a field of the server's own.
    pub(crate) fn own_field(&mut self, name: &[u8], value: &[u8]) {
        self.head.fields.push(name, value);
    }

    /// Adds a field. Fields of the connection belong to the server and are left out
    /// (RFC 9110 section 7.6.1, PEP 3333).
    ///
    /// # Errors
    /// The field is malformed, or contradicts an earlier one.
    pub(crate) fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        check_field(name, value)?;
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"date") => self.state.has_date = true,
            6 if name.eq_ignore_ascii_case(b"server") => self.state.has_server = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => return self.set_length(value),
            25 if name.eq_ignore_ascii_case(HSTS) => self.state.has_hsts = true,
            // nginx reads this field of the response, with the same meaning.
            17 if name.eq_ignore_ascii_case(b"x-accel-buffering") => {
                self.state.unbuffered = value.trim_ascii().eq_ignore_ascii_case(b"no");
            }
            _ if is_hop_by_hop(name) => {
                self.state.closes |=
                    name.eq_ignore_ascii_case(b"connection") && has_token(value, b"close");
                return Ok(());
            }
            _ => {}
        }
        self.head.fields.add_checked(name, value)?;
        Ok(())
    }

    /// Removes the fields of a name, in any case. Returns whether there were some.
    pub(crate) fn remove(&mut self, name: &[u8]) -> bool {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"date") => self.state.has_date = false,
            6 if name.eq_ignore_ascii_case(b"server") => self.state.has_server = false,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                return self.state.length.take().is_some();
            }
            25 if name.eq_ignore_ascii_case(HSTS) => self.state.has_hsts = false,
            17 if name.eq_ignore_ascii_case(b"x-accel-buffering") => self.state.unbuffered = false,
            _ => {}
        }
        self.head.fields.remove(name)
    }

    /// Replaces the status by one of the server itself. The fields stay.
    pub(crate) fn change_status(&mut self, status: u16) {
        self.head.change_status(status);
    }

    /// The server gives a whole body of this length. A status without a body promises none.
    /// A length of 0 does not replace one that was given: with HEAD there may be no body
    /// beside it.
    pub(crate) fn promise(&mut self, length: u64) {
        let status = self.head.status();
        if has_no_body(status) || status == 205 {
            self.state.length = None;
        } else if length > 0 || self.state.length.is_none() {
            self.state.length = Some(length);
        }
    }

    fn set_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let digits = value.trim_ascii();
        let length = std::str::from_utf8(digits)
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse::<u64>().ok())
            .ok_or(Fault::Length)?;
        if self.state.length.is_some_and(|earlier| earlier != length) {
            return Err(Fault::Length);
        }
        self.state.length = Some(length);
        Ok(())
    }

    /// Completes the head and decides how the body is delimited. `whole` is the body's
    /// length where the server knows it by itself.
    pub(crate) fn conclude(&mut self, asked: Asked, whole: Option<u64>) {
        let status = self.head.status();
        let no_body = asked.is_head || has_no_body(status) || status == 205;
        if status == 205 {
            // RFC 9110 section 15.3.6: the length of an empty body is sent.
            self.state.length = Some(0);
        }
        let length = self.state.length.or(whole.filter(|length| !no_body || *length > 0));
        self.state.framing = match length {
            _ if self.state.upgrades => BodyFraming::Raw,
            _ if no_body => BodyFraming::NoBody,
            Some(length) => BodyFraming::Length(length),
            None if asked.is_framed => BodyFraming::Framed,
            None if asked.version == Version::Http11 => BodyFraming::Chunked,
            None => BodyFraming::UntilClose,
        };
        self.state.closes |= !asked.keep_alive || self.state.framing.ends_with_connection();
        self.state.persistence = Some(match asked.version {
            _ if self.state.upgrades => Persistence::Upgrade,
            _ if self.state.closes => Persistence::Close,
            Version::Http10 => Persistence::KeepAlive,
            Version::Http11 => Persistence::Implied,
        });
        self.push_own_fields(length, asked.own);
    }

    fn push_own_fields(&mut self, length: Option<u64>, own: OwnFields) {
        if !own.added.is_empty() {
            self.add_missing(own.added);
        }
        let OwnFields { hsts, has_server, id_field, id, .. } = own;
        let status = self.head.status();
        let fields = &mut self.head.fields;
        if let (Some(name), Some(id)) = (id_field, id)
            && fields.get(name).is_none()
        {
            fields.push(name, id.as_bytes());
        }
        clock::with_own_fields(|own| {
            match (self.state.has_server || !has_server, self.state.has_date) {
                (false, false) => fields.append(own),
                (true, true) => {}
                (_, has_date) => {
                    let name = if has_date { clock::SERVER } else { clock::DATE };
                    fields.push(name, own.get(name).unwrap_or_default());
                }
            }
        });
        if hsts > 0 && !self.state.has_hsts {
            fields.push_text(HSTS, format_args!("max-age={hsts}"));
        }
        // RFC 9112 section 6.1 and RFC 9110 section 8.6: 204 has no length, and a 304
        // has the length of the body that is not sent only if the application gives it.
        if let Some(length) = length
            && !matches!(self.state.framing, BodyFraming::Chunked | BodyFraming::Raw)
            && status != 204
            && (status != 304 || self.state.length.is_some())
        {
            fields.push_number(b"Content-Length", length);
        }
    }

    /// Adds fields of the settings, unless the response has one of the same name already.
    fn add_missing(&mut self, added: &Fields) {
        let count = self.head.fields.iter().count();
        for (name, value) in added.iter() {
            let is_its = |(other, _): (&[u8], &[u8])| other.eq_ignore_ascii_case(name);
            if !self.head.fields.iter().take(count).any(is_its) {
                let result = self.field(name, value);
                debug_assert!(result.is_ok(), "{}: {result:?}", name.escape_ascii());
            }
        }
    }

    /// The fields that HTTP/1 adds to the complete head.
    fn transfer(&self) -> Transfer {
        Transfer {
            is_chunked: self.state.framing == BodyFraming::Chunked,
            persistence: self.state.persistence.unwrap_or(Persistence::Implied),
        }
    }

    /// The status and the fields.
    pub(crate) fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// Appends the head in the syntax of HTTP/1.
    pub(crate) fn push_head(&mut self, out: &mut Vec<u8>) {
        let before = out.len();
        h1::push_head(out, &self.head, self.transfer());
        self.state.head_bytes = (out.len() - before) as u64;
    }

    /// The value of a field, by its name in lower case; also of fields that the server
    /// adds.
    pub(crate) fn field_value(&self, name: &[u8]) -> Option<&[u8]> {
        self.head.fields.get(name).or_else(|| self.transfer_value(name))
    }

    /// The value of the last field with this name; otherwise as above.
    pub(crate) fn last_value(&self, name: &[u8]) -> Option<&[u8]> {
        let is_its = |(other, _): &(&[u8], &[u8])| other.eq_ignore_ascii_case(name);
        let last = self.head.fields.iter().filter(is_its).last();
        last.map(|(_, value)| value).or_else(|| self.transfer_value(name))
    }

    /// The value of a field that HTTP/1 adds to the complete head.
    fn transfer_value(&self, name: &[u8]) -> Option<&[u8]> {
        let is_sent = self.state.persistence.is_some();
        is_sent.then(|| self.transfer().field(name)).flatten()
    }

    /// Takes `count` bytes of the body. Returns how many to send.
    pub(crate) fn take(&mut self, count: u64) -> u64 {
        let taken = match &mut self.state.framing {
            BodyFraming::Length(left) => {
                let taken = count.min(*left);
                *left -= taken;
                self.state.cut |= taken < count;
                taken
            }
            BodyFraming::Chunked
            | BodyFraming::Framed
            | BodyFraming::UntilClose
            | BodyFraming::Raw => count,
            BodyFraming::NoBody | BodyFraming::Open => 0,
        };
        self.state.body_bytes += taken;
        taken
    }

    /// Whether a status has been given.
    pub(crate) fn has_begun(&self) -> bool {
        self.head.status() != 0
    }

    /// Whether the head is complete, and cannot be changed any more.
    pub(crate) fn is_concluded(&self) -> bool {
        self.state.framing != BodyFraming::Open
    }

    /// Whether less than the promised length was given.
    pub(crate) fn is_short(&self) -> bool {
        matches!(self.state.framing, BodyFraming::Length(left) if left > 0)
    }

    /// Whether more than the promised length was given.
    pub(crate) fn was_cut(&self) -> bool {
        self.state.cut
    }

    /// The length of the head as it was sent, in bytes.
    pub(crate) fn head_bytes(&self) -> u64 {
        self.state.head_bytes
    }

    /// The status and its reason phrase.
    pub(crate) fn status_text(&self) -> &[u8] {
        self.head.status_text()
    }

    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    pub(crate) fn framing(&self) -> BodyFraming {
        self.state.framing
    }

    pub(crate) fn closes(&self) -> bool {
        self.state.closes
    }

    /// Whether the application must wait for its client.
    pub(crate) fn is_unbuffered(&self) -> bool {
        self.state.unbuffered
    }

    pub(crate) fn body_bytes(&self) -> u64 {
        self.state.body_bytes
    }

    /// The length that the application promised.
    pub(crate) fn promised(&self) -> Option<u64> {
        self.state.length
    }
}

/// The fault of an application's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A malformed status or field.
    Malformed(InvalidResponse),
    /// A status below 200.
    Interim,
    /// A Content-Length that is no number, or two that differ.
    Length,
    /// The client has not asked for another protocol, or its body has not arrived.
    Upgrade,
}

impl From<InvalidResponse> for Fault {
    fn from(bad: InvalidResponse) -> Self {
        Self::Malformed(bad)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Malformed(bad) => bad.fmt(formatter),
            Self::Interim => formatter.write_str("a status below 200 cannot end a request"),
            Self::Upgrade => formatter.write_str("the client does not expect another protocol now"),
            Self::Length => formatter.write_str("Content-Length is not one whole number"),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'static> = Asked {
        version: Version::Http11,
        is_head: false,
        keep_alive: true,
        is_framed: false,
        own: OwnFields::NONE,
    };

    fn made(status: &str, fields: &[(&str, &str)], asked: Asked, whole: Option<u64>) -> Response {
        let mut response = Response::default();
        response.begin(status.as_bytes()).unwrap();
        for (name, value) in fields {
            response.field(name.as_bytes(), value.as_bytes()).unwrap();
        }
        response.conclude(asked, whole);
        response
    }

    fn text(mut response: Response) -> String {
        let mut head = Vec::new();
        response.push_head(&mut head);
        assert_eq!(response.head_bytes(), head.len() as u64);
        String::from_utf8(head).unwrap()
    }

    #[test]
    fn the_body_is_delimited_by_its_length_if_known() {
        let given = [("Content-Length", "5")];
        assert_eq!(made("200 OK", &given, ASKED, None).framing(), BodyFraming::Length(5));
        assert_eq!(made("200 OK", &[], ASKED, Some(3)).framing(), BodyFraming::Length(3));
        assert_eq!(made("200 OK", &[], ASKED, None).framing(), BodyFraming::Chunked);
        let old = Asked { version: Version::Http10, ..ASKED };
        let open = made("200 OK", &[], old, None);
        assert_eq!(open.framing(), BodyFraming::UntilClose);
        assert!(open.closes());
        assert!(text(made("200 OK", &given, old, None)).contains("Connection: keep-alive\r\n"));
    }

    #[test]
    fn responses_without_a_body_promise_none() {
        for status in ["204 No Content", "304 Not Modified"] {
            let response = made(status, &[], ASKED, Some(9));
            assert_eq!(response.framing(), BodyFraming::NoBody);
            let text = text(response);
            assert!(!text.contains("Content-Length") && !text.contains("Transfer"), "{text}");
        }
        let reset = made("205 Reset Content", &[], ASKED, Some(9));
        assert_eq!(reset.framing(), BodyFraming::NoBody);
        assert!(text(reset).contains("Content-Length: 0\r\n"));
        let length = [("Content-Length", "9")];
        assert!(!text(made("204 No Content", &length, ASKED, None)).contains("Length"));
        assert!(text(made("304 Not Modified", &length, ASKED, None)).contains("Length: 9"));
        let head = Asked { is_head: true, ..ASKED };
        assert!(text(made("200 OK", &length, head, None)).contains("Content-Length: 9\r\n"));
        assert!(!text(made("200 OK", &[], head, Some(0))).contains("Content-Length"));
    }

    #[test]
    fn fields_about_the_connection_are_left_out() {
        let fields = [("Transfer-Encoding", "chunked"), ("Keep-Alive", "5"), ("X-A", "b")];
        let text = text(made("200 OK", &fields, ASKED, Some(0)));
        assert!(!text.contains("chunked") && !text.contains("Keep-Alive"), "{text}");
        assert!(text.contains("X-A: b\r\n"));
        assert!(made("200 OK", &[("Connection", "x, Close")], ASKED, Some(0)).closes());
    }

    #[test]
    fn the_applications_own_date_and_server_are_kept() {
        let fields = [("Date", "today"), ("server", "mine")];
        let text = text(made("200 OK", &fields, ASKED, Some(0)));
        assert!(text.contains("Date: today\r\n") && text.contains("server: mine\r\n"));
        assert!(!text.contains("monoceros") && text.matches("ate: ").count() == 1);
    }

    #[test]
    fn a_response_over_https_forbids_plain_http_unless_the_application_has_a_rule() {
        let asked = Asked { own: OwnFields { hsts: 300, ..OwnFields::NONE }, ..ASKED };
        let own = text(made("200 OK", &[], asked, Some(0)));
        assert!(own.contains("Strict-Transport-Security: max-age=300\r\n"), "{own}");
        let fields = [("strict-transport-security", "max-age=0")];
        let text = text(made("200 OK", &fields, asked, Some(0)));
        assert!(text.contains("strict-transport-security: max-age=0\r\n"), "{text}");
        assert!(!text.contains("300"), "{text}");
    }

    #[test]
    fn fields_of_the_settings_are_added_to_a_response_that_lacks_them() {
        let mut added = Fields::new();
        for (name, value) in
            [("X-Frame-Options", "DENY"), ("Server", "ours"), ("X-A", "1"), ("B", "1"), ("B", "2")]
        {
            added.add(name.as_bytes(), value.as_bytes()).unwrap();
        }
        let asked = Asked { own: OwnFields { added: &added, ..OwnFields::NONE }, ..ASKED };
        let text = text(made("200 OK", &[("x-a", "2")], asked, Some(0)));
        assert!(
            text.contains("X-Frame-Options: DENY\r\n") && text.contains("x-a: 2\r\n"),
            "{text}"
        );
        assert!(text.contains("B: 1\r\nB: 2\r\n"), "{text}");
        assert!(text.contains("Server: ours\r\n") && text.contains("Date: "), "{text}");
        assert!(!text.contains("X-A: 1") && !text.contains("monoceros"), "{text}");
    }

    #[test]
    fn the_server_need_not_be_named() {
        let asked = Asked { own: OwnFields { has_server: false, ..OwnFields::NONE }, ..ASKED };
        let own = text(made("200 OK", &[], asked, Some(0)));
        assert!(!own.contains("Server") && own.contains("Date: "), "{own}");
        let given = text(made("200 OK", &[("Server", "mine")], asked, Some(0)));
        assert!(given.contains("Server: mine\r\n"), "{given}");
    }

    #[test]
    fn what_is_removed_is_given_anew_by_the_server() {
        let mut response = Response::default();
        response.begin(b"200 OK").unwrap();
        for (name, value) in [("Date", "today"), ("X", "1"), ("Content-Length", "5")] {
            response.field(name.as_bytes(), value.as_bytes()).unwrap();
        }
        assert!(response.remove(b"date") && response.remove(b"x") && !response.remove(b"x"));
        assert!(response.remove(b"content-length"));
        response.change_status(206);
        response.promise(7);
        response.conclude(ASKED, None);
        let text = text(response);
        assert!(text.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{text}");
        assert!(text.contains("Content-Length: 7\r\n") && !text.contains("today"), "{text}");
        assert!(text.contains("Date: ") && !text.contains("X: 1"), "{text}");
    }

    #[test]
    fn a_response_can_ask_not_to_be_buffered() {
        let asks = |value| made("200 OK", &[("x-accel-buffering", value)], ASKED, None);
        assert!(asks("No").is_unbuffered() && !asks("yes").is_unbuffered());
        assert!(text(asks("no")).contains("x-accel-buffering: no\r\n"), "a proxy hears it too");
    }

    #[test]
    fn the_promised_length_is_kept() {
        let mut response = made("200 OK", &[("Content-Length", "5")], ASKED, None);
        assert_eq!(response.take(3), 3);
        assert!(response.is_short());
        assert_eq!(response.take(3), 2);
        assert!(response.was_cut() && !response.is_short());
        assert_eq!(response.body_bytes(), 5);
    }

    #[test]
    fn a_faulty_response_is_refused() {
        let mut response = Response::default();
        assert_eq!(response.begin(b"100 Continue"), Err(Fault::Interim));
        assert!(response.begin(b"OK").is_err());
        response.begin(b"200 OK").unwrap();
        assert!(response.field(b"X", b"a\r\nB: c").is_err());
        assert_eq!(response.field(b"Content-Length", b"+5"), Err(Fault::Length));
        response.field(b"Content-Length", b"5").unwrap();
        assert_eq!(response.field(b"Content-Length", b"6"), Err(Fault::Length));
    }
}
