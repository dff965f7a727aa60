//! The certificates, private keys and client authorities of a generation: read from their
//! files, tested, and sealed in memory for the workers. Owned by `worker_spec.rs`; `renewals.rs`
//! looks at the files again (`certificates/look.rs`).

pub(crate) mod look;
mod pair_files;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use monoceros_config::{CertReqs, CertificateSource, Settings, TlsVersionSetting};
use monoceros_log::printable;
use monoceros_sys::clock::{LocalTime, local_time, wall_seconds};
use monoceros_sys::directory_watch::{NameFilter, WatchedNames, add_path};
use monoceros_sys::user::Credentials;
use monoceros_sys::{memory, path, reason, secrets};
use monoceros_tls::{
    CertificateFacts, ClientAuthentication, ClientRoots, Material, Pair, TicketKey, TlsServer,
    TlsVersion, read_roots,
};
use monoceros_wire::report::CertificateReport;

use crate::master::act::certificates::pair_files::{LINEAGE, PairFiles, subdirectories};
use crate::master::act::pem_file::{self, FileExposure, FileStamp, PemFile};
use crate::master::decide::certificate_watch::CertificateExpiry;

/// The most names of a certificate in a log line.
const MOST_NAMES: usize = 3;

/// Everything that the workers of a generation need for TLS.
#[derive(Debug)]
pub(crate) struct Certificates {
    sources: Vec<CertificateSource>,
    roots_path: Option<PathBuf>,
    /// The user of the workers, if the master is root and they are not.
    workers: Option<Credentials>,
    /// The settings; without certificates, authorities and ticket keys.
    settings: Material,
    pairs: Vec<LoadedPair>,
    roots: Option<LoadedRoots>,
    /// What the workers are sent.
    sealed: Option<Rc<File>>,
    /// Warnings that are not in the log yet.
    warnings: Vec<String>,
}

/// A certificate with its key, as they were read.
#[derive(Debug)]
struct LoadedPair {
    files: PairFiles,
    /// The versions of the files.
    stamps: Vec<FileStamp>,
    pair: Pair,
    facts: CertificateFacts,
}

/// The authorities of clients' certificates, as they were read.
#[derive(Debug)]
struct LoadedRoots {
    stamp: FileStamp,
    content: ClientRoots,
}

impl Certificates {
    /// Reads and tests all files. From now on no other process of the user reads the memory
    /// of this one.
    pub(crate) fn read(
        settings: &Settings,
        directory: &Path,
        workers: Option<&Credentials>,
    ) -> Result<Self, String> {
        secrets::protect()
            .map_err(|error| format!("cannot protect private keys: {}", reason(&error)))?;
        let absolute = |path: &Path| directory.join(path);
        let sources = settings.certificate_sources().into_iter().map(|source| match source {
            CertificateSource::Pair { certfile, keyfile } => CertificateSource::Pair {
                certfile: absolute(&certfile),
                keyfile: keyfile.as_deref().map(absolute),
            },
            CertificateSource::Directory(path) => CertificateSource::Directory(absolute(&path)),
        });
        let mut certificates = Self {
            sources: sources.collect(),
            roots_path: settings.ca_certs.as_deref().map(absolute),
            workers: workers.cloned(),
            settings: material_of(settings),
            pairs: Vec::new(),
            roots: None,
            sealed: None,
            warnings: Vec::new(),
        };
        certificates.read_first()?;
        Ok(certificates)
    }

    fn read_first(&mut self) -> Result<(), String> {
        for source in self.sources.clone() {
            let listed = PairFiles::list(&source)?;
            if let (CertificateSource::Directory(path), true) = (&source, listed.is_empty()) {
                return Err(format!(
                    "cannot use certificates {}: there is no NAME/{} in it",
                    path.display(),
                    LINEAGE[0]
                ));
            }
            for files in listed {
                if !self.has(&files) {
                    let loaded = self.read_pair(&files)?;
                    let begin = loaded.facts.not_before;
                    if begin > wall_seconds() {
                        let (name, day) = (files.name(), day_of(begin));
                        let text = format!("{name}: the certificate is not valid before {day}");
                        self.warnings.push(text);
                    }
                    self.pairs.push(loaded);
                }
            }
        }
        self.roots = self.read_roots()?;
        if self.roots.is_none() {
            // Otherwise they were tested together with the authorities.
            TlsServer::new(self.material(&[])).map_err(|why| format!("cannot use TLS: {why}"))?;
        }
        Ok(())
    }

