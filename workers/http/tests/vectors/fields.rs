//! Field lines (RFC 9112 section 5), and the framing of the body (section 6).

use super::Outcome::{BodyOpen, Refused};
use super::{Outcome, Vector, served, served_before, served_last};

/// What follows the head: five bytes, which are an empty body in the chunked coding.
const BODY: &str = "0\r\n\r\n";

/// Served; the fields frame no body.
const fn bodiless() -> Outcome {
    served_before("", BODY)
}

/// Field lines of a POST to `a`.
static FIELDS: &[(&str, &[u8], Outcome)] = &[
    // Content-Length is `1*DIGIT` (RFC 9110 section 8.6), once.
    ("length", b"Content-Length: 5", served(BODY)),
    ("leading zeros", b"Content-Length: 005", served(BODY)),
    ("length 0", b"Content-Length: 0", bodiless()),
    ("white space around the length", b"Content-Length:\t5\t ", served(BODY)),
    ("no length", b"X: y", bodiless()),
    ("underscore in the name", b"Content_Length: 5", bodiless()),
    ("body shorter than its length", b"Content-Length: 6", BodyOpen),
    ("length repeated", b"Content-Length: 5\r\nContent-Length: 5", Refused(400)),
    ("length repeated, another", b"Content-Length: 5\r\nContent-Length: 0", Refused(400)),
    ("length as a list", b"Content-Length: 5, 5", Refused(400)),
    ("lengths as a list", b"Content-Length: 5,6", Refused(400)),
    ("plus", b"Content-Length: +5", Refused(400)),
    ("minus", b"Content-Length: -5", Refused(400)),
    ("minus zero", b"Content-Length: -0", Refused(400)),
    ("hexadecimal", b"Content-Length: 0x5", Refused(400)),
    ("octal", b"Content-Length: 0o5", Refused(400)),
    ("two numbers", b"Content-Length: 5 5", Refused(400)),
    ("underscore", b"Content-Length: 1_0", Refused(400)),
    ("empty length", b"Content-Length:", Refused(400)),
    ("fraction", b"Content-Length: 5.0", Refused(400)),
    ("parameter", b"Content-Length: 5;x", Refused(400)),
    ("length in quotes", b"Content-Length: \"5\"", Refused(400)),
    ("length in words", b"Content-Length: five", Refused(400)),
    ("2^63", b"Content-Length: 9223372036854775808", Refused(400)),
    ("2^64 + 5", b"Content-Length: 18446744073709551621", Refused(400)),
    ("26 digits", b"Content-Length: 99999999999999999999999999", Refused(400)),
    ("superscript", b"Content-Length: \xb2", Refused(400)),
    ("Arabic digit", b"Content-Length: \xd9\xa5", Refused(400)),
    ("VT before the length", b"Content-Length: \x0b5", Refused(400)),
    ("FF after the length", b"Content-Length: 5\x0c", Refused(400)),
    ("NBSP before the length", b"Content-Length: \xa05", Refused(400)),
    ("NBSP after the length", b"Content-Length: 5\xa0", Refused(400)),
    ("length folded", b"Content-Length:\r\n 5", Refused(400)),
    ("space before the colon of the length", b"Content-Length : 5", Refused(400)),
    ("tab before the colon of the length", b"Content-Length\t: 5", Refused(400)),
    // Transfer-Encoding: `chunked`, alone (RFC 9112 sections 6.1 and 7.1). `identity` is no coding
    // any more (appendix C.3).
    ("chunked", b"Transfer-Encoding: chunked", served("")),
    ("chunked in any case", b"transfer-encoding:\t ChunKed \t", served("")),
    ("unknown coding", b"Transfer-Encoding: xchunked", Refused(501)),
    ("unknown coding, chunked", b"Transfer-Encoding: nonsense, chunked", Refused(501)),
    ("chunked, unknown coding", b"Transfer-Encoding: chunked, nonsense", Refused(400)),
    ("chunked twice", b"Transfer-Encoding: chunked, chunked", Refused(400)),
    (
        "chunked in two fields",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        Refused(400),
    ),
    ("chunked, identity", b"Transfer-Encoding: chunked, identity", Refused(400)),
    ("identity, chunked", b"Transfer-Encoding: identity, chunked", Refused(400)),
    ("identity", b"Transfer-Encoding: identity", Refused(400)),
    ("identity and length", b"Transfer-Encoding: identity\r\nContent-Length: 5", Refused(400)),
    ("gzip", b"Transfer-Encoding: gzip", Refused(400)),
    ("gzip, deflate", b"Transfer-Encoding: gzip, deflate", Refused(400)),
    ("gzip, unknown coding", b"Transfer-Encoding: gzip, nonsense", Refused(501)),
    ("gzip, chunked", b"Transfer-Encoding: gzip, chunked", Refused(501)),
    ("x-gzip, chunked", b"Transfer-Encoding: x-gzip, chunked", Refused(501)),
    ("chunked, gzip", b"Transfer-Encoding: chunked, gzip", Refused(400)),
    (
        "gzip and chunked in two fields",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        Refused(501),
    ),
    (
        "chunked and gzip in two fields",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
        Refused(400),
    ),
    ("comma before", b"Transfer-Encoding: ,chunked", Refused(400)),
    ("comma after", b"Transfer-Encoding: chunked,", Refused(400)),
    ("space and comma after", b"Transfer-Encoding: chunked ,", Refused(400)),
    ("no comma between", b"Transfer-Encoding: chunked chunked", Refused(400)),
    ("no coding", b"Transfer-Encoding:", Refused(400)),
    ("no coding and length", b"Transfer-Encoding:\r\nContent-Length: 5", Refused(400)),
    ("parameter of chunked", b"Transfer-Encoding: chunked;q=1", Refused(400)),
    ("chunked in quotes", b"Transfer-Encoding: \"chunked\"", Refused(400)),
    ("VT before chunked", b"Transfer-Encoding: \x0bchunked", Refused(400)),
    ("VT after chunked", b"Transfer-Encoding: chunked\x0b", Refused(400)),
    ("FF before chunked", b"Transfer-Encoding: \x0cchunked", Refused(400)),
    ("FF after chunked", b"Transfer-Encoding: chunked\x0c", Refused(400)),
    ("NUL after chunked", b"Transfer-Encoding: chunked\0", Refused(400)),
    ("0xa0 before chunked", b"Transfer-Encoding: \xa0chunked", Refused(400)),
    ("0x85 after chunked", b"Transfer-Encoding: chunked\x85", Refused(400)),
    ("0xff before chunked", b"Transfer-Encoding: \xffchunked", Refused(400)),
    ("0xff after chunked", b"Transfer-Encoding: chunked\xff", Refused(400)),
    ("space before the colon of the coding", b"Transfer-Encoding : chunked", Refused(400)),
    ("tab before the colon of the coding", b"Transfer-Encoding\t: chunked", Refused(400)),
    ("coding in a line that begins with a space", b" Transfer-Encoding: chunked", Refused(400)),
    ("underscore in Transfer_Encoding", b"Transfer_Encoding: chunked", bodiless()),
    ("coding folded", b"Transfer-Encoding:\r\n chunked", Refused(400)),
    ("name of the coding cut", b"Transfer-\r\nEncoding: chunked", Refused(400)),
    ("coding and length", b"Transfer-Encoding: chunked\r\nContent-Length: 5", Refused(400)),
    ("length and coding", b"Content-Length: 5\r\nTransfer-Encoding: chunked", Refused(400)),
    (
        "unknown coding and length",
        b"Transfer-Encoding: nonsense\r\nContent-Length: 5",
        Refused(400),
    ),
    ("coding after a bare LF", b"X: y\nTransfer-Encoding: chunked", Refused(400)),
    ("coding after a bare CR", b"X: y\rTransfer-Encoding: chunked", Refused(400)),
    // A name is a token, and the colon follows it at once (RFC 9112 sections 5.1 and 5.2).
    ("any character of a token", b"!#$%&'*+-.^_`|~9: x", bodiless()),
    ("CR before the name", b"X: y\r\n\rZ: z", Refused(400)),
    ("no colon", b"X", Refused(400)),
    ("no name", b": x", Refused(400)),
    ("nothing but a colon", b":", Refused(400)),
    ("line of white space", b"X: y\r\n \t", Refused(400)),
    ("space before the colon", b"X : y", Refused(400)),
    ("tab before the colon", b"X\t: y", Refused(400)),
    ("0xa0 before the colon", b"X\xa0: y", Refused(400)),
    ("space in the name", b"X Y: z", Refused(400)),
    ("bracket in the name", b"X[]: y", Refused(400)),
    ("parenthesis in the name", b"X(Y: z", Refused(400)),
    ("name in quotes", b"\"X\": y", Refused(400)),
    ("NUL in the name", b"X\0Y: z", Refused(400)),
    ("0xdf in the name", b"X-\xdf: y", Refused(400)),
    ("sharp s in the name", b"Ho\xc3\x9ft: y", Refused(400)),
    ("Kelvin sign in the name", b"\xe2\x84\xaaeep-Alive: y", Refused(400)),
    ("folded with a space", b"X: y\r\n z", Refused(400)),
    ("folded with a tab", b"X: y\r\n\tz", Refused(400)),
    // A value has no control character but HTAB (RFC 9110 section 5.5).
    ("empty value", b"X:", bodiless()),
    ("white space around a value", b"X: \t y \t ", bodiless()),
    ("tab in a value", b"X: a\tb", bodiless()),
    ("any byte above 0x7f in a value", b"X: \x80\xe9\xff", bodiless()),
    ("bare LF in a value", b"X: a\nb", Refused(400)),
    ("bare CR in a value", b"X: a\rb", Refused(400)),
    ("CR before the line end", b"X: a\r", Refused(400)),
    ("0x01 in a value", b"X: a\x01b", Refused(400)),
    ("DEL in a value", b"X: a\x7fb", Refused(400)),
    ("NUL in a value", b"X: a\0b", Refused(400)),
    // Content-Type is no list (RFC 9110 section 5.3).
    ("two Content-Types", b"Content-Type: a/b\r\ncontent-type: a/b", Refused(400)),
    ("two Content-Types that differ", b"Content-Type: a/b\r\nContent-Type: c/d", Refused(400)),
    ("two cookies", b"Cookie: a=b\r\nCookie: c=d", bodiless()),
    ("Connection that lists Host", b"Connection: close, Host, Content-Length", served_last(BODY)),
    // The one expectation is 100-continue (RFC 9110 section 10.1.1).
    ("unknown expectation", b"Expect: miracles", Refused(417)),
    ("two expectations", b"Expect: 100-continue, miracles", Refused(417)),
    (
        "two expectations of a body",
        b"Expect: 100-continue, miracles\r\nContent-Length: 5",
        Refused(417),
    ),
    ("100-continue in any case", b"Expect: 100-Continue", bodiless()),
    (
        "Upgrade that is not accepted",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c",
        bodiless(),
    ),
];

/// What stands before and behind the lines: their place does not matter.
const PLACES: [(&str, &str, &str); 3] = [
    ("last", "Host: a\r\n", ""),
    ("first", "", "\r\nHost: a"),
    ("between others", "Accept: */*\r\nX-Y: z\r\n", "\r\nhost: a\r\nCookie: a"),
];

pub(crate) fn fields() -> Vec<Vector> {
    let mut vectors = Vec::new();
    for (place, before, behind) in PLACES {
        for (name, lines, outcome) in FIELDS {
            let start = ["POST / HTTP/1.1\r\n", before].concat();
            let end = [behind, "\r\n\r\n", BODY].concat();
            let bytes = [start.as_bytes(), lines, end.as_bytes()].concat();
            vectors.push(Vector::new(format!("{name}, {place}"), bytes, outcome));
        }
    }
    vectors
}
