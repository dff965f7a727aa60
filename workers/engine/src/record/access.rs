//! The access log: gunicorn's format with all of its atoms, compiled by the settings.
//!
//! Lines are buffered and written together: by a thread that is about to sleep, or when
//! there are many.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use monoceros_config::{AccessAtom, AccessFormat, AccessPiece};
use monoceros_http::response::push_decimal;
use monoceros_http::{Head, percent_decode};
use monoceros_log::LogFile;
use monoceros_tls::Session;
use monoceros_wire::request_id::RequestId;

use crate::connection::address::Address;
use crate::record::{clock, session_variables};
use crate::stream::response::Response;

/// Buffered bytes beyond this are written at once.
const GATHER_LIMIT: usize = 32 * 1024;

thread_local! {
    /// The memory for a line.
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The log's file and format.
#[derive(Debug)]
pub struct AccessLog {
    file: LogFile,
    format: AccessFormat,
    gathered: Mutex<Vec<u8>>,
}

/// A line in which the number of bytes is missing.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    line: Vec<u8>,
    /// The position and format of the number in the line.
    gaps: Vec<(usize, AccessAtom)>,
}

/// The content of a line.
pub(crate) struct Record<'a> {
    pub(crate) peer: &'a Address,
    /// `None` when the request could not be read.
    pub(crate) head: Option<&'a Head>,
    /// From the first byte of the request to the end of the application's work.
    pub(crate) took_us: u64,
    /// The response, concluded.
    pub(crate) response: &'a Response,
    pub(crate) environ: &'a dyn Fn(&str) -> Option<String>,
    /// Its connection's encryption, also where the application has made no environment.
    pub(crate) session: Option<&'a Session>,
    /// The request's identifier.
    #[expect(dead_code, reason = "the access log in JSON reads it")]
    pub(crate) request_id: &'a RequestId,
}

impl AccessLog {
    /// A log of lines of this format.
    #[must_use]
    pub fn new(file: LogFile, format: AccessFormat) -> Self {
        Self { file, format, gathered: Mutex::default() }
    }

    /// Adds a line.
    pub(crate) fn add(&self, record: &Record) {
        // Neither the memory nor the lock is held while Python is asked for a variable,
        // because Python may run any code, also another request.
        let mut line = LINE.take();
        line.clear();
        self.make(record, &mut line);
        self.gather(&line);
        line.clear();
        line.shrink_to(GATHER_LIMIT);
        LINE.set(line);
    }

    /// Makes a line whose response is still being sent.
    pub(crate) fn draft(&self, record: &Record) -> Draft {
        let mut draft = Draft::default();
        for piece in self.format.pieces() {
            match piece {
                AccessPiece::Text(text) => draft.line.extend_from_slice(text.as_bytes()),
                AccessPiece::Atom(atom @ (AccessAtom::Bytes | AccessAtom::BytesOrDash)) => {
                    draft.gaps.push((draft.line.len(), atom.clone()));
                }
                AccessPiece::Atom(atom) => record.push(atom, &mut draft.line),
            }
        }
        draft.line.push(b'\n');
        draft
    }

    /// Adds such a line when the number of bytes is known.
    pub(crate) fn add_draft(&self, draft: &Draft, body_bytes: u64) {
        self.gather(&draft.complete(body_bytes));
    }

    fn make(&self, record: &Record, line: &mut Vec<u8>) {
        for piece in self.format.pieces() {
            match piece {
                AccessPiece::Text(text) => line.extend_from_slice(text.as_bytes()),
                AccessPiece::Atom(atom) => record.push(atom, line),
            }
        }
        line.push(b'\n');
    }

    fn gather(&self, line: &[u8]) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.extend_from_slice(line);
        if gathered.len() > GATHER_LIMIT {
            self.write_out(&mut gathered);
        }
    }

    /// Writes the buffered lines.
    pub(crate) fn flush(&self) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_out(&mut gathered);
    }

    fn write_out(&self, gathered: &mut Vec<u8>) {
        if !gathered.is_empty() {
            self.file.write(gathered);
            gathered.clear();
            gathered.shrink_to(2 * GATHER_LIMIT);
        }
    }

    /// Opens the file again by name.
    ///
    /// # Errors
    /// Those of `open(2)`, with the path; the old file stays in use.
    pub fn reopen(&self) -> std::io::Result<()> {
        self.flush();
        self.file.reopen()
    }
}

impl Draft {
    fn complete(&self, body_bytes: u64) -> Vec<u8> {
        let mut line = Vec::with_capacity(self.line.len() + 20 * self.gaps.len());
        let mut start = 0;
        for (at, atom) in &self.gaps {
            line.extend_from_slice(&self.line[start..*at]);
            push_bytes(atom, body_bytes, &mut line);
            start = *at;
        }
        line.extend_from_slice(&self.line[start..]);
        line
    }
}

fn push_bytes(atom: &AccessAtom, body_bytes: u64, out: &mut Vec<u8>) {
    if *atom == AccessAtom::BytesOrDash && body_bytes == 0 {
        out.push(b'-');
    } else {
        push_decimal(out, body_bytes);
    }
}

