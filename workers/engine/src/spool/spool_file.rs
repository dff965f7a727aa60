//! A file for a body that is too large for memory.
//!
//! Bytes are received directly to the file where its beginning is mapped, and are read
//! from there without a system call. Room is reserved as the body arrives: a length
//! that a client announces costs nothing.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::FileExt;

use monoceros_sys::memory::FileStart;

use crate::spool::allowance::Share;

/// The bytes of a file that are mapped, and kept with it.
pub(crate) const MAPPED: usize = 1 << 20;

/// The least room that is reserved at a time, in bytes.
const LEAST_STEP: usize = 16 * 1024;

/// The bytes that are counted at a time behind the mapped ones: each count reads what other
/// workers have.
const COUNTED: u64 = 1 << 20;

/// A file for a body. It may have bytes of an earlier request: only what has been
/// written since may be read.
#[derive(Debug)]
pub struct Spool {
    file: File,
    /// `None` where the file system cannot reserve room.
    start: Option<FileStart>,
    is_in_memory: bool,
    /// Its share of what such files may take.
    share: Share,
}

impl Spool {
    /// Makes a spool of a new file on a disk.
    pub(crate) fn on_disk(file: File, share: Share) -> Self {
        Self::new(file, false, share)
    }

    /// Makes a spool of a new file in memory.
    pub(crate) fn in_memory(file: File, share: Share) -> Self {
        Self::new(file, true, share)
    }

    fn new(file: File, is_in_memory: bool, share: Share) -> Self {
        let start = FileStart::map(&file, MAPPED).ok();
        Self { file, start, is_in_memory, share }
    }

    /// Whether the file is in memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.is_in_memory
    }

    /// Reserves room for the next bytes, at most `limit`, at `offset`: as much again as
    /// precedes them.
    ///
    /// # Errors
    /// A full disk, or more than such files may take.
    pub(crate) fn prepare(&mut self, offset: u64, limit: u64) -> io::Result<()> {
        let Some(start) = &mut self.start else { return Ok(()) };
        let Some(offset) = usize::try_from(offset).ok().filter(|offset| *offset < MAPPED) else {
            return Ok(());
        };
        if offset < start.bytes().len() {
            return Ok(());
        }
        let step = offset.max(LEAST_STEP).min(usize::try_from(limit).unwrap_or(usize::MAX));
        let end = offset.saturating_add(step).min(MAPPED);
        self.share.grow(end as u64)?;
        match start.reserve(&self.file, end) {
            Err(error) if is_full(&error) => Err(error),
            // A file system that cannot reserve: bytes pass through memory.
            Err(_) => {
                self.start = None;
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Where at most `limit` bytes at `offset` can be received to; `None` when they
    /// must pass through memory.
    pub(crate) fn room(&mut self, offset: u64, limit: u64) -> Option<&mut [u8]> {
        let bytes = self.start.as_mut()?.bytes_mut();
        let offset = usize::try_from(offset).ok().filter(|offset| *offset < bytes.len())?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let end = offset.saturating_add(limit).min(bytes.len());
        Some(&mut bytes[offset..end])
    }

    /// Writes bytes at `offset`, where the last ones ended.
    ///
    /// # Errors
    /// Those of `pwrite(2)`; more than such files may take.
    pub(crate) fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = offset + bytes.len() as u64;
        let counted = if end > MAPPED as u64 { end.next_multiple_of(COUNTED) } else { end };
        self.share.grow(counted)?;
        self.file.write_all_at(bytes, offset)?;
        if let Some(start) = &mut self.start {
            start.note_written(end);
        }
        Ok(())
    }

    /// Makes the file no longer than its mapped part.
    ///
    /// # Errors
    /// Those of `ftruncate(2)`.
    pub(crate) fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(MAPPED as u64)?;
        self.share.shrink(MAPPED as u64);
        Ok(())
    }

    /// The beginning of the file, as far as it is in memory. The bytes behind the body
    /// are of earlier requests.
    #[must_use]
    pub fn start(&self) -> &[u8] {
        self.start.as_ref().map_or(&[], FileStart::bytes)
    }

    /// Reads exactly the bytes at `offset`.
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

/// Whether an error means that there is no room: on the disk, in the user's quota, or
/// in the memory for such files.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::allowance::Allowance;
    use crate::spool::test_spools;

    #[test]
    fn written_bytes_are_read_across_the_end_of_the_mapping() {
        let mut mapped = test_spools(std::env::temp_dir()).take().unwrap();
        let file = mapped.file.try_clone().unwrap();
        let share = Allowance::of_memory().share();
        let mut plain = Spool { file, start: None, is_in_memory: false, share };
        let end = MAPPED as u64;
        mapped.write_at(&vec![b'a'; MAPPED], 0).unwrap();
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
    fn room_grows_with_received_bytes_and_not_with_the_announced_length() {
        let mut spool = test_spools(std::env::temp_dir()).take().unwrap();
        let announced = 1 << 40;
        assert_eq!(spool.file.metadata().unwrap().len(), 0);
        for (offset, room) in [(0, LEAST_STEP), (LEAST_STEP, LEAST_STEP), (32 << 10, 32 << 10)] {
            spool.prepare(offset as u64, announced).unwrap();
            assert_eq!(spool.room(offset as u64, announced).unwrap().len(), room);
        }
        spool.prepare(64 << 10, 10).unwrap();
        assert_eq!(spool.room(64 << 10, 10).unwrap().len(), 10);
        spool.prepare(MAPPED as u64, announced).unwrap();
        assert!(spool.room(MAPPED as u64, announced).is_none());
    }
}
