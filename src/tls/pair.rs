//! A certificate with its key, from PEM files.

use std::fmt;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::pem::{self, PemObject, SectionKind};
use std::sync::Arc;

use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::certificate;
use crate::material::{KeyBytes, Pair};

/// Why a certificate and a key cannot be used. Its text is one line without the names of
/// the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairError {
    /// The text has no certificate in PEM.
    NoCertificate,
    /// A certificate cannot be read: its number from 1, and why.
    BadCertificate(usize, String),
    /// The text has no private key in PEM.
    NoKey,
    /// The private key is encrypted.
    EncryptedKey,
    /// The private key cannot be used: why.
    BadKey(String),
    /// The private key belongs to another certificate.
    Mismatch,
    /// The private key belongs to the certificate with this number, which is not the first.
    Misplaced(usize),
    /// A part of the text is no valid PEM: why.
    BadPem(String),
}

impl fmt::Display for PairError {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::NoCertificate => formatter.write_str("has no certificate in PEM format"),
            Self::BadCertificate(number, why) => {
                write!(formatter, "certificate {number} cannot be read: {why}")
            }
            Self::NoKey => formatter.write_str("has no private key in PEM format"),
            Self::EncryptedKey => formatter.write_str(
                "the private key is encrypted: decrypt it with `openssl pkey -in OLD -out NEW`",
            ),
            Self::BadKey(why) => write!(formatter, "the private key cannot be used: {why}"),
            Self::Mismatch => {
                formatter.write_str("the private key does not belong to the certificate")
            }
            Self::Misplaced(number) => write!(
                formatter,
                "the private key belongs to certificate {number} of the file: the server's own \
                 must be the first, those that sign it follow"
            ),
            Self::BadPem(why) => write!(formatter, "is no valid PEM: {why}"),
        }
    }
}

impl std::error::Error for PairError {}

impl Pair {
    /// Reads a certificate, with those that sign it, and its private key. Without `key`,
    /// the key is in the same text as the certificate.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn from_pem(certificate: &[u8], key: Option<&[u8]>) -> Result<Self, PairError> {
        let chain = read_certificates(certificate)?;
        if chain.is_empty() {
            return Err(PairError::NoCertificate);
        }
        let pair = Self { chain, key: read_key(key.unwrap_or(certificate))? };
        pair.check()?;
        Ok(pair)
    }

    /// Checks that the key belongs to the first certificate.
    fn check(&self) -> Result<(), PairError> {
        let key = self.signing_key()?;
        let mut owner = None;
        let wanted = key.public_key();
        let wanted = wanted.as_ref().and_then(|spki| public_bits(spki));
        let wanted = wanted.ok_or_else(|| PairError::BadKey("it has no public key".to_owned()))?;
        for (index, der) in self.chain.iter().enumerate() {
            let number = index + 1;
            let certificate =
                certificate::parse(der).map_err(|why| PairError::BadCertificate(number, why))?;
            // The bits are compared, not the algorithms, which have several names for RSA.
            if certificate.public_key().subject_public_key.data.as_ref() == wanted {
                owner.get_or_insert(number);
            }
        }
        match owner {
            Some(1) => Ok(()),
            Some(number) => Err(PairError::Misplaced(number)),
            None => Err(PairError::Mismatch),
        }
    }

    fn signing_key(&self) -> Result<Arc<dyn SigningKey>, PairError> {
        let der = match &self.key {
            KeyBytes::Pkcs8(der) => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.as_slice())),
            KeyBytes::Pkcs1(der) => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der.as_slice())),
            KeyBytes::Sec1(der) => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der.as_slice())),
        };
        any_supported_type(&der).map_err(|_| {
            let kinds = "RSA from 2048 to 8192 bits, ECDSA with P-256, P-384 or P-521, Ed25519";
            PairError::BadKey(format!("it is damaged, or not of a supported kind ({kinds})"))
        })
    }

    /// The form that rustls uses.
    pub(crate) fn certified_key(&self) -> Result<CertifiedKey, PairError> {
        let chain = self.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        // Not `from_der`, which refuses certificates of version 1.
        Ok(CertifiedKey::new(chain, self.signing_key()?))
    }
}

/// The bits of a public key.
fn public_bits(spki: &[u8]) -> Option<Vec<u8>> {
    let (_, spki) = SubjectPublicKeyInfo::from_der(spki).ok()?;
    Some(spki.subject_public_key.data.to_vec())
}

/// The certificates of a text in PEM, in DER.
pub(crate) fn read_certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, PairError> {
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text) {
        match certificate {
            Ok(certificate) => found.push(certificate.to_vec()),
            // An encrypted key has lines that are not base64.
            Err(_) if is_encrypted(text) => return Err(PairError::EncryptedKey),
            Err(error) => return Err(PairError::BadPem(explain(&error))),
        }
    }
    Ok(found)
}

/// The first private key of a text in PEM.
fn read_key(text: &[u8]) -> Result<KeyBytes, PairError> {
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        match section {
            Ok((SectionKind::PrivateKey, der)) => return Ok(KeyBytes::Pkcs8(der)),
            Ok((SectionKind::RsaPrivateKey, der)) => return Ok(KeyBytes::Pkcs1(der)),
            Ok((SectionKind::EcPrivateKey, der)) => return Ok(KeyBytes::Sec1(der)),
            Ok(_) => {}
            Err(_) if is_encrypted(text) => return Err(PairError::EncryptedKey),
            Err(error) => return Err(PairError::BadPem(explain(&error))),
        }
    }
    Err(if is_encrypted(text) { PairError::EncryptedKey } else { PairError::NoKey })
}

/// Whether a text has an encrypted key: in PKCS#8, or in OpenSSL's older format.
fn is_encrypted(text: &[u8]) -> bool {
    let has = |mark: &[u8]| text.windows(mark.len()).any(|window| window == mark);
    has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED")
}

fn explain(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "its end is missing".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a line that begins a part is damaged".to_owned(),
        pem::Error::Base64Decode(_) => "a part is no base64".to_owned(),
        other => other.to_string(),
    }
}
