//! Where a response ends, and its status. Knows just enough HTTP for that; no I/O.

/// How one exchange ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A complete answer with a status of 2xx.
    Answered,
    /// A complete answer with any other status.
    Refused,
    /// The connection ended first.
    Broken,
}

/// What has come so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    Partial,
    Complete {
        outcome: Outcome,
        /// Whether the server keeps the connection.
        keep: bool,
    },
}

/// How a body ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// After so many bytes.
    Length(usize),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Close,
}

struct Head {
    outcome: Outcome,
    end: End,
    keep: bool,
}

/// An answer as it comes in.
#[derive(Default)]
pub struct Answer {
    head: Option<Head>,
    /// Until the head is complete: its bytes. Later: the last bytes of a chunked body.
    pending: Vec<u8>,
    /// Bytes of the body.
    received: usize,
}

/// What a chunked body without trailers ends with.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Answer {
    /// Forgets everything: another answer begins.
    pub fn clear(&mut self) {
        self.head = None;
        self.pending.clear();
        self.received = 0;
    }

    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) -> Progress {
        if self.head.is_some() {
            return self.take_body(bytes);
        }
        if self.pending.is_empty()
            && let Some(end) = head_end(bytes)
        {
            self.head = Some(read(&bytes[..end]));
            return self.take_body(&bytes[end..]);
        }
        self.pending.extend_from_slice(bytes);
        let Some(end) = head_end(&self.pending) else {
            return Progress::Partial;
        };
        let body = self.pending.split_off(end);
        self.head = Some(read(&self.pending));
        self.pending.clear();
        self.take_body(&body)
    }

    fn take_body(&mut self, bytes: &[u8]) -> Progress {
        self.received += bytes.len();
        let Some(Head { outcome, end, keep }) = self.head else {
            return Progress::Partial;
        };
        let complete = match end {
            End::Length(length) => self.received >= length,
            End::Close => false,
            End::Chunked => {
                self.pending.extend_from_slice(bytes);
                let surplus = self.pending.len().saturating_sub(LAST_CHUNK.len());
                self.pending.drain(..surplus);
                self.pending == LAST_CHUNK
            }
        };
        if complete { Progress::Complete { outcome, keep } } else { Progress::Partial }
    }

    /// The connection has ended: that completes an answer without a length.
    pub fn finish(&self) -> Outcome {
        match self.head {
            Some(Head { outcome, end: End::Close, .. }) => outcome,
            _ => Outcome::Broken,
        }
    }
}

/// Where the body starts.
fn head_end(input: &[u8]) -> Option<usize> {
    input.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn read(head: &[u8]) -> Head {
    // "HTTP/1.1 200": the status class is the tenth byte.
    let outcome = if head.get(9) == Some(&b'2') { Outcome::Answered } else { Outcome::Refused };
    let mut read = Head { outcome, end: End::Close, keep: head.starts_with(b"HTTP/1.1") };
    for line in head.split(|&byte| byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            read.end = length.map_or(End::Close, End::Length);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            read.end = End::Chunked;
        } else if name.eq_ignore_ascii_case(b"connection") {
            read.keep = !value.eq_ignore_ascii_case(b"close")
                && (read.keep || value.eq_ignore_ascii_case(b"keep-alive"));
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the connection is kept after this, which is read at once and also byte by byte.
    fn keeps(input: &str) -> Option<bool> {
        let whole = Answer::default().take(input.as_bytes());
        let mut answer = Answer::default();
        let single = input.bytes().map(|byte| answer.take(&[byte])).last();
        assert_eq!(single, Some(whole));
        match whole {
            Progress::Partial => None,
            Progress::Complete { keep, .. } => Some(keep),
        }
    }

    fn outcome(input: &str) -> Outcome {
        match Answer::default().take(input.as_bytes()) {
            Progress::Partial => Outcome::Broken,
            Progress::Complete { outcome, .. } => outcome,
        }
    }

    #[test]
    fn the_length_marks_the_end_of_the_response() {
        assert_eq!(keeps("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na"), None);
        assert_eq!(keeps("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab"), Some(true));
    }

    #[test]
    fn the_last_chunk_ends_a_chunked_answer() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(keeps(&format!("{head}1\r\na\r\n")), None);
        assert_eq!(keeps(&format!("{head}1\r\na\r\n0\r\n\r\n")), Some(true));
    }

    #[test]
    fn a_server_that_closes_is_believed() {
        assert_eq!(
            keeps("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n"),
            Some(false)
        );
        assert_eq!(keeps("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"), Some(false));
        assert_eq!(
            keeps("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"),
            Some(true)
        );
    }

    #[test]
    fn only_2xx_is_an_answer() {
        let rest = "Content-Length: 0\r\n\r\n";
        assert_eq!(outcome(&format!("HTTP/1.1 204 No Content\r\n{rest}")), Outcome::Answered);
        assert_eq!(
            outcome(&format!("HTTP/1.1 503 Service Unavailable\r\n{rest}")),
            Outcome::Refused
        );
    }

    #[test]
    fn the_end_of_the_connection_ends_only_an_answer_without_a_length() {
        let mut answer = Answer::default();
        answer.take(b"HTTP/1.1 200 OK\r\n\r\nabc");
        assert_eq!(answer.finish(), Outcome::Answered);
        answer.clear();
        answer.take(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc");
        assert_eq!(answer.finish(), Outcome::Broken);
    }
}
