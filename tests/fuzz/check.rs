//! Properties of the HTTP crate that hold for any input. The fuzz targets check them with the
//! fuzzer's input, and a test of the crate with the files of the corpus.

use std::net::IpAddr;

use monoceros_http::h1::{Persistence, Transfer};
use monoceros_http::{
    AddressField, Chunks, Fields, Framing, Head, Limits, Reject, ResponseHead, Version, date, h1,
    has_token, percent_decode, response,
};

/// The limits of the default settings.
pub(crate) const USUAL: Limits = Limits { request_line: 4094, fields: 100, field_size: 8190 };

/// Limits that small inputs reach.
const TIGHT: Limits = Limits { request_line: 24, fields: 3, field_size: 28 };

/// Inputs up to this size are cut at every offset, larger ones at some.
const CUT_EVERYWHERE: usize = 300;

/// All parts of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) path: Vec<u8>,
    pub(crate) query: Vec<u8>,
    pub(crate) version: Version,
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) host: Option<Vec<u8>>,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
}

/// The result of reading a head: its parts and its length, or `None` if it is not complete.
pub(crate) type Read = Result<Option<(Parts, usize)>, Reject>;

/// The result of decoding a chunked body: its data, and its length if it has ended.
pub(crate) type Body = (Vec<u8>, Result<Option<usize>, Reject>);

/// Reads `input` as a head that arrives in pieces which end at `cuts`.
pub(crate) fn read_head(
    input: &[u8],
    limits: &Limits,
    cuts: impl IntoIterator<Item = usize>,
) -> Read {
    let mut head = Head::new();
    // An earlier head must not change the result.
    let _ = head.read(
        b"OPTIONS * HTTP/1.0\r\nHost: x\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n",
        limits,
    );
    head.clear();
    for cut in cuts.into_iter().chain([input.len()]) {
        if let Some(len) = head.read(&input[..cut], limits)? {
            assert_eq!(head.read(input, limits), Ok(Some(len)), "a complete head stays complete");
            return Ok(Some((parts(&head), len)));
        }
    }
    Ok(None)
}

fn parts(head: &Head) -> Parts {
    Parts {
        method: head.method().to_vec(),
        target: head.target().to_vec(),
        path: head.path().to_vec(),
        query: head.query().to_vec(),
        version: head.version(),
        fields: head.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
        host: head.host().map(<[u8]>::to_vec),
        framing: head.framing(),
        keep_alive: head.keep_alive(),
        expects_continue: head.expects_continue(),
    }
}

/// Decodes `input` as a chunked body that arrives in pieces which end at `cuts`.
pub(crate) fn read_body(
    input: &[u8],
    limits: &Limits,
    cuts: impl IntoIterator<Item = usize>,
) -> Body {
    let mut chunks = Chunks::new(limits);
    let mut body = Vec::new();
    let mut start = 0;
    for cut in cuts.into_iter().chain([input.len()]) {
        let piece = &input[start..cut];
        let decoded = chunks.read(piece, &mut |data| {
            assert!(!data.is_empty(), "nothing was handed over");
            body.extend_from_slice(data);
        });
        match decoded {
            Ok(decoded) if decoded.ended => {
                let again = chunks.read(b"5\r\n", &mut |_| panic!("data after the end"));
                assert!(again.is_ok_and(|again| again.ended && again.consumed == 0));
                return (body, Ok(Some(start + decoded.consumed)));
            }
            Ok(decoded) => {
                assert_eq!(decoded.consumed, piece.len(), "what is not the end is used up")
            }
            Err(reject) => {
                assert_eq!(chunks.read(b"0\r\n\r\n", &mut |_| ()), Err(reject), "a fault is final");
                return (body, Err(reject));
            }
        }
        start = cut;
    }
    (body, Ok(None))
}

/// The ways to cut an input of this length: at every byte, and once at each offset.
fn segmentations(len: usize) -> impl Iterator<Item = Vec<usize>> {
    let step = if len <= CUT_EVERYWHERE { 1 } else { len / 20 };
    std::iter::once((0..len).collect()).chain((0..len).step_by(step).map(|cut| vec![cut]))
}

