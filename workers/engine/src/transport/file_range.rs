//! A part of a file on its way to a socket: by the kernel alone where it can
//! (`sendfile(2)`), else read and sent.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use monoceros_sys::{reason, sendfile, socket};

/// How much is read at a time where the kernel cannot send a file.
const BLOCK: usize = 64 * 1024;

/// A part of a file that is to be sent.
#[derive(Debug)]
pub(crate) struct FileRange {
    file: File,
    /// Where the rest begins.
    pub(crate) offset: u64,
    /// How much is left.
    pub(crate) left: u64,
    /// The kernel cannot send this file, or could not say why it did not.
    is_read: bool,
}

/// Why an answer cannot be sent.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The socket: it has no room (`WouldBlock`), or the client is gone.
    Client(io::Error),
    /// The file: it cannot be read, or has become shorter than what was
    /// promised. That is no fault of the client's.
    File(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Client(error)
    }
}

impl FileRange {
    pub(crate) fn new(file: File, offset: u64, left: u64) -> Self {
        Self { file, offset, left, is_read: false }
    }

    /// Sends at most so many bytes, as far as the socket has room: how many have
    /// gone.
    ///
    /// # Errors
    /// Of the socket, also that it has no room, and of the file.
    pub(crate) fn send(&mut self, to: BorrowedFd, most: u64) -> Result<u64, Failure> {
        let most = usize::try_from(self.left.min(most)).unwrap_or(usize::MAX);
        let sent = if self.is_read { self.read_and_send(to, most) } else { self.pass(to, most) }?;
        self.offset += sent;
        self.left -= sent.min(self.left);
        Ok(sent)
    }

    fn pass(&mut self, to: BorrowedFd, most: usize) -> Result<u64, Failure> {
        match sendfile::send(to, self.file.as_fd(), self.offset, most) {
            Ok(0) => Err(shortened()),
            Ok(sent) => Ok(sent as u64),
            Err(error) if is_for_now(&error) => Err(Failure::Client(error)),
            // Some file systems cannot be sent from (EINVAL, EOPNOTSUPP), a filter
            // may forbid the call (ENOSYS), and of other errors it does not tell
            // whether the file or the socket has them: reading and sending does.
            Err(_) => {
                self.is_read = true;
                self.read_and_send(to, most)
            }
        }
    }

    fn read_and_send(&self, to: BorrowedFd, most: usize) -> Result<u64, Failure> {
        let mut block = vec![0; most.min(BLOCK)];
        let count = loop {
            match self.file.read_at(&mut block, self.offset) {
                Ok(0) => return Err(shortened()),
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let text = format!("its file cannot be read: {}", reason(&error));
                    return Err(Failure::File(text));
                }
            }
        };
        Ok(socket::send(to, &block[..count], false)? as u64)
    }
}

fn shortened() -> Failure {
    Failure::File("its file has become shorter while it was sent".to_owned())
}

/// Whether an error of a socket is over when it has room.
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
        // Of a pipe, sendfile(2) says EINVAL or ESPIPE; so it is read, which fails
        // as well, and then it is the file's fault.
        let (reader, _writer) = io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(reader));
        let mut range = FileRange::new(pipe, 0, 10);
        assert!(matches!(range.send(one.as_fd(), 10), Err(Failure::File(_))));
        let mut made = monoceros_sys::unnamed_file::create(&std::env::temp_dir()).unwrap();
        std::io::Write::write_all(&mut made, b"0123456789").unwrap();
        let mut range = FileRange { is_read: true, ..FileRange::new(made, 2, 9) };
        assert_eq!(range.send(one.as_fd(), 3).unwrap(), 3);
        assert_eq!((range.offset, range.left), (5, 6));
        assert_eq!(range.send(one.as_fd(), 100).unwrap(), 5);
        let Err(Failure::File(text)) = range.send(one.as_fd(), 100) else { panic!("it is cut") };
        assert!(text.contains("shorter"), "{text}");
        let mut said = [0; 8];
        two.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"23456789");
    }

    #[test]
    fn a_client_that_is_gone_is_no_fault_of_the_file() {
        let (one, two) = UnixStream::pair().unwrap();
        drop(two);
        let made = monoceros_sys::unnamed_file::create(&std::env::temp_dir()).unwrap();
        made.set_len(100).unwrap();
        let mut range = FileRange::new(made, 0, 100);
        assert!(matches!(range.send(one.as_fd(), 100), Err(Failure::Client(_))));
    }
}
