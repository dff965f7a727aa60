//! The serialiser of HTTP/1 (RFC 9112): makes the bytes of a response.

use crate::fields::Fields;
use crate::response_head::ResponseHead;

/// The line after the data of a chunk (RFC 9112 section 7.1).
pub const CHUNK_END: &[u8] = b"\r\n";

/// The fields that HTTP/1 adds to the head of a response, for its connection and its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The body is sent in chunks (RFC 9112 section 7.1).
    pub is_chunked: bool,
    /// Whether the connection stays open.
    pub persistence: Persistence,
}

/// The Connection field of a response (RFC 9112 section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// No field: with HTTP/1.1 the connection stays open.
    Implied,
    /// `keep-alive`: the connection stays open, which is not the default of HTTP/1.0.
    KeepAlive,
    /// `close`: the connection ends with this response.
    Close,
    /// Another protocol follows (RFC 9110 section 7.8).
    Upgrade,
}

impl Transfer {
    /// The value of one of these fields, by its name in lower case.
    pub fn field(self, name: &[u8]) -> Option<&'static [u8]> {
        match name {
            b"transfer-encoding" if self.is_chunked => Some(b"chunked"),
            b"connection" => self.persistence.value(),
            _ => None,
        }
    }
}

impl Persistence {
    fn value(self) -> Option<&'static [u8]> {
        match self {
            Self::Implied => None,
            Self::KeepAlive => Some(b"keep-alive"),
            Self::Close => Some(b"close"),
            Self::Upgrade => Some(b"upgrade"),
        }
    }
}

/// Appends the head of a response.
pub fn push_head(out: &mut Vec<u8>, head: &ResponseHead, transfer: Transfer) {
    // The status line stands before them.
    out.extend_from_slice(head.fields.lines());
    if transfer.is_chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if let Some(value) = transfer.persistence.value() {
        out.extend_from_slice(b"Connection: ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends an interim response (RFC 9110 section 15.2), such as 100 or 103, with its fields. It is
/// sent before the head of the response.
pub fn push_interim(out: &mut Vec<u8>, status: u16, fields: &Fields) {
    let mut head = ResponseHead::default();
    head.begin_own(status);
    out.extend_from_slice(head.fields.lines());
    out.extend_from_slice(fields.lines());
    out.extend_from_slice(b"\r\n");
}

/// Appends the end of a chunked body: the last chunk and the trailers (RFC 9112 section 7.1.2).
pub fn push_last_chunk(out: &mut Vec<u8>, trailers: &Fields) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers.lines());
    out.extend_from_slice(b"\r\n");
}

/// Appends the line before the data of a chunk of `len` bytes. `len` must not be 0, which means the
/// last chunk.
pub fn push_chunk_head(out: &mut Vec<u8>, len: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut shift = len.checked_ilog2().unwrap_or(0) / 4 * 4;
    loop {
        out.push(DIGITS[len >> shift & 0xf]);
        if shift == 0 {
            break;
        }
        shift -= 4;
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_chunk_head_is_hexadecimal() {
        for (len, head) in [
            (1, "1\r\n"),
            (15, "f\r\n"),
            (16, "10\r\n"),
            (0xabcde, "abcde\r\n"),
            (65536, "10000\r\n"),
            (u32::MAX as usize, "ffffffff\r\n"),
        ] {
            assert_eq!(written(|out| push_chunk_head(out, len)), head);
        }
    }

    #[test]
    fn a_status_line_has_both_its_spaces() {
        let transfer = Transfer { is_chunked: false, persistence: Persistence::Implied };
        for (status, line) in
            [(&b"200 OK"[..], "HTTP/1.1 200 OK\r\n"), (b"299", "HTTP/1.1 299 \r\n")]
        {
            let mut head = ResponseHead::default();
            head.begin(status).unwrap();
            let text = written(|out| push_head(out, &head, transfer));
            assert_eq!(text, format!("{line}\r\n"));
        }
    }

    #[test]
    fn a_head_is_one_piece_of_text() {
        let mut head = ResponseHead::default();
        head.begin(b"200 OK").unwrap();
        head.fields.add(b"A", b"b").unwrap();
        let text = |is_chunked, persistence| {
            written(|out| push_head(out, &head, Transfer { is_chunked, persistence }))
        };
        let plain = text(false, Persistence::Implied);
        assert_eq!(plain, "HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
        let chunked = text(true, Persistence::Close);
        assert!(chunked.ends_with("\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"));
        let kept = text(false, Persistence::KeepAlive);
        assert!(kept.ends_with("\r\nConnection: keep-alive\r\n\r\n"));
    }

    #[test]
    fn the_fields_of_the_connection_are_known_by_name() {
        let transfer = Transfer { is_chunked: true, persistence: Persistence::Close };
        assert_eq!(transfer.field(b"connection"), Some(&b"close"[..]));
        assert_eq!(transfer.field(b"transfer-encoding"), Some(&b"chunked"[..]));
        assert_eq!(transfer.field(b"server"), None);
        let transfer = Transfer { is_chunked: false, persistence: Persistence::Implied };
        assert_eq!(transfer.field(b"connection").or(transfer.field(b"transfer-encoding")), None);
    }

    #[test]
    fn interim_responses_and_trailers_may_have_fields() {
        let mut fields = Fields::default();
        assert_eq!(written(|out| push_interim(out, 100, &fields)), "HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(written(|out| push_last_chunk(out, &fields)), "0\r\n\r\n");
        fields.add(b"Link", b"</a>; rel=preload").unwrap();
        assert_eq!(
            written(|out| push_interim(out, 103, &fields)),
            "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
        );
        assert_eq!(
            written(|out| push_last_chunk(out, &fields)),
            "0\r\nLink: </a>; rel=preload\r\n\r\n"
        );
    }
}
