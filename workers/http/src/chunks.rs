//! Decodes the chunked transfer coding (RFC 9112 section 7.1) from pieces that are cut at any byte.

use crate::class::is_control;
use crate::extension::Extension;
use crate::field;
use crate::limits::Limits;
use crate::percent::hex_digit;
use crate::reject::Reject;

/// The maximum length of the extensions of one chunk, in bytes.
const MAX_EXTENSION: usize = 1 << 10;

/// The maximum length of the extensions of one body, in bytes. Without it a client could make a
/// small body expensive, with a long extension for each byte. RFC 9112 section 7.1.1 asks for such
/// a limit.
const MAX_EXTENSIONS: usize = 16 << 10;

/// The maximum length of the trailer section, in bytes. The trailers are discarded.
const MAX_TRAILERS: usize = 16 << 10;

/// The maximum number of digits of a chunk size, with leading zeros.
const MAX_DIGITS: u8 = 16;

/// Decodes one chunked body. Trailers are checked and discarded: RFC 9110 section 6.5.1 forbids
/// merging them into the header fields, and WSGI has no other place for them.
///
/// ```
/// use monoceros_http::{Chunks, Limits};
///
/// let mut body = Vec::new();
/// let limits = Limits { request_line: 4094, fields: 100, field_size: 8190 };
/// let mut chunks = Chunks::new(&limits);
/// let input = b"5;a=b\r\nhello\r\n0\r\n\r\nGET /";
/// let decoded = chunks.read(input, &mut |data| body.extend_from_slice(data))?;
/// assert!(decoded.ended);
/// assert_eq!(&input[decoded.consumed..], b"GET /");
/// assert_eq!(body, b"hello");
/// # Ok::<(), monoceros_http::Reject>(())
/// ```
#[derive(Debug)]
pub struct Chunks {
    state: State,
    /// Bytes of the extensions of this chunk.
    extension: usize,
    /// Bytes of all extensions so far.
    extensions: usize,
    trailers: Trailers,
}

/// The result of one call of [`Chunks::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The number of bytes of the input that were used: all of them, unless the body ended.
    pub consumed: usize,
    /// Whether the body has ended, with its trailers.
    pub ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In the size.
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
        state: Extension,
    },
    /// After the CR of the size line.
    SizeEnd {
        size: u64,
    },
    /// In the data.
    Data {
        missing: u64,
    },
    /// After the data: a CR must follow.
    DataCr,
    /// After that CR: an LF must follow.
    DataLf,
    /// In a line of the trailer section.
    Trailer,
    /// After the CR of a line of the trailer section.
    TrailerLf,
    Ended,
    Refused(Reject),
}

/// The part of the trailer section that was read.
#[derive(Debug)]
struct Trailers {
    limits: Limits,
    /// The line that is being read.
    line: Vec<u8>,
    fields: usize,
    /// The length of the lines before it, in bytes.
    size: usize,
}

impl Chunks {
    /// Makes a decoder for a new body. `limits` apply to the trailer section.
    pub fn new(limits: &Limits) -> Chunks {
        let trailers = Trailers { limits: limits.clone(), line: Vec::new(), fields: 0, size: 0 };
        Chunks { state: State::Size { size: 0, digits: 0 }, extension: 0, extensions: 0, trailers }
    }

