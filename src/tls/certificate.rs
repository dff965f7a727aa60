//! Facts of a certificate, also of kinds that rustls does not verify (version 1).

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::distinguished_name::{self, push_hex};
use crate::material::Pair;

/// Facts of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The names and addresses, from the extension subjectAltName; without it, the common name.
    pub names: Vec<String>,
    /// The subject, as text (RFC 2253).
    pub subject: String,
    /// When its validity begins, in seconds since 1970.
    pub not_before: i64,
    /// When its validity ends, in seconds since 1970.
    pub not_after: i64,
}

impl Pair {
    /// Facts of the server's certificate.
    pub fn facts(&self) -> CertificateFacts {
        let parsed = self.chain.first().and_then(|der| parse(der).ok());
        parsed.as_ref().map_or_else(
            || CertificateFacts {
                names: Vec::new(),
                subject: String::new(),
                not_before: i64::MIN,
                not_after: i64::MAX,
            },
            CertificateFacts::of,
        )
    }
}

impl CertificateFacts {
    /// Whether it is valid at this time, in seconds since 1970.
    #[must_use]
    pub fn is_valid_at(&self, time: i64) -> bool {
        self.not_before <= time && time <= self.not_after
    }

    pub(crate) fn of(certificate: &X509Certificate) -> Self {
        Self {
            names: names(certificate),
            subject: distinguished_name::text(certificate.subject()),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        }
    }
}

/// Reads a certificate.
///
/// # Errors
/// Why it is none.
pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => Ok(certificate),
        // The parser's text is about its own rules.
        Err(_) => Err("it is damaged, or no certificate (X.509)".to_owned()),
    }
}

/// The names and addresses of the server, the names in lower case.
pub(crate) fn names(certificate: &X509Certificate) -> Vec<String> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    if let Some(alternative) = alternative {
        return alternative.value.general_names.iter().filter_map(name).collect();
    }
    let common = certificate.subject().iter_common_name().filter_map(|it| it.as_str().ok());
    common.map(str::to_ascii_lowercase).collect()
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let sixteen = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            four.or_else(|_| sixteen()).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// The serial number in hexadecimal digits, as OpenSSL writes it.
pub(crate) fn serial(certificate: &X509Certificate) -> String {
    let mut bytes = certificate.raw_serial();
    while let [0, rest @ ..] = bytes
        && !rest.is_empty()
    {
        bytes = rest;
    }
    let mut text = String::new();
    push_hex(&mut text, bytes);
    text
}
