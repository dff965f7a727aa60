//! A part of a file that is sent to a socket: by the kernel alone where it can
//! (`sendfile(2)`), otherwise read and sent.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use monoceros_sys::{page_cache, reason, sendfile};

use crate::stream::content::FilePart;
use crate::transport::socket::Socket;

/// How much is read at a time where the kernel cannot send a file.
const BLOCK: usize = 64 * 1024;

thread_local! {
    /// The memory for a block.
    static BLOCK_MEMORY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How far apart the bytes are that are looked for in memory. The kernel reads files into
/// memory in pieces of about this size, and releases them in the same way.
const LOOK_STEP: u64 = 128 * 1024;

/// A part of a file that waits to be sent.
#[derive(Debug)]
pub(crate) struct FileRange {
    file: Arc<File>,
    /// The offset of the rest.
    pub(crate) offset: u64,
    /// The length of the rest.
    pub(crate) left: u64,
    /// The kernel cannot send this file, or has not reported why it did not.
    is_read: bool,
    /// What precedes this offset was found in memory, or was read ahead.
    known_until: u64,
}

/// Why a response cannot be sent.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The socket: it has no room (`WouldBlock`), or the client has gone.
    Client(io::Error),
    /// The file: it cannot be read, or has become shorter than the promised length. The
    /// client has no part in that.
    File(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Client(error)
    }
}

impl FileRange {
    pub(crate) fn new(file: Arc<File>, offset: u64, left: u64) -> Self {
        Self { file, offset, left, is_read: false, known_until: 0 }
    }

    /// This part of a file.
    pub(crate) fn of(part: FilePart) -> Self {
        Self::new(part.file, part.offset, part.length)
    }

    /// The part that is sent next, of at most `most` bytes.
    pub(crate) fn next_part(&self, most: u64) -> FilePart {
        let length = self.left.min(most);
        FilePart { file: Arc::clone(&self.file), offset: self.offset, length }
    }

    /// How many of the next bytes can be sent without waiting for a disk, as far as the
    /// kernel reports that; at most `most`. 0: the next byte has to be read ahead.
    pub(crate) fn in_memory(&mut self, most: u64) -> u64 {
        let end = self.offset.saturating_add(self.left.min(most));
        let from = self.known_until.max(self.offset);
        if from < end {
            self.known_until = self.look(from, end);
        }
        self.known_until.min(end).saturating_sub(self.offset)
    }

    /// Returns up to where the file seems to be in memory, between these offsets.
    fn look(&self, from: u64, end: u64) -> u64 {
        let mut at = from;
        while at < end {
            if !page_cache::has(self.file.as_fd(), at) {
                return at;
            }
            at = (at / LOOK_STEP + 1) * LOOK_STEP;
        }
        // The last byte may be in another piece than the one before.
        if page_cache::has(self.file.as_fd(), end - 1) {
            end
        } else {
            at - LOOK_STEP.min(at - from)
        }
    }

    /// What precedes this offset was read ahead.
    pub(crate) fn note_read_ahead(&mut self, until: u64) {
        self.known_until = self.known_until.max(until);
    }

    /// Time passes: what was in memory may be released meanwhile.
    pub(crate) fn forget_memory(&mut self) {
        self.known_until = 0;
    }

    /// Sends at most so many bytes, as far as the socket has room. Returns how many
    /// were sent.
    ///
    /// # Errors
    /// Of the socket, also that it has no room, and of the file.
    pub(crate) fn send(&mut self, to: &Socket, most: u64) -> Result<u64, Failure> {
        if self.is_read {
            self.write(most, |block| to.send(block, false))
        } else {
            self.pass(to, most)
        }
    }

    /// As above, through memory: `write` gets the bytes that were read, and returns how
    /// many it has taken.
    ///
    /// # Errors
    /// Of `write` and of the file.
    pub(crate) fn write(
        &mut self,
        most: u64,
        write: impl FnOnce(&[u8]) -> io::Result<usize>,
    ) -> Result<u64, Failure> {
        let sent = BLOCK_MEMORY.with_borrow_mut(|block| {
            let count = self.read(most, block)?;
            Ok::<_, Failure>(write(&block[..count])? as u64)
        })?;
        self.advance(sent);
        Ok(sent)
    }

    /// So many bytes were sent.
    pub(crate) fn advance(&mut self, sent: u64) {
        self.offset += sent;
        self.left -= sent.min(self.left);
    }

