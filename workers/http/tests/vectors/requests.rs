//! Request lines (RFC 9112 section 3), and heads as a whole.

use super::Outcome::{HeadOpen, Refused};
use super::{Outcome, Vector, served, served_before, served_last, shown};

/// First lines of a request with a valid Host.
static LINES: &[(&[u8], Outcome)] = &[
    // Three parts, and one space each between them (RFC 9112 section 3).
    (b"GET /a?b HTTP/1.1", served("")),
    (b"", Refused(400)),
    (b"GET", Refused(400)),
    (b"GET /", Refused(400)),
    (b"GET  HTTP/1.1", Refused(400)),
    (b"GET  / HTTP/1.1", Refused(400)),
    (b"GET /  HTTP/1.1", Refused(400)),
    (b"GET / HTTP/1.1 ", Refused(400)),
    (b"GET / ", Refused(400)),
    (b"GET\t/\tHTTP/1.1", Refused(400)),
    (b"GET\t/ HTTP/1.1", Refused(400)),
    (b"GET /\tHTTP/1.1", Refused(400)),
    (b"GET / more HTTP/1.1", Refused(400)),
    (b"GET /a b HTTP/1.1", Refused(400)),
    // One empty line may stand before it (RFC 9112 section 2.2).
    (b"\r\nGET / HTTP/1.1", served("")),
    (b"\r\n\r\nGET / HTTP/1.1", Refused(400)),
    (b"\nGET / HTTP/1.1", Refused(400)),
    (b"\rGET / HTTP/1.1", Refused(400)),
    (b" GET / HTTP/1.1", Refused(400)),
    // Methods: a token without lower case, of 3 to 20 bytes.
    (b"PROPFIND / HTTP/1.1", served("")),
    (b"BASELINE-CONTROL / HTTP/1.1", served("")),
    (b"M-SEARCH / HTTP/1.1", served("")),
    (b"X_Y.1 / HTTP/1.1", served("")),
    (b"ABCDEFGHIJKLMNOPQRST / HTTP/1.1", served("")),
    (b"ABCDEFGHIJKLMNOPQRSTU / HTTP/1.1", Refused(400)),
    (b"GE / HTTP/1.1", Refused(400)),
    (b"get / HTTP/1.1", Refused(400)),
    (b"GeT / HTTP/1.1", Refused(400)),
    (b"GET# / HTTP/1.1", Refused(400)),
    (b"G(T / HTTP/1.1", Refused(400)),
    (b"G{T / HTTP/1.1", Refused(400)),
    (b"G:T / HTTP/1.1", Refused(400)),
    (b"G\xc3\x89T / HTTP/1.1", Refused(400)),
    (b"\"GET\" / HTTP/1.1", Refused(400)),
    // Versions (RFC 9112 section 2.3, RFC 9110 section 15.6.6).
    (b"GET / HTTP/1.0", served_last("")),
    (b"GET / HTTP/0.9", Refused(505)),
    (b"GET / HTTP/1.2", Refused(505)),
    (b"GET / HTTP/2.0", Refused(505)),
    (b"GET / HTTP/3.1", Refused(505)),
    (b"GET / HTTP/9.9", Refused(505)),
    (b"GET / http/1.1", Refused(400)),
    (b"GET / Http/1.1", Refused(400)),
    (b"GET / HTTP/1", Refused(400)),
    (b"GET / HTTP/1.", Refused(400)),
    (b"GET / HTTP/.1", Refused(400)),
    (b"GET / HTTP/1.01", Refused(400)),
    (b"GET / HTTP/11.1", Refused(400)),
    (b"GET / HTTP1.1", Refused(400)),
    (b"GET / HTTP/1,1", Refused(400)),
    (b"GET / HTTP/-1.1", Refused(400)),
    (b"GET / HTTP/1.1x", Refused(400)),
    (b"GET / HTTPS/1.1", Refused(400)),
    (b"GET / HTTP/\xd9\xa1.1", Refused(400)),
    // Origin-form (RFC 9112 section 3.2.1): visible ASCII without a fragment.
    (b"GET //a/b HTTP/1.1", served("")),
    (b"GET /a://b HTTP/1.1", served("")),
    (b"GET /\\|\"<>{}^` HTTP/1.1", served("")),
    (b"GET /%00%0d%0a%2f%c0%ae..;/ HTTP/1.1", served("")),
    (b"GET /#top HTTP/1.1", Refused(400)),
    (b"GET /\0 HTTP/1.1", Refused(400)),
    (b"GET /\x01 HTTP/1.1", Refused(400)),
    (b"GET /\x7f HTTP/1.1", Refused(400)),
    (b"GET /\ta HTTP/1.1", Refused(400)),
    (b"GET /\ra HTTP/1.1", Refused(400)),
    (b"GET /\na HTTP/1.1", Refused(400)),
    (b"GET /\xff HTTP/1.1", Refused(400)),
    (b"GET /\xc3\xa9 HTTP/1.1", Refused(400)),
    (b"GET index HTTP/1.1", Refused(400)),
    (b"GET a/b HTTP/1.1", Refused(400)),
    (b"GET ?a HTTP/1.1", Refused(400)),
    // Absolute-form (section 3.2.2). User information makes it invalid (RFC 9110 section 4.2.4).
    (b"GET http://a/b HTTP/1.1", served("")),
    (b"GET http://A:80/ HTTP/1.1", served("")),
    (b"GET http://b/ HTTP/1.1", served("")),
    (b"GET http://a:8000/ HTTP/1.1", served("")),
    (b"GET http://a.example HTTP/1.1", served("")),
    (b"GET http://a?b HTTP/1.1", served("")),
    (b"GET HTTPS://a:1/b?c HTTP/1.1", served("")),
    (b"GET http://[::1]:80/b HTTP/1.1", served("")),
    (b"GET http://a/b#c HTTP/1.1", Refused(400)),
    (b"GET ftp://a/ HTTP/1.1", Refused(400)),
    (b"GET ://a/ HTTP/1.1", Refused(400)),
    (b"GET http:a HTTP/1.1", Refused(400)),
    (b"GET http:/a HTTP/1.1", Refused(400)),
    (b"GET http:// HTTP/1.1", Refused(400)),
    (b"GET http:///path HTTP/1.1", Refused(400)),
    (b"GET http://:80/ HTTP/1.1", Refused(400)),
    (b"GET http://u@a/ HTTP/1.1", Refused(400)),
    (b"GET http://u:p@a/ HTTP/1.1", Refused(400)),
    (b"GET http://a,b/ HTTP/1.1", Refused(400)),
    (b"GET http://a\\b/ HTTP/1.1", Refused(400)),
    (b"GET http://a:99999/ HTTP/1.1", Refused(400)),
    (b"GET http://[::1/ HTTP/1.1", Refused(400)),
    // Authority-form (section 3.2.3), asterisk-form (section 3.2.4).
    (b"CONNECT a:443 HTTP/1.1", Refused(501)),
    (b"CONNECT / HTTP/1.1", Refused(501)),
    (b"GET a:443 HTTP/1.1", Refused(400)),
    (b"OPTIONS * HTTP/1.1", served("")),
    (b"GET * HTTP/1.1", Refused(400)),
    (b"GET ** HTTP/1.1", Refused(400)),
    (b"PRI * HTTP/2.0", Refused(400)),
];

