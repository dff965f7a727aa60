//! The content of a file, and the entity tag that is made of it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use monoceros_engine::{FilePart, LocalContent, SharedBytes};
use monoceros_http::Coding;
use monoceros_sys::beneath::OpenPurpose;
use monoceros_sys::fork::Mark;
use monoceros_sys::page_cache;

use crate::anchor::{Anchor, is_absence};
use crate::effort::Effort;
use crate::identity::FileIdentity;

/// The largest content that is read and kept in memory, in bytes: 64 KiB.
const LARGEST_IN_MEMORY: u64 = 64 << 10;

/// How often a file is read that changes meanwhile.
const TRIES: usize = 4;

/// The bytes of a hash that an entity tag has.
const TAG_BYTES: usize = 16;

/// The content of a file.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// All of it.
    Memory(Arc<[u8]>),
    /// The open file.
    Open(Arc<File>),
}

impl Content {
    /// A part of it, to be sent.
    pub(crate) fn part(&self, offset: u64, length: u64) -> LocalContent {
        match self {
            Self::Memory(content) => {
                let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
                let range = at(offset)..at(offset.saturating_add(length));
                SharedBytes::new(Arc::clone(content)).part(range).into()
            }
            Self::Open(file) => FilePart { file: Arc::clone(file), offset, length }.into(),
        }
    }
}

/// A file as it was found.
#[derive(Debug)]
pub(crate) struct FoundFile {
    // Dropped first: after the close the number may belong to another file.
    _mark: Option<Mark>,
    pub(crate) content: Content,
    pub(crate) identity: FileIdentity,
    /// The entity tag, with its quotes.
    pub(crate) entity_tag: Vec<u8>,
}

impl FoundFile {
    /// Opens a file, and reads a small one. `None` if the name is missing or belongs to something
    /// else. `coding` is that of a variant.
    ///
    /// # Errors
    /// `WouldBlock` if name or content are not in memory and the call must not wait; those of
    /// `openat2(2)` and `read(2)`.
    pub(crate) fn open(
        anchor: Anchor,
        name: &[u8],
        coding: Option<Coding>,
        effort: Effort,
    ) -> io::Result<Option<Self>> {
        for _ in 0..TRIES {
            // A device or a FIFO would notice an open(2).
            if anchor.identify(name, effort)?.is_none() {
                return Ok(None);
            }
            let file = match anchor.open(name, OpenPurpose::Read, effort) {
                Ok(file) => File::from(file),
                Err(error) if is_absence(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
            let Some(identity) = FileIdentity::of(file.as_fd())? else { return Ok(None) };
            if identity.size > LARGEST_IN_MEMORY {
                return Ok(Some(Self::opened(file, identity, coding)));
            }
            let content = read(&file, identity.size, effort)?;
            // Bytes of two states of the file are no content.
            let is_whole = content.len() as u64 == identity.size;
            if is_whole && FileIdentity::of(file.as_fd())? == Some(identity) {
                return Ok(Some(Self::read(content, identity, coding)));
            }
        }
        Err(io::Error::other("it changes while it is read"))
    }

    /// A file whose content is sent from the disk. Its entity tag is made of all that changes when
    /// the file is written or replaced; a hash hides the numbers of the file system.
    fn opened(file: File, identity: FileIdentity, coding: Option<Coding>) -> Self {
        let FileIdentity { inode, size, modified, changed, .. } = identity;
        let text = format!("{inode} {size} {modified:?} {changed:?}");
        let mark = Mark::new(file.as_fd());
        let entity_tag = entity_tag(b"file", text.as_bytes(), coding);
        Self { _mark: Some(mark), content: Content::Open(Arc::new(file)), identity, entity_tag }
    }

    /// A file with this content, of which the entity tag is made: it is the same on each machine
    /// that has the file.
    fn read(content: Vec<u8>, identity: FileIdentity, coding: Option<Coding>) -> Self {
        let entity_tag = entity_tag(b"content", &content, coding);
        Self { _mark: None, content: Content::Memory(content.into()), identity, entity_tag }
    }

    /// The length of the content.
    pub(crate) fn length(&self) -> u64 {
        match &self.content {
            Content::Memory(content) => content.len() as u64,
            Content::Open(_) => self.identity.size,
        }
    }
}

/// Reads so many bytes from the beginning of a file; fewer if it has become shorter.
fn read(file: &File, size: u64, effort: Effort) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut content = Vec::new();
    match effort {
        Effort::Waiting => _ = file.take(size as u64).read_to_end(&mut content)?,
        Effort::Cached if size == 0 => {}
        Effort::Cached => {
            content.resize(size, 0);
            let count = page_cache::read(file.as_fd(), &mut content, 0);
            if !count.is_ok_and(|count| count == size) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
    }
    Ok(content)
}

/// An entity tag of a hash. The coding is a part of it: variants of one file may have the same
/// bytes, and their representations differ.
fn entity_tag(kind: &[u8], bytes: &[u8], coding: Option<Coding>) -> Vec<u8> {
    let mut hash = Context::new(&SHA256);
    hash.update(kind);
    hash.update(b"\0");
    hash.update(bytes);
    let mut tag = vec![b'"'];
    for byte in &hash.finish().as_ref()[..TAG_BYTES] {
        tag.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    if let Some(coding) = coding {
        tag.push(b'-');
        tag.extend_from_slice(coding.token().as_bytes());
    }
    tag.push(b'"');
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_tag_depends_on_content_and_coding() {
        let plain = entity_tag(b"content", b"a", None);
        assert_eq!(plain, entity_tag(b"content", b"a", None));
        assert_eq!((plain.len(), plain[0], plain[33]), (34, b'"', b'"'));
        let tags = [
            plain,
            entity_tag(b"content", b"b", None),
            entity_tag(b"file", b"a", None),
            entity_tag(b"content", b"a", Some(Coding::Gzip)),
            entity_tag(b"content", b"a", Some(Coding::Brotli)),
        ];
        for (at, tag) in tags.iter().enumerate() {
            assert!(!tags[..at].contains(tag));
        }
    }
}
