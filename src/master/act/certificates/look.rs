//! The look at the files of certificates after they were read: what has changed, and whether
//! it can be used.

use monoceros_config::CertificateSource;
use monoceros_sys::clock::wall_seconds;
use monoceros_tls::CertificateFacts;

use crate::master::act::certificates::pair_files::{PairFiles, name_of};
use crate::master::act::certificates::{Certificates, LoadedPair, day_of, describe};
use crate::master::act::pem_file::FileStamp;

/// What a look at some files has found.
#[derive(Debug)]
pub(crate) struct FilesLook {
    /// The setting and the path.
    pub(crate) files: String,
    /// What they hold now, or why they cannot be used.
    pub(crate) found: Result<FilesContent, String>,
}

/// What files hold at a look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FilesContent {
    /// The same as before.
    Same,
    /// Something new, with its description.
    New(String),
    /// Nothing: their directory was removed from a directory of certificates.
    Removed,
}

impl Certificates {
    /// Looks at all files. What cannot be used leaves what was read before in use.
    pub(crate) fn look(&mut self) -> Vec<FilesLook> {
        let mut looks = Vec::new();
        let mut before = std::mem::take(&mut self.pairs);
        for source in self.sources.clone() {
            let mut listed = PairFiles::list(&source).unwrap_or_else(|why| {
                looks.push(FilesLook { files: name_of(&source), found: Err(why) });
                Vec::new()
            });
            if let CertificateSource::Directory(path) = &source {
                // If none is listed, the directory is not there now. Otherwise one that is gone
                // with its own directory was removed on purpose.
                let has_none = listed.is_empty();
                let stays = |it: &&PairFiles| {
                    let directory = it.certfile.parent();
                    has_none || directory.is_some_and(|directory| directory.exists())
                };
                let known = before.iter().map(|it| &it.files);
                let known = known.filter(|it| it.certfile.starts_with(path));
                listed.extend(known.filter(stays).cloned());
                listed.sort();
                listed.dedup();
            }
            for files in listed {
                if self.has(&files) {
                    continue;
                }
                let known = before.iter().position(|it| it.files == files);
                let known = known.map(|index| before.swap_remove(index));
                let (look, kept) = self.look_at(files, known);
                looks.push(look);
                self.pairs.extend(kept);
            }
        }
        let removed = before.into_iter().map(|it| it.files.name());
        looks.extend(removed.map(|files| FilesLook { files, found: Ok(FilesContent::Removed) }));
        looks.extend(self.look_at_roots());
        looks
    }

    /// Looks at the files of one certificate. `known` is what was read before.
    fn look_at(
        &mut self,
        files: PairFiles,
        known: Option<LoadedPair>,
    ) -> (FilesLook, Option<LoadedPair>) {
        let name = files.name();
        if known.as_ref().is_some_and(|known| files.stamps().as_ref() == Some(&known.stamps)) {
            return (FilesLook { files: name, found: Ok(FilesContent::Same) }, known);
        }
        match self.read_again(&files, known.as_ref()) {
            Ok(loaded) => {
                let is_same = known.is_some_and(|known| known.pair == loaded.pair);
                let content = if is_same {
                    FilesContent::Same
                } else {
                    FilesContent::New(describe(&loaded.facts))
                };
                (FilesLook { files: name, found: Ok(content) }, Some(loaded))
            }
            Err(why) => (FilesLook { files: name, found: Err(why) }, known),
        }
    }

    /// Reads a certificate again. One that is not valid now does not replace one that is.
    fn read_again(
        &mut self,
        files: &PairFiles,
        known: Option<&LoadedPair>,
    ) -> Result<LoadedPair, String> {
        let warnings = self.warnings.len();
        let loaded = self.read_pair(files)?;
        let now = wall_seconds();
        let is_worse = !loaded.facts.is_valid_at(now);
        let Some(known) = known.filter(|it| is_worse && it.facts.is_valid_at(now)) else {
            return Ok(loaded);
        };
        self.warnings.truncate(warnings);
        let CertificateFacts { not_before, not_after, .. } = loaded.facts;
        Err(format!(
            "cannot use {}: the certificate is valid from {} to {}, and the one before until {}",
            files.name(),
            day_of(not_before),
            day_of(not_after),
            day_of(known.facts.not_after)
        ))
    }

    fn look_at_roots(&mut self) -> Option<FilesLook> {
        let path = self.roots_path.clone()?;
        let files = format!("ca-certs {}", path.display());
        let stamp = FileStamp::of(&path);
        let before = self.roots.as_ref()?;
        if stamp.as_ref() == Some(&before.stamp) {
            return Some(FilesLook { files, found: Ok(FilesContent::Same) });
        }
        let found = self.read_roots().map(|roots| {
            let count = roots.as_ref().map_or(0, |roots| roots.content.certificates.len());
            let all = roots.as_ref().map(|it| it.content.certificates.as_slice());
            let is_same = all == Some(self.client_roots());
            self.roots = roots;
            if is_same {
                return FilesContent::Same;
            }
            let plural = if count == 1 { "" } else { "s" };
            FilesContent::New(format!("{count} certificate{plural}"))
        });
        Some(FilesLook { files, found })
    }
}
