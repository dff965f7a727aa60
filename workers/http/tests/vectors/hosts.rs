//! Values of Host (RFC 9112 section 3.2, RFC 3986 section 3.2.2).

use super::Outcome::Refused;
use super::{Outcome, Vector, served, shown};

static VALID: &[&[u8]] = &[
    b"a",
    // Clients send an empty Host for a target without an authority (RFC 9112 section 3.2).
    b"",
    b"a.example:8000",
    b"a:",
    b"a:0",
    b"a:65535",
    b"a:0080",
    b"127.0.0.1:80",
    b"[::1]",
    b"[2001:db8::7]:443",
    b"a_b-c~!$&'()*+;=",
    b"a%2Fb",
];

static INVALID: &[&[u8]] = &[
    b"a,b",
    b"a b",
    b"a@b",
    b"a/b",
    b"a/b?c=",
    b"a?b",
    b"a#b",
    b"a\\b",
    b"a:b",
    b"a:65536",
    b"a:999999",
    b"a:8x",
    b"a:+1",
    b"a:-1",
    b"a:80:80",
    b"::1",
    b"[::1",
    b"[::1]x",
    b"[::1]80",
    b"[]",
    // There is no version of IPvFuture that a receiver could know (RFC 3986 section 3.2.2).
    b"[v1.a]",
    b"[::1%25eth0]",
    b"[a]",
    b"]",
    b":80",
    b":",
    b"a%",
    b"a%4",
    b"a%zz",
    b"a\0",
    b"a\xff",
    b"a\xc3\xa9",
    b"a\"",
    b"a<b>",
    b"a|b",
    b"a^b",
    b"a\r\nHost: a",
    b"a\r\nHost: b",
];

pub(crate) fn hosts() -> Vec<Vector> {
    let request = |host: &[u8], outcome: &Outcome| {
        let bytes = [b"GET / HTTP/1.1\r\nHost: ", host, b"\r\n\r\n"].concat();
        Vector::new(format!("Host: {}", shown(host)), bytes, outcome)
    };
    let valid = VALID.iter().map(|host| request(host, &served("")));
    valid.chain(INVALID.iter().map(|host| request(host, &Refused(400)))).collect()
}