    fn has(&self, files: &PairFiles) -> bool {
        self.pairs.iter().any(|known| known.files == *files)
    }

    fn read_pair(&mut self, files: &PairFiles) -> Result<LoadedPair, String> {
        let (certfile, keyfile) = (&files.certfile, files.keyfile.as_deref());
        let read_file = |setting, path: &Path| read_file(setting, path, self.workers.as_ref());
        let certificate = read_file("certfile", certfile)?;
        let key = keyfile.map(|path| read_file("keyfile", path)).transpose()?;
        let cannot = |why: String| format!("cannot use {}: {why}", files.name());
        let pair = Pair::from_pem(&certificate.bytes, key.as_ref().map(|key| &key.bytes[..]));
        let pair = pair.map_err(|error| files.describe(&error))?;
        let alone = Material { pairs: vec![pair.clone()], ..self.settings_for_test() };
        TlsServer::new(alone).map_err(cannot)?;
        let with_key = key.as_ref().unwrap_or(&certificate);
        if let Some(exposure) = with_key.exposure {
            let setting = if keyfile.is_some() { "keyfile" } else { "certfile" };
            let path = keyfile.unwrap_or(certfile);
            self.warnings.push(describe_exposure(setting, path, exposure));
        }
        let facts = pair.facts();
        let stamps = [Some(certificate), key].into_iter().flatten().map(|it| it.stamp).collect();
        Ok(LoadedPair { files: files.clone(), stamps, pair, facts })
    }

    fn read_roots(&mut self) -> Result<Option<LoadedRoots>, String> {
        let Some(path) = self.roots_path.clone() else { return Ok(None) };
        let PemFile { bytes, stamp, .. } = read_file("ca-certs", &path, self.workers.as_ref())?;
        let cannot = |why| format!("cannot use ca-certs {}: {why}", path.display());
        let content = read_roots(&bytes).map_err(cannot)?;
        let pairs: Vec<_> = self.pairs.iter().map(|it| it.pair.clone()).collect();
        let client_roots = content.certificates.clone();
        TlsServer::new(Material { pairs, client_roots, ..self.settings.clone() })
            .map_err(cannot)?;
        self.warnings.extend(content.unused.iter().map(|subject| {
            let (path, subject) = (path.display(), printable::line(subject));
            format!(
                "ca-certs {path}: the certificate of {subject} is of no authority and verifies \
                 no client; name the authority that has signed it"
            )
        }));
        Ok(Some(LoadedRoots { stamp, content }))
    }

    /// The settings for the test of one certificate, which no authority concerns.
    fn settings_for_test(&self) -> Material {
        let client_authentication = ClientAuthentication::None;
        Material { client_authentication, ..self.settings.clone() }
    }

    fn material(&self, ticket_keys: &[TicketKey]) -> Material {
        Material {
            pairs: self.pairs.iter().map(|it| it.pair.clone()).collect(),
            client_roots: self.client_roots().to_vec(),
            ticket_keys: ticket_keys.to_vec(),
            ..self.settings.clone()
        }
    }

    /// The certificates in DER with which those of clients are verified.
    fn client_roots(&self) -> &[Vec<u8>] {
        self.roots.as_ref().map_or(&[], |it| &it.content.certificates)
    }

    /// Makes the file in memory that workers are sent.
    pub(crate) fn seal(&mut self, ticket_keys: &[TicketKey]) -> io::Result<()> {
        let bytes = self.material(ticket_keys).encode().map_err(io::Error::other)?;
        self.sealed = Some(Rc::new(memory::sealed_file("monoceros-tls", &bytes)?));
        Ok(())
    }

    /// The file in memory that workers are sent; `None` before it was sealed.
    pub(crate) fn sealed(&self) -> Option<&Rc<File>> {
        self.sealed.as_ref()
    }

