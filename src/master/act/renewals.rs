//! Owns what keeps certificates and the keys of session tickets new while the server runs:
//! inotify(7), the times of looks, and the keys. Sends workers what has changed. Called by the
//! event loop only.

use std::os::fd::AsFd;
use std::time::Instant;

use monoceros_sys::directory_watch::{DirectoryWatch, WatchedNames};
use monoceros_sys::{clock, reason};
use monoceros_tls::TicketKey;

use crate::master::act::certificates::look::FilesContent;
use crate::master::act::generations::Generations;
use crate::master::act::poller::{PollSource, Poller};
use crate::master::act::processes::Processes;
use crate::master::decide::certificate_watch::{CertificateLine, CertificateWatch};

/// The renewal of certificates and ticket keys.
pub(crate) struct Renewals {
    /// `None` until a generation has certificates, and if the kernel has none left.
    directories: Option<DirectoryWatch>,
    /// The names that are watched.
    names: WatchedNames,
    watch: CertificateWatch,
    /// The newest first. They outlive reloads and upgrades, so that clients can resume their
    /// sessions.
    ticket_keys: Vec<TicketKey>,
}

impl Renewals {
    /// With the ticket keys of the predecessor.
    pub(crate) fn new(ticket_keys: Vec<TicketKey>) -> Self {
        Self {
            directories: None,
            names: WatchedNames::new(),
            watch: CertificateWatch::new(Instant::now()),
            ticket_keys,
        }
    }

    /// The ticket keys, for a successor.
    pub(crate) fn ticket_keys(&self) -> &[TicketKey] {
        &self.ticket_keys
    }

    /// When the files must be looked at; never without certificates.
    pub(crate) fn deadline(&self, generations: &Generations) -> Option<Instant> {
        generations.have_certificates().then(|| self.watch.deadline())
    }

    /// What concerns the operator: a certificate that expires soon, or a renewal that has
    /// failed.
    pub(crate) fn concern(&self, generations: &Generations) -> Option<String> {
        self.watch.concern().filter(|_| generations.have_certificates())
    }

    /// A generation was read: seals its certificates for the workers, and watches their
    /// files.
    pub(crate) fn begin(
        &mut self,
        generations: &mut Generations,
        poller: &Poller,
    ) -> Result<(), String> {
        if !generations.have_certificates() {
            return Ok(());
        }
        self.rotate_ticket_keys();
        for (_, certificates) in generations.certificates_mut() {
            if certificates.sealed().is_none() {
                certificates.seal(&self.ticket_keys).map_err(|error| {
                    format!("cannot pass certificates on to workers: {}", reason(&error))
                })?;
            }
        }
        self.warn(generations);
        self.watch_names(generations, poller);
        Ok(())
    }

    /// Reads what inotify(7) has noticed.
    pub(crate) fn note_changes(&mut self, now: Instant) {
        if self.directories.as_mut().is_some_and(DirectoryWatch::take) {
            self.watch.note_change(now);
        }
    }

    /// Looks at the files if it is time for that. The workers are sent what has changed.
    /// Returns whether it was time.
    pub(crate) fn look(
        &mut self,
        generations: &mut Generations,
        processes: &mut Processes,
        poller: &Poller,
        now: Instant,
    ) -> bool {
        if !generations.have_certificates() || !self.watch.take_due(now) {
            return false;
        }
        let has_new_keys = self.rotate_ticket_keys();
        let (mut lines, mut names): (Vec<CertificateLine>, Vec<String>) = Default::default();
        for (generation, certificates) in generations.certificates_mut() {
            let mut is_changed = has_new_keys;
            for look in certificates.look() {
                let files = &look.files;
                let line = match &look.found {
                    Ok(FilesContent::Same) => self.watch.note_success(files, None),
                    Ok(FilesContent::New(what)) => self.watch.note_success(files, Some(what)),
                    Ok(FilesContent::Removed) => Some(self.watch.note_removal(files)),
                    Err(why) => self.watch.note_failure(files, why, now),
                };
                is_changed |= !matches!(look.found, Ok(FilesContent::Same) | Err(_));
                // Two generations may have the same files.
                lines.extend(line.filter(|line| !lines.contains(line)));
                names.push(look.files);
            }
            if is_changed && let Err(error) = certificates.seal(&self.ticket_keys) {
                let why = reason(&error);
                lines.push((log::Level::Error, format!("cannot pass certificates on: {why}")));
            } else if let Some(sealed) = certificates.sealed() {
                processes.send_certificates(generation, sealed, is_changed);
            }
        }
        self.watch.keep_failures(|files| names.iter().any(|name| name == files));
        lines.into_iter().for_each(|(level, text)| log::log!(level, "{text}"));
        self.warn(generations);
        self.watch_names(generations, poller);
        true
    }

    /// Makes the ticket keys that are due. Returns whether there are new ones.
    fn rotate_ticket_keys(&mut self) -> bool {
        monoceros_tls::rotate(&mut self.ticket_keys, clock::wall_seconds().unsigned_abs())
    }

    /// Logs the warnings about files, and about certificates that expire soon. Generations may
    /// have been read or dropped.
    pub(crate) fn warn(&mut self, generations: &mut Generations) {
        let mut warnings = Vec::new();
        let mut expiries = Vec::new();
        for (_, certificates) in generations.certificates_mut() {
            warnings.extend(certificates.take_warnings());
            expiries.extend(certificates.expiries());
        }
        warnings.dedup();
        warnings.iter().for_each(|text| log::warn!("{text}"));
        let lines = self.watch.note_expiries(&expiries, clock::wall_seconds());
        lines.into_iter().for_each(|(level, text)| log::log!(level, "{text}"));
    }

    /// Watches the names of all files and of the links to them. Without inotify(7) the files
    /// are still looked at once a minute. A directory that was replaced is watched anew.
    fn watch_names(&mut self, generations: &mut Generations, poller: &Poller) {
        let mut names = WatchedNames::new();
        generations
            .certificates_mut()
            .for_each(|(_, certificates)| certificates.add_names(&mut names));
        if self.directories.is_none() {
            self.directories = open(poller);
        }
        let Some(directories) = &mut self.directories else { return };
        if let Some((path, error)) = directories.watch(names.clone()).first() {
            let (path, why) = (path.display(), reason(error));
            log::debug!("cannot watch {path}: {why}; certificates are looked at once a minute");
        }
        if names != self.names {
            self.names = names;
            // A file may have changed before it was watched.
            self.watch.note_change(Instant::now());
        }
    }
}

fn open(poller: &Poller) -> Option<DirectoryWatch> {
    let opened = DirectoryWatch::new().and_then(|directories| {
        poller.register(directories.as_fd(), PollSource::Certificates)?;
        Ok(directories)
    });
    opened
        .inspect_err(|error| {
            let why = reason(error);
            log::warn!("cannot watch certificates: {why}; they are looked at once a minute");
        })
        .ok()
}