/// Reads a head with all divisions into pieces, and returns the result, which must be the same.
pub(crate) fn head_however_cut(input: &[u8], limits: &Limits) -> Read {
    let whole = read_head(input, limits, []);
    for cuts in segmentations(input.len()) {
        assert_eq!(
            read_head(input, limits, cuts.iter().copied()),
            whole,
            "{input:?} cut at {cuts:?}"
        );
    }
    whole
}

/// Decodes a body with all divisions into pieces, and returns the result, which must be the same.
pub(crate) fn body_however_cut(input: &[u8], limits: &Limits) -> Body {
    let whole = read_body(input, limits, []);
    for cuts in segmentations(input.len()) {
        assert_eq!(
            read_body(input, limits, cuts.iter().copied()),
            whole,
            "{input:?} cut at {cuts:?}"
        );
    }
    whole
}

/// Checks the reader of heads.
pub(crate) fn head(input: &[u8]) {
    for limits in [USUAL, TIGHT] {
        match head_however_cut(input, &limits) {
            Ok(Some((parts, len))) => accepted(&input[..len], &parts, &limits),
            Ok(None) => assert!(!input.windows(4).any(|window| window == b"\r\n\r\n")),
            Err(reject) => assert!([400, 414, 417, 431, 501, 505].contains(&reject.status)),
        }
    }
}

/// Checks a head that was accepted; `bytes` are its bytes.
fn accepted(bytes: &[u8], parts: &Parts, limits: &Limits) {
    let lines: Vec<_> = bytes
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .collect();
    assert!(!lines.concat().iter().any(|&byte| byte < b' ' && byte != b'\t' || byte == 0x7f));
    assert_eq!(
        read_head(&bytes[..bytes.len() - 1], limits, []),
        Ok(None),
        "complete before its end"
    );
    assert!(parts.fields.len() <= limits.fields);
    assert!(
        matches!(parts.path.first(), Some(b'/'))
            || (parts.path == b"*" && parts.method == b"OPTIONS")
    );
    assert!(
        !parts.target.is_empty()
            && parts.target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#')
    );

    let values = |name: &str| -> Vec<&[u8]> {
        let named =
            parts.fields.iter().filter(|field| field.0.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|field| &field.1[..]).collect()
    };
    assert!(values("host").len() <= 1);
    let absolute = !matches!(parts.target[0], b'/' | b'*');
    assert_eq!(parts.host.is_none(), values("host").is_empty() && !absolute);
    assert!(parts.version == Version::Http10 || values("host").len() == 1);
    match parts.framing {
        Framing::None => {
            assert!(values("content-length").is_empty() && values("transfer-encoding").is_empty())
        }
        Framing::Length(length) => {
            assert!(values("transfer-encoding").is_empty() && values("content-length").len() == 1);
            let digits = values("content-length")[0];
            assert!(digits.iter().all(u8::is_ascii_digit));
            assert_eq!(std::str::from_utf8(digits).map(str::parse), Ok(Ok(length)));
        }
        Framing::Chunked => {
            assert!(values("content-length").is_empty() && values("transfer-encoding").len() == 1);
            assert!(values("transfer-encoding")[0].eq_ignore_ascii_case(b"chunked"));
            assert_eq!(parts.version, Version::Http11);
        }
    }
    rewritten(parts, limits);
}

