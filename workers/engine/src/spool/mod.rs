//! Files for bodies: made, and kept to be used again.
//!
//! A new file costs more than the bytes that are written to it: the file system has to
//! allocate each page. A used file has its pages. Files that were not needed for a
//! while are closed: they take room on a disk that other programs need too.

pub(crate) mod allowance;
pub(crate) mod spool_file;
pub(crate) mod temporary;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use monoceros_sys::{fork, limit, memory, unnamed_file};
use monoceros_wire::spool_count::WorkerSpoolCount;

use crate::spool::allowance::{Allowance, SpoolLimit};
use crate::spool::spool_file::{MAPPED, Spool, is_full};

/// Files that are kept.
const KEPT: usize = 16;

/// How long a file is kept that is not needed, in milliseconds; at most twice that.
const UNUSED_MS: u64 = 2_000;

/// The files of a worker that no request uses at the moment.
#[derive(Debug)]
pub(crate) struct Spools {
    /// `None` where there is no directory: files are in memory then.
    directory: Option<PathBuf>,
    /// What files in the directory may take.
    on_disk: Option<Allowance>,
    in_memory: Allowance,
    spare: Mutex<SpareFiles>,
    /// The log has the line that the directory cannot be used any more.
    is_lost: AtomicBool,
}

#[derive(Debug, Default)]
struct SpareFiles {
    spools: Vec<Spool>,
    /// The fewest files since the last check.
    fewest: usize,
    next_look_ms: u64,
    /// How often the process had forked at the last check.
    forks: u32,
}

impl Spools {
    /// Files in this directory, or in memory. `count` has the bytes of all workers on disk.
    pub(crate) fn new(
        directory: Option<PathBuf>,
        limit: SpoolLimit,
        count: Option<Arc<WorkerSpoolCount>>,
    ) -> Self {
        let on_disk = directory.clone().map(|it| Allowance::of_disk(it, limit, count));
        Self {
            directory,
            on_disk,
            in_memory: Allowance::of_memory(),
            spare: Mutex::default(),
            is_lost: AtomicBool::new(false),
        }
    }

    /// Checks whether there is room for a body of this length now. Nothing is reserved for it.
    ///
    /// # Errors
    /// `StorageFull` when the files of bodies would take more than allowed.
    pub(crate) fn check_room(&self, length: u64) -> io::Result<()> {
        let on_disk = self.on_disk.as_ref().filter(|_| !self.is_lost.load(Ordering::Relaxed));
        let allowance = on_disk.unwrap_or(&self.in_memory);
        self.with_room(|| allowance.check(length))
    }

    /// Takes a file.
    ///
    /// # Errors
    /// Those of `open(2)`, with the directory; those of `memfd_create(2)`.
    pub(crate) fn take(&self) -> io::Result<Spool> {
        let mut spare = self.spare();
        let forks = fork::count();
        if std::mem::replace(&mut spare.forks, forks) != forks {
            // The forked process can read what is written to them.
            spare.spools.clear();
        }
        let spool = spare.spools.pop();
        spare.fewest = spare.fewest.min(spare.spools.len());
        drop(spare);
        match spool {
            Some(spool) => Ok(spool),
            None => self.make(),
        }
    }

    fn make(&self) -> io::Result<Spool> {
        match self.make_at_once() {
            Err(error) if lacks_descriptors(&error) && limit::wait_until_raised() => {
                self.make_at_once()
            }
            made => made,
        }
    }

    fn make_at_once(&self) -> io::Result<Spool> {
        let Some(allowance) = &self.on_disk else { return self.make_in_memory() };
        match self.unnamed() {
            Ok(file) => Ok(Spool::on_disk(file, allowance.share())),
            Err(error) if is_lost(&error) => {
                if !self.is_lost.swap(true, Ordering::Relaxed) {
                    log::warn!("bodies above 64 KiB are kept in memory: {error}");
                }
                self.make_in_memory()
            }
            Err(error) => Err(error),
        }
    }

    fn make_in_memory(&self) -> io::Result<Spool> {
        let file = memory::anonymous_file("monoceros-body")?;
        Ok(Spool::in_memory(file, self.in_memory.share()))
    }

    /// Makes a file for another purpose.
    ///
    /// # Errors
    /// Those of `open(2)`, with the directory; `NotFound` where there is none.
    pub(crate) fn unnamed(&self) -> io::Result<File> {
        let Some(directory) = &self.directory else {
            let text = "there is no directory for temporary files";
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        };
        unnamed_file::create(directory).map_err(|error| {
            if lacks_descriptors(&error) {
                return error;
            }
            let text = format!("no file in {}: {error}", directory.display());
            io::Error::new(error.kind(), text)
        })
    }

    /// Runs an action that needs room on the disk. When there is none, closes the files
    /// that no request uses, and runs it again.
    ///
    /// # Errors
    /// Those of the action.
    pub(crate) fn with_room<T>(&self, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match act() {
            Err(error) if is_full(&error) && self.forget() => act(),
            other => other,
        }
    }

