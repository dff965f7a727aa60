//! Expressions of OpenSSL that choose cipher suites, such as `ECDHE+AESGCM:!aNULL`
//! (`ciphers(1)`). They choose among the suites of TLS 1.2 that there are here.

use crate::tls::{CIPHERS, CipherName};

/// Words for suites that there are not here, beside the names of such suites: those of old versions
/// of TLS, of other algorithms, and of other ways to exchange keys (`ciphers(1)`).
const OTHER_WORDS: [&str; 50] = [
    "3DES",
    "ADH",
    "AECDH",
    "AESCCM",
    "AESCCM8",
    "ARIA",
    "ARIA128",
    "ARIA256",
    "ARIAGCM",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "COMPLEMENTOFALL",
    "COMPLEMENTOFDEFAULT",
    "DES",
    "DH",
    "DHE",
    "DSS",
    "EDH",
    "EXP",
    "EXPORT",
    "GOST94",
    "IDEA",
    "LOW",
    "MD5",
    "MEDIUM",
    "NULL",
    "PSK",
    "RC2",
    "RC4",
    "RSA",
    "SEED",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "SRP",
    "SSLv2",
    "SSLv3",
    "SUITEB128",
    "SUITEB192",
    "TLSv1",
    "TLSv1.0",
    "TLSv1.1",
    "aDSS",
    "aNULL",
    "eNULL",
    "kDHE",
    "kEDH",
    "kRSA",
];

/// The parts of the names of suites that there are not here, such as `AES128-SHA`.
const PARTS: [&str; 28] = [
    "3DES",
    "ADH",
    "AECDH",
    "AES128",
    "AES256",
    "ARIA128",
    "ARIA256",
    "CAMELLIA128",
    "CAMELLIA256",
    "CBC",
    "CBC3",
    "CCM",
    "CCM8",
    "CHACHA20",
    "DES",
    "DHE",
    "DSS",
    "ECDHE",
    "ECDSA",
    "EDH",
    "GCM",
    "MD5",
    "POLY1305",
    "PSK",
    "RC4",
    "RSA",
    "SEED",
    "SHA",
];

/// Whether OpenSSL knows a word of the expression, so that it has suites for it.
pub(crate) fn has_known_word(expression: &str) -> bool {
    terms(expression).any(|term| {
        let mut names = term.trim_start_matches(['!', '-', '+']).split('+');
        names.all(|name| OTHER_WORDS.contains(&name) || is_suite_name(name) || is_used(name))
    })
}

fn is_suite_name(name: &str) -> bool {
    let is_part = |part: &str| PARTS.contains(&part) || matches!(part, "SHA256" | "SHA384");
    name.contains('-') && name.split('-').all(is_part)
}

/// Whether some suite that there is here has this name.
fn is_used(name: &str) -> bool {
    CIPHERS.iter().any(|suite| has(suite, name))
}

/// The suites that an expression chooses, in its order. Names that no suite has choose none.
pub(crate) fn suites(expression: &str) -> Vec<CipherName> {
    let (mut chosen, mut banned): (Vec<CipherName>, Vec<CipherName>) = (Vec::new(), Vec::new());
    let expression = expression.replace('@', ":@");
    for term in terms(&expression) {
        let (mark, name) = match term.strip_prefix(['!', '-', '+', '@']) {
            Some(name) => (term.chars().next(), name),
            None => (None, term),
        };
        let named: Vec<_> = all().filter(|suite| has_each(suite, name)).collect();
        match mark {
            Some('@') => sort(&mut chosen, name),
            Some('!') => {
                chosen.retain(|suite| !named.contains(suite));
                banned.extend(named);
            }
            Some('-') => chosen.retain(|suite| !named.contains(suite)),
            Some('+') => chosen.sort_by_key(|suite| named.contains(suite)),
            _ => {
                let new = named.into_iter().filter(|it| !banned.contains(it));
                let new: Vec<_> = new.filter(|it| !chosen.contains(it)).collect();
                chosen.extend(new);
            }
        }
    }
    chosen
}