    fn pass(&mut self, to: &Socket, most: u64) -> Result<u64, Failure> {
        let length = usize::try_from(self.left.min(most)).unwrap_or(usize::MAX);
        match sendfile::send(to.as_fd(), self.file.as_fd(), self.offset, length) {
            Ok(0) => Err(shortened()),
            Ok(sent) => {
                to.note_sent(sent);
                self.advance(sent as u64);
                Ok(sent as u64)
            }
            Err(error) if is_for_now(&error) => Err(Failure::Client(error)),
            // Some file systems do not support the call (EINVAL, EOPNOTSUPP), and a
            // filter may forbid it (ENOSYS). Of other errors the kernel does not report
            // whether the file or the socket has them: reading and sending does.
            Err(_) => {
                self.is_read = true;
                self.send(to, most)
            }
        }
    }

    /// Reads the next bytes into `block`, at most `most` and at most a block. Returns how many.
    ///
    /// # Errors
    /// Of the file.
    pub(crate) fn read(&self, most: u64, block: &mut Vec<u8>) -> Result<usize, Failure> {
        let length = usize::try_from(self.left.min(most)).unwrap_or(usize::MAX).min(BLOCK);
        block.resize(BLOCK, 0);
        loop {
            match self.file.read_at(&mut block[..length], self.offset) {
                Ok(0) => return Err(shortened()),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let text = format!("its file cannot be read: {}", reason(&error));
                    return Err(Failure::File(text));
                }
            }
        }
    }
}

fn shortened() -> Failure {
    Failure::File("its file has become shorter while it was sent".to_owned())
}

/// Whether an error of a socket ends when it has room, or bytes to be read.
pub(crate) fn is_for_now(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_file_that_the_kernel_cannot_send_is_read() {
        let (one, mut two) = UnixStream::pair().unwrap();
        let one = Socket::new(one.into());
        // For a pipe, sendfile(2) fails with EINVAL or ESPIPE. Then the pipe is read,
        // which fails as well, and the error is the file's.
        let (reader, _writer) = io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(reader));
        let mut range = FileRange::new(Arc::new(pipe), 0, 10);
        assert!(matches!(range.send(&one, 10), Err(Failure::File(_))));
        let mut made = monoceros_sys::unnamed_file::create(&std::env::temp_dir()).unwrap();
        std::io::Write::write_all(&mut made, b"0123456789").unwrap();
        let mut range = FileRange { is_read: true, ..FileRange::new(Arc::new(made), 2, 9) };
        assert_eq!(range.send(&one, 3).unwrap(), 3);
        assert_eq!((range.offset, range.left), (5, 6));
        assert_eq!(range.send(&one, 100).unwrap(), 5);
        let Err(Failure::File(text)) = range.send(&one, 100) else { panic!("it is cut") };
        assert!(text.contains("shorter"), "{text}");
        let mut received = [0; 8];
        two.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"23456789");
    }

    #[test]
    fn what_was_read_ahead_is_in_memory_until_time_passes() {
        let made = monoceros_sys::unnamed_file::create(&std::env::temp_dir()).unwrap();
        let length = 3 * LOOK_STEP;
        made.set_len(length).unwrap();
        made.write_all_at(&vec![1; usize::try_from(length).unwrap()], 0).unwrap();
        let mut range = FileRange::new(Arc::new(made), 10, length - 10);
        let reports = range.in_memory(u64::MAX);
        // A file system that cannot report it has nothing in memory.
        assert!([0, length - 10].contains(&reports), "{reports}");
        range.note_read_ahead(LOOK_STEP);
        assert!(range.in_memory(u64::MAX) >= LOOK_STEP - 10);
        assert_eq!(range.in_memory(5), 5);
        range.advance(20);
        assert_eq!(range.in_memory(7), 7);
        range.forget_memory();
        assert!([0, 7].contains(&range.in_memory(7)));
    }

    #[test]
    fn an_error_of_the_socket_is_not_one_of_the_file() {
        let (one, two) = UnixStream::pair().unwrap();
        let one = Socket::new(one.into());
        drop(two);
        let made = monoceros_sys::unnamed_file::create(&std::env::temp_dir()).unwrap();
        made.set_len(100).unwrap();
        let mut range = FileRange::new(Arc::new(made), 0, 100);
        assert!(matches!(range.send(&one, 100), Err(Failure::Client(_))));
    }
}
