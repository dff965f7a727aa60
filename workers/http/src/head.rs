//! The reader of request heads (RFC 9112 section 2.1): request line, fields, empty line.

use crate::class::{METHOD, find_control};
use crate::field::{self, Known};
use crate::framing::{Framing, FramingFields};
use crate::host;
use crate::limits::{Limits, MAX_HEAD};
use crate::list::has_token;
use crate::reject::Reject;
use crate::request_line::{self, RequestLine, Version};
use crate::span::Span;

/// The memory that a cleared head keeps, in bytes: 4 KiB.
const KEPT: usize = 4 << 10;

/// The number of fields for which a cleared head keeps memory.
const KEPT_FIELDS: usize = 64;

/// Reads one request head, and holds it once it is complete.
///
/// It can be used again: [`clear`](Head::clear) keeps memory, so that reading seldom allocates. The
/// parts have a meaning only after [`read`](Head::read) has returned `Some`.
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
    /// The position of the line that is being read.
    line: usize,
    /// Up to this position the input has no control character but the ends of earlier lines.
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

/// The fields that have been read so far and that the server acts on.
#[derive(Clone, Debug, Default)]
struct Seen {
    host: Option<Span>,
    content_type: bool,
    /// The lengths of the names, as bits.
    name_lengths: u64,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    framing: FramingFields,
}

impl Head {
    /// Makes an empty head.
    pub fn new() -> Head {
        Head::default()
    }

    /// Copies another head into this one, and uses the memory that this one has.
    pub fn copy_from(&mut self, other: &Head) {
        // The pattern names each field: a new one does not compile until it is copied.
        let Head { bytes, fields, stage, line, scanned, request, seen, framing } = other;
        self.bytes.clone_from(bytes);
        self.fields.clone_from(fields);
        (self.stage, self.line, self.scanned) = (*stage, *line, *scanned);
        (self.request, self.seen, self.framing) = (*request, seen.clone(), *framing);
    }

    /// Removes everything, for the next request.
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

    /// Continues to read. `input` begins with the first byte of the request at each call, and only
    /// grows between calls. Bytes that were read before are not read again.
    ///
    /// Returns `Some(n)` when the head is complete and has the first `n` bytes of `input`, and
    /// `None` when more bytes are needed.
    ///
    /// # Errors
    /// As soon as the bytes so far cannot become a valid head. After an error the head must be
    /// cleared.
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

    /// Skips one empty line, as RFC 9112 section 2.2 recommends, and checks the first byte of the
    /// request line: bytes that are not HTTP, such as those of TLS, are refused without waiting for
    /// the end of a line. Returns whether there was a first byte.
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
            // The first byte of a record with a handshake (RFC 8446 section 5.1).
            Some(0x16) => return Err(Reject::bad("a TLS handshake at a plain http port")),
            Some(&byte) if !METHOD[usize::from(byte)] => return Err(Reject::bad("not HTTP")),
            Some(_) => {}
        }
        self.line = skipped;
        self.scanned = skipped;
        self.stage = Stage::RequestLine;
        Ok(true)
    }

    /// The position of the line's end; `None` if it has not arrived yet. A line ends with CRLF
    /// only: RFC 9112 section 2.2 allows a recipient to accept a bare LF, and request smuggling
    /// uses that.
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

    /// Refuses a line that ends at `end` or later, if that exceeds a limit (RFC 9112 section 3, RFC
    /// 9110 section 5.4).
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
        self.seen.name_lengths |= Self::name_length(field.name.len());
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
            // The field is not a list, so a second one is an attack or a defect (RFC 9110 section
            // 5.3).
            Known::ContentType if self.seen.content_type => {
                Err(Reject::bad("two Content-Type fields"))
            }
            Known::ContentType => {
                self.seen.content_type = true;
                Ok(())
            }
        }
    }

    /// Takes the value of Host: at most one, and valid, for every form of the target (RFC 9112
    /// section 3.2). The host in an absolute target takes precedence (section 3.2.2).
    fn take_host(&mut self, value: &[u8], span: Span) -> Result<(), Reject> {
        if self.seen.host.is_some() {
            return Err(Reject::bad("two Host fields"));
        }
        host::split(value).ok_or(Reject::bad("invalid Host"))?;
        self.seen.host = Some(span);
        Ok(())
    }

    /// Takes the value of Expect: ignored in HTTP/1.0; an expectation other than 100-continue is
    /// refused with 417 (RFC 9110 section 10.1.1).
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

    /// Checks what depends on all fields.
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

    /// The path of the target, with percent escapes as received. It begins with `/`, or is the `*`
    /// of `OPTIONS *`.
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

    /// The fields in order: names as received, values without white space around them. A value may
    /// have any bytes but control characters other than HTAB.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> + ExactSizeIterator {
        self.fields.iter().map(|field| (field.name.of(&self.bytes), field.value.of(&self.bytes)))
    }

    /// The value of the first field with this name, in any case.
    pub fn field(&self, lowercase_name: &[u8]) -> Option<&[u8]> {
        self.fields()
            .find(|(name, _)| name.eq_ignore_ascii_case(lowercase_name))
            .map(|(_, value)| value)
    }

    /// The lengths of all names, each as [`name_length`](Head::name_length): with one comparison a
    /// head that cannot have certain names is known.
    pub fn name_lengths(&self) -> u64 {
        self.seen.name_lengths
    }

    /// The bit of a name's length. Names of 63 bytes and longer ones have the same bit.
    pub fn name_length(len: usize) -> u64 {
        1 << len.min(63)
    }

    /// The host that the client requests, `example.com:8000`: from an absolute target, else from
    /// the Host field. It is always valid, may be empty, and is `None` only in HTTP/1.0.
    pub fn host(&self) -> Option<&[u8]> {
        let target = self.request.target.authority;
        target.or(self.seen.host).map(|host| host.of(&self.bytes))
    }

    /// The whole head as received, with the empty line at its end. It can be read again.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How the body is delimited.
    pub fn framing(&self) -> Framing {
        self.framing.unwrap_or(Framing::None)
    }

    /// Whether the client lets the connection stay open after the response (RFC 9112 section 9.3).
    pub fn keep_alive(&self) -> bool {
        !self.seen.close && (self.seen.keep_alive || self.request.version == Version::Http11)
    }

    /// Whether the client waits for `100 Continue` before it sends the body; always false in
    /// HTTP/1.0 (RFC 9110 section 10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.seen.expects_continue && !matches!(self.framing(), Framing::None | Framing::Length(0))
    }

    /// Whether the method is HEAD: the response has no body.
    pub fn is_head(&self) -> bool {
        self.method() == b"HEAD"
    }
}
