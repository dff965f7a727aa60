//! Values from gunicorn's sources, read as gunicorn reads them: numbers out of range are
//! clipped, and words that are wrong here have gunicorn's meaning. Each becomes words that the
//! row reads.

use std::net::Ipv4Addr;

use crate::access_format;
use crate::cipher_expression;
use crate::field::{is_field_value, is_token};
use crate::log::LEVELS;
use crate::process::read_mask;
use crate::table::Row;
use crate::tls::{CIPHERS, CipherName, Ciphers};
use crate::value::Value as _;

/// A value as the row reads it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AdaptedValue {
    /// `None` if the value leaves the setting unset.
    pub(crate) words: Option<Vec<String>>,
    pub(crate) warnings: Vec<String>,
}

/// One word as the row reads it, with the warning about what has changed.
type AdaptedWord = (String, Option<String>);

/// The largest number of header fields, which 0 stands for.
const MOST_FIELDS: &str = "32768";

/// Rows for which an empty text means no value.
const UNSET_IF_EMPTY: [&str; 15] = [
    "config",
    "app",
    "paste",
    "chdir",
    "pythonpath",
    "certfile",
    "keyfile",
    "ca_certs",
    "ciphers",
    "ssl_version",
    "name",
    "pid",
    "statsd_host",
    "log_syslog_prefix",
    "access_logformat",
];

/// Adapts the words of a value of one of gunicorn's settings.
pub(crate) fn adapt(row: &Row, words: &[String]) -> AdaptedValue {
    let words: Vec<_> = words.iter().map(|word| word.trim()).collect();
    let is_empty = words.iter().all(|word| word.is_empty());
    let is_list = matches!(row.name, "env" | "paste_global" | "reload_extra_file");
    if is_empty && (UNSET_IF_EMPTY.contains(&row.name) || is_list && words.is_empty()) {
        return AdaptedValue::default();
    }
    match row.name {
        "bind" => each(&words, address),
        "log_level" => each(&words, level),
        "access_logformat" => each(&words, format),
        "umask" => each(&words, mask),
        "ciphers" => each(&words, ciphers),
        "forwarded_allow_ips" | "proxy_allow_ips" => each(&words, networks),
        "secure_scheme_headers" => list(words.into_iter(), scheme_header),
        "forwarder_headers" => list(words.iter().flat_map(|it| it.split(',')), header_name),
        _ => each(&words, |word| number(row, word)),
    }
}

fn each(words: &[&str], adapt: impl Fn(&str) -> AdaptedWord) -> AdaptedValue {
    let (words, warnings): (Vec<_>, Vec<_>) = words.iter().map(|word| adapt(word)).unzip();
    AdaptedValue { words: Some(words), warnings: warnings.into_iter().flatten().collect() }
}

/// The items that `check` returns no reason against; `none` if there are no others.
fn list<'a>(
    items: impl Iterator<Item = &'a str>,
    check: fn(&str) -> Option<String>,
) -> AdaptedValue {
    let (mut kept, mut warnings) = (Vec::new(), Vec::new());
    for item in items.map(str::trim) {
        match check(item) {
            None if item.is_empty() => {}
            None => kept.push(item.to_owned()),
            Some(reason) => warnings.push(format!("{item:?} {reason}, and is left out")),
        }
    }
    if kept.is_empty() {
        kept.push("none".to_owned());
    }
    AdaptedValue { words: Some(kept), warnings }
}

fn unchanged(word: &str) -> AdaptedWord {
    (word.to_owned(), None)
}

/// gunicorn's names of the abstract name space begin with a NUL; an empty text is every address.
fn address(word: &str) -> AdaptedWord {
    match word.strip_prefix("unix:\0") {
        Some(name) => (format!("unix:@{name}"), None),
        None if word.is_empty() => unchanged("0.0.0.0"),
        None => unchanged(word),
    }
}

/// An unknown level is `info`.
fn level(word: &str) -> AdaptedWord {
    if LEVELS.iter().any(|(name, _)| word.eq_ignore_ascii_case(name)) {
        return unchanged(word);
    }
    let known = LEVELS.map(|(name, _)| name).join(", ");
    ("info".to_owned(), Some(format!("{word:?} is not one of {known}; info is used")))
}

/// An unknown atom is a dash.
fn format(word: &str) -> AdaptedWord {
    let (text, changed) = access_format::adapted(word);
    let warning = format!("has no value for {}; {text:?} is used", changed.join(", "));
    (text, (!changed.is_empty()).then_some(warning))
}

