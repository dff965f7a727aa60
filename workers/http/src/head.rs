//! The head of a request (RFC 9112 2.1): request line, fields, empty line. The one reader of them.

use crate::class::{METHOD, find_control};
use crate::field::{self, Known};
use crate::framing::{Framing, FramingFields};
use crate::host;
use crate::limits::{Limits, MAX_HEAD};
use crate::list::has_token;
use crate::reject::Reject;
use crate::request_line::{self, RequestLine, Version};
use crate::span::Span;

/// A head that was larger than this gives its memory back when it is cleared: 4 KiB.
const KEPT: usize = 4 << 10;

/// How many fields' worth of memory is kept for the next head.
const KEPT_FIELDS: usize = 64;

/// Reads one request head, and holds it once it is complete.
///
/// Made to be used again: after [`clear`](Head::clear) it keeps its memory, so that reading
/// allocates nothing in the long run. Before [`read`](Head::read) has said that the head is
/// complete, its parts mean nothing.
///
/// ```
/// use monoceros_http::{Framing, Head, Limits};
///
/// let limits = Limits { request_line: 4094, fields: 100, field_size: 8190 };
/// let mut head = Head::new();
/// let input = b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\n\r\nGET ";
/// assert_eq!(head.read(&input[..20], &limits), Ok(None));
/// assert_eq!(head.read(input, &limits), Ok(Some(42)));
/// assert_eq!(head.path(), b"/a");
/// assert_eq!(head.query(), b"b=c");
/// assert_eq!(head.host(), Some(&b"example.com"[..]));
/// assert_eq!(head.framing(), Framing::None);
/// ```
#[derive(Debug, Default)]
pub struct Head {
    /// The head as received, once it is complete.
    bytes: Vec<u8>,
    fields: Vec<FieldSpans>,
    stage: Stage,
    /// Where the line that is being read begins.
    line: usize,
    /// Up to here the input is known to have no control character but those that end the lines
    /// before.
    scanned: usize,
    request: RequestLine,
    seen: Seen,
    framing: Option<Framing>,
}

#[derive(Clone, Copy, Debug)]
struct FieldSpans {
    name: Span,
    value: Span,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Start,
    RequestLine,
    Fields,
    Complete,
}

/// What the fields read so far say.
#[derive(Clone, Debug, Default)]
struct Seen {
    host: Option<Span>,
    request_id: Option<Span>,
    content_type: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    framing: FramingFields,
}

impl Head {
    /// A head to read into.
    pub fn new() -> Head {
        Head::default()
    }

    /// Becomes a copy of another head, in the memory that it has.
    pub fn copy_from(&mut self, other: &Head) {
        // A field that is added does not compile until it is copied, too.
        let Head { bytes, fields, stage, line, scanned, request, seen, framing } = other;
        self.bytes.clone_from(bytes);
        self.fields.clone_from(fields);
        (self.stage, self.line, self.scanned) = (*stage, *line, *scanned);
        (self.request, self.seen, self.framing) = (*request, seen.clone(), *framing);
    }