    /// Decodes `input`, the bytes that follow those of the last call, and passes the data in it to
    /// `sink`, which is never called with an empty slice. After the end of the body no bytes are
    /// used.
    ///
    /// # Errors
    /// 400 for any deviation from the grammar, 431 for a trailer section that is too large. Later
    /// calls return the same error. The data before the fault has been passed to `sink`.
    pub fn read(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<Decoded, Reject> {
        let mut rest = input;
        while let Some(&byte) = rest.first() {
            let (state, used) = match self.state {
                State::Ended => break,
                State::Refused(reject) => return Err(reject),
                State::Data { missing } => {
                    let len = usize::try_from(missing).unwrap_or(usize::MAX).min(rest.len());
                    sink(&rest[..len]);
                    (Ok(after_data(missing - len as u64)), len)
                }
                State::Trailer => self.trailers.read(rest),
                state => (self.step(state, byte), 1),
            };
            self.state = state.unwrap_or_else(State::Refused);
            rest = &rest[used..];
        }
        match self.state {
            State::Refused(reject) => Err(reject),
            state => Ok(Decoded {
                consumed: input.len() - rest.len(),
                ended: matches!(state, State::Ended),
            }),
        }
    }

    /// Takes one byte that lies between the data of two chunks.
    fn step(&mut self, state: State, byte: u8) -> Result<State, Reject> {
        match (state, byte) {
            (State::Size { size, digits }, _) => self.step_size(size, digits, byte),
            (State::Extension { size, state }, b'\r') if state.may_end() => {
                Ok(State::SizeEnd { size })
            }
            (State::Extension { size, state }, _) => self.step_extension(size, state.step(byte)),
            (State::SizeEnd { size: 0 }, b'\n') => Ok(State::Trailer),
            (State::SizeEnd { size }, b'\n') => Ok(State::Data { missing: size }),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::TrailerLf, b'\n') => self.trailers.end_line(),
            (State::DataCr | State::DataLf, _) => Err(Reject::bad("chunk longer than its size")),
            (State::SizeEnd { .. } | State::TrailerLf, _) => {
                Err(Reject::bad("bare CR in a chunked body"))
            }
            (State::Data { .. } | State::Trailer | State::Ended | State::Refused(_), _) => {
                Ok(state)
            }
        }
    }

    /// `chunk-size = 1*HEXDIG`, guarded against overflow (RFC 9112 section 7.1): at most
    /// `i64::MAX`, as Content-Length.
    fn step_size(&mut self, size: u64, digits: u8, byte: u8) -> Result<State, Reject> {
        if byte.is_ascii_hexdigit() {
            let larger = size << 4 | u64::from(hex_digit(byte));
            if digits == MAX_DIGITS || larger > i64::MAX as u64 {
                return Err(Reject::bad("chunk size too large"));
            }
            return Ok(State::Size { size: larger, digits: digits + 1 });
        }
        match byte {
            _ if digits == 0 => Err(Reject::bad("invalid chunk size")),
            b'\r' => Ok(State::SizeEnd { size }),
            _ => {
                self.extension = 0;
                let state = Extension::begin(byte).ok_or(Reject::bad("invalid chunk size"))?;
                self.step_extension(size, Some(state))
            }
        }
    }

    fn step_extension(&mut self, size: u64, state: Option<Extension>) -> Result<State, Reject> {
        let state = state.ok_or(Reject::bad("invalid chunk extension"))?;
        self.extension += 1;
        self.extensions += 1;
        if self.extension > MAX_EXTENSION || self.extensions > MAX_EXTENSIONS {
            return Err(Reject::bad("chunk extensions too long"));
        }
        Ok(State::Extension { size, state })
    }
}

fn after_data(missing: u64) -> State {
    if missing == 0 { State::DataCr } else { State::Data { missing } }
}

impl Trailers {
    /// Continues a line, and returns the number of bytes that were used, at least one.
    fn read(&mut self, input: &[u8]) -> (Result<State, Reject>, usize) {
        for (at, &byte) in input.iter().enumerate() {
            match byte {
                b'\r' => return (Ok(State::TrailerLf), at + 1),
                _ if is_control(byte) => {
                    return (Err(Reject::bad("control character in a trailer")), at + 1);
                }
                _ => self.line.push(byte),
            }
            if let Err(reject) = self.check_size() {
                return (Err(reject), at + 1);
            }
        }
        (Ok(State::Trailer), input.len())
    }

    /// Refuses a line that exceeds a limit (RFC 9110 section 5.4).
    fn check_size(&self) -> Result<(), Reject> {
        if self.fields >= self.limits.fields {
            return Err(Reject::new(431, "too many trailer fields"));
        }
        let line = self.line.len() + 2;
        if line > self.limits.field_size || self.size + line > MAX_TRAILERS {
            return Err(Reject::new(431, "trailers too long"));
        }
        Ok(())
    }

    /// Checks a complete line; an empty line ends the body.
    fn end_line(&mut self) -> Result<State, Reject> {
        if self.line.is_empty() {
            return Ok(State::Ended);
        }
        let field = field::split(&self.line)?;
        if field::is_forbidden_trailer(field.name) {
            return Err(Reject::bad("forbidden trailer field"));
        }
        self.fields += 1;
        self.size += self.line.len() + 2;
        self.line.clear();
        Ok(State::Trailer)
    }
}
