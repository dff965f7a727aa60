//! How much the files of bodies may take together: on disk, and in memory where there is no
//! disk for them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use monoceros_sys::disk;
use monoceros_wire::spool_count::WorkerSpoolCount;

/// The most that all such files of a worker may hold together in memory, in bytes: 64 MiB.
const MOST: u64 = 64 << 20;

/// How much of bodies all workers of a server may have on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoolLimit {
    /// So many bytes.
    Bytes(u64),
    /// One in so many of the bytes that are free, with those of the bodies.
    PartOfFree(u64),
}

/// The bytes of files of one kind.
#[derive(Clone, Debug)]
enum Total {
    /// Those of this worker.
    Own(Arc<AtomicU64>),
    /// Those of all workers of the server.
    Common(Arc<WorkerSpoolCount>),
}

impl Total {
    fn own() -> Self {
        Self::Own(Arc::default())
    }

    /// Adds bytes of this worker. Returns the total.
    fn add(&self, bytes: u64) -> u64 {
        match self {
            Self::Own(total) => total.fetch_add(bytes, Ordering::Relaxed) + bytes,
            Self::Common(count) => count.add(bytes),
        }
    }

    fn subtract(&self, bytes: u64) {
        match self {
            Self::Own(total) => drop(total.fetch_sub(bytes, Ordering::Relaxed)),
            Self::Common(count) => count.subtract(bytes),
        }
    }
}

/// What files of one kind may take.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    total: Total,
    store: Store,
}

/// Where the files are.
#[derive(Clone, Debug)]
enum Store {
    Memory,
    Disk { directory: Arc<Path>, limit: SpoolLimit },
}

/// The share of one file; it is returned when the file is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    allowance: Allowance,
    bytes: u64,
}

impl Allowance {
    /// What files in memory may take.
    pub(crate) fn of_memory() -> Self {
        Self { total: Total::own(), store: Store::Memory }
    }

    /// What files in this directory may take. `count` has the bytes of all workers; without it
    /// those of this worker count.
    pub(crate) fn of_disk(
        directory: PathBuf,
        limit: SpoolLimit,
        count: Option<Arc<WorkerSpoolCount>>,
    ) -> Self {
        let total = count.map_or_else(Total::own, Total::Common);
        Self { total, store: Store::Disk { directory: directory.into(), limit } }
    }

    /// A share for a new file.
    pub(crate) fn share(&self) -> Share {
        Share { allowance: self.clone(), bytes: 0 }
    }

    /// Checks whether so many bytes more are allowed now, without counting them.
    ///
    /// # Errors
    /// As [`Share::grow`].
    pub(crate) fn check(&self, more: u64) -> io::Result<()> {
        self.store.check(self.total.add(0).saturating_add(more), more)
    }
}

impl Store {
    /// Checks a total in which `more` bytes are not taken yet.
    fn check(&self, total: u64, more: u64) -> io::Result<()> {
        let text = match self {
            Self::Memory if total <= MOST => return Ok(()),
            Self::Memory => format!(
                "there is no directory for temporary files, and the {} MiB of memory for bodies \
                 are in use",
                MOST >> 20
            ),
            Self::Disk { limit: SpoolLimit::Bytes(limit), .. } if total <= *limit => return Ok(()),
            Self::Disk { directory, limit: SpoolLimit::Bytes(limit) } => format!(
                "the bodies in {} would take more than the {limit} bytes of --limit-request-spool",
                directory.display()
            ),
            Self::Disk { directory, limit: SpoolLimit::PartOfFree(part) } => {
                // Without the number the write itself shows whether there is room.
                let free = disk::free(directory).unwrap_or(u64::MAX);
                let had = free.saturating_add(total - more);
                if total <= had / part {
                    return Ok(());
                }
                format!(
                    "the bodies in {} would take more than 1/{part} of the {had} bytes that are \
                     free without them (--limit-request-spool)",
                    directory.display()
                )
            }
        };
        Err(io::Error::new(io::ErrorKind::StorageFull, text))
    }
}

impl Share {
    /// Makes the share large enough for a file of `length` bytes.
    ///
    /// # Errors
    /// `StorageFull` when the files would take more than allowed.
    pub(crate) fn grow(&mut self, length: u64) -> io::Result<()> {
        let more = length.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let Allowance { total, store } = &self.allowance;
        // Counted before the check: of two workers that need the last bytes, no more than one
        // gets them.
        if let Err(error) = store.check(total.add(more), more) {
            total.subtract(more);
            return Err(error);
        }
        self.bytes += more;
        Ok(())
    }

    /// Makes the share no larger than a file of `length` bytes needs.
    pub(crate) fn shrink(&mut self, length: u64) {
        let less = self.bytes.saturating_sub(length);
        self.allowance.total.subtract(less);
        self.bytes -= less;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monoceros_wire::spool_count::SpoolCount;
    use std::os::fd::AsFd;

    fn is_full(result: io::Result<()>) -> bool {
        result.is_err_and(|error| error.kind() == io::ErrorKind::StorageFull)
    }

    #[test]
    fn files_in_memory_have_a_total() {
        let allowance = Allowance::of_memory();
        let (mut one, mut two) = (allowance.share(), allowance.share());
        one.grow(MOST - 1).unwrap();
        one.grow(5).unwrap();
        two.grow(1).unwrap();
        assert!(is_full(two.grow(2)) && is_full(allowance.check(1)));
        drop(one);
        two.grow(MOST).unwrap();
        assert!(allowance.check(0).is_ok());
    }

    #[test]
    fn the_files_of_all_workers_have_a_total_on_disk() {
        let (master, limit) = (SpoolCount::create().unwrap(), SpoolLimit::Bytes(100));
        let worker = |place| {
            master.clear(place);
            let fd = master.as_fd().try_clone_to_owned().unwrap();
            let count = Arc::new(WorkerSpoolCount::adopt(fd, place).unwrap());
            Allowance::of_disk(std::env::temp_dir(), limit, Some(count))
        };
        let (first, second) = (worker(0), worker(1));
        let (mut one, mut other) = (first.share(), second.share());
        one.grow(60).unwrap();
        assert!(is_full(other.grow(41)));
        other.grow(40).unwrap();
        assert!(first.check(0).is_ok() && is_full(second.check(1)));
        one.shrink(50);
        other.grow(50).unwrap();
        one.grow(50).unwrap();
        drop((one, other));
        assert_eq!(master.total(), 0);
    }

    #[test]
    fn without_a_number_a_part_of_the_free_room_is_the_limit() {
        let limit = SpoolLimit::PartOfFree(4);
        let allowance = Allowance::of_disk(std::env::temp_dir(), limit, None);
        assert!(is_full(allowance.check(1 << 62)));
        let nowhere = PathBuf::from("/nowhere");
        let allowance = Allowance::of_disk(nowhere, limit, None);
        assert!(allowance.check(1 << 50).is_ok(), "the write shows whether there is room");
    }
}
