//! The cipher suites that rustls has.

use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;

/// A cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    /// Its number (RFC 8446 appendix B.4).
    pub number: u16,
    /// Its name in the registry of IANA.
    pub name: &'static str,
    /// OpenSSL's name.
    pub openssl: &'static str,
}

/// The cipher suites that rustls has, the preferred ones first. Those of TLS 1.3 come before
/// those of TLS 1.2.
pub const SUITES: [Suite; 9] = [
    suite(0x1302, "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
    suite(0x1301, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
    suite(0x1303, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
    suite(0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    suite(0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    suite(0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    suite(0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
    suite(0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
    suite(0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
];

const fn suite(number: u16, name: &'static str, openssl: &'static str) -> Suite {
    Suite { number, name, openssl }
}

/// OpenSSL's name of a suite.
pub(crate) fn openssl_name(number: u16) -> &'static str {
    SUITES.iter().find(|suite| suite.number == number).map_or("", |suite| suite.openssl)
}

/// The suites with these numbers, in this order; all of them for no number. Those of TLS 1.3
/// all stay unless one of them is named, as with OpenSSL, which has a setting of its own for
/// them.
pub(crate) fn supported(numbers: &[u16]) -> Result<Vec<SupportedCipherSuite>, String> {
    if numbers.is_empty() {
        return Ok(ALL_CIPHER_SUITES.to_vec());
    }
    let mut chosen = Vec::new();
    for number in numbers {
        let found = ALL_CIPHER_SUITES.iter().find(|it| u16::from(it.suite()) == *number);
        chosen.push(*found.ok_or_else(|| format!("there is no cipher suite {number:#06x}"))?);
    }
    if !chosen.iter().any(is_newest) {
        chosen.splice(..0, ALL_CIPHER_SUITES.iter().copied().filter(is_newest));
    }
    Ok(chosen)
}

/// Whether a suite is one of TLS 1.3.
fn is_newest(suite: &SupportedCipherSuite) -> bool {
    suite.tls13().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_all_suites_of_the_library_in_its_order() {
        let numbers: Vec<_> = SUITES.iter().map(|it| it.number).collect();
        let theirs: Vec<_> = ALL_CIPHER_SUITES.iter().map(|it| u16::from(it.suite())).collect();
        assert_eq!(numbers, theirs);
        for (ours, theirs) in SUITES.iter().zip(ALL_CIPHER_SUITES) {
            let name = format!("{:?}", theirs.suite()).replace("TLS13_", "TLS_");
            assert_eq!(ours.name, name);
        }
    }

    #[test]
    fn suites_of_the_newest_version_change_only_when_one_is_named() {
        let numbers = |named: &[u16]| -> Vec<u16> {
            supported(named).unwrap().iter().map(|it| u16::from(it.suite())).collect()
        };
        assert_eq!(numbers(&[0xc02f, 0xc030]), [0x1302, 0x1301, 0x1303, 0xc02f, 0xc030]);
        assert_eq!(numbers(&[0xc02f, 0x1301]), [0xc02f, 0x1301]);
        assert_eq!(numbers(&[]).len(), SUITES.len());
        assert_eq!(supported(&[0x0005]).unwrap_err(), "there is no cipher suite 0x0005");
    }
}