/// umask(2) uses the rights of files only.
fn mask(word: &str) -> AdaptedWord {
    match read_mask(&plain(word)) {
        Some(mask) if mask > 0o777 => {
            let used = mask & 0o777;
            (format!("{used:#o}"), Some(format!("{word} is more than 0o777; {used:#o} is used")))
        }
        Some(_) | None => unchanged(word),
    }
}

/// An expression of OpenSSL becomes the suites that it chooses. One for suites that are not here,
/// such as those of old versions of TLS, leaves TLS 1.3, which no expression concerns. One without
/// a word that OpenSSL knows is a mistake.
fn ciphers(word: &str) -> AdaptedWord {
    if Ciphers::parse(word, None).is_ok() {
        return unchanged(word);
    }
    let names = |suites: Vec<CipherName>| {
        let names: Vec<_> = suites.iter().map(|suite| suite.openssl).collect();
        names.join(":")
    };
    let suites = cipher_expression::suites(word);
    if suites.is_empty() && !cipher_expression::has_known_word(word) {
        return unchanged(word);
    }
    if suites.is_empty() {
        let warning = format!("{word:?} chooses no suite of TLS 1.2 that is here; TLS 1.3 is used");
        return (names(CIPHERS.into_iter().filter(CipherName::is_tls13).collect()), Some(warning));
    }
    (names(suites), None)
}

/// Networks may have a mask in place of the length of their prefix.
fn networks(word: &str) -> AdaptedWord {
    let with_prefix = |word: &str| {
        let (address, mask) = word.split_once('/')?;
        Some(format!("{address}/{}", prefix(mask.parse().ok()?)?))
    };
    let items = word.split(',').map(str::trim);
    let items: Vec<_> = items.map(|it| with_prefix(it).unwrap_or_else(|| it.to_owned())).collect();
    (items.join(","), None)
}

/// The length of the prefix of a mask such as 255.0.0.0, or of its complement.
fn prefix(mask: Ipv4Addr) -> Option<u32> {
    let bits = mask.to_bits();
    let length = |bits: u32| {
        let ones = bits.leading_ones();
        (ones + bits.trailing_zeros().min(32 - ones) == 32).then_some(ones)
    };
    length(bits).or_else(|| length(!bits))
}

fn scheme_header(item: &str) -> Option<String> {
    let (name, value) = item.split_once('=')?;
    let is_valid = is_token(name) && is_field_value(value);
    (!is_valid).then(|| "is in no request".to_owned())
}

fn header_name(item: &str) -> Option<String> {
    let is_valid = item.is_empty() || is_token(item);
    (!is_valid).then(|| "is not the name of a header".to_owned())
}

/// Clips a number to the range of its row.
fn number(row: &Row, word: &str) -> AdaptedWord {
    let plain = plain(word);
    let is_number = plain.bytes().all(|byte| byte.is_ascii_digit()) && !plain.is_empty();
    let is_count = row.name.starts_with("max_requests");
    let Some((least, most)) = row.range.or(is_count.then_some((0, u32::MAX.into()))) else {
        return unchanged(word);
    };
    if !is_number {
        return unchanged(word);
    }
    let number = plain.parse().unwrap_or(u64::MAX);
    if row.name == "limit_request_fields" && number == 0 {
        return unchanged(MOST_FIELDS);
    }
    let used = number.clamp(least, most);
    let warning = format!("{word} is not between {least} and {most}; {used} is used");
    (used.to_string(), (used != number).then_some(warning))
}

