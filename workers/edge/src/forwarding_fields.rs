//! Header fields of requests that come from proxies.

use monoceros_http::Head;

/// Fields that proxies add to requests.
const FORWARDING: [&[u8]; 6] = [
    b"forwarded",
    b"via",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-real-ip",
];

/// Whether a request has a field that only proxies add.
pub(crate) fn is_forwarded(head: &Head) -> bool {
    head.fields().any(|(name, _)| FORWARDING.iter().any(|it| name.eq_ignore_ascii_case(it)))
}
