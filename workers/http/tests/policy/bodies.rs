//! Chunked bodies.

use super::{Open, Outcome, Refused, check_all, served};

/// Bodies of a chunked request.
fn bodies() -> Vec<(&'static str, &'static [u8], Outcome)> {
    vec![
        ("one chunk", b"5\r\nhello\r\n0\r\n\r\n", served("hello")),
        ("two chunks", b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", served("hello")),
        ("no data", b"0\r\n\r\n", served("")),
        ("something after it", b"0\r\n\r\n\0", served("")),
        (
            "upper and lower case",
            b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
            served("01234567890123456789"),
        ),
        ("leading zeros", b"0000000000000005\r\nhello\r\n0000\r\n\r\n", served("hello")),
        ("line ends in the data", b"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", served("\r\n0\r\n\r")),
        ("C02 0x", b"0x5\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("0X", b"0X5\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C03 plus", b"+5\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C04 minus", b"-5\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C05 underscore", b"0_5\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C06 space before the size", b" 5\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C07 space after the size", b"5 \r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C08 tab after the size", b"5\t\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C09 no size", b"\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("no size but an extension", b";a\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("no digit", b"g\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C10 17 digits", b"10000000000000005\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("17 digits, zeros", b"00000000000000005\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C11 2^64 - 1", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("2^63", b"8000000000000000\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("2^63 - 1", b"7fffffffffffffff\r\nhello\r\n0\r\n\r\n", Open),
        ("C13 bare LF after the size", b"5\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C14 bare LF after the data", b"5\r\nhello\n0\r\n\r\n", Refused(400)),
        ("C15 bare CR after the size", b"5\rhello\r\n0\r\n\r\n", Refused(400)),
        ("CR CR LF after the size", b"5\r\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("bare CR after the data", b"5\r\nhello\r0\r\n\r\n", Refused(400)),
        ("C16 more data than the size", b"3\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("less data than the size", b"6\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C17 nothing after the data", b"5\r\nhello0\r\n\r\n", Refused(400)),
        ("two bytes for CRLF", b"5\r\nhelloxx0\r\n\r\n", Refused(400)),
        ("extension", b"5;a=b\r\nhello\r\n0;c\r\n\r\n", served("hello")),
        ("quoted extension", b"5;a=\"b;\\\"c\"\r\nhello\r\n0\r\n\r\n", served("hello")),
        ("white space in an extension", b"5 ; a = b\r\nhello\r\n0\r\n\r\n", served("hello")),
        ("C20 bare semicolon", b"5;\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C21 LF in an extension", b"5;a\nb\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("LF in a quoted extension", b"5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C22 CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("CRLF in a quoted extension", b"5;a=\"\r\nhello\"\r\n0\r\n\r\n", Refused(400)),
        ("C23 NUL in an extension", b"5;a\0\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C24 CR CR in an extension", b"5;a\r\rhello\r\n0\r\n\r\n", Refused(400)),
        ("extension that ends blank", b"5;a \r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("quotes left open", b"5;a=\"b\r\nhello\r\n0\r\n\r\n", Refused(400)),
        ("C26 last chunk with bare LF", b"5\r\nhello\r\n0\n\n", Refused(400)),
        ("C27 last line with bare LF", b"5\r\nhello\r\n0\r\n\n", Refused(400)),
        ("last line with bare CR", b"5\r\nhello\r\n0\r\n\rX", Refused(400)),
        ("F53 truncated in the data", b"5\r\nhel", Open),
        ("truncated in the size", b"5", Open),
        ("F54 no line after the last chunk", b"5\r\nhello\r\n0\r\n", Open),
        ("no LF at the end", b"5\r\nhello\r\n0\r\n\r", Open),
        ("trailers", b"0\r\nX-A: b\r\nX-C:d\r\n\r\n", served("")),
        ("trailer cut short", b"0\r\nX-A: b\r\n", Open),
        ("C32 trailer without a colon", b"0\r\nX\r\n\r\n", Refused(400)),
        ("C33 space before the colon", b"0\r\nX : y\r\n\r\n", Refused(400)),
        ("C34 bare CR in a trailer", b"0\r\nX: y\rZ: z\r\n\r\n", Refused(400)),
        ("bare LF in a trailer", b"0\r\nX: y\nZ: z\r\n\r\n", Refused(400)),
        ("NUL in a trailer", b"0\r\nX: \0\r\n\r\n", Refused(400)),
        ("folded trailer", b"0\r\nX: y\r\n z\r\n\r\n", Refused(400)),
        ("trailer that begins blank", b"0\r\n X: y\r\n\r\n", Refused(400)),
        ("request for a trailer", b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        ("request in a trailer", b"0\r\nX:POST / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        ("Host as a trailer", b"0\r\nHost: a\r\n\r\n", Refused(400)),
        ("Content-Length as a trailer", b"0\r\ncontent-length: 5\r\n\r\n", Refused(400)),
        (
            "Transfer-Encoding as a trailer",
            b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
            Refused(400),
        ),
        ("Trailer as a trailer", b"0\r\nTRAILER: x\r\n\r\n", Refused(400)),
        ("Authorization as a trailer", b"0\r\nAuthorization: x\r\n\r\n", Refused(400)),
        ("Cookie as a trailer", b"0\r\nCookie: x\r\n\r\n", Refused(400)),
        ("Content-Encoding as a trailer", b"0\r\nContent-Encoding: x\r\n\r\n", Refused(400)),
    ]
}

#[test]
fn each_chunked_body_has_its_answer() {
    check_all(bodies().into_iter().map(|(name, body, want)| {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        (name, [&head[..], body].concat(), want)
    }));
}
