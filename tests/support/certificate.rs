//! Certificates for tests: an authority, and what it issues to servers and clients.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm, date_time_ymd,
};
use rustls::pki_types::CertificateDer;

use super::directory::Directory;

/// The length of a day.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The kind of a certificate's key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyKind {
    P256,
    /// For TLS 1.3: with 1.2, a client of rustls takes no key of this curve.
    P521,
    Rsa,
    Ed25519,
}

impl KeyKind {
    fn algorithm(self) -> &'static SignatureAlgorithm {
        match self {
            Self::P256 => &PKCS_ECDSA_P256_SHA256,
            Self::P521 => &PKCS_ECDSA_P521_SHA512,
            Self::Rsa => &PKCS_RSA_SHA256,
            Self::Ed25519 => &PKCS_ED25519,
        }
    }
}

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new authority with this common name. Authorities with the same name have different
    /// keys.
    pub(crate) fn new(name: &str) -> Self {
        let mut parameters = parameters(name, &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self(CertifiedIssuer::self_signed(parameters, key).unwrap())
    }

    /// The authority's certificate.
    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        self.0.der()
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes the authority's certificate to a file, and returns its path.
    pub(crate) fn write(&self, directory: &Directory, name: &str) -> PathBuf {
        directory.write(name, &self.pem())
    }

    /// A certificate for a server with these names: the first is also the common name.
    pub(crate) fn server(&self, names: &[&str]) -> Draft<'_> {
        let mut parameters = parameters(names[0], names);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Draft { authority: self, parameters, key: KeyKind::P256 }
    }

    /// A certificate for a client with this common name.
    pub(crate) fn client(&self, name: &str) -> Draft<'_> {
        let mut parameters = parameters(name, &[]);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Draft { authority: self, parameters, key: KeyKind::P256 }
    }
}

fn parameters(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.use_authority_key_identifier_extension = true;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    // A day before now, for a clock that is set back.
    parameters.not_before = date_time_ymd(1970, 1, 1) + (now - DAY);
    parameters.not_after = date_time_ymd(1970, 1, 1) + (now + 90 * DAY);
    parameters
}

/// A certificate that is not issued yet. By default it has a P-256 key, and is valid for 90
/// days.
pub(crate) struct Draft<'a> {
    authority: &'a Authority,
    parameters: CertificateParams,
    key: KeyKind,
}

impl Draft<'_> {
    pub(crate) fn key(mut self, kind: KeyKind) -> Self {
        self.key = kind;
        self
    }

    /// Lets the certificate expire after this time from now.
    pub(crate) fn expires_in(mut self, time: Duration) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        self.parameters.not_after = date_time_ymd(1970, 1, 1) + (now + time);
        self
    }

    /// Lets the certificate have expired an hour ago.
    pub(crate) fn expired(mut self) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        self.parameters.not_after = date_time_ymd(1970, 1, 1) + (now - DAY / 24);
        self
    }

    /// Leaves out subjectAltName: only the common name has the server's name.
    pub(crate) fn without_alternative_names(mut self) -> Self {
        self.parameters.subject_alt_names.clear();
        self
    }

    /// Adds a part to the subject, behind the common name.
    pub(crate) fn subject(mut self, kind: DnType, value: &str) -> Self {
        self.parameters.distinguished_name.push(kind, value);
        self
    }

    pub(crate) fn issue(self) -> Certificate {
        let key = KeyPair::generate_for(self.key.algorithm()).unwrap();
        let issued = self.parameters.signed_by(&key, &self.authority.0).unwrap();
        Certificate {
            der: issued.der().clone(),
            pem: issued.pem(),
            key_der: key.serialize_der(),
            key_pem: key.serialize_pem(),
        }
    }
}

/// A certificate and its private key.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    /// The key as PKCS#8: version 2 for Ed25519, which OpenSSL does not read.
    pub(crate) key_der: Vec<u8>,
    pub(crate) key_pem: String,
}

/// The paths of a certificate's files.
pub(crate) struct PairFiles {
    pub(crate) certfile: PathBuf,
    pub(crate) keyfile: PathBuf,
}

impl Certificate {
    /// Writes `NAME.pem`, and `NAME.key` with mode 600. Each file is replaced in one step, the
    /// key first.
    pub(crate) fn write(&self, directory: &Directory, name: &str) -> PairFiles {
        let keyfile = self.write_key(directory, &format!("{name}.key"), 0o600);
        let certfile = directory.write(&format!("{name}.pem"), &self.pem);
        PairFiles { certfile, keyfile }
    }

    /// Writes the private key to a file with this mode.
    pub(crate) fn write_key(&self, directory: &Directory, name: &str, mode: u32) -> PathBuf {
        write_private(directory, name, &self.key_pem, mode)
    }

    /// Writes certificate and key to one file with mode 600.
    pub(crate) fn write_together(&self, directory: &Directory, name: &str) -> PathBuf {
        write_private(directory, name, &format!("{}{}", self.pem, self.key_pem), 0o600)
    }
}

/// Writes a file that has its mode before it has its name.
fn write_private(directory: &Directory, name: &str, content: &str, mode: u32) -> PathBuf {
    let draft = directory.write(&format!("{name}.new"), content);
    fs::set_permissions(&draft, Permissions::from_mode(mode)).unwrap();
    let path = directory.join(name);
    fs::rename(draft, &path).unwrap();
    path
}
