//! Request lines and fields.

use super::{Open, Outcome, Refused, check_all, served};

type Vector = (&'static str, &'static [u8], Outcome);

/// Whole requests, as they stand.
static REQUESTS: &[Vector] = &[
    ("origin-form", b"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n", served("")),
    ("HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", served("")),
    ("two requests: the first", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\0\0", served("")),
    ("absolute-form", b"GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n", served("")),
    ("absolute-form, default port", b"GET http://A:80/ HTTP/1.1\r\nHost: a\r\n\r\n", served("")),
    ("absolute-form, another Host", b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", served("")),
    ("absolute-form, another port", b"GET http://a/ HTTP/1.1\r\nHost: a:8000\r\n\r\n", served("")),
    ("absolute-form, empty Host", b"GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n", served("")),
    ("absolute-form, invalid Host", b"GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", Refused(400)),
    (
        "absolute-form, two Hosts",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        Refused(400),
    ),
    (
        "absolute-form with a fragment",
        b"GET http://a/b#c HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400),
    ),
    ("absolute-form without Host", b"GET http://a/ HTTP/1.1\r\n\r\n", Refused(400)),
    ("absolute-form of 1.0 without Host", b"GET http://a/ HTTP/1.0\r\n\r\n", served("")),
    ("absolute-form with user", b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("another scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("asterisk of OPTIONS", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", served("")),
    ("T12 asterisk of GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Refused(501)),
    ("T16 authority-form of GET", b"GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("T17 relative path", b"GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("T18 fragment", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("T20 NUL in the target", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("TAB in the target", b"GET /\ta HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("CR in the target", b"GET /\ra HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("LF in the target", b"GET /\na HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("0xff in the target", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("UTF-8 in the target", "GET /é HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes(), Refused(400)),
    ("space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("backslash in the target", b"GET /\\a HTTP/1.1\r\nHost: a\r\n\r\n", served("")),
    (
        "escapes in the target",
        b"GET /%00%0d%0a%2f%c0%ae..;/ HTTP/1.1\r\nHost: a\r\n\r\n",
        served(""),
    ),
    ("T23 two spaces", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("two spaces before the version", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("T24 space after the version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Refused(400)),
    ("tabs between the parts", b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("empty line first", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", served("")),
    ("two empty lines first", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("LF first", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("CR first", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("T32 space first", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("lower-case method", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("method with a hash", b"GET# / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("method that is no token", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("method too short", b"GE / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("method too long", b"ABCDEFGHIJKLMNOPQRSTU / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("M05 HTTP/0.9", b"GET /\r\n", Refused(400)),
    ("HTTP/0.9 with a version", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", Refused(505)),
    ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Refused(505)),
    ("M07 HTTP/2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", Refused(505)),
    ("HTTP/1.01", b"GET / HTTP/1.01\r\nHost: a\r\n\r\n", Refused(400)),
    ("http/1.1", b"GET / http/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("no version", b"GET / \r\nHost: a\r\n\r\n", Refused(400)),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refused(400)),
    ("M12 TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Refused(400)),
    ("nothing", b"", Open),
    ("half a line", b"GET / HTT", Open),
    ("half a head", b"GET / HTTP/1.1\r\nHost: a\r\n", Open),
    ("all but LF", b"GET / HTTP/1.1\r\nHost: a\r\n\r", Open),
    ("H10 all bare LF", b"GET / HTTP/1.1\nHost: a\n\n", Refused(400)),
    ("H11 all bare CR", b"GET / HTTP/1.1\rHost: a\r\r", Refused(400)),
    ("T01 no Host", b"GET / HTTP/1.1\r\n\r\n", Refused(400)),
    ("T02 two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refused(400)),
    ("two Hosts of HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Refused(400)),
    ("empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", served("")),
    ("T04 list in Host", b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", Refused(400)),
    ("T05 space in Host", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Refused(400)),
    ("T06 user in Host", b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", Refused(400)),
    ("T07 path in Host", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refused(400)),
    ("query in Host", b"GET / HTTP/1.1\r\nHost: a/b?c=\r\n\r\n", Refused(400)),
    ("T08 port beyond 65535", b"GET / HTTP/1.1\r\nHost: a:999999\r\n\r\n", Refused(400)),
    ("T09 bracket left open", b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Refused(400)),
    ("IPv6 in Host", b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", served("")),
    ("NUL in Host", b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", Refused(400)),
    ("0xff in Host", b"GET / HTTP/1.1\r\nHost: a\xff\r\n\r\n", Refused(400)),
    (
        "F45 chunked in HTTP/1.0",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "F46 chunked and length in HTTP/1.0",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    ("expectation of HTTP/1.0", b"GET / HTTP/1.0\r\nExpect: miracles\r\n\r\n", served("")),
    ("first line folded", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refused(400)),
    ("first line blank", b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", Refused(400)),
];

/// Fields of a POST to `a`; after the head come five bytes that a server might take for the body.
static FIELDS: &[Vector] = &[
    ("length", b"Content-Length: 5", served("0\r\n\r\n")),
    ("leading zeros", b"Content-Length: 005", served("0\r\n\r\n")),
    ("tabs around the length", b"Content-Length:\t5\t ", served("0\r\n\r\n")),
    ("no length", b"X: y", served("")),
    ("underscore in the name", b"Content_Length: 5", served("")),
    ("F52 body shorter than its length", b"Content-Length: 6", Open),
    ("length repeated", b"Content-Length: 5\r\nContent-Length: 5", Refused(400)),
    ("length repeated, another", b"Content-Length: 5\r\nContent-Length: 0", Refused(400)),
    ("length as a list", b"Content-Length: 5, 5", Refused(400)),
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
    ("F17 2^64 + 5", b"Content-Length: 18446744073709551621", Refused(400)),
    ("2^63", b"Content-Length: 9223372036854775808", Refused(400)),
    ("superscript", b"Content-Length: \xb2", Refused(400)),
    ("Arabic digit", b"Content-Length: \xd9\xa5", Refused(400)),
    ("VT before the length", b"Content-Length: \x0b5", Refused(400)),
    ("FF after the length", b"Content-Length: 5\x0c", Refused(400)),
    ("NBSP before the length", b"Content-Length: \xa05", Refused(400)),
    ("F48 length folded", b"Content-Length:\r\n 5", Refused(400)),
    ("space before the colon of the length", b"Content-Length : 5", Refused(400)),
    ("tab before the colon of the length", b"Content-Length\t: 5", Refused(400)),
    ("chunked", b"Transfer-Encoding: chunked", served("")),
    ("chunked in any case", b"transfer-encoding:\t ChunKed \t", served("")),
    ("no such coding", b"Transfer-Encoding: xchunked", Refused(501)),
    ("F24 chunked twice", b"Transfer-Encoding: chunked, chunked", Refused(400)),
    (
        "F25 chunked in two fields",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        Refused(400),
    ),
    ("chunked not last", b"Transfer-Encoding: chunked, identity", Refused(400)),
    ("identity first", b"Transfer-Encoding: identity, chunked", Refused(400)),
    ("identity and length", b"Transfer-Encoding: identity\r\nContent-Length: 5", Refused(400)),
    ("gzip", b"Transfer-Encoding: gzip", Refused(400)),
    ("F30 gzip, chunked", b"Transfer-Encoding: gzip, chunked", Refused(501)),
    (
        "gzip and chunked in two fields",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        Refused(501),
    ),
    ("comma before", b"Transfer-Encoding: ,chunked", Refused(400)),
    ("comma after", b"Transfer-Encoding: chunked,", Refused(400)),
    ("space and comma after", b"Transfer-Encoding: chunked ,", Refused(400)),
    ("no coding", b"Transfer-Encoding:", Refused(400)),
    ("F33 no coding and length", b"Transfer-Encoding:\r\nContent-Length: 5", Refused(400)),
    ("parameter of chunked", b"Transfer-Encoding: chunked;q=1", Refused(400)),
    ("chunked in quotes", b"Transfer-Encoding: \"chunked\"", Refused(400)),
    ("VT before chunked", b"Transfer-Encoding: \x0bchunked", Refused(400)),
    ("FF after chunked", b"Transfer-Encoding: chunked\x0c", Refused(400)),
    ("NUL after chunked", b"Transfer-Encoding: chunked\0", Refused(400)),
    ("0xa0 before chunked", b"Transfer-Encoding: \xa0chunked", Refused(400)),
    ("0x85 after chunked", b"Transfer-Encoding: chunked\x85", Refused(400)),
    ("0xff after chunked", b"Transfer-Encoding: chunked\xff", Refused(400)),
    ("space before the colon of the coding", b"Transfer-Encoding : chunked", Refused(400)),
    ("tab before the colon of the coding", b"Transfer-Encoding\t: chunked", Refused(400)),
    ("coding in a line that begins with a space", b" Transfer-Encoding: chunked", Refused(400)),
    ("underscore in Transfer_Encoding", b"Transfer_Encoding: chunked", served("")),
    ("F47 coding folded", b"Transfer-Encoding:\r\n chunked", Refused(400)),
    ("name of the coding cut", b"Transfer-\r\nEncoding: chunked", Refused(400)),
    ("coding and length", b"Transfer-Encoding: chunked\r\nContent-Length: 5", Refused(400)),
    ("length and coding", b"Content-Length: 5\r\nTransfer-Encoding: chunked", Refused(400)),
    ("coding after a bare LF", b"X: y\nTransfer-Encoding: chunked", Refused(400)),
    ("coding after a bare CR", b"X: y\rTransfer-Encoding: chunked", Refused(400)),
    ("CR before the name", b"X: y\r\n\rZ: z", Refused(400)),
    ("no colon", b"X", Refused(400)),
    ("no name", b": x", Refused(400)),
    ("nothing but a colon", b":", Refused(400)),
    ("blank line", b"X: y\r\n \t", Refused(400)),
    ("space in the name", b"X Y: z", Refused(400)),
    ("bracket in the name", b"X[]: y", Refused(400)),
    ("sharp s in the name", b"Ho\xc3\x9ft: y", Refused(400)),
    ("Kelvin sign in the name", b"\xe2\x84\xaaeep-Alive: y", Refused(400)),
    ("H09 bare LF in a value", b"X: a\nb", Refused(400)),
    ("H12 0x01 in a value", b"X: a\x01b", Refused(400)),
    ("H13 DEL in a value", b"X: a\x7fb", Refused(400)),
    ("NUL in a value", b"X: a\0b", Refused(400)),
    ("tab in a value", b"X: a\tb", served("")),
    ("any byte above 0x7f in a value", b"X: \x80\xe9\xff", served("")),
    ("two Content-Types", b"Content-Type: a/b\r\ncontent-type: a/b", Refused(400)),
    ("two cookies", b"Cookie: a=b\r\nCookie: c=d", served("")),
    ("Connection that lists Host", b"Connection: close, Host, Content-Length", served("")),
    ("no such expectation", b"Expect: miracles", Refused(417)),
    ("two expectations in one", b"Expect: 100-continue, miracles", Refused(417)),
    ("100-continue in any case", b"Expect: 100-Continue", served("")),
    (
        "Upgrade that is not accepted",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c",
        served(""),
    ),
];

#[test]
fn each_request_line_has_its_answer() {
    check_all(REQUESTS.iter().map(|(name, bytes, want)| (*name, bytes.to_vec(), want)));
}

#[test]
fn each_field_has_its_answer() {
    check_all(FIELDS.iter().map(|(name, lines, want)| {
        let request =
            [&b"POST / HTTP/1.1\r\nHost: a\r\n"[..], lines, b"\r\n\r\n0\r\n\r\n"].concat();
        (*name, request, want)
    }));
}

/// A field that is refused as the second line is refused as the first too, and behind other fields.
#[test]
fn the_place_of_a_field_does_not_matter() {
    for (around, after) in
        [("", "\r\nHost: a"), ("Accept: */*\r\nX-Y: z\r\n", "\r\nhost: a\r\nCookie: a")]
    {
        check_all(FIELDS.iter().map(|(name, lines, want)| {
            let head =
                [&b"POST / HTTP/1.1\r\n"[..], around.as_bytes(), lines, after.as_bytes()].concat();
            (*name, [&head[..], b"\r\n\r\n0\r\n\r\n"].concat(), want)
        }));
    }
}