    /// Closes all kept files. Returns whether there was one.
    fn forget(&self) -> bool {
        let spools = std::mem::take(&mut self.spare().spools);
        !spools.is_empty()
    }

    /// Closes files that were not needed for a while.
    pub(crate) fn look(&self, now_ms: u64) {
        let mut spare = self.spare();
        if now_ms < spare.next_look_ms {
            return;
        }
        spare.next_look_ms = now_ms + UNUSED_MS;
        let unused = spare.fewest.min(spare.spools.len());
        let spools: Vec<_> = spare.spools.drain(..unused).collect();
        spare.fewest = spare.spools.len();
        drop(spare);
        drop(spools);
    }

    /// Gives back a file that no other holder can reach.
    pub(crate) fn give_back(&self, mut spool: Spool, length: u64) {
        if spool.is_in_memory() || length > MAPPED as u64 && spool.cut().is_err() {
            return;
        }
        let mut spare = self.spare();
        if spare.spools.len() < KEPT {
            spare.spools.push(spool);
        }
    }

    fn spare(&self) -> MutexGuard<'_, SpareFiles> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this process, or the machine, can have no more descriptors now.
pub(crate) fn lacks_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Whether no file can be made in a directory, now or later: it does not exist any
/// more, or is not writable any more.
fn is_lost(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), NotADirectory | NotFound | PermissionDenied | ReadOnlyFilesystem)
}

/// Files of a test, without a limit on disk.
#[cfg(test)]
pub(crate) fn test_spools(directory: impl Into<Option<PathBuf>>) -> Spools {
    Spools::new(directory.into(), SpoolLimit::Bytes(u64::MAX), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn used(spools: &Spools, length: usize) -> i32 {
        let mut spool = spools.take().unwrap();
        let number = spool.as_raw_fd();
        spool.write_at(&vec![b'a'; length], 0).unwrap();
        spools.give_back(spool, length as u64);
        number
    }

    #[test]
    fn a_file_is_used_again_and_a_large_one_is_cut() {
        let spools = test_spools(std::env::temp_dir());
        let number = used(&spools, MAPPED + 3);
        let spool = spools.take().unwrap();
        assert_eq!((spool.as_raw_fd(), spool.start().len()), (number, MAPPED));
        let mut byte = [0];
        assert!(spool.read_at(&mut byte, MAPPED as u64).is_err());
    }

    #[test]
    fn a_file_that_is_not_needed_is_closed() {
        let spools = test_spools(std::env::temp_dir());
        used(&spools, 1);
        spools.look(0);
        used(&spools, 1);
        spools.look(UNUSED_MS);
        assert_eq!(spools.spare().spools.len(), 1);
        spools.look(2 * UNUSED_MS);
        assert_eq!(spools.spare().spools.len(), 0);
    }

    #[test]
    fn kept_files_count_until_their_room_is_needed() {
        let limit = SpoolLimit::Bytes(3 * MAPPED as u64);
        let spools = Spools::new(Some(std::env::temp_dir()), limit, None);
        let (mut one, mut two) = (spools.take().unwrap(), spools.take().unwrap());
        one.write_at(&vec![b'a'; 2 * MAPPED], 0).unwrap();
        two.write_at(&vec![b'a'; MAPPED], 0).unwrap();
        assert!(two.write_at(b"a", MAPPED as u64).is_err());
        spools.give_back(one, 2 * MAPPED as u64);
        two.write_at(b"a", MAPPED as u64).unwrap();
        assert_eq!(spools.spare().spools.len(), 1, "a mebibyte of it is kept");
        spools.check_room(1).unwrap();
        assert_eq!(spools.spare().spools.len(), 0);
        assert!(spools.check_room(MAPPED as u64 + 1).is_err());
    }

    #[test]
    fn unused_files_make_room() {
        let spools = test_spools(std::env::temp_dir());
        used(&spools, 1);
        let mut tries = 0;
        let full = || -> io::Result<()> {
            tries += 1;
            Err(io::ErrorKind::StorageFull.into())
        };
        assert!(spools.with_room(full).is_err());
        assert_eq!((tries, spools.spare().spools.len()), (2, 0));
    }

    #[test]
    fn without_a_directory_files_are_in_memory_and_not_kept() {
        let nowhere = PathBuf::from("/proc/nowhere");
        for spools in [test_spools(None), test_spools(nowhere)] {
            let spool = spools.take().unwrap();
            assert!(spool.is_in_memory());
            spools.give_back(spool, 1);
            assert!(spools.spare().spools.is_empty());
        }
    }

    #[test]
    fn an_error_names_the_directory() {
        let error = test_spools(PathBuf::from("/nowhere")).unnamed().unwrap_err();
        assert!(error.to_string().starts_with("no file in /nowhere: "));
    }
}
