//! Memory that two processes share: a file without a name, mapped.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::check;

/// A shared mapping, seen as 64-bit words that any process may change at any
/// time; hence atomics, for which that is defined.
#[derive(Debug)]
pub struct SharedWords {
    start: NonNull<AtomicU64>,
    count: usize,
    fd: OwnedFd,
}

// SAFETY: the mapping is reached through atomics only, and stays until drop.
unsafe impl Send for SharedWords {}
// SAFETY: as above; an `&AtomicU64` may be used from any thread.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Makes `count` words, all zero; `name` shows in `/proc/PID/maps`.
    ///
    /// # Errors
    /// Those of `memfd_create(2)`, `ftruncate(2)` and `mmap(2)`.
    pub fn create(name: &str, count: usize) -> io::Result<Self> {
        let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC)?;
        let file = File::from(fd);
        file.set_len((count * size_of::<AtomicU64>()) as u64)?;
        Self::adopt(file.into())
    }

    /// Maps all of a descriptor that another process made.
    ///
    /// # Errors
    /// Those of `fstat(2)` and `mmap(2)`; `InvalidInput` if the file is empty.
    pub fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let file = File::from(fd);
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let fd = OwnedFd::from(file);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no
        // memory of ours.
        let start = unsafe {
            let null = std::ptr::null_mut();
            libc::mmap(null, length, protection, libc::MAP_SHARED, fd.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("mmap(2) gives null only when asked to");
        Ok(Self { start, count: length / size_of::<AtomicU64>(), fd })
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page aligned, `count` words long, and lives as
        // long as `self`; `AtomicU64` has no invalid bit pattern.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl AsFd for SharedWords {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        let length = self.count * size_of::<AtomicU64>();
        // SAFETY: the address and length are those of the mapping, and no
        // borrow of it outlives `self`.
        let result = check(unsafe { libc::munmap(self.start.as_ptr().cast(), length) });
        debug_assert!(result.is_ok(), "munmap(2) of our own mapping");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn two_mappings_of_one_descriptor_share_their_words() {
        let one = SharedWords::create("test", 8).unwrap();
        let two = SharedWords::adopt(one.as_fd().try_clone_to_owned().unwrap()).unwrap();
        one.words()[3].store(7, Ordering::Relaxed);
        assert_eq!(two.words()[3].load(Ordering::Relaxed), 7);
        assert_eq!(two.words().len(), 8);
    }
}
