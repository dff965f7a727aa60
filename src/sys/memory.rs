//! Mapped files: memory that two processes share, and files that the kernel reads and
//! writes without a copy in this process.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::fcntl::{FallocateFlags, FcntlArg, OFlag, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::check;
use crate::fork::{Memory, Private};

/// The size of a page of memory, in bytes.
#[must_use]
pub fn page_size() -> u64 {
    use nix::unistd::{SysconfVar, sysconf};
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

/// A shared mapping of 64-bit words. They are atomics, since other processes may change
/// them at any time.
#[derive(Debug)]
pub struct SharedWords {
    start: NonNull<AtomicU64>,
    count: usize,
    fd: Private,
    /// Keeps a process that the application forks from writing to this memory.
    forked: Option<Memory>,
}

// SAFETY: the mapping is reached through atomics only, and stays until drop.
unsafe impl Send for SharedWords {}
// SAFETY: as above; an `&AtomicU64` may be used from any thread.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Makes `count` words, all zero. `/proc/PID/maps` shows `name`. A seal keeps every
    /// process from shortening the memory: reading beyond its end would be a SIGBUS.
    ///
    /// # Errors
    /// Those of `memfd_create(2)`, `ftruncate(2)`, `F_ADD_SEALS` (`fcntl(2)`)
    /// and `mmap(2)`.
    pub fn create(name: &str, count: usize) -> io::Result<Self> {
        let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        let file = File::from(fd);
        file.set_len((count * size_of::<AtomicU64>()) as u64)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        Self::adopt(file.into())
    }

    /// Maps the whole file of a descriptor that another process has made.
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
        let forked = Some(Memory::new(start, length));
        let start = NonNull::new(start.cast()).expect("mmap(2) gives null only when asked to");
        Ok(Self { start, count: length / size_of::<AtomicU64>(), fd: fd.into(), forked })
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page aligned, `count` words long, and lives as
        // long as `self`; `AtomicU64` has no invalid bit pattern.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }

    /// Unmaps the pages of the words from this process. They stay in memory with their content, and
    /// each is mapped again when it is next used.
    pub fn unmap_pages(&self) {
        let length = self.count * size_of::<AtomicU64>();
        // SAFETY: the whole of a shared mapping of a file in memory, which stays mapped. Its pages
        // belong to the file: no content is lost (MADV_DONTNEED in `madvise(2)`). Where memory is
        // locked, the call changes nothing.
        unsafe { libc::madvise(self.start.as_ptr().cast(), length, libc::MADV_DONTNEED) };
    }

    /// Makes words zero. Whole pages return to the system (`FALLOC_FL_PUNCH_HOLE` in
    /// `fallocate(2)`).
    ///
    /// # Errors
    /// Those of `fallocate(2)`.
    pub fn clear(&self, first: usize, count: usize) -> io::Result<()> {
        let bytes = |words: usize| i64::try_from(words * size_of::<AtomicU64>());
        let (start, length) = (bytes(first), bytes(count));
        let (start, length) = (start.map_err(io::Error::other)?, length.map_err(io::Error::other)?);
        let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        Ok(fallocate(&self.fd, mode, start, length)?)
    }
}

impl AsFd for SharedWords {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        self.forked = None;
        let length = self.count * size_of::<AtomicU64>();
        // SAFETY: the address and length are those of the mapping, and no
        // borrow of it outlives `self`.
        let result = check(unsafe { libc::munmap(self.start.as_ptr().cast(), length) });
        debug_assert!(result.is_ok(), "munmap(2) of our own mapping");
    }
}

/// Makes a file in memory to which every process appends. `/proc/PID/fd` shows `name`.
///
/// # Errors
/// Those of `memfd_create(2)` and `fcntl(2)`.
pub fn appended_file(name: &str) -> io::Result<File> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC)?;
    fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_APPEND))?;
    Ok(File::from(fd))
}

