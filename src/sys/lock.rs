//! Finds the processes that hold the lock of a file (`flock(2)`): the right to read a file
//! is enough to lock it. Locks single bytes of files.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::process::ancestry;
use crate::user::own_uid;

/// Whether a lock that this process could not take can be ignored: all holders that are
/// visible in `/proc` belong to another user, and not to root. A lock without visible
/// holders is not ignored (`proc_locks(5)`).
#[must_use]
pub fn is_of_another_user(file: &File) -> bool {
    let Ok(metadata) = file.metadata() else { return false };
    let table = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let holders: Vec<_> = holders(&table, metadata.ino()).collect();
    let is_ours = |pid: &i32| ancestry(*pid).is_ok_and(|it| [0, own_uid()].contains(&it.users[1]));
    !holders.is_empty() && !holders.iter().any(is_ours)
}

/// Locks one byte of a file beside other readers. Returns whether that worked: it does not if a
/// process has the byte for itself. The lock is given back when the file is closed
/// (`F_OFD_SETLK`, `fcntl(2)`).
///
/// # Errors
/// Those of `fcntl(2)`.
pub fn share_byte(file: &File, at: u64) -> io::Result<bool> {
    let lock = libc::flock {
        l_type: number(libc::F_RDLCK)?,
        l_whence: number(libc::SEEK_SET)?,
        l_start: number(at)?,
        l_len: 1,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&lock)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn number<T: TryFrom<U>, U>(value: U) -> io::Result<T> {
    T::try_from(value).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// The pids of the processes with a lock on a file with this inode, from lines such as
/// `1: FLOCK ADVISORY WRITE 123 fd:00:456 0 EOF`. The device is not compared, since some
/// file systems show another one there. So holders of other files may be among them.
fn holders(table: &str, inode: u64) -> impl Iterator<Item = i32> {
    table.lines().filter_map(move |line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, _, pid, file, ..] = words[..] else { return None };
        let number = file.rsplit(':').next()?.parse::<u64>().ok()?;
        (number == inode).then(|| pid.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn holders_are_found_by_the_number_of_the_file() {
        let table = "1: FLOCK  ADVISORY  WRITE 12 fd:00:456 0 EOF\n\
            1: -> FLOCK  ADVISORY  WRITE 13 fd:00:456 0 EOF\n\
            2: POSIX  ADVISORY  WRITE 14 fd:00:456 0 EOF\n\
            3: FLOCK  ADVISORY  READ 15 00:2b:456 0 EOF\n\
            4: FLOCK  ADVISORY  READ 16 fd:00:4567 0 EOF\nnonsense\n";
        assert_eq!(holders(table, 456).collect::<Vec<_>>(), [12, 15]);
        assert_eq!(holders("", 456).count(), 0);
    }

    #[test]
    fn a_byte_that_another_descriptor_has_for_itself_is_not_shared() {
        let name = format!("monoceros-bytes-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let (first, second) = (File::create(&path).unwrap(), File::open(&path).unwrap());
        let lock = libc::flock {
            l_type: number(libc::F_WRLCK).unwrap(),
            l_whence: number(libc::SEEK_SET).unwrap(),
            l_start: 7,
            l_len: 1,
            l_pid: 0,
        };
        fcntl(&first, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
        assert!(!share_byte(&second, 7).unwrap());
        assert!(share_byte(&second, 6).unwrap());
        drop(first);
        // A process that another test has forked has it too, until it executes its program.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !share_byte(&second, 7).unwrap() {
            assert!(Instant::now() < deadline, "the descriptor is closed");
            std::thread::yield_now();
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_lock_of_this_user_counts() {
        let file = crate::unnamed_file::create(&std::env::temp_dir()).unwrap();
        assert!(!is_of_another_user(&file), "there is none");
        file.lock().unwrap();
        assert!(!is_of_another_user(&file));
    }
}
