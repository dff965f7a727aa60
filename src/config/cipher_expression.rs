//! Expressions of OpenSSL that choose cipher suites, such as `ECDHE+AESGCM:!aNULL`
//! (`ciphers(1)`). They choose among the suites of TLS 1.2 that there are here.

use crate::tls::{CIPHERS, CipherName};

/// The suites that an expression chooses, in its order. Names that no suite has choose none.
pub(crate) fn suites(expression: &str) -> Vec<CipherName> {
    let (mut chosen, mut banned): (Vec<CipherName>, Vec<CipherName>) = (Vec::new(), Vec::new());
    let expression = expression.replace('@', ":@");
    let terms = expression.split([':', ',', ' ', ';']).filter(|term| !term.is_empty());
    for term in terms {
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
    fn what_no_suite_has_chooses_none() {
        for expression in ["", "RC4", "AES128-SHA", "kRSA:RSA", "TLS_AES_256_GCM_SHA384", "!ALL"] {
            assert_eq!(names(expression), "", "{expression}");
        }
    }
}