/// Makes a file in memory with these bytes, which no process can change afterwards
/// (`F_ADD_SEALS`, `fcntl(2)`). It is on no disk and has no path; every process with its
/// descriptor can read it. `/proc/PID/fd` shows `name`.
///
/// # Errors
/// Those of `memfd_create(2)`, `write(2)` and `fcntl(2)`.
pub fn sealed_file(name: &str, bytes: &[u8]) -> io::Result<File> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    let seals = seals | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file)
}

/// Returns freed memory to the system, also from between blocks in use
/// (malloc_trim(3)). C libraries without this call return it by themselves.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number only, and changes no memory in use.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Makes a file in memory. `/proc/PID/fd` shows `name`.
///
/// # Errors
/// Those of `memfd_create(2)`.
pub fn anonymous_file(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC)?))
}

/// The mapped beginning of a file. Bytes are received into the mapping, and read from it,
/// with one copy each. They are in the file at once.
///
/// The mapping only reserves addresses. The part for which the file has room can be used.
///
/// Reading a page that the disk cannot deliver is a SIGBUS, as with every mapped file
/// (`mmap(2)`).
#[derive(Debug)]
pub struct FileStart {
    start: NonNull<libc::c_void>,
    /// The length of the mapping, in bytes.
    length: usize,
    /// The length of the part for which the file has room, in bytes.
    reserved: usize,
}

// SAFETY: the mapping is memory of the process like any other, and stays until
// drop.
unsafe impl Send for FileStart {}
// SAFETY: through a shared reference it is only read.
unsafe impl Sync for FileStart {}

impl FileStart {
    /// Maps the first `length` bytes of a file that is open for reading and writing. No
    /// byte can be used before [`reserve`](Self::reserve) has made room.
    ///
    /// # Errors
    /// Those of `mmap(2)`.
    pub fn map(file: &File, length: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no
        // memory of ours.
        let start = unsafe {
            let null = std::ptr::null_mut();
            libc::mmap(null, length, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start).expect("mmap(2) gives null only when asked to");
        Ok(Self { start, length, reserved: 0 })
    }

    /// Reserves room in the file up to `end`, within the mapping. With a full disk this is
    /// an error; without the reservation a later write would be a SIGBUS.
    ///
    /// # Errors
    /// Those of `fallocate(2)`.
    pub fn reserve(&mut self, file: &File, end: usize) -> io::Result<()> {
        let end = end.min(self.length);
        if end > self.reserved {
            let offset = libc::off_t::try_from(self.reserved).map_err(io::Error::other)?;
            let more = libc::off_t::try_from(end - self.reserved).map_err(io::Error::other)?;
            // SAFETY: the descriptor is open while borrowed.
            let reserve = || check(unsafe { libc::fallocate(file.as_raw_fd(), 0, offset, more) });
            while let Err(error) = reserve() {
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            self.reserved = end;
        }
        Ok(())
    }

    /// Notes that the file has been written up to `end` without a hole, by another call.
    pub fn note_written(&mut self, end: u64) {
        let end = usize::try_from(end).unwrap_or(usize::MAX).min(self.length);
        self.reserved = self.reserved.max(end);
    }

    /// The content of the file. Other processes that have it open must not write to it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is at least `reserved` bytes long, the file has room
        // for as many, and it lives as long as `self`, whose methods write
        // through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.reserved) }
    }

    /// The content, for a system call to write to. The call fails where a store would be a
    /// SIGBUS: a file system that never overwrites blocks (btrfs) needs new room for each
    /// write, in spite of the reservation.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and there is no other reference.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.reserved) }
    }
}

