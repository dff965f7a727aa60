//! Files for bodies that are too large for memory, used again and again.
//!
//! A new file costs more than what goes through it: the file system has to find
//! a page for every one that is written. A file that was used before has them,
//! and since its beginning is mapped, bytes go there from the socket directly.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use monoceros_sys::file;
use monoceros_sys::memory::FileStart;

/// Files that are kept.
const KEPT: usize = 16;

/// The bytes of a file that are mapped, and kept with it.
const MAPPED: usize = 1 << 20;

/// A file for a body. What stands in it may be of an earlier request: only what
/// has been written since may be read.
#[derive(Debug)]
pub struct Spool {
    file: File,
    /// `None` where the file system cannot reserve room.
    start: Option<FileStart>,
}

impl Spool {
    /// Where at most `limit` bytes at `offset` can be received to; `None` when
    /// that has to be done by way of memory.
    pub(crate) fn room(&mut self, offset: u64, limit: u64) -> Option<&mut [u8]> {
        let bytes = self.start.as_mut()?.bytes_mut();
        let offset = usize::try_from(offset).ok().filter(|offset| *offset < bytes.len())?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let end = offset.saturating_add(limit).min(bytes.len());
        Some(&mut bytes[offset..end])
    }

    /// Writes bytes at `offset`.
    ///
    /// # Errors
    /// Those of `pwrite(2)`.
    pub(crate) fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// The beginning of the file, as far as it is in memory. What stands behind
    /// the body is of earlier requests.
    #[must_use]
    pub fn start(&self) -> &[u8] {
        self.start.as_ref().map_or(&[], FileStart::bytes)
    }

    /// Reads exactly what stands at `offset`.
    ///
    /// # Errors
    /// Those of `pread(2)`; `UnexpectedEof` when the file is shorter.
    pub fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).ok().and_then(|offset| self.start().get(offset..));
        let start = start.unwrap_or(&[]);
        let (mapped, rest) = into.split_at_mut(start.len().min(into.len()));
        mapped.copy_from_slice(&start[..mapped.len()]);
        self.file.read_exact_at(rest, offset + mapped.len() as u64)
    }
}

impl AsFd for Spool {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Spool {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

/// The files of a worker that nobody uses at the moment.
#[derive(Debug)]
pub(crate) struct Spools {
    directory: PathBuf,
    spare: Mutex<Vec<Spool>>,
}

impl Spools {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, spare: Mutex::default() }
    }

    /// Takes a file.
    ///
    /// # Errors
    /// Those of `open(2)`, with the directory.
    pub(crate) fn take(&self) -> io::Result<Spool> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(spool) = spare {
            return Ok(spool);
        }
        let file = self.unnamed()?;
        match FileStart::map(&file, MAPPED) {
            Ok(start) => Ok(Spool { file, start: Some(start) }),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(self.no_file(&error)),
            Err(_) => Ok(Spool { file, start: None }),
        }
    }

    /// Makes a file for something else.
    ///
    /// # Errors
    /// Those of `open(2)`, with the directory.
    pub(crate) fn unnamed(&self) -> io::Result<File> {
        file::unnamed(&self.directory).map_err(|error| self.no_file(&error))
    }

    fn no_file(&self, error: &io::Error) -> io::Error {
        let text = format!("no file in {}: {error}", self.directory.display());
        io::Error::new(error.kind(), text)
    }

    /// Keeps no file of before.
    pub(crate) fn forget(&self) {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Gives back a file that nobody else can reach.
    pub(crate) fn give_back(&self, spool: Spool, length: u64) {
        if length > MAPPED as u64 && spool.file.set_len(MAPPED as u64).is_err() {
            return;
        }
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < KEPT {
            spare.push(spool);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_used_again_and_a_large_one_is_cut() {
        let spools = Spools::new(std::env::temp_dir());
        let mut spool = spools.take().unwrap();
        let number = spool.as_raw_fd();
        let length = MAPPED as u64 + 3;
        spool.write_at(b"abc", MAPPED as u64).unwrap();
        spools.give_back(spool, length);
        let spool = spools.take().unwrap();
        assert_eq!(spool.as_raw_fd(), number);
        assert_eq!(spool.file.metadata().unwrap().len(), MAPPED as u64);
    }

    #[test]
    fn what_is_written_is_read_across_the_end_of_the_mapping() {
        let mut mapped = Spools::new(std::env::temp_dir()).take().unwrap();
        let mut plain = Spool { file: mapped.file.try_clone().unwrap(), start: None };
        let end = MAPPED as u64;
        assert_eq!(mapped.room(end - 3, 9).unwrap().len(), 3);
        assert!(mapped.room(end, 9).is_none() && plain.room(0, 9).is_none());
        mapped.write_at(b"hello", end - 3).unwrap();
        plain.write_at(b"j", end - 3).unwrap();
        for spool in [mapped, plain] {
            let mut found = [0; 5];
            spool.read_at(&mut found, end - 3).unwrap();
            assert_eq!(&found, b"jello");
            spool.read_at(&mut found[..2], end).unwrap();
            assert_eq!(&found[..2], b"lo");
            assert!(spool.read_at(&mut found, end).is_err());
        }
    }

    #[test]
    fn an_error_names_the_directory() {
        let error = Spools::new(PathBuf::from("/nowhere")).take().unwrap_err();
        assert!(error.to_string().starts_with("no file in /nowhere: "));
    }
}