fn terms(expression: &str) -> impl Iterator<Item = &str> {
    expression.split([':', ',', ' ', ';']).filter(|term| !term.is_empty())
}

/// An expression does not choose the suites of TLS 1.3.
fn all() -> impl Iterator<Item = CipherName> {
    CIPHERS.into_iter().filter(|suite| !suite.is_tls13())
}

/// `@STRENGTH` sorts by the length of the key; `@SECLEVEL` sets what all suites here fulfil.
fn sort(chosen: &mut [CipherName], name: &str) {
    if name == "STRENGTH" {
        chosen.sort_by_key(|suite| suite.openssl.contains("AES128"));
    }
}

/// Whether a suite has each of the names that plus signs join.
fn has_each(suite: &CipherName, names: &str) -> bool {
    names.split('+').all(|name| has(suite, name))
}

fn has(suite: &CipherName, name: &str) -> bool {
    let is = |part: &str| suite.openssl.contains(part);
    match name {
        "ALL" | "DEFAULT" | "HIGH" | "ECDHE" | "EECDH" | "kECDHE" | "kEECDH" | "ECDH" | "AEAD"
        | "TLSv1.2" | "PROFILE=SYSTEM" => true,
        "aRSA" => is("-RSA-"),
        "aECDSA" | "ECDSA" => is("-ECDSA-"),
        "AES" | "AESGCM" | "FIPS" => is("AES"),
        "AES128" | "AES256" | "CHACHA20" => is(name),
        _ => suite.openssl == name || suite.iana == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(expression: &str) -> String {
        let names: Vec<_> = suites(expression).iter().map(|suite| suite.openssl).collect();
        names.join(" ")
    }

    #[test]
    fn expressions_choose_what_openssl_would() {
        for (expression, expected) in [
            ("ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA", "ECDHE-RSA-AES128-GCM-SHA256"),
            ("AESGCM+aRSA", "ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-AES128-GCM-SHA256"),
            ("ECDHE+AES256:!aECDSA", "ECDHE-RSA-AES256-GCM-SHA384"),
            (
                "HIGH:!aNULL:!MD5:-AES:+CHACHA20",
                "ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305",
            ),
            (
                "ECDHE+aRSA:!CHACHA20:ECDHE+CHACHA20",
                "ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-AES128-GCM-SHA256",
            ),
            (
                "ECDHE+aRSA:+AES256:-CHACHA20",
                "ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES256-GCM-SHA384",
            ),
            (
                "EECDH+AES128:EECDH+AES256:!ECDSA:@STRENGTH",
                "ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-AES128-GCM-SHA256",
            ),
        ] {
            assert_eq!(names(expression), expected, "{expression}");
        }
        for expression in ["DEFAULT@SECLEVEL=1", "ALL:@SECLEVEL=2", "HIGH:!aNULL:!RC4"] {
            assert_eq!(suites(expression).len(), all().count(), "{expression}");
        }
    }

    #[test]
    fn words_that_openssl_does_not_know_differ_from_suites_that_are_not_here() {
        for known in ["RC4", "TLSv1", "AES128-SHA", "kRSA:RSA", "!ALL", "FOO:DHE-RSA-AES256-SHA256"]
        {
            assert!(has_known_word(known), "{known}");
        }
        for unknown in
            ["FOO", "", "ecdhe-rsa-aes128-gcm-sha256", "ECDHE-RSA-AES129-GCM", "-", "A+B"]
        {
            assert!(!has_known_word(unknown), "{unknown}");
        }
    }

    #[test]
    fn what_no_suite_has_chooses_none() {
        for expression in ["", "RC4", "AES128-SHA", "kRSA:RSA", "TLS_AES_256_GCM_SHA384", "!ALL"] {
            assert_eq!(names(expression), "", "{expression}");
        }
    }
}
