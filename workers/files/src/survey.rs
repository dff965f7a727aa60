//! A look at the names of a file: which of them exist, and in which state.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use monoceros_http::Coding;

use crate::anchor::{Anchor, is_denial};
use crate::complaints::Complaints;
use crate::content::FoundFile;
use crate::directory::DirectoryState;
use crate::effort::Effort;
use crate::mapping::{MappingOrigin, ServedMapping};
use crate::resource::{Identities, VARIANTS};

/// What a look has found. Two looks that have found the same mean that nothing has changed, unless
/// a file was not settled.
#[derive(Debug)]
pub(crate) struct Survey {
    /// The directory among those of the mapping; `None` for a mapping of one file.
    directory: Option<(usize, Arc<DirectoryState>)>,
    identities: Identities,
    /// All files are older than the resolution of their times.
    is_settled: bool,
}

/// A name to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SurveyedName<'a> {
    pub(crate) mapping: &'a ServedMapping,
    /// The part of the path below the prefix.
    pub(crate) relative: &'a [u8],
}

/// The files of a name: the file itself, and its variants in the order of [`VARIANTS`].
pub(crate) type FoundFiles = (FoundFile, Vec<(Coding, FoundFile)>);

impl Survey {
    /// Looks at a name at this time of the monotonic clock. `None` if it leads to no file.
    ///
    /// # Errors
    /// `WouldBlock` if the look would wait and must not; those of the file system that are not
    /// about this name.
    pub(crate) fn make(
        name: SurveyedName,
        now_ms: u64,
        effort: Effort,
        complaints: &Complaints,
    ) -> io::Result<Option<Self>> {
        match &name.mapping.origin {
            MappingOrigin::File(path) => {
                let path = path.as_os_str().as_bytes();
                let found = identify_all(Anchor::everywhere(), path, effort, complaints)?;
                Ok(found.map(|identities| Self::of(None, identities)))
            }
            MappingOrigin::Directories(directories) => {
                for (at, directory) in directories.iter().enumerate() {
                    let state = directory.current(now_ms, effort)?;
                    let Some(opened) = state.directory() else { continue };
                    let anchor = directory.anchor(opened);
                    if let Some(found) = identify_all(anchor, name.relative, effort, complaints)? {
                        return Ok(Some(Self::of(Some((at, state)), found)));
                    }
                }
                Ok(None)
            }
        }
    }

    fn of(directory: Option<(usize, Arc<DirectoryState>)>, identities: Identities) -> Self {
        let is_settled = identities.iter().flatten().all(|it| it.is_settled());
        Self { directory, identities, is_settled }
    }

    /// Opens the files that were found. They are described as they are now. `None` if the file is
    /// gone.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn open(
        &mut self,
        name: SurveyedName,
        effort: Effort,
        complaints: &Complaints,
    ) -> io::Result<Option<FoundFiles>> {
        let (anchor, relative) = match (&name.mapping.origin, &self.directory) {
            (MappingOrigin::File(path), None) => {
                (Anchor::everywhere(), path.as_os_str().as_bytes())
            }
            (MappingOrigin::Directories(directories), Some((at, state))) => {
                let (Some(directory), Some(opened)) = (directories.get(*at), state.directory())
                else {
                    return Ok(None);
                };
                (directory.anchor(opened), name.relative)
            }
            _ => return Ok(None),
        };
        let open = |name: &[u8], coding| match FoundFile::open(anchor, name, coding, effort) {
            Err(error) if is_denial(&error) => {
                complaints.denied(name, &error);
                Ok(None)
            }
            opened => opened,
        };
        let Some(plain) = open(relative, None)? else { return Ok(None) };
        self.identities[0] = Some(plain.identity);
        let mut variants = Vec::new();
        for (at, (coding, ending)) in VARIANTS.into_iter().enumerate() {
            let identity = &mut self.identities[1 + at];
            if identity.is_none() {
                continue;
            }
            let found = open(&[relative, ending].concat(), Some(coding))?;
            // A variant that cannot be read stays known by the look: it is opened anew when it
            // changes.
            if let Some(found) = found {
                *identity = Some(found.identity);
                variants.push((coding, found));
            }
        }
        self.is_settled = self.identities.iter().flatten().all(|it| it.is_settled());
        Ok(Some((plain, variants)))
    }

    /// Whether a later look has found the same.
    pub(crate) fn is_unchanged(&self, later: &Self) -> bool {
        let is_same_directory = match (&self.directory, &later.directory) {
            (None, None) => true,
            (Some((at, state)), Some((later_at, later_state))) => {
                at == later_at && Arc::ptr_eq(state, later_state)
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        self.is_settled && is_same_directory && self.identities == later.identities
    }

    /// What was found of the directory; `None` for a mapping of one file.
    pub(crate) fn state(&self) -> Option<&DirectoryState> {
        self.directory.as_ref().map(|(_, state)| state.as_ref())
    }
}

/// The identities of a file and its variants; `None` if there is no such file.
fn identify_all(
    anchor: Anchor,
    name: &[u8],
    effort: Effort,
    complaints: &Complaints,
) -> io::Result<Option<Identities>> {
    let identify = |name: &[u8], complains: bool| match anchor.identify(name, effort) {
        Err(error) if is_denial(&error) => {
            if complains {
                complaints.denied(name, &error);
            }
            Ok(None)
        }
        identity => identity,
    };
    let mut identities = [identify(name, true)?, None, None, None];
    if identities[0].is_none() {
        return Ok(None);
    }
    for (at, (_, ending)) in VARIANTS.into_iter().enumerate() {
        identities[1 + at] = identify(&[name, ending].concat(), false)?;
    }
    Ok(Some(identities))
}
