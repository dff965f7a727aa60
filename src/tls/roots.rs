//! The certificates that may have signed those of clients.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::pair::read_certificates;

/// Reads the certificates of a text in PEM that may have signed those of clients.
///
/// # Errors
/// Why the text cannot be used, in one line without the name of the file.
pub fn read_roots(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let roots = read_certificates(pem).map_err(|error| error.to_string())?;
    if roots.is_empty() {
        return Err("has no certificate in PEM format".to_owned());
    }
    store(&roots)?;
    Ok(roots)
}

/// The form that rustls uses.
pub(crate) fn store(roots: &[Vec<u8>]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for (index, der) in roots.iter().enumerate() {
        let added = store.add(CertificateDer::from(der.as_slice()));
        added.map_err(|error| format!("certificate {} cannot be used: {error}", index + 1))?;
    }
    Ok(store)
}
