//! The look at the files of certificates after they were read: what has changed, and whether
//! it can be used.

use monoceros_config::CertificateSource;

use crate::master::act::certificates::pair_files::{PairFiles, name_of};
use crate::master::act::certificates::{Certificates, LoadedPair, describe};
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
        match self.read_pair(&files) {
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

    fn look_at_roots(&mut self) -> Option<FilesLook> {
        let path = self.roots_path.clone()?;
        let files = format!("ca-certs {}", path.display());
        let stamp = FileStamp::of(&path);
        let before = self.roots.as_ref()?;
        if stamp.as_ref() == Some(&before.stamp) {
            return Some(FilesLook { files, found: Ok(FilesContent::Same) });
        }
        let found = self.read_roots().map(|roots| {
            let count = roots.as_ref().map_or(0, |roots| roots.certificates.len());
            let changed = [&self.roots, &roots].map(|it| it.as_ref().map(|it| &it.certificates));
            let is_same = changed[0] == changed[1];
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
