//! Types of settings: certificates, their verification, and the suites of TLS. This module
//! opens no file.

use std::path::{Path, PathBuf};

use crate::choice::choice;
use crate::item::{ItemForm, ItemPair};
use crate::raw::{bytes_of, text_of};
use crate::row::{Arity, Bounds};
use crate::value::{Value, not_empty};

choice! {
    /// Whether a client must have a certificate.
    CertReqs, takes Arity::One;
    None = "none" | "0" | "cert_none", "no client is asked for a certificate";
    Optional = "optional" | "1" | "cert_optional", "a client may have none, but not one that cannot be verified";
    Required = "required" | "2" | "cert_required", "a client without a certificate that can be verified is refused";
}

choice! {
    /// The lowest version of TLS.
    TlsVersionSetting, takes Arity::One;
    V12 = "1.2" | "tlsv1.2", "TLS 1.2 and 1.3";
    V13 = "1.3" | "tlsv1.3", "TLS 1.3 only";
}

/// Where certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// One certificate with its key.
    Pair {
        /// The certificate, and the chain behind it.
        certfile: PathBuf,
        /// The key; `None` if it is in `certfile` too.
        keyfile: Option<PathBuf>,
    },
    /// A directory of certificates, as certbot lays it out: `NAME/fullchain.pem` and
    /// `NAME/privkey.pem`.
    Directory(PathBuf),
}

/// The form of an item that is a mapping: `{certfile: FILE, keyfile: FILE}`.
pub(crate) static ITEM: ItemForm = ItemForm {
    keys: &[CERTFILE, KEYFILE],
    lists: &[],
    nested: &[],
    check: |_, path| not_empty(path),
    text,
};
const CERTFILE: &str = "certfile";
const KEYFILE: &str = "keyfile";

impl Value for CertificateSource {
    const RAW: bool = true;

    /// A pair is written `certfile=PATH,keyfile=PATH`; `%2C` is a comma, and `%25` a percent
    /// sign in such a path. Anything else is a directory.
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        not_empty(text)?;
        if ![CERTFILE, KEYFILE].iter().any(|name| option(text, name).is_some()) {
            return Ok(Self::Directory(PathBuf::from(bytes_of(text))));
        }
        let (mut certfile, mut keyfile) = (None, None);
        for word in text.split(',') {
            let (place, path) = if let Some(path) = option(word, CERTFILE) {
                (&mut certfile, path)
            } else if let Some(path) = option(word, KEYFILE) {
                (&mut keyfile, path)
            } else {
                return Err(format!("cannot read {word:?} in it; known are certfile=, keyfile="));
            };
            not_empty(path)?;
            if place.replace(decoded(path)).is_some() {
                return Err(format!("{word:?} is the second of its name"));
            }
        }
        let certfile = certfile.ok_or("certfile is missing")?;
        Ok(Self::Pair { certfile, keyfile })
    }

    fn texts(&self) -> Vec<String> {
        let of = |path: &Path| encoded(&text_of(path.as_os_str()));
        vec![match self {
            Self::Directory(path) => text_of(path.as_os_str()),
            Self::Pair { certfile, keyfile: None } => format!("{CERTFILE}={}", of(certfile)),
            Self::Pair { certfile, keyfile: Some(keyfile) } => {
                format!("{CERTFILE}={},{KEYFILE}={}", of(certfile), of(keyfile))
            }
        }]
    }
}

/// The text of an item that is a mapping.
fn text(pairs: &[ItemPair<'_>]) -> Result<String, String> {
    let words = pairs.iter().map(|(name, path)| format!("{name}={}", encoded(&path.concat())));
    let text = words.collect::<Vec<_>>().join(",");
    CertificateSource::parse(&text, None).map(|_| text)
}

fn option<'a>(word: &'a str, name: &str) -> Option<&'a str> {
    word.strip_prefix(name)?.strip_prefix('=')
}

fn encoded(path: &str) -> String {
    path.replace('%', "%25").replace(',', "%2C")
}

fn decoded(text: &str) -> PathBuf {
    PathBuf::from(bytes_of(&text.replace("%2C", ",").replace("%25", "%")))
}

/// A suite of TLS, by its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CipherName {
    /// The number in the protocol.
    pub number: u16,
    /// OpenSSL's name.
    pub openssl: &'static str,
    /// The name in IANA's registry.
    pub iana: &'static str,
}

