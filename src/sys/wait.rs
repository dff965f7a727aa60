//! Waits for a few descriptors, without an event loop.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use crate::check;

/// The event for which to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Bytes can be read, or the other end is closed.
    Readable,
    /// There is room to write, or the other end is closed.
    Writable,
}

/// Waits until one of these events occurs, for at most `limit`, and returns which have
/// occurred (`poll(2)`). A signal may end the wait early.
///
/// # Errors
/// Those of `poll(2)`, but for `EINTR`.
pub fn wait(asked: &[(BorrowedFd, Readiness)], limit: Option<Duration>) -> io::Result<Vec<bool>> {
    let record = |(fd, event): &(BorrowedFd, Readiness)| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: match event {
            Readiness::Readable => libc::POLLIN,
            Readiness::Writable => libc::POLLOUT,
        },
        revents: 0,
    };
    let mut records: Vec<_> = asked.iter().map(record).collect();
    let milliseconds =
        limit.map_or(-1, |limit| i32::try_from(limit.as_millis()).unwrap_or(i32::MAX));
    let count = records.len() as libc::nfds_t;
    // SAFETY: the records are valid, and writable, for the time of the call.
    match check(unsafe { libc::poll(records.as_mut_ptr(), count, milliseconds) }) {
        Ok(_) => Ok(records.iter().map(|record| record.revents != 0).collect()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(vec![false; asked.len()]),
        Err(error) => Err(error),
    }
}

/// Whether bytes can be read, or the other end is closed; for a listening socket, whether
/// a connection waits.
#[must_use]
pub fn is_readable(fd: BorrowedFd) -> bool {
    wait(&[(fd, Readiness::Readable)], Some(Duration::ZERO)).is_ok_and(|found| found == [true])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn each_event_is_reported_by_itself() {
        let (reader, mut writer) = io::pipe().unwrap();
        let asked = [(reader.as_fd(), Readiness::Readable)];
        assert_eq!(wait(&asked, Some(Duration::ZERO)).unwrap(), [false]);
        writer.write_all(b"x").unwrap();
        assert_eq!(wait(&asked, None).unwrap(), [true]);
        let asked = [(writer.as_fd(), Readiness::Writable), (reader.as_fd(), Readiness::Readable)];
        assert_eq!(wait(&asked, None).unwrap(), [true, true]);
    }
}
