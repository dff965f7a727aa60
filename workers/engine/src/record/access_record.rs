//! What the access log gets of a request, and gunicorn's atoms of it.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use monoceros_config::{AccessAtom, AccessFormat, AccessPiece, AtomLayout};
use monoceros_http::response::push_decimal;
use monoceros_http::{Head, percent_decode};
use monoceros_tls::Session;
use monoceros_wire::listener::Scheme;
use monoceros_wire::request_id::RequestId;

use crate::connection::address::Address;
use crate::record::{clock, session_variables};
use crate::stream::response::Response;

/// Names of fields of requests.
pub(super) const REFERER: &[u8] = b"referer";
pub(super) const USER_AGENT: &[u8] = b"user-agent";

/// What the access log gets of a request.
pub(crate) struct Record<'a> {
    pub(crate) peer: &'a Address,
    /// `None` when the request could not be read.
    pub(crate) head: Option<&'a Head>,
    /// From the first byte of the request to the end of the application's work.
    pub(crate) took_us: u64,
    /// How long the request waited for the application, if it went there.
    pub(crate) queued_us: Option<u64>,
    /// The scheme of the client's URL.
    pub(crate) scheme: Scheme,
    /// The response, concluded.
    pub(crate) response: &'a Response,
    /// The value of a variable of the application's environment, by its name in any case.
    pub(crate) environ: &'a dyn Fn(&str) -> Option<Vec<u8>>,
    /// Its connection's encryption, also where the application has made no environment.
    pub(crate) session: Option<&'a Session>,
    /// The request's identifier.
    pub(crate) request_id: &'a RequestId,
}