/// A number without what Python's `int` ignores: a plus sign, and underscores between digits.
fn plain(word: &str) -> String {
    let digits = word.strip_prefix('+').unwrap_or(word);
    let is_spaced = !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
    if is_spaced { digits.replace('_', "") } else { digits.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapted(name: &str, words: &[&str]) -> (String, String) {
        let row = Row::find(name).expect(name);
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let AdaptedValue { words, warnings } = adapt(row, &words);
        for word in words.iter().flatten() {
            assert_eq!(row.refuse(word), Ok(()), "{name}: {word}");
        }
        (words.map_or("unset".to_owned(), |words| words.join(" ")), warnings.join("|"))
    }

    #[test]
    fn numbers_are_clipped_to_their_range() {
        for (name, word, used) in [
            ("workers", "0", "1"),
            ("workers", "2000", "1024"),
            ("threads", "0", "1"),
            ("backlog", "99999999999999999999", "1000000"),
            ("timeout", "99999999", "86400"),
            ("limit_request_line", "9000", "8190"),
            ("limit_request_fields", "40000", "32768"),
            ("limit_request_field_size", "9999999", "1048576"),
            ("max_requests", "9999999999", "4294967295"),
        ] {
            let (found, warning) = adapted(name, &[word]);
            assert_eq!(found, used, "{name}");
            assert!(warning.starts_with(&format!("{word} is not between ")), "{warning}");
            assert!(warning.ends_with(&format!("; {used} is used")), "{warning}");
        }
        for (name, word, used) in [
            ("timeout", "0", "0"),
            ("timeout", " 30 ", "30"),
            ("timeout", "30s", "30s"),
            ("workers", "1_0", "10"),
            ("workers", "+3", "3"),
            ("workers", "auto", "auto"),
            ("limit_request_fields", "0", "32768"),
            ("limit_request_field_size", "0", "0"),
        ] {
            assert_eq!(adapted(name, &[word]), (used.to_owned(), String::new()), "{name} {word}");
        }
    }

    #[test]
    fn a_mask_has_the_rights_of_files() {
        assert_eq!(adapted("umask", &["007"]).0, "007");
        assert_eq!(adapted("umask", &["0o7"]).0, "0o7");
        assert_eq!(adapted("umask", &["7"]).0, "7");
        let (used, warning) = adapted("umask", &["07027"]);
        assert_eq!(
            (used.as_str(), warning.as_str()),
            ("0o27", "07027 is more than 0o777; 0o27 is used")
        );
    }

    #[test]
    fn unknown_words_have_gunicorns_meaning() {
        assert_eq!(adapted("loglevel", &["DEBUG"]).0, "DEBUG");
        let (used, warning) = adapted("loglevel", &["loud"]);
        assert_eq!(used, "info");
        assert_eq!(
            warning,
            "\"loud\" is not one of debug, info, warning, error, critical; info is used"
        );
        let (used, warning) = adapted("access_log_format", &["%(h)-15s %(asctime)s\n"]);
        assert_eq!(used, "%(h)-15s %(l)s");
        assert_eq!(warning, "has no value for %(asctime)s; \"%(h)-15s %(l)s\" is used");
    }

    #[test]
    fn addresses_of_gunicorn_are_read() {
        assert_eq!(
            adapted("bind", &["", "unix:\0shop", "0.0.0.0"]).0,
            "0.0.0.0 unix:@shop 0.0.0.0"
        );
        for (text, used) in [
            ("10.0.0.0/255.0.0.0,::1", "10.0.0.0/8,::1"),
            ("10.0.0.0/0.255.255.255", "10.0.0.0/8"),
            ("10.0.0.1/255.255.255.255", "10.0.0.1/32"),
            ("0.0.0.0/0.0.0.0", "0.0.0.0/0"),
            ("10.0.0.0/8, *", "10.0.0.0/8,*"),
            ("", ""),
        ] {
            assert_eq!(adapted("forwarded_allow_ips", &[text]).0, used, "{text}");
        }
        assert_eq!(prefix(Ipv4Addr::new(255, 0, 255, 0)), None);
    }

    #[test]
    fn an_empty_text_is_no_value() {
        for name in ["proc_name", "pidfile", "chdir", "ciphers", "config", "certfile"] {
            assert_eq!(adapted(name, &[" "]).0, "unset", "{name}");
        }
        assert_eq!(adapted("raw_env", &[]).0, "unset");
    }

    #[test]
    fn what_no_request_can_have_is_left_out() {
        let (used, warning) = adapted("secure_scheme_headers", &["X-A=on", "X-B=", "X C=d"]);
        assert_eq!(used, "X-A=on");
        assert!(warning.starts_with("\"X-B=\" is in no request, and is left out|"), "{warning}");
        assert_eq!(adapted("secure_scheme_headers", &[]).0, "none");
        assert_eq!(adapted("forwarder_headers", &[""]).0, "none");
        let (used, warning) = adapted("forwarder_headers", &["SCRIPT_NAME, a b,"]);
        assert_eq!(used, "SCRIPT_NAME");
        assert!(warning.starts_with("\"a b\" is not the name of a header"), "{warning}");
    }

    #[test]
    fn expressions_for_ciphers_become_suites() {
        let (used, _) = adapted("ciphers", &["ECDHE+AES256:!aECDSA"]);
        assert_eq!(used, "ECDHE-RSA-AES256-GCM-SHA384");
        let suites = "TLS_AES_256_GCM_SHA384:ECDHE-RSA-AES256-GCM-SHA384";
        assert_eq!(adapted("ciphers", &[suites]).0, suites);
        let (used, warning) = adapted("ciphers", &["TLSv1"]);
        assert!(used.split(':').all(|name| name.starts_with("TLS_")), "{used}");
        assert_eq!(warning, "\"TLSv1\" chooses no suite of TLS 1.2 that is here; TLS 1.3 is used");
        assert_eq!(ciphers("HIHG"), unchanged("HIHG"), "the value is an error");
    }
}
