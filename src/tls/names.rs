//! The certificate for the name that a client asks for (SNI, RFC 6066 section 3).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::certificate;
use crate::material::Material;

/// The certificates by the names that they are valid for.
pub(crate) struct Names {
    /// For exact names, and for wildcards without their `*.`. A name may have several, with
    /// keys of different kinds.
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    wildcards: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// Those for clients that name no server, or an unknown one.
    default: Vec<Arc<CertifiedKey>>,
    /// A client that names an unknown server is refused.
    is_strict: bool,
}

impl Names {
    /// # Errors
    /// There is no certificate, or a key cannot be used.
    pub(crate) fn new(material: &Material) -> Result<Self, String> {
        let mut all = Self {
            exact: HashMap::new(),
            wildcards: HashMap::new(),
            default: Vec::new(),
            is_strict: material.has_strict_names,
        };
        let mut names_of_default = None;
        for pair in &material.pairs {
            let key = Arc::new(pair.certified_key().map_err(|error| error.to_string())?);
            let leaf = pair.chain.first().map(Vec::as_slice).unwrap_or_default();
            let names = certificate::names(&certificate::parse(leaf)?);
            for name in &names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut all.wildcards, rest),
                    None => (&mut all.exact, name.as_str()),
                };
                map.entry(name.to_owned()).or_default().push(Arc::clone(&key));
            }
            // The same names with a key of another kind.
            if names_of_default.as_ref().is_none_or(|first| *first == names) {
                all.default.push(key);
            }
            names_of_default.get_or_insert(names);
        }
        if all.default.is_empty() {
            return Err("there is no certificate".to_owned());
        }
        Ok(all)
    }

    /// The certificates for a name; `None` when the client is refused.
    fn find(&self, name: Option<&str>) -> Option<&[Arc<CertifiedKey>]> {
        let Some(name) = name else { return Some(&self.default) };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        match self.exact.get(&name).or_else(wildcard) {
            Some(found) => Some(found),
            None if self.is_strict => None,
            None => Some(&self.default),
        }
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello) -> Option<Arc<CertifiedKey>> {
        let found = self.find(hello.server_name())?;
        let schemes = hello.signature_schemes();
        let fits = |it: &&Arc<CertifiedKey>| it.key.choose_scheme(schemes).is_some();
        found.iter().find(fits).or(found.first()).cloned()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{:?} {:?}", self.exact.keys(), self.wildcards.keys())
    }
}
