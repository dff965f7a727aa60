//! An authority for tests, and what it issues.

use monoceros_tls::Pair;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub(crate) struct Issued {
    pub(crate) pem: String,
    pub(crate) key_pem: String,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// One whose certificate has unusual properties.
    pub(crate) fn with(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut parameters = parameters("authority", &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut parameters);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// The authority's own certificate, as an identity.
    pub(crate) fn identity(&self) -> Issued {
        Issued::read(&self.pem(), &self.0.key().serialize_pem())
    }

    /// A certificate with this common name and these other names.
    pub(crate) fn issue(&self, common: &str, names: &[&str]) -> Issued {
        self.sign(&parameters(common, names))
    }

    /// A certificate with this common name and other unusual properties.
    pub(crate) fn issue_with(
        &self,
        common: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let mut parameters = parameters(common, &[]);
        change(&mut parameters);
        self.sign(&parameters)
    }

    fn sign(&self, parameters: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.clone().signed_by(&key, &self.0).unwrap();
        Issued::read(&certificate.pem(), &key.serialize_pem())
    }
}

impl Issued {
    pub(crate) fn read(pem: &str, key_pem: &str) -> Self {
        Self {
            pem: pem.to_owned(),
            key_pem: key_pem.to_owned(),
            der: CertificateDer::from_pem_slice(pem.as_bytes()).unwrap(),
            key: PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap(),
        }
    }

    pub(crate) fn pair(&self) -> Pair {
        Pair::from_pem(self.pem.as_bytes(), Some(self.key_pem.as_bytes())).unwrap()
    }
}

fn parameters(common: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common);
    parameters
}