impl Record<'_> {
    /// Appends a line of this format. `bytes` is called where the number of bytes belongs, with
    /// its layout.
    pub(super) fn push_text(
        &self,
        format: &AccessFormat,
        line: &mut Vec<u8>,
        mut bytes: impl FnMut(&mut Vec<u8>, AtomLayout),
    ) {
        for piece in format.pieces() {
            match piece {
                AccessPiece::Text(text) => line.extend_from_slice(text.as_bytes()),
                AccessPiece::Atom(AccessAtom::Bytes, layout) => bytes(line, *layout),
                AccessPiece::Atom(atom, layout) => {
                    let start = line.len();
                    self.push(atom, line);
                    layout.apply(line, start);
                }
            }
        }
    }

    fn push(&self, atom: &AccessAtom, out: &mut Vec<u8>) {
        match atom {
            AccessAtom::Peer => push_or_dash(self.client().map(str::as_bytes), out),
            AccessAtom::Dash => out.push(b'-'),
            AccessAtom::User => push_or_dash(self.user().as_deref(), out),
            AccessAtom::Time => clock::push_log_time(out),
            AccessAtom::RequestLine => self.push_request_line(out),
            AccessAtom::Method => push_or_dash(self.head.map(Head::method), out),
            AccessAtom::Path => self.push_path(out),
            AccessAtom::Query => push_escaped(self.head.map_or(b"", Head::query), true, out),
            AccessAtom::Protocol => {
                push_or_dash(self.head.map(|head| head.version().as_str().as_bytes()), out);
            }
            AccessAtom::Status => push_decimal(out, self.response.status().into()),
            AccessAtom::Bytes => push_decimal(out, self.response.body_bytes()),
            AccessAtom::Seconds => push_decimal(out, self.took_us / 1_000_000),
            AccessAtom::Milliseconds => push_decimal(out, self.took_us / 1_000),
            AccessAtom::Microseconds => push_decimal(out, self.took_us),
            AccessAtom::DecimalSeconds => {
                push_decimal(out, self.took_us / 1_000_000);
                out.extend_from_slice(format!(".{:06}", self.took_us % 1_000_000).as_bytes());
            }
            AccessAtom::Pid => {
                out.extend_from_slice(format!("<{}>", std::process::id()).as_bytes())
            }
            AccessAtom::Referer => push_or_dash(self.joined(REFERER).as_deref(), out),
            AccessAtom::UserAgent => push_or_dash(self.joined(USER_AGENT).as_deref(), out),
            AccessAtom::RequestField(name) => {
                // gunicorn keeps the fields of a request in a mapping: the last one stays.
                let value = self.head.and_then(|head| fields(head, name.as_bytes()).next_back());
                push_or_dash(value, out);
            }
            AccessAtom::ResponseField(name) => {
                let value = self.response.last_value(name.as_bytes());
                push_or_dash(value.map(<[u8]>::trim_ascii), out);
            }
            AccessAtom::Variable(name) => {
                let own = (self.environ)(name);
                let session = || session_variables::find(self.session?, name).map(str::as_bytes);
                push_or_dash(own.as_deref().or_else(session), out);
            }
        }
    }

    /// The address of the client; none at a unix socket.
    pub(super) fn client(&self) -> Option<&str> {
        match self.peer {
            Address::Internet { host, .. } => Some(host),
            Address::Unix(_) => None,
        }
    }

    /// The values of a field of the request, joined as the application gets them.
    pub(super) fn joined(&self, name: &'static [u8]) -> Option<Cow<'_, [u8]>> {
        let head = self.head?;
        if head.name_lengths() & Head::name_length(name.len()) == 0 {
            return None;
        }
        let mut values = fields(head, name);
        let first = values.next()?;
        let mut joined = Cow::Borrowed(first);
        for value in values {
            joined.to_mut().push(b',');
            joined.to_mut().extend_from_slice(value);
        }
        Some(joined)
    }

    /// The path as the application gets it, decoded and without `SCRIPT_NAME`.
    fn push_path(&self, out: &mut Vec<u8>) {
        let Some(head) = self.head else { return out.push(b'-') };
        let path = (self.environ)("PATH_INFO").unwrap_or_else(|| {
            let mut path = Vec::new();
            percent_decode(head.path(), &mut path);
            path
        });
        push_escaped(&path, true, out);
    }

    fn push_request_line(&self, out: &mut Vec<u8>) {
        let Some(head) = self.head else { return out.push(b'-') };
        push_escaped(head.method(), false, out);
        out.push(b' ');
        push_escaped(head.target(), false, out);
        out.push(b' ');
        out.extend_from_slice(head.version().as_str().as_bytes());
    }

    /// The user name of basic authentication (RFC 7617).
    pub(super) fn user(&self) -> Option<Vec<u8>> {
        let given = self.head?.field(b"authorization")?;
        let (scheme, rest) = given.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let decoded = STANDARD.decode(rest.trim_ascii()).ok()?;
        let name = decoded.split(|byte| *byte == b':').next()?;
        (!name.is_empty()).then(|| name.to_vec())
    }
}

/// The values of the fields with this name, in any case.
fn fields<'a>(head: &'a Head, name: &'a [u8]) -> impl DoubleEndedIterator<Item = &'a [u8]> {
    let is_its = move |(other, _): &(&[u8], &[u8])| other.eq_ignore_ascii_case(name);
    head.fields().filter(is_its).map(|(_, value)| value)
}

fn push_or_dash(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes {
        Some(bytes) => push_escaped(bytes, true, out),
        None => out.push(b'-'),
    }
}

