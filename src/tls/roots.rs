//! The certificates with which those of clients are verified: of authorities, and of single
//! clients.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::x509::X509Version;

use crate::certificate::{self, CertificateFacts};
use crate::pair::read_certificates;

/// What a text has for the verification of clients.
#[derive(Debug, Default)]
pub struct ClientRoots {
    /// The certificates in DER that can be used.
    pub certificates: Vec<Vec<u8>>,
    /// Facts of each of these.
    pub facts: Vec<CertificateFacts>,
    /// The subjects of certificates that cannot be used: they are of no authority, and another
    /// one has signed them.
    pub unused: Vec<String>,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RootKind {
    /// It verifies the certificates that its key has signed. Like every certificate that is
    /// signed by its own key, it also verifies itself.
    Authority,
    /// It verifies only itself: it is signed by its own key, and is no authority.
    Client,
    /// Nothing.
    Unused,
}

impl RootKind {
    /// The kind of a certificate, by the rules of OpenSSL (`X509_check_ca(3)`): an authority has
    /// it in its extensions (RFC 5280 section 6.1.4), or has signed itself in version 1, which
    /// knows no extensions.
    pub(crate) fn of(certificate: &X509Certificate) -> Self {
        let signs_itself = certificate.subject().as_raw() == certificate.issuer().as_raw();
        let usage = certificate.key_usage().ok().flatten().map(|it| it.value.key_cert_sign());
        let is_authority = match certificate.basic_constraints() {
            Ok(Some(constraints)) => constraints.value.ca && usage != Some(false),
            Ok(None) if certificate.version() == X509Version::V1 => signs_itself,
            Ok(None) => usage == Some(true),
            Err(_) => false,
        };
        match (is_authority, signs_itself) {
            (true, _) => Self::Authority,
            (false, true) => Self::Client,
            (false, false) => Self::Unused,
        }
    }
}

/// Reads the certificates of a text in PEM with which those of clients are verified.
///
/// # Errors
/// Why the text cannot be used, in one line without the name of the file.
pub fn read_roots(pem: &[u8]) -> Result<ClientRoots, String> {
    let all = read_certificates(pem).map_err(|error| error.to_string())?;
    if all.is_empty() {
        return Err("has no certificate in PEM format".to_owned());
    }
    let mut roots = ClientRoots::default();
    for (index, der) in all.into_iter().enumerate() {
        let cannot = |why| format!("certificate {} cannot be used: {why}", index + 1);
        let parsed = certificate::parse(&der).map_err(cannot)?;
        let facts = CertificateFacts::of(&parsed);
        if RootKind::of(&parsed) == RootKind::Unused {
            roots.unused.push(facts.subject);
            continue;
        }
        store([der.as_slice()]).map_err(cannot)?;
        roots.facts.push(facts);
        roots.certificates.push(der);
    }
    if roots.certificates.is_empty() {
        return Err("has no certificate of an authority".to_owned());
    }
    Ok(roots)
}

/// The form in which rustls verifies with the certificates of authorities.
pub(crate) fn store<'a>(
    authorities: impl IntoIterator<Item = &'a [u8]>,
) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for der in authorities {
        store.add(CertificateDer::from(der)).map_err(|error| error.to_string())?;
    }
    Ok(store)
}