    /// Makes it ready for the next request.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.fields.clear();
        self.fields.shrink_to(KEPT_FIELDS);
        self.stage = Stage::Start;
        self.line = 0;
        self.scanned = 0;
        self.request = RequestLine::default();
        self.seen = Seen::default();
        self.framing = None;
    }

    /// Reads on. `input` begins with the first byte of the request at each call, and only grows
    /// between calls; what was looked at before is not looked at again.
    ///
    /// `Some(n)` says that the head is complete and took the first `n` bytes of `input`, `None`
    /// that more is needed.
    ///
    /// # Errors
    /// As soon as the bytes so far cannot become a head that is served. The head is of no use after
    /// it until it is cleared.
    pub fn read(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, Reject> {
        if self.stage == Stage::Start && !self.start(input)? {
            return Ok(None);
        }
        while self.stage != Stage::Complete {
            let Some(end) = self.line_end(input, limits)? else { return Ok(None) };
            let line = input.get(self.line..end).unwrap_or_default();
            match self.stage {
                Stage::Start | Stage::RequestLine => self.take_request_line(line)?,
                Stage::Fields if line.is_empty() => self.conclude()?,
                Stage::Fields => self.take_field(line)?,
                Stage::Complete => {}
            }
            self.line = end + 2;
            self.scanned = self.line;
            if self.stage == Stage::Complete {
                self.bytes.extend_from_slice(input.get(..self.line).unwrap_or_default());
            }
        }
        Ok(Some(self.line))
    }

    /// Skips one empty line, which RFC 9112 2.2 asks for, and looks at the first byte of the
    /// request line: what is no HTTP at all, such as the first byte of TLS, is refused without
    /// waiting for the end of a line. Whether there was a first byte.
    fn start(&mut self, input: &[u8]) -> Result<bool, Reject> {
        let (skipped, first) = match input {
            [b'\r', b'\n', rest @ ..] => (2, rest.first()),
            [] | [b'\r'] => return Ok(false),
            [b'\r', ..] => return Err(Reject::bad("bare CR")),
            [first, ..] => (0, Some(first)),
        };
        match first {
            None => return Ok(false),
            Some(b'\r' | b'\n') => return Err(Reject::bad("empty line before the request line")),
            Some(&byte) if !METHOD[usize::from(byte)] => return Err(Reject::bad("not HTTP")),
            Some(_) => {}
        }
        self.line = skipped;
        self.scanned = skipped;
        self.stage = Stage::RequestLine;
        Ok(true)
    }

    /// Where the line ends; `None` if its end has not come yet. A line ends with CRLF and nothing
    /// else: RFC 9112 2.2 allows to take a bare LF for one, and it is what request smuggling is
    /// made of.
    fn line_end(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, Reject> {
        let end = find_control(input, self.scanned);
        self.scanned = end;
        self.check_size(end, limits)?;
        match input.get(end..).unwrap_or_default() {
            [b'\r', b'\n', ..] => Ok(Some(end)),
            [] | [b'\r'] => Ok(None),
            [b'\r', ..] => Err(Reject::bad("bare CR")),
            [b'\n', ..] => Err(Reject::bad("bare LF")),
            [_, ..] => Err(Reject::bad("control character")),
        }
    }

    /// Refuses a line that reaches up to `end` at least, if that is too far (RFC 9112 3, RFC 9110
    /// 5.4).
    fn check_size(&self, end: usize, limits: &Limits) -> Result<(), Reject> {
        let len = end - self.line;
        if self.stage == Stage::RequestLine {
            return if len > limits.request_line.min(MAX_HEAD) {
                Err(Reject::new(414, "request line too long"))
            } else {
                Ok(())
            };
        }
        if len > 0 && self.fields.len() >= limits.fields {
            return Err(Reject::new(431, "too many fields"));
        }
        if len > 0 && len + 2 > limits.field_size.min(MAX_HEAD - self.line.min(MAX_HEAD)) {
            return Err(Reject::new(431, "field too long"));
        }
        Ok(())
    }

    fn take_request_line(&mut self, line: &[u8]) -> Result<(), Reject> {
        self.request = request_line::parse(line, self.line)?;
        self.stage = Stage::Fields;
        Ok(())
    }

    fn take_field(&mut self, line: &[u8]) -> Result<(), Reject> {
        let field = field::split(line)?;
        let name = Span::new(self.line, field.name.len());
        let value = Span::new(self.line + field.value_at, field.value.len());
        if let Some(known) = Known::of(field.name) {
            self.take_known(known, field.value, value)?;
        }
        self.fields.push(FieldSpans { name, value });
        Ok(())
    }

    fn take_known(&mut self, known: Known, value: &[u8], span: Span) -> Result<(), Reject> {
        match known {
            Known::Host => self.take_host(value, span),
            Known::ContentLength => self.seen.framing.content_length(value),
            Known::TransferEncoding => {
                self.seen.framing.transfer_encoding(value, self.request.version)
            }
            Known::Expect => self.take_expect(value),
            Known::Connection => {
                self.seen.close |= has_token(value, b"close");
                self.seen.keep_alive |= has_token(value, b"keep-alive");
                Ok(())
            }
            Known::RequestId => {
                self.seen.request_id.get_or_insert(span);
                Ok(())
            }
            // It has no list form, so a second one is an attack or a defect (RFC 9110 5.3).
            Known::ContentType if self.seen.content_type => {
                Err(Reject::bad("two Content-Type fields"))
            }
            Known::ContentType => {
                self.seen.content_type = true;
                Ok(())
            }
        }
    }

    /// RFC 9112 3.2: at most one, and valid, whatever the target. With an absolute target the field
    /// means nothing (3.2.2): whom the target names is whom the client asks.
    fn take_host(&mut self, value: &[u8], span: Span) -> Result<(), Reject> {
        if self.seen.host.is_some() {
            return Err(Reject::bad("two Host fields"));
        }
        host::split(value).ok_or(Reject::bad("invalid Host"))?;
        self.seen.host = Some(span);
        Ok(())
    }

    /// RFC 9110 10.1.1: ignored in HTTP/1.0; any other expectation than 100-continue may be
    /// refused with 417.
    fn take_expect(&mut self, value: &[u8]) -> Result<(), Reject> {
        if self.request.version == Version::Http10 {
            return Ok(());
        }
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Reject::new(417, "unknown expectation"));
        }
        self.seen.expects_continue = true;
        Ok(())
    }

    /// Judges what only the end of the head can tell.
    fn conclude(&mut self) -> Result<(), Reject> {
        if self.seen.host.is_none() && self.request.version == Version::Http11 {
            return Err(Reject::bad("no Host field"));
        }
        self.framing = Some(self.seen.framing.conclude()?);
        self.stage = Stage::Complete;
        Ok(())
    }

    /// The method, a token without lower case: `GET`.
    pub fn method(&self) -> &[u8] {
        self.request.method.of(&self.bytes)
    }

    /// The request target as received.
    pub fn target(&self) -> &[u8] {
        self.request.target.whole.of(&self.bytes)
    }

    /// The path of the target, percent escapes as received: it begins with `/`, or is the `*` of
    /// `OPTIONS *`.
    pub fn path(&self) -> &[u8] {
        let target = &self.request.target;
        if target.path.is_empty() && target.authority.is_some() {
            b"/"
        } else {
            target.path.of(&self.bytes)
        }
    }

    /// The query of the target without its question mark; empty if there is none.
    pub fn query(&self) -> &[u8] {
        self.request.target.query.of(&self.bytes)
    }

    /// The version of HTTP.
    pub fn version(&self) -> Version {
        self.request.version
    }

    /// The fields in order: names as received, values without white space around them. A value is
    /// any bytes but control characters; HTAB may be among them.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (field.name.of(&self.bytes), field.value.of(&self.bytes)))
    }

    /// The value of the first field of this name, in whatever case either is.
    pub fn field(&self, lowercase_name: &[u8]) -> Option<&[u8]> {
        self.fields()
            .find(|(name, _)| name.eq_ignore_ascii_case(lowercase_name))
            .map(|(_, value)| value)
    }

    /// The server that the client names, `example.com:8000`: of an absolute target, else of the
    /// Host field. Always valid; may be empty, and is `None` only in HTTP/1.0.
    pub fn host(&self) -> Option<&[u8]> {
        let target = self.request.target.authority;
        target.or(self.seen.host).map(|host| host.of(&self.bytes))
    }

    /// The value of the first X-Request-ID, which clients and proxies use to find a request again:
    /// whatever they wrote. Costs nothing where there is none.
    pub fn request_id(&self) -> Option<&[u8]> {
        self.seen.request_id.map(|id| id.of(&self.bytes))
    }

    /// The whole head as received, with the empty line at its end: can be read again.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How the body is delimited.
    pub fn framing(&self) -> Framing {
        self.framing.unwrap_or(Framing::None)
    }

    /// Whether the client lets the connection stay open after the response (RFC 9112 9.3).
    pub fn keep_alive(&self) -> bool {
        !self.seen.close && (self.seen.keep_alive || self.request.version == Version::Http11)
    }

    /// Whether the client waits for `100 Continue` before it sends the body; never in HTTP/1.0 (RFC
    /// 9110 10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.seen.expects_continue && !matches!(self.framing(), Framing::None | Framing::Length(0))
    }

    /// Whether the method is HEAD: the response has no body.
    pub fn is_head(&self) -> bool {
        self.method() == b"HEAD"
    }
}
