//! The files of one certificate, and those in a directory of certificates.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use monoceros_config::CertificateSource;
use monoceros_sys::reason;
use monoceros_tls::PairError;

use crate::master::act::pem_file::FileStamp;

/// The files of each certificate in a directory that certbot has made.
pub(super) const LINEAGE: [&str; 2] = ["fullchain.pem", "privkey.pem"];

/// The files of one certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PairFiles {
    pub(super) certfile: PathBuf,
    /// `None` if the key is in `certfile` too.
    pub(super) keyfile: Option<PathBuf>,
}

impl PairFiles {
    /// The certificates of a source.
    pub(super) fn list(source: &CertificateSource) -> Result<Vec<Self>, String> {
        match source {
            CertificateSource::Pair { certfile, keyfile } => {
                Ok(vec![Self { certfile: certfile.clone(), keyfile: keyfile.clone() }])
            }
            CertificateSource::Directory(path) => {
                let cannot = |error: io::Error| {
                    format!("cannot read certificates {}: {}", path.display(), reason(&error))
                };
                let inside = subdirectories(path).map_err(cannot)?;
                let pairs = inside.into_iter().map(|directory| {
                    let [certfile, keyfile] = LINEAGE.map(|name| directory.join(name));
                    Self { certfile, keyfile: Some(keyfile) }
                });
                let exists = |path: &Path| path.symlink_metadata().is_ok();
                // A directory with one of the two is an error, and not left out.
                let has_any =
                    |it: &Self| exists(&it.certfile) || it.keyfile.as_deref().is_some_and(exists);
                Ok(pairs.filter(has_any).collect())
            }
        }
    }

    pub(super) fn name(&self) -> String {
        let certfile = self.certfile.display();
        match &self.keyfile {
            Some(keyfile) => format!("certfile {certfile} with keyfile {}", keyfile.display()),
            None => format!("certfile {certfile}"),
        }
    }

    /// The line about files that cannot be used: it names the one that is at fault, if that
    /// is known.
    pub(super) fn describe(&self, error: &PairError) -> String {
        let Self { certfile, keyfile } = self;
        let files = match (error, keyfile) {
            (PairError::NoCertificate | PairError::BadCertificate(..), _) => {
                format!("certfile {}", certfile.display())
            }
            (PairError::NoKey | PairError::EncryptedKey | PairError::BadKey(_), Some(keyfile)) => {
                format!("keyfile {}", keyfile.display())
            }
            (
                PairError::NoKey
                | PairError::EncryptedKey
                | PairError::BadKey(_)
                | PairError::Mismatch
                | PairError::Misplaced(_)
                | PairError::BadPem(_),
                _,
            ) => self.name(),
        };
        format!("cannot use {files}: {error}")
    }

    /// The present versions of the files; `None` if one is missing.
    pub(super) fn stamps(&self) -> Option<Vec<FileStamp>> {
        let paths = [Some(&self.certfile), self.keyfile.as_ref()];
        paths.into_iter().flatten().map(|path| FileStamp::of(path)).collect()
    }
}

/// The directories inside a directory, in the order of their names.
pub(super) fn subdirectories(directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(directory)?.map(|entry| Ok(entry?.path()));
    let paths = entries.collect::<io::Result<BTreeSet<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

/// A source in a log line.
pub(super) fn name_of(source: &CertificateSource) -> String {
    match source {
        CertificateSource::Pair { certfile, keyfile } => {
            PairFiles { certfile: certfile.clone(), keyfile: keyfile.clone() }.name()
        }
        CertificateSource::Directory(path) => format!("certificates {}", path.display()),
    }
}