    /// Takes the warnings about the files that were read since the last call.
    pub(crate) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// When each certificate expires, also those of the authorities of clients.
    pub(crate) fn expiries(&self) -> impl Iterator<Item = CertificateExpiry> {
        let expiry = |path: &Path, facts: &CertificateFacts| {
            let certificate = format!("{} ({})", path.display(), describe_names(facts));
            CertificateExpiry { not_after: facts.not_after, certificate }
        };
        let pairs = self.pairs.iter().map(move |it| expiry(&it.files.certfile, &it.facts));
        let roots = self.roots_path.iter().zip(&self.roots);
        let roots = roots.flat_map(|(path, it)| it.content.facts.iter().map(move |it| (path, it)));
        pairs.chain(roots.map(move |(path, facts)| expiry(path, facts)))
    }

    /// The certificates, for a report.
    pub(crate) fn reports(&self) -> Vec<CertificateReport> {
        let reports = self.pairs.iter().map(|it| CertificateReport {
            names: it.facts.names.iter().map(|name| printable::line(name)).collect(),
            not_after: it.facts.not_after as f64,
        });
        reports.collect()
    }

    /// Adds the names whose replacement can change what the files hold.
    pub(crate) fn add_names(&self, names: &mut WatchedNames) {
        let mut paths: BTreeSet<PathBuf> = self.roots_path.iter().cloned().collect();
        for source in &self.sources {
            match source {
                CertificateSource::Pair { certfile, keyfile } => {
                    paths.insert(certfile.clone());
                    paths.extend(keyfile.clone());
                }
                CertificateSource::Directory(directory) => {
                    paths.insert(directory.clone());
                    names.insert(directory.clone(), NameFilter::All);
                    let inside = subdirectories(directory).unwrap_or_default();
                    paths.extend(inside.iter().flat_map(|it| LINEAGE.map(|name| it.join(name))));
                }
            }
        }
        for turn in paths.iter().flat_map(|it| path::turns(it).unwrap_or_default()) {
            add_path(names, &turn);
        }
    }
}

fn read_file(setting: &str, path: &Path, workers: Option<&Credentials>) -> Result<PemFile, String> {
    pem_file::read(path, workers)
        .map_err(|error| format!("cannot read {setting} {}: {}", path.display(), reason(&error)))
}

fn material_of(settings: &Settings) -> Material {
    Material {
        pairs: Vec::new(),
        client_authentication: match settings.cert_reqs {
            CertReqs::None => ClientAuthentication::None,
            CertReqs::Optional => ClientAuthentication::Optional,
            CertReqs::Required => ClientAuthentication::Required,
        },
        client_roots: Vec::new(),
        minimum: match settings.tls_minimum_version {
            TlsVersionSetting::V12 => TlsVersion::V12,
            TlsVersionSetting::V13 => TlsVersion::V13,
        },
        suites: settings.ciphers.as_ref().map(|it| it.numbers()).unwrap_or_default(),
        has_strict_names: settings.tls_strict_sni,
        ticket_keys: Vec::new(),
    }
}

/// The names that a certificate is for, and its last day.
fn describe(facts: &CertificateFacts) -> String {
    format!("{}, valid until {}", describe_names(facts), day_of(facts.not_after))
}

/// The day of a time in seconds since 1970, as the machine's time zone has it.
fn day_of(seconds: i64) -> String {
    let LocalTime { year, month, day, .. } = local_time(seconds);
    format!("{year}-{month:02}-{day:02}")
}