impl Drop for FileStart {
    fn drop(&mut self) {
        // SAFETY: the address and length are those of the mapping.
        let result = check(unsafe { libc::munmap(self.start.as_ptr(), self.length) });
        debug_assert!(result.is_ok(), "munmap(2) of our own mapping");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn what_is_received_is_in_the_file() {
        use std::os::unix::fs::FileExt;
        let file = crate::unnamed_file::create(&std::env::temp_dir()).unwrap();
        let mut start = FileStart::map(&file, 8192).unwrap();
        assert!(start.bytes().is_empty() && file.metadata().unwrap().len() == 0);
        start.reserve(&file, 4096).unwrap();
        assert_eq!((start.bytes().len(), file.metadata().unwrap().len()), (4096, 4096));
        start.note_written(5000);
        start.reserve(&file, 9000).unwrap();
        assert_eq!((start.bytes().len(), file.metadata().unwrap().len()), (8192, 8192));
        let (mut one, two) = std::os::unix::net::UnixStream::pair().unwrap();
        one.write_all(b"hello").unwrap();
        let mut rest = [0; 4];
        let parts = [&mut start.bytes_mut()[2..5], &mut rest];
        assert_eq!(crate::socket::receive_parts(two.as_fd(), parts).unwrap(), 5);
        assert_eq!((&start.bytes()[..6], &rest), (&b"\0\0hel\0"[..], b"lo\0\0"));
        let mut found = [0; 6];
        file.read_exact_at(&mut found, 0).unwrap();
        assert_eq!(&found, b"\0\0hel\0");
    }

    #[test]
    fn pages_that_are_unmapped_keep_what_each_side_has_written() {
        let words = SharedWords::create("test", 4096).unwrap();
        let other = SharedWords::adopt(words.as_fd().try_clone_to_owned().unwrap()).unwrap();
        words.words()[4000].store(7, Ordering::Relaxed);
        words.unmap_pages();
        other.words()[1].store(5, Ordering::Relaxed);
        let found = [1, 4000].map(|at| words.words()[at].load(Ordering::Relaxed));
        assert_eq!(found, [5, 7]);
    }

    #[test]
    fn shared_memory_cannot_be_made_shorter() {
        let words = SharedWords::create("test", 8).unwrap();
        let file = File::from(words.as_fd().try_clone_to_owned().unwrap());
        assert_eq!(file.set_len(0).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_sealed_file_is_read_and_never_changed() {
        use std::os::unix::fs::FileExt;
        let mut file = sealed_file("test", b"secret").unwrap();
        let mut found = [0; 9];
        assert_eq!(file.read_at(&mut found, 0).unwrap(), 6);
        assert_eq!(&found[..6], b"secret");
        assert!(file.write_all(b"x").is_err() && file.set_len(0).is_err());
        assert_eq!(fcntl(&file, FcntlArg::F_GETFD).unwrap(), libc::FD_CLOEXEC);
    }

    #[test]
    fn a_file_that_was_cut_goes_on_at_its_new_end() {
        use std::os::unix::fs::FileExt;
        let mut one = appended_file("test").unwrap();
        let two = one.try_clone().unwrap();
        one.write_all(b"before").unwrap();
        two.set_len(0).unwrap();
        one.write_all(b"after").unwrap();
        let mut found = [0; 9];
        assert_eq!(two.read_at(&mut found, 0).unwrap(), 5);
        assert_eq!(&found[..5], b"after");
    }

    #[test]
    fn words_that_are_cleared_are_zero_in_every_mapping() {
        let words = SharedWords::create("test", 4096).unwrap();
        words.words().iter().for_each(|word| word.store(7, Ordering::Relaxed));
        let other = SharedWords::adopt(words.as_fd().try_clone_to_owned().unwrap()).unwrap();
        words.clear(100, 3000).unwrap();
        for (index, word) in other.words().iter().enumerate() {
            let expected = if (100..3100).contains(&index) { 0 } else { 7 };
            assert_eq!(word.load(Ordering::Relaxed), expected, "{index}");
        }
    }

    #[test]
    fn two_mappings_of_one_descriptor_share_their_words() {
        let one = SharedWords::create("test", 8).unwrap();
        let two = SharedWords::adopt(one.as_fd().try_clone_to_owned().unwrap()).unwrap();
        one.words()[3].store(7, Ordering::Relaxed);
        assert_eq!(two.words()[3].load(Ordering::Relaxed), 7);
        assert_eq!(two.words().len(), 8);
    }
}
