//! How many bytes of requests' bodies are on disk, for all workers of a server: a word for each
//! worker in memory that all of them map. A worker changes its own word only, by one step each
//! time, so a worker that is killed leaves a true number, which the master clears.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use monoceros_sys::memory::SharedWords;

/// The word with the number of places that have been in use.
const IN_USE: usize = 0;
/// The word of the first place.
const FIRST: usize = 1;
/// How many workers can be counted at a time: those of several generations.
pub const SPOOL_PLACES: usize = 4096;

/// The words of all workers.
#[derive(Debug)]
pub struct SpoolCount {
    memory: SharedWords,
}

impl SpoolCount {
    /// Makes the memory, in which no worker has bytes.
    ///
    /// # Errors
    /// Those of `memfd_create(2)` and `mmap(2)`.
    pub fn create() -> io::Result<Self> {
        let memory = SharedWords::create("monoceros-spool", FIRST + SPOOL_PLACES)?;
        Ok(Self { memory })
    }

    /// Gives this place to a new worker, which has no bytes. For the master.
    pub fn clear(&self, place: usize) {
        if let Some(word) = self.places().get(place) {
            word.store(0, Ordering::Relaxed);
            self.memory.words()[IN_USE].fetch_max(place as u64 + 1, Ordering::Relaxed);
        }
    }

    /// The bytes of all workers.
    #[must_use]
    pub fn total(&self) -> u64 {
        let in_use = self.memory.words()[IN_USE].load(Ordering::Relaxed);
        let in_use = usize::try_from(in_use).unwrap_or(usize::MAX).min(SPOOL_PLACES);
        let bytes = self.places()[..in_use].iter().map(|word| word.load(Ordering::SeqCst));
        bytes.fold(0, u64::saturating_add)
    }

    fn places(&self) -> &[AtomicU64] {
        &self.memory.words()[FIRST..]
    }
}

impl AsFd for SpoolCount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

/// The same, in a worker.
#[derive(Debug)]
pub struct WorkerSpoolCount {
    count: SpoolCount,
    place: usize,
}

impl WorkerSpoolCount {
    /// Maps the memory that the master has made. This worker has the place.
    ///
    /// # Errors
    /// Those of `mmap(2)`; `InvalidData` if the memory is of another size, or there is no such
    /// place.
    pub fn adopt(fd: OwnedFd, place: usize) -> io::Result<Self> {
        let memory = SharedWords::adopt(fd)?;
        if memory.words().len() != FIRST + SPOOL_PLACES || place >= SPOOL_PLACES {
            let why = "a count of the bodies on disk with another layout";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(Self { count: SpoolCount { memory }, place })
    }

    /// Adds bytes of this worker. Returns the bytes of all workers. Of two workers that add at
    /// the same time, at least one gets a number that contains both.
    pub fn add(&self, bytes: u64) -> u64 {
        self.own().fetch_add(bytes, Ordering::SeqCst);
        self.count.total()
    }

    /// Subtracts bytes of this worker.
    pub fn subtract(&self, bytes: u64) {
        self.own().fetch_sub(bytes, Ordering::SeqCst);
    }

    fn own(&self) -> &AtomicU64 {
        &self.count.places()[self.place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(master: &SpoolCount, place: usize) -> WorkerSpoolCount {
        master.clear(place);
        WorkerSpoolCount::adopt(master.as_fd().try_clone_to_owned().unwrap(), place).unwrap()
    }

    #[test]
    fn the_bytes_of_all_workers_are_added_up_and_those_of_an_ended_one_are_cleared() {
        let master = SpoolCount::create().unwrap();
        let (one, other) = (worker(&master, 0), worker(&master, SPOOL_PLACES - 1));
        assert_eq!((one.add(5), other.add(7), master.total()), (5, 12, 12));
        one.subtract(2);
        assert_eq!(master.total(), 10);
        drop(other);
        master.clear(SPOOL_PLACES - 1);
        assert_eq!(one.add(0), 3);
    }

    #[test]
    fn any_content_of_the_memory_is_a_number() {
        let master = SpoolCount::create().unwrap();
        let worker = worker(&master, 1);
        master.memory.words().iter().for_each(|word| word.store(u64::MAX, Ordering::Relaxed));
        assert_eq!(master.total(), u64::MAX);
        assert_eq!(worker.add(0), u64::MAX);
        master.clear(SPOOL_PLACES);
    }

    #[test]
    fn memory_of_another_layout_is_not_used() {
        let small = SharedWords::create("test", 8).unwrap();
        let small = small.as_fd().try_clone_to_owned().unwrap();
        assert!(WorkerSpoolCount::adopt(small, 0).is_err());
        let master = SpoolCount::create().unwrap();
        let fd = master.as_fd().try_clone_to_owned().unwrap();
        assert!(WorkerSpoolCount::adopt(fd, SPOOL_PLACES).is_err());
    }
}