/// The suites that rustls has with aws-lc-rs, from the most preferred one on.
pub const CIPHERS: [CipherName; 9] = [
    cipher(0x1302, "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
    cipher(0x1301, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
    cipher(0x1303, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
    cipher(0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    cipher(0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    cipher(
        0xcca9,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
    cipher(0xc030, "ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    cipher(0xc02f, "ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    cipher(0xcca8, "ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
];

const fn cipher(number: u16, openssl: &'static str, iana: &'static str) -> CipherName {
    CipherName { number, openssl, iana }
}

/// OpenSSL's name of each suite, and the version of TLS that has it, for the printed pages.
pub(crate) const CIPHER_CHOICES: [(&str, &str); CIPHERS.len()] = {
    let mut choices = [("", ""); CIPHERS.len()];
    let mut index = 0;
    while index < choices.len() {
        let suite = CIPHERS[index];
        choices[index] = (suite.openssl, if suite.is_tls13() { "TLS 1.3" } else { "TLS 1.2" });
        index += 1;
    }
    choices
};

impl CipherName {
    /// Whether TLS 1.3 has the suite; no suite belongs to both versions.
    #[must_use]
    pub const fn is_tls13(&self) -> bool {
        // 0x13 is the first byte of every suite of TLS 1.3 (RFC 8446, appendix B.4).
        self.number >> 8 == 0x13
    }

    /// Finds a suite by OpenSSL's name, IANA's, or that of rustls, which writes `TLS13_` for
    /// the suites of TLS 1.3.
    fn find(name: &str) -> Option<Self> {
        let other = name.strip_prefix("TLS13_").map(|rest| format!("TLS_{rest}"));
        let name = other.as_deref().unwrap_or(name);
        CIPHERS.into_iter().find(|it| it.openssl == name || it.iana == name)
    }
}

/// A list of suites, which is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphers(pub Vec<CipherName>);

impl Ciphers {
    /// The numbers of the suites.
    #[must_use]
    pub fn numbers(&self) -> Vec<u16> {
        self.0.iter().map(|suite| suite.number).collect()
    }
}

impl Value for Ciphers {
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        let mut suites = Vec::new();
        let names = text.split([':', ',']).map(str::trim).filter(|name| !name.is_empty());
        for name in names {
            let suite = CipherName::find(name).ok_or_else(|| {
                let known: Vec<_> = CIPHERS.iter().map(|suite| suite.openssl).collect();
                format!("{name:?} is not one of {}", known.join(", "))
            })?;
            if !suites.contains(&suite) {
                suites.push(suite);
            }
        }
        if suites.is_empty() { Err("must not be empty".to_owned()) } else { Ok(Self(suites)) }
    }

    fn texts(&self) -> Vec<String> {
        let names: Vec<_> = self.0.iter().map(|suite| suite.openssl).collect();
        vec![names.join(":")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_words_or_numbers() {
        for (texts, value) in [
            (["none", "0", "CERT_NONE"], CertReqs::None),
            (["optional", "1", "cert_optional"], CertReqs::Optional),
            (["required", "2", "CERT_REQUIRED"], CertReqs::Required),
        ] {
            for text in texts {
                assert_eq!(CertReqs::parse(text, None), Ok(value), "{text}");
            }
        }
        let reason = CertReqs::parse("3", None).unwrap_err();
        assert_eq!(reason, "\"3\" is not one of none, optional, required");
        assert_eq!(TlsVersionSetting::parse("1.3", None), Ok(TlsVersionSetting::V13));
        assert!(TlsVersionSetting::parse("1.1", None).is_err());
    }

    #[test]
    fn a_pair_of_files_differs_from_a_directory() {
        let pair = |certfile: &str, keyfile: Option<&str>| CertificateSource::Pair {
            certfile: certfile.into(),
            keyfile: keyfile.map(PathBuf::from),
        };
        for (text, source) in [
            ("certfile=/a.pem,keyfile=/b.pem", pair("/a.pem", Some("/b.pem"))),
            ("keyfile=b,certfile=a", pair("a", Some("b"))),
            ("certfile=/a.pem", pair("/a.pem", None)),
            ("certfile=/a%2Cb%252C", pair("/a,b%2C", None)),
            ("/etc/live", CertificateSource::Directory("/etc/live".into())),
        ] {
            let read = CertificateSource::parse(text, None).unwrap();
            assert_eq!(read, source, "{text}");
            assert_eq!(CertificateSource::parse(&read.texts()[0], None), Ok(read));
        }
        for (text, part) in [
            ("", "empty"),
            ("keyfile=/b", "certfile is missing"),
            ("certfile=/a,certfile=/b", "second"),
            ("certfile=", "empty"),
            ("certfile=/a,/b", "known are certfile=, keyfile="),
        ] {
            let reason = CertificateSource::parse(text, None).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }

    #[test]
    fn suites_have_the_names_of_openssl_iana_and_rustls() {
        let text = "ECDHE-RSA-AES128-GCM-SHA256:TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, \
                    TLS13_AES_128_GCM_SHA256,ECDHE-RSA-AES128-GCM-SHA256";
        let ciphers = Ciphers::parse(text, None).unwrap();
        assert_eq!(ciphers.numbers(), [0xc02f, 0xc030, 0x1301]);
        assert_eq!(Ciphers::parse(&ciphers.texts()[0], None), Ok(ciphers));
    }

    #[test]
    fn an_unknown_suite_is_answered_with_all() {
        for text in ["TLSv1", "HIGH:!aNULL", "AES128-SHA", "ECDHE-RSA-AES128-GCM-SHA256:!RC4"] {
            let reason = Ciphers::parse(text, None).unwrap_err();
            assert!(CIPHERS.iter().all(|suite| reason.contains(suite.openssl)), "{reason}");
        }
        assert!(Ciphers::parse(":", None).is_err());
    }
}
