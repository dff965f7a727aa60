//! What distinguishes one state of a file from another one.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::stat::{FileStat, SFlag, fstat};

/// The time for which a change may leave no trace, because the times of files advance with the
/// kernel's clock tick only (10 ms at most).
const TICK: Duration = Duration::from_millis(100);

/// The state of a regular file. Writing to a file and putting another one in its place both change
/// it: the time of the last change of the inode (`ctime`) cannot be set by a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
    pub(crate) changed: Timestamp,
}

/// Seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
}

impl FileIdentity {
    /// The identity of an open file; `None` if it is not a regular one.
    ///
    /// # Errors
    /// Those of `fstat(2)`.
    pub(crate) fn of(file: BorrowedFd) -> io::Result<Option<Self>> {
        let stat = fstat(file)?;
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        Ok((kind == SFlag::S_IFREG).then(|| Self::from_stat(&stat)))
    }

    // The types of these numbers differ between architectures.
    #[allow(clippy::unnecessary_cast)]
    fn from_stat(stat: &FileStat) -> Self {
        let time = |seconds, nanoseconds| Timestamp { seconds, nanoseconds };
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: time(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: time(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    /// Whether the next change will have another time: the last one is older than a tick of the
    /// clock. A time in the future does not count.
    pub(crate) fn is_settled(&self) -> bool {
        let changed = u64::try_from(self.changed.seconds).unwrap_or(0);
        let nanoseconds = u32::try_from(self.changed.nanoseconds).unwrap_or(0);
        let changed = UNIX_EPOCH + Duration::new(changed, nanoseconds);
        SystemTime::now().duration_since(changed).is_ok_and(|age| age > TICK)
    }

    /// The time of the last change of the content, in seconds since 1970.
    pub(crate) fn modified_seconds(&self) -> u64 {
        u64::try_from(self.modified.seconds).unwrap_or(0)
    }
}

/// What distinguishes a directory: device and inode.
///
/// # Errors
/// Those of `fstat(2)`.
pub(crate) fn directory_identity(directory: BorrowedFd) -> io::Result<(u64, u64)> {
    let stat = fstat(directory)?;
    #[allow(clippy::unnecessary_cast)]
    Ok((stat.st_dev as u64, stat.st_ino as u64))
}