/// Whole requests, or what is sent in place of one.
static REQUESTS: &[(&str, &[u8], Outcome)] = &[
    ("two requests", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\0\0", served_before("", "\0\0")),
    ("HTTP/0.9", b"GET /\r\n", Refused(400)),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", Refused(400)),
    ("no Host in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", served_last("")),
    ("two Hosts in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Refused(400)),
    ("absolute-form, empty Host", b"GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n", served("")),
    ("absolute-form, invalid Host", b"GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", Refused(400)),
    (
        "absolute-form, two Hosts",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        Refused(400),
    ),
    ("absolute-form, no Host", b"GET http://a/ HTTP/1.1\r\n\r\n", Refused(400)),
    ("absolute-form of HTTP/1.0", b"GET http://a/ HTTP/1.0\r\n\r\n", served_last("")),
    ("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refused(400)),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Refused(400)),
    ("TLS with line ends", b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03\r\n\r\n", Refused(400)),
    ("NUL bytes", &[0; 64], Refused(400)),
    ("JSON", b"{", Refused(400)),
    ("nothing", b"", HeadOpen),
    ("half a line", b"GET / HTT", HeadOpen),
    ("half a head", b"GET / HTTP/1.1\r\nHost: a\r\n", HeadOpen),
    ("all but LF", b"GET / HTTP/1.1\r\nHost: a\r\n\r", HeadOpen),
    // A bare LF ends no line: RFC 9112 section 2.2 leaves it to the recipient.
    ("bare LFs", b"GET / HTTP/1.1\nHost: a\n\n", Refused(400)),
    ("bare CRs", b"GET / HTTP/1.1\rHost: a\r\r", Refused(400)),
    ("bare CRs and a line end", b"GET / HTTP/1.1\rHost: localhost\r\r\n", Refused(400)),
    ("first field folded", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refused(400)),
    ("first field blank", b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", Refused(400)),
    // HTTP/1.0 has no transfer codings (RFC 9112 section 6.1).
    (
        "chunked in HTTP/1.0",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "chunked and length in HTTP/1.0",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    // HTTP/1.0 has no expectations (RFC 9110 section 10.1.1).
    ("expectation in HTTP/1.0", b"GET / HTTP/1.0\r\nExpect: miracles\r\n\r\n", served_last("")),
    // A fault is reported before the head is complete.
    ("another version, no end", b"GET / HTTP/3.0\r\n", Refused(505)),
    ("invalid Host, no end", b"GET / HTTP/1.1\r\nHost: a b\r\n", Refused(400)),
    ("NUL in a field, no end", b"GET / HTTP/1.1\r\nX: \0", Refused(400)),
    ("expectation, no end", b"GET / HTTP/1.1\r\nExpect: x\r\n", Refused(417)),
    (
        "length and coding, no end",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        Refused(400),
    ),
];

pub(crate) fn requests() -> Vec<Vector> {
    let lines = LINES.iter().map(|(line, outcome)| {
        Vector::new(shown(line), [line, &b"\r\nHost: a\r\n\r\n"[..]].concat(), outcome)
    });
    let whole = REQUESTS.iter().map(|(name, bytes, outcome)| Vector::new(*name, *bytes, outcome));
    lines.chain(whole).collect()
}
