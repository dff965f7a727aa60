//! Chunked bodies (RFC 9112 section 7.1).

use super::Outcome::{BodyOpen, Refused};
use super::{Outcome, Vector, served, served_before, shown};

/// Bodies of a chunked request.
static BODIES: &[(&str, &[u8], Outcome)] = &[
    ("one chunk", b"5\r\nhello\r\n0\r\n\r\n", served("hello")),
    ("two chunks", b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", served("hello")),
    ("no data", b"0\r\n\r\n", served("")),
    ("something behind it", b"0\r\n\r\n\0", served_before("", "\0")),
    ("line ends in the data", b"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", served("\r\n0\r\n\r")),
    // `chunk-size = 1*HEXDIG`, of at most 16 digits and below 2^63.
    (
        "digits of either case",
        b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        served("01234567890123456789"),
    ),
    ("leading zeros", b"0000000000000005\r\nhello\r\n0000\r\n\r\n", served("hello")),
    ("0x", b"0x5\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("0X", b"0X5\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("plus", b"+5\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("minus", b"-5\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("underscore", b"0_5\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("space before the size", b" 5\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("space after the size", b"5 \r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("tab after the size", b"5\t\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("no size", b"\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("no size but an extension", b";a\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("no digit", b"g\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("17 digits", b"10000000000000005\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("17 digits, zeros", b"00000000000000005\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("2^64 - 1", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("2^63", b"8000000000000000\r\nhello\r\n0\r\n\r\n", Refused(400)),
    // Lines end with CRLF.
    ("bare LF after the size", b"5\nhello\r\n0\r\n\r\n", Refused(400)),
    ("bare LF after the data", b"5\r\nhello\n0\r\n\r\n", Refused(400)),
    ("bare CR after the size", b"5\rhello\r\n0\r\n\r\n", Refused(400)),
    ("CR CR LF after the size", b"5\r\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("bare CR after the data", b"5\r\nhello\r0\r\n\r\n", Refused(400)),
    ("more data than the size", b"3\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("less data than the size", b"6\r\nhello\r\n0\r\n\r\n", Refused(400)),
    ("nothing after the data", b"5\r\nhello0\r\n\r\n", Refused(400)),
    ("two bytes for CRLF", b"5\r\nhelloxx0\r\n\r\n", Refused(400)),
    ("last chunk with bare LF", b"5\r\nhello\r\n0\n\n", Refused(400)),
    ("last line with bare LF", b"5\r\nhello\r\n0\r\n\n", Refused(400)),
    ("last line with bare CR", b"5\r\nhello\r\n0\r\n\rX", Refused(400)),
    ("truncated in the data", b"5\r\nhel", BodyOpen),
    ("truncated in the size", b"5", BodyOpen),
    ("truncated after the data", b"5\r\nhello\r\n", BodyOpen),
    ("no line after the last chunk", b"5\r\nhello\r\n0\r\n", BodyOpen),
    ("no LF at the end", b"5\r\nhello\r\n0\r\n\r", BodyOpen),
    // Trailers are field lines. What decides on framing, routing or authentication is refused in
    // them (RFC 9110 section 6.5.1).
    ("trailers", b"0\r\nX-A: b\r\nX-C:d\r\n\r\n", served("")),
    ("trailers of a body", b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-B: b\r\n\r\n", served("hello")),
    ("trailer cut short", b"0\r\nX-A: b\r\n", BodyOpen),
    ("trailer without a colon", b"0\r\nX\r\n\r\n", Refused(400)),
    ("space before the colon", b"0\r\nX : y\r\n\r\n", Refused(400)),
    ("bare CR in a trailer", b"0\r\nX: y\rZ: z\r\n\r\n", Refused(400)),
    ("bare LF in a trailer", b"0\r\nX: y\nZ: z\r\n\r\n", Refused(400)),
    ("NUL in a trailer", b"0\r\nX: \0\r\n\r\n", Refused(400)),
    ("folded trailer", b"0\r\nX: y\r\n z\r\n\r\n", Refused(400)),
    ("trailer that begins blank", b"0\r\n X: y\r\n\r\n", Refused(400)),
    ("request for a trailer", b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("request in a trailer", b"0\r\nX:POST / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("Host as a trailer", b"0\r\nHost: a\r\n\r\n", Refused(400)),
    ("Content-Length as a trailer", b"0\r\ncontent-length: 5\r\n\r\n", Refused(400)),
    ("Transfer-Encoding as a trailer", b"0\r\nTransfer-Encoding: chunked\r\n\r\n", Refused(400)),
    ("Trailer as a trailer", b"0\r\nTRAILER: x\r\n\r\n", Refused(400)),
    ("Authorization as a trailer", b"0\r\nAuthorization: x\r\n\r\n", Refused(400)),
    ("Cookie as a trailer", b"0\r\nCookie: x\r\n\r\n", Refused(400)),
    ("Content-Type as a trailer", b"0\r\nContent-Type: x\r\n\r\n", served("")),
];

/// Extensions of a chunk (RFC 9112 section 7.1.1): `*( BWS ";" BWS name [ BWS "=" BWS value ] )`.
static VALID_EXTENSIONS: &[&[u8]] = &[
    b";a",
    b";a=b",
    b";a=b;c;d=\"e\"",
    b";a=\"b;c\\\"\\\\\td \xff\"",
    b";a=\"\"",
    b" ; a = b ;\tc\t=\t\"d\" ;e",
    b";0",
];

static INVALID_EXTENSIONS: &[&[u8]] = &[
    b";",
    b" a",
    b"; ",
    b";;a",
    b";a;",
    b";a ",
    b";a=",
    b";a= ",
    b";=b",
    b";a=b ",
    b";a b",
    b";a=b c",
    b";a=b=c",
    b";a=\"b",
    b";a=\"b\\\"",
    b";a=\"b\"c",
    b";a=\"b\" ",
    b";a=\"\0\"",
    b";a=\"\\\x7f\"",
    b";a\"b\"",
    b";a\0",
    b";a=\0",
    b";\xc3\xa9",
    b";a,b",
    b";a\nb",
    b";a=\"\n\"",
    b";a\rb",
    b";a\r\r",
    b";a=\"\r\nhello\"",
];

pub(crate) fn bodies() -> Vec<Vector> {
    let chunked = |name: String, body: &[u8], outcome: &Outcome| {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        Vector::new(name, [&head[..], body].concat(), outcome)
    };
    let extended = |extension: &[u8], outcome: &Outcome| {
        let body = [b"5", extension, b"\r\nhello\r\n0\r\n\r\n"].concat();
        chunked(format!("extension {}", shown(extension)), &body, outcome)
    };
    let bodies = BODIES.iter().map(|(name, body, outcome)| chunked((*name).into(), body, outcome));
    let valid = VALID_EXTENSIONS.iter().map(|it| extended(it, &served("hello")));
    let invalid = INVALID_EXTENSIONS.iter().map(|it| extended(it, &Refused(400)));
    bodies.chain(valid).chain(invalid).collect()
}
