//! A file in memory in which a worker's interpreter writes the stacks of its threads
//! when the master asks for them by a signal. It needs neither the interpreter's lock
//! nor a thread that is not stuck.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use monoceros_sys::memory;

/// The signal that asks for the stacks. Programs and libraries that use real-time
/// signals (`signal(7)`) count from the first or from the last of them: this one is in
/// the middle. Its default action ends a process, so it is only sent to a worker whose
/// scoreboard has a `stacks_thread`.
pub const SIGNAL: i32 = 50;

/// The most that is taken at a time, in bytes: stacks of a hundred threads.
const LIMIT: usize = 1 << 20;

/// The file, on either side.
#[derive(Debug)]
pub struct Stacks {
    file: File,
}

impl Stacks {
    /// Makes the file.
    ///
    /// # Errors
    /// Those of `memfd_create(2)`.
    pub fn create() -> io::Result<Self> {
        Ok(Self { file: memory::appended_file("monoceros-stacks")? })
    }

    /// How many bytes are written and not taken.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |found| found.len())
    }

    /// Takes what was written, in order; empty if nothing was. Text that is being
    /// written at this moment may be cut in two, or in the worst case lost: must be
    /// called when the writer has had time.
    #[must_use]
    pub fn take(&self) -> String {
        // A file in memory fails only for want of memory: then there is nothing to
        // report.
        let bytes = self.drain().unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn drain(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut piece = [0; 16 * 1024];
        while bytes.len() < LIMIT {
            match self.file.read_at(&mut piece, bytes.len() as u64)? {
                0 => break,
                count => bytes.extend_from_slice(&piece[..count]),
            }
        }
        if !bytes.is_empty() {
            self.file.set_len(0)?;
        }
        Ok(bytes)
    }
}

impl From<OwnedFd> for Stacks {
    fn from(fd: OwnedFd) -> Self {
        Self { file: fd.into() }
    }
}

impl From<Stacks> for OwnedFd {
    fn from(stacks: Stacks) -> Self {
        stacks.file.into()
    }
}

impl AsFd for Stacks {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn two_sides() -> (Stacks, File) {
        let master = Stacks::create().unwrap();
        let worker = Stacks::from(master.as_fd().try_clone_to_owned().unwrap());
        (master, OwnedFd::from(worker).into())
    }

    #[test]
    fn written_stacks_are_taken_once() {
        let (master, mut worker) = two_sides();
        assert_eq!(master.take(), "");
        worker.write_all(b"Thread 1\n").unwrap();
        worker.write_all(b"  in f\n").unwrap();
        assert_eq!(master.length(), 16);
        assert_eq!(master.take(), "Thread 1\n  in f\n");
        assert_eq!(master.take(), "");
        worker.write_all(b"again").unwrap();
        assert_eq!(master.take(), "again");
    }

    #[test]
    fn a_file_with_any_content_is_taken_within_bounds() {
        let (master, mut worker) = two_sides();
        worker.write_all(b"\xff\0a").unwrap();
        assert_eq!(master.take(), "\u{fffd}\0a");
        worker.set_len(1 << 40).unwrap();
        assert!(master.take().len() < 2 * LIMIT);
        assert_eq!(worker.metadata().unwrap().len(), 0);
    }
}