/// The names that a certificate is for.
fn describe_names(facts: &CertificateFacts) -> String {
    let names = if facts.names.is_empty() {
        facts.subject.clone()
    } else {
        let first: Vec<_> = facts.names.iter().take(MOST_NAMES).map(String::as_str).collect();
        let more = facts.names.len().saturating_sub(MOST_NAMES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        first.join(", ") + &more
    };
    printable::line(&names)
}

fn describe_exposure(setting: &str, path: &Path, exposure: FileExposure) -> String {
    let path = path.display();
    match exposure {
        FileExposure::AllUsers => format!(
            "{setting} {path} has a private key and can be read by every user of this machine; \
             chmod o-r {path} changes that"
        ),
        FileExposure::WorkersUser(uid) => format!(
            "{setting} {path} has a private key and can be read by user {uid}, which runs the \
             application; the master needs no other reader than root"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::act::certificates::look::FilesContent;
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};

    /// A directory of the test's own, removed at its end.
    struct PemDirectory(PathBuf);

    impl PemDirectory {
        fn new(name: &str) -> Self {
            let name = format!("monoceros-certificates-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        /// Makes a certificate for this name, and writes its files.
        fn write(&self, name: &str, certfile: &str, keyfile: &str) -> (String, String) {
            let key = KeyPair::generate().unwrap();
            let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let pem = parameters.self_signed(&key).unwrap().pem();
            for (file, text) in [(certfile, &pem), (keyfile, &key.serialize_pem())] {
                let path = self.0.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            (pem, key.serialize_pem())
        }

        fn read(&self, settings: &Settings) -> Result<Certificates, String> {
            Certificates::read(settings, &self.0, None)
        }
    }

    impl Drop for PemDirectory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    fn pair_settings() -> Settings {
        let (certfile, keyfile) = (vec!["a.pem".into()], vec!["a.key".into()]);
        Settings { certfile, keyfile, ..Settings::default() }
    }

    /// What is new, and what cannot be used.
    fn look(certificates: &mut Certificates) -> (Vec<String>, Vec<String>) {
        let (mut new, mut failed) = (Vec::new(), Vec::new());
        for look in certificates.look() {
            match look.found {
                Ok(FilesContent::Same) => {}
                Ok(FilesContent::New(text)) => new.push(text),
                Ok(FilesContent::Removed) => new.push("removed".to_owned()),
                Err(why) => failed.push(why),
            }
        }
        (new, failed)
    }

    #[test]
    fn a_pair_is_replaced_when_both_files_fit() {
        let directory = PemDirectory::new("pair");
        directory.write("one.example", "a.pem", "a.key");
        let mut certificates = directory.read(&pair_settings()).unwrap();
        let first = certificates.material(&[]);
        assert_eq!(look(&mut certificates), (vec![], vec![]));
        let (pem, key) = directory.write("two.example", "b.pem", "b.key");
        fs::write(directory.0.join("a.key"), &key).unwrap();
        let (found, failed) = look(&mut certificates);
        assert_eq!((found.len(), failed.len()), (0, 1));
        assert!(failed[0].ends_with("does not belong to the certificate"), "{failed:?}");
        assert_eq!(certificates.material(&[]), first);
        fs::remove_file(directory.0.join("a.pem")).unwrap();
        let (_, failed) = look(&mut certificates);
        assert!(failed[0].starts_with("cannot read certfile "), "{failed:?}");
        fs::write(directory.0.join("a.pem"), &pem).unwrap();
        let (found, failed) = look(&mut certificates);
        assert!(found.concat().starts_with("two.example, valid until "), "{found:?}");
        assert_eq!(failed, [""; 0]);
        assert_ne!(certificates.material(&[]), first);
        assert!(certificates.expiries().next().unwrap().certificate.ends_with("(two.example)"));
        // The same content in another file is nothing new.
        fs::write(directory.0.join("a.pem"), &pem).unwrap();
        assert_eq!(look(&mut certificates), (vec![], vec![]));
    }

    #[test]
    fn a_directory_has_a_certificate_in_each_directory_in_it() {
        let directory = PemDirectory::new("live");
        let write = |name: &str| {
            let [certfile, keyfile] = LINEAGE.map(|file| format!("live/{name}/{file}"));
            directory.write(name, &certfile, &keyfile)
        };
        let certificates = vec![CertificateSource::Directory("live".into())];
        let settings = Settings { certificates, ..Settings::default() };
        let failure = directory.read(&settings).unwrap_err();
        assert!(failure.starts_with("cannot read certificates "), "{failure}");
        write("b.example");
        fs::write(directory.0.join("live/README"), "").unwrap();
        let mut certificates = directory.read(&settings).unwrap();
        fs::create_dir(directory.0.join("live/a.example")).unwrap();
        assert_eq!(look(&mut certificates), (vec![], vec![]), "it is not a certificate yet");
        write("a.example");
        assert!(look(&mut certificates).0.concat().starts_with("a.example, "));
        let names: Vec<_> = certificates.pairs.iter().map(|it| it.facts.names.concat()).collect();
        assert_eq!(names, ["a.example", "b.example"]);
        fs::remove_file(directory.0.join("live/a.example/privkey.pem")).unwrap();
        let (found, failed) = look(&mut certificates);
        assert_eq!((found.len(), failed.len(), certificates.pairs.len()), (0, 1, 2));
        fs::remove_dir_all(directory.0.join("live/a.example")).unwrap();
        assert_eq!(look(&mut certificates), (vec!["removed".to_owned()], vec![]));
        assert_eq!(certificates.pairs.len(), 1);
        // As when a file system is not mounted.
        fs::rename(directory.0.join("live"), directory.0.join("away")).unwrap();
        let (found, failed) = look(&mut certificates);
        assert_eq!((found.len(), failed.len(), certificates.pairs.len()), (0, 2, 1));
        fs::rename(directory.0.join("away"), directory.0.join("live")).unwrap();
        assert_eq!(look(&mut certificates), (vec![], vec![]));
        fs::write(directory.0.join("live/b.example/privkey.pem"), "").unwrap();
        let failure = directory.read(&settings).unwrap_err();
        assert!(failure.contains("privkey.pem: has no private key"), "{failure}");
    }

    #[test]
    fn authorities_of_clients_are_replaced_when_they_can_be_used() {
        let directory = PemDirectory::new("roots");
        directory.write("one.example", "a.pem", "a.key");
        let (root, _) = directory.write("root.example", "ca.pem", "ca.key");
        let (ca_certs, cert_reqs) = (Some("ca.pem".into()), CertReqs::Required);
        let settings = Settings { ca_certs, cert_reqs, ..pair_settings() };
        let mut certificates = directory.read(&settings).unwrap();
        let path = directory.0.join("ca.pem");
        fs::write(&path, "nothing").unwrap();
        let (_, failed) = look(&mut certificates);
        assert!(failed[0].starts_with("cannot use ca-certs "), "{failed:?}");
        assert_eq!(certificates.material(&[]).client_roots.len(), 1);
        fs::write(&path, root.clone() + &root).unwrap();
        assert_eq!(look(&mut certificates).0, ["2 certificates"]);
        fs::write(&path, "nothing").unwrap();
        assert!(directory.read(&settings).unwrap_err().starts_with("cannot use ca-certs "));
    }

    #[test]
    fn workers_get_what_was_read_in_a_sealed_file() {
        use std::os::unix::fs::FileExt;
        let directory = PemDirectory::new("sealed");
        directory.write("one.example", "a.pem", "a.key");
        let mut certificates = directory.read(&pair_settings()).unwrap();
        assert!(certificates.sealed().is_none());
        let mut keys = Vec::new();
        monoceros_tls::rotate(&mut keys, 1000);
        certificates.seal(&keys).unwrap();
        let file = certificates.sealed().unwrap();
        let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let found = Material::decode(&bytes).unwrap();
        assert_eq!(found, certificates.material(&keys));
        assert_eq!((found.pairs.len(), found.ticket_keys), (1, keys));
    }

    #[test]
    fn every_name_on_the_way_to_a_file_is_watched() {
        let directory = PemDirectory::new("names");
        directory.write("one.example", "real/a.pem", "a.key");
        std::os::unix::fs::symlink("real/a.pem", directory.0.join("a.pem")).unwrap();
        let certificates = directory.read(&pair_settings()).unwrap();
        let mut names = WatchedNames::new();
        certificates.add_names(&mut names);
        let these = |names: &[&str]| NameFilter::These(names.iter().map(Into::into).collect());
        let real = fs::canonicalize(&directory.0).unwrap();
        let expected =
            [(real.clone(), these(&["a.key", "a.pem"])), (real.join("real"), these(&["a.pem"]))];
        assert_eq!(names, WatchedNames::from(expected));
    }
}