/// Appends bytes that a client chose, so that they cannot end a line, close a quote or control
/// a terminal. Printable ASCII is written as gunicorn does, with a backslash before a quote.
///
/// A backslash is doubled only where the next byte would make it an escape: before a quote, and
/// at the end of a value, where the format may have its closing quote. gunicorn does not double
/// it, so that its clients can close a quote or keep it open (decision 54).
pub(super) fn push_escaped(bytes: &[u8], is_end: bool, out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => {
                let more = after.iter().take_while(|byte| **byte == b'\\').count();
                rest = &after[more..];
                let is_escape = rest.first().map_or(is_end, |next| *next == b'"');
                let count = (1 + more) * if is_escape { 2 } else { 1 };
                out.resize(out.len() + count, b'\\');
            }
            b' '..=b'~' => out.push(*byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::test_options::LIMITS;

    const SESSION: Session = Session {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        client: None,
        asks_clients: true,
        is_resumed: false,
    };

    /// Shows the record of a request for this target.
    pub(in crate::record) fn with_record<T>(target: &str, show: impl FnOnce(&Record) -> T) -> T {
        let mut head = Head::new();
        let start = format!("GET {target} HTTP/1.1\r\nHost: x\r\n");
        let fields = b"Referer: r\\\x80\r\nAuthorization: Basic dXNlcjpwYXNz\r\n\
            User-Agent: wrk\r\nuser-agent: x\xc3\xa9\r\n\
            traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
        head.read(&[start.as_bytes(), fields].concat(), &LIMITS).unwrap().unwrap();
        let mut response = Response::default();
        response.begin(b"200 OK").unwrap();
        response.field(b"X-A", b" a ").unwrap();
        response.field(b"x-a", b" b ").unwrap();
        let mut request_id = RequestId::NONE;
        request_id.take(b"a-1");
        show(&Record {
            peer: &Address::internet(([1, 2, 3, 4], 5).into()),
            head: Some(&head),
            took_us: 1_234_567,
            queued_us: Some(89),
            scheme: Scheme::Https,
            response: &response,
            environ: &|name| (name == "A_B").then(|| b"c\xe9".to_vec()),
            session: Some(&SESSION),
            request_id: &request_id,
        })
    }

    fn line(format: &str) -> String {
        let format = AccessFormat::new(format).unwrap();
        let mut out = Vec::new();
        with_record("/a%20b?c=\"d", |record| {
            record.push_text(&format, &mut out, |line, layout| {
                let start = line.len();
                line.push(b'0');
                layout.apply(line, start);
            });
        });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_atom_has_its_text() {
        let pid = std::process::id();
        assert_eq!(line("%(h)s %(l)s %(u)s"), "1.2.3.4 - user");
        assert_eq!(line("%(r)s"), "GET /a%20b?c=\\\"d HTTP/1.1");
        assert_eq!(line("%(m)s|%(U)s|%(q)s|%(H)s"), "GET|/a b|c=\\\"d|HTTP/1.1");
        assert_eq!(line("%(s)s %(B)s %(b)s"), "200 0 0");
        assert_eq!(
            line("%(h)-9s|%(s)5s|%(B)3d|%(D)09d|%(a).2s"),
            "1.2.3.4  |  200|  0|001234567|wr"
        );
        assert_eq!(line("%(f)s %(a)s"), "r\\\\x80 wrk,x\\xc3\\xa9");
        assert_eq!(line("%(T)s %(M)s %(D)s %(L)s"), "1 1234 1234567 1.234567");
        assert_eq!(line("%(p)s 100%%"), format!("<{pid}> 100%"));
        assert_eq!(line("%({Host}i)s %({none}i)s"), "x -");
        assert_eq!(line("%({USER-agent}i)s"), "x\\xc3\\xa9", "the last one");
        assert_eq!(line("%({x-a}o)s %({none}o)s"), "b -");
        assert_eq!(line("%({A_B}e)s %({none}e)s"), "c\\xe9 -");
        assert_eq!(line("%({SSL_PROTOCOL}e)s %({ssl_client_verify}e)s"), "TLSv1.3 NONE");
        assert!(line("%(t)s").starts_with('['));
    }

    #[test]
    fn no_value_can_close_a_quote_or_keep_it_open() {
        let escaped = |text: &str, is_end| {
            let mut out = Vec::new();
            push_escaped(text.as_bytes(), is_end, &mut out);
            String::from_utf8(out).unwrap()
        };
        for (text, is_end, expected) in [
            (r#"a"b"#, true, r#"a\"b"#),
            (r"a\b", true, r"a\b"),
            (r#"a\"b"#, true, r#"a\\\"b"#),
            (r"a\", true, r"a\\"),
            (r"a\\", true, r"a\\\\"),
            (r"a\", false, r"a\"),
            ("\n\u{1b}\u{7f}", true, r"\x0a\x1b\x7f"),
        ] {
            assert_eq!(escaped(text, is_end), expected, "{text}");
        }
    }
}