impl Record<'_> {
    fn push(&self, atom: &AccessAtom, out: &mut Vec<u8>) {
        match atom {
            AccessAtom::Peer => match self.peer {
                Address::Internet { host, .. } => out.extend_from_slice(host.as_bytes()),
                Address::Unix(_) => out.push(b'-'),
            },
            AccessAtom::Dash => out.push(b'-'),
            AccessAtom::User => push_or_dash(self.user().as_deref(), out),
            AccessAtom::Time => clock::push_log_time(out),
            AccessAtom::RequestLine => self.push_request_line(out),
            AccessAtom::Method => push_or_dash(self.head.map(Head::method), out),
            AccessAtom::Path => self.push_path(out),
            AccessAtom::Query => push_escaped(self.head.map_or(b"", Head::query), out),
            AccessAtom::Protocol => {
                push_or_dash(self.head.map(|head| head.version().as_str().as_bytes()), out);
            }
            AccessAtom::Status => push_decimal(out, self.response.status().into()),
            AccessAtom::Bytes | AccessAtom::BytesOrDash => {
                push_bytes(atom, self.response.body_bytes(), out)
            }
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
            AccessAtom::RequestField(name) => {
                push_or_dash(self.head.and_then(|head| head.field(name.as_bytes())), out);
            }
            AccessAtom::ResponseField(name) => {
                push_or_dash(
                    self.response.field_value(name.as_bytes()).map(<[u8]>::trim_ascii),
                    out,
                );
            }
            AccessAtom::Variable(name) => {
                let own = (self.environ)(name);
                let session = || session_variables::find(self.session?, name);
                push_or_dash(own.as_deref().or_else(session).map(str::as_bytes), out);
            }
        }
    }

    /// The path as the application gets it, decoded.
    fn push_path(&self, out: &mut Vec<u8>) {
        let mut path = Vec::new();
        percent_decode(self.head.map_or(b"-", Head::path), &mut path);
        push_escaped(&path, out);
    }

    fn push_request_line(&self, out: &mut Vec<u8>) {
        let Some(head) = self.head else { return out.push(b'-') };
        push_escaped(head.method(), out);
        out.push(b' ');
        push_escaped(head.target(), out);
        out.push(b' ');
        out.extend_from_slice(head.version().as_str().as_bytes());
    }

    /// The user name of basic authentication (RFC 7617).
    fn user(&self) -> Option<Vec<u8>> {
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

fn push_or_dash(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes {
        Some(bytes) => push_escaped(bytes, out),
        None => out.push(b'-'),
    }
}

/// Appends bytes that a client chose: escaped, so that they cannot end a line, close a
/// quote or control a terminal.
fn push_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_options::LIMITS;

    const SESSION: Session = Session {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        client: None,
        asks_clients: true,
    };

    fn line(format: &str) -> String {
        let mut head = Head::new();
        let bytes = b"GET /a%20b?c=\"d HTTP/1.1\r\nHost: x\r\nReferer: r\\\x80\r\n\
            Authorization: Basic dXNlcjpwYXNz\r\nUser-Agent: wrk\r\n\r\n";
        head.read(bytes, &LIMITS).unwrap().unwrap();
        let mut response = Response::default();
        response.begin(b"200 OK").unwrap();
        response.field(b"X-A", b" b ").unwrap();
        let record = Record {
            peer: &Address::internet(([1, 2, 3, 4], 5).into()),
            head: Some(&head),
            took_us: 1_234_567,
            response: &response,
            environ: &|name| (name == "A_B").then(|| "c".to_owned()),
            session: Some(&SESSION),
            request_id: &RequestId::NONE,
        };
        let mut out = Vec::new();
        for piece in AccessFormat::new(format).unwrap().pieces() {
            match piece {
                AccessPiece::Text(text) => out.extend_from_slice(text.as_bytes()),
                AccessPiece::Atom(atom) => record.push(atom, &mut out),
            }
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_atom_has_its_text() {
        let pid = std::process::id();
        assert_eq!(line("%(h)s %(l)s %(u)s"), "1.2.3.4 - user");
        assert_eq!(line("%(r)s"), "GET /a%20b?c=\\\"d HTTP/1.1");
        assert_eq!(line("%(m)s|%(U)s|%(q)s|%(H)s"), "GET|/a b|c=\\\"d|HTTP/1.1");
        assert_eq!(line("%(s)s %(B)s %(b)s"), "200 0 -");
        assert_eq!(line("%(f)s %(a)s"), "r\\\\\\x80 wrk");
        assert_eq!(line("%(T)s %(M)s %(D)s %(L)s"), "1 1234 1234567 1.234567");
        assert_eq!(line("%(p)s 100%%"), format!("<{pid}> 100%"));
        assert_eq!(line("%({Host}i)s %({none}i)s"), "x -");
        assert_eq!(line("%({x-a}o)s %({none}o)s"), "b -");
        assert_eq!(line("%({A_B}e)s %({none}e)s"), "c -");
        assert_eq!(line("%({SSL_PROTOCOL}e)s %({ssl_client_verify}e)s"), "TLSv1.3 NONE");
        assert!(line("%(t)s").starts_with('['));
    }

    #[test]
    fn a_line_gets_its_number_of_bytes_later() {
        let draft = Draft {
            line: b"a c\n".to_vec(),
            gaps: vec![
                (0, AccessAtom::Bytes),
                (2, AccessAtom::BytesOrDash),
                (2, AccessAtom::Bytes),
            ],
        };
        assert_eq!(draft.complete(17), b"17a 1717c\n");
        assert_eq!(draft.complete(0), b"0a -0c\n");
    }
}