/// Checks that a head that is written from its parts has the same parts.
fn rewritten(parts: &Parts, limits: &Limits) {
    let mut bytes =
        [&parts.method[..], &parts.target, parts.version.as_str().as_bytes()].join(&b' ');
    bytes.extend_from_slice(b"\r\n");
    for (name, value) in &parts.fields {
        assert_eq!(response::check_field(name, value), Ok(()));
        bytes.extend_from_slice(&[name, &b":"[..], value, b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    assert_eq!(read_head(&bytes, limits, []), Ok(Some((parts.clone(), bytes.len()))));
}

/// Checks the decoder of chunked bodies.
pub(crate) fn chunks(input: &[u8]) {
    for limits in [USUAL, TIGHT] {
        let (body, read) = body_however_cut(input, &limits);
        assert!(body.len() <= input.len());
        match read {
            Ok(Some(len)) => assert!(input[..len].ends_with(b"\r\n\r\n")),
            Ok(None) => {}
            Err(reject) => assert!([400, 431].contains(&reject.status)),
        }
        let mut written = Vec::new();
        for data in body.chunks(7) {
            h1::push_chunk_head(&mut written, data.len());
            written.extend_from_slice(data);
            written.extend_from_slice(h1::CHUNK_END);
        }
        h1::push_last_chunk(&mut written, &Fields::default());
        let len = written.len();
        assert_eq!(read_body(&written, &limits, []), (body, Ok(Some(len))));
    }
}

/// Checks single values: dates, percent escapes, lists, statuses, fields.
pub(crate) fn values(input: &[u8]) {
    percent(input);
    reported_addresses(input);
    if let Some(bytes) = input.first_chunk() {
        fixdate(u64::from_le_bytes(*bytes));
        fixdate(u64::from_le_bytes(*bytes) % (1 << 38));
    }
    let (one, other) = input.split_at(input.len() / 2);
    has_token(one, other);
    response::is_hop_by_hop(one);
    if let Ok(status) = response::check_status(input) {
        assert!((100..=999).contains(&status) && input.starts_with(status.to_string().as_bytes()));
        assert!(!input.contains(&b'\r') && !input.contains(&b'\n'));
    }
    let mut head = ResponseHead::default();
    head.begin_own(200);
    if head.fields.add(one, other).is_ok() {
        let transfer = Transfer { is_chunked: false, persistence: Persistence::Implied };
        let mut bytes = Vec::new();
        h1::push_head(&mut bytes, &head, transfer);
        let line = bytes.strip_prefix(b"HTTP/1.1 200 OK\r\n").unwrap_or_default();
        let line = line.strip_suffix(b"\r\n").unwrap_or_default();
        let ends = line.iter().filter(|&&byte| byte == b'\r' || byte == b'\n' || byte == 0);
        assert_eq!(ends.count(), 2);
        assert_eq!(line.iter().position(|&byte| byte == b':'), Some(one.len()));
        assert_eq!(head.fields.get(one), Some(other));
    }
}

/// What a proxy adds is read whatever stands on its left.
fn reported_addresses(input: &[u8]) {
    let client = IpAddr::from([192, 0, 2, 1]);
    let added = [
        (AddressField::XForwardedFor, &b"192.0.2.1:80"[..]),
        (AddressField::Forwarded, b"for=\"192.0.2.1:80\";host=\"a\\\", b\""),
    ];
    for (field, added) in added {
        let found = field.client([input].into_iter(), |_| true);
        assert!(found.is_none_or(|it| it.ip == it.ip.to_canonical()));
        let joined = [input, b", ", added].concat();
        for values in [vec![&joined[..]], vec![input, added]] {
            let found = field.client(values.into_iter(), |ip| ip != client);
            assert_eq!(found.map(|it| (it.ip, it.port)), Some((client, Some(80))));
        }
    }
}

fn percent(input: &[u8]) {
    let mut decoded = Vec::new();
    percent_decode(input, &mut decoded);
    assert!(decoded.len() <= input.len());
    assert!(input.contains(&b'%') || decoded == input);

    let escaped: String = input.iter().map(|byte| format!("%{byte:02X}")).collect();
    decoded.clear();
    percent_decode(escaped.as_bytes(), &mut decoded);
    assert_eq!(decoded, input);
}

/// The day of the week and the time of day are those of the clock, and no day has a different date
/// one second later.
fn fixdate(seconds: u64) {
    let text = date::imf_fixdate(seconds);
    let text = std::str::from_utf8(&text).expect("a date is ASCII");
    if seconds > 253_402_300_799 {
        assert_eq!(text, "Fri, 31 Dec 9999 23:59:59 GMT");
        return;
    }
    let weekday =
        ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(seconds / 86_400 % 7) as usize];
    let time = format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    assert!(
        text.starts_with(&format!("{weekday}, ")) && text.ends_with(&format!(" {time} GMT")),
        "{text}"
    );
    let midnight = date::imf_fixdate(seconds - seconds % 86_400);
    assert_eq!(text.as_bytes()[..16], midnight[..16]);
}
