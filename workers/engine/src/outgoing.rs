//! What waits to be written to a connection: pieces, in order.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use monoceros_sys::{file, socket};

use crate::payload::Payload;

/// The most that one `sendfile(2)` is asked for, in bytes.
const FILE_STEP: usize = 1 << 20;

/// One piece of an answer.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Bytes in memory, and how many of them have gone.
    Bytes {
        /// All of them.
        payload: Box<dyn Payload>,
        /// How many have gone.
        sent: usize,
    },
    /// A range of a file.
    File {
        /// The file.
        file: File,
        /// Where the rest begins.
        offset: u64,
        /// How much is left.
        left: u64,
    },
}

/// How a piece of writing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Everything has gone.
    All,
    /// The socket has no room; so many bytes have gone.
    Blocked(u64),
}

/// The pieces that wait, and how much memory they hold.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pieces: VecDeque<Piece>,
    held: usize,
}

impl Outgoing {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes in memory that wait; those of files are not counted.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Lets bytes wait, of which `sent` have gone already.
    pub(crate) fn push_bytes(&mut self, payload: Box<dyn Payload>, sent: usize) {
        let left = payload.bytes().len().saturating_sub(sent);
        if left > 0 {
            self.held += left;
            self.pieces.push_back(Piece::Bytes { payload, sent });
        }
    }

    /// Lets a range of a file wait.
    pub(crate) fn push_file(&mut self, file: File, offset: u64, left: u64) {
        if left > 0 {
            self.pieces.push_back(Piece::File { file, offset, left });
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.held = 0;
    }

    /// Writes until everything has gone or the socket has no room.
    ///
    /// # Errors
    /// Those of `send(2)` and `sendfile(2)`; `UnexpectedEof` when a file has
    /// become shorter than what was promised.
    pub(crate) fn flush(&mut self, to: BorrowedFd) -> io::Result<Flushed> {
        let mut total = 0;
        while let Some(piece) = self.pieces.front_mut() {
            let more = false;
            match piece.write(to, more) {
                Ok(written) => {
                    total += written;
                    if let Piece::Bytes { .. } = piece {
                        self.held -= usize::try_from(written).unwrap_or(0).min(self.held);
                    }
                    if piece.is_done() {
                        self.pieces.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Flushed::Blocked(total));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Flushed::All)
    }
}

impl Piece {
    fn write(&mut self, to: BorrowedFd, more: bool) -> io::Result<u64> {
        match self {
            Self::Bytes { payload, sent } => {
                let written = socket::send(to, &payload.bytes()[*sent..], more)?;
                *sent += written;
                Ok(written as u64)
            }
            Self::File { file, offset, left } => {
                let step = usize::try_from(*left).unwrap_or(FILE_STEP).min(FILE_STEP);
                let written = file::send(to, file.as_fd(), *offset, step)? as u64;
                if written == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *offset += written;
                *left -= written.min(*left);
                Ok(written)
            }
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Self::Bytes { payload, sent } => *sent >= payload.bytes().len(),
            Self::File { left, .. } => *left == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, SeekFrom, Write};
    use std::os::unix::net::UnixStream;

    fn a_file(text: &[u8]) -> File {
        let mut made = file::unnamed(&std::env::temp_dir()).unwrap();
        made.write_all(text).unwrap();
        made.seek(SeekFrom::Start(0)).unwrap();
        made
    }

    #[test]
    fn pieces_go_in_order() {
        let (one, mut two) = UnixStream::pair().unwrap();
        let mut outgoing = Outgoing::default();
        outgoing.push_bytes(Box::new(b"xxab".to_vec()), 2);
        outgoing.push_file(a_file(b"012345"), 1, 3);
        outgoing.push_bytes(Box::new(b"cd".to_vec()), 0);
        assert_eq!(outgoing.held(), 4);
        assert_eq!(outgoing.flush(one.as_fd()).unwrap(), Flushed::All);
        assert!(outgoing.is_empty());
        assert_eq!(outgoing.held(), 0);
        drop(one);
        let mut said = String::new();
        two.read_to_string(&mut said).unwrap();
        assert_eq!(said, "ab123cd");
    }

    #[test]
    fn a_full_socket_keeps_the_rest() {
        let (one, mut two) = UnixStream::pair().unwrap();
        let mut outgoing = Outgoing::default();
        let length = 4 << 20;
        outgoing.push_bytes(Box::new(vec![b'a'; length]), 0);
        let Flushed::Blocked(first) = outgoing.flush(one.as_fd()).unwrap() else {
            panic!("the socket takes 4 MiB at once");
        };
        assert_eq!(outgoing.held() as u64 + first, length as u64);
        let mut received = 0;
        let mut buffer = vec![0; 1 << 20];
        while received < length {
            received += two.read(&mut buffer).unwrap();
            outgoing.flush(one.as_fd()).unwrap();
        }
        assert!(outgoing.is_empty());
    }

    #[test]
    fn a_file_that_was_cut_is_an_error() {
        let (one, _two) = UnixStream::pair().unwrap();
        let mut outgoing = Outgoing::default();
        outgoing.push_file(a_file(b"012"), 0, 10);
        let error = outgoing.flush(one.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
