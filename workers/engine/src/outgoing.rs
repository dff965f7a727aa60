//! What waits to be written to a connection: pieces, in order.
//!
//! An application is not to wait for a slow client. What memory is not to hold
//! goes to a file without a name, and only beyond that is there no room.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use monoceros_sys::{file, socket};

use crate::payload::Payload;
use crate::spools::Spools;

/// The most that one `sendfile(2)` is asked for, in bytes.
const FILE_STEP: usize = 1 << 20;

/// Above this many bytes in memory, what is added goes to a file.
const MEMORY_LIMIT: usize = 1 << 20;

/// The longest that file gets, in bytes.
const FILE_LIMIT: u64 = 64 << 20;

/// How much is written at a time, so that others get their turn.
const SHARE: u64 = 8 << 20;

/// What the log tells when a file ends before the range that is sent of it.
pub(crate) const SHORTENED: &str =
    "a file has become shorter while it was sent; the connection was closed";

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
    /// As much has gone as may at a time.
    Paused,
}

/// The pieces that wait, and how much memory they hold.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pieces: VecDeque<Piece>,
    held: usize,
    overflow: Overflow,
}

/// The file behind memory.
#[derive(Debug, Default)]
enum Overflow {
    /// It was not needed.
    #[default]
    None,
    /// So many bytes were written to it.
    File(File, u64),
    /// It cannot be used: the disk is full, perhaps.
    Broken,
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
    pub(crate) fn push_bytes(&mut self, payload: Box<dyn Payload>, sent: usize, spools: &Spools) {
        let left = payload.bytes().get(sent..).unwrap_or_default();
        if left.is_empty() || self.held > MEMORY_LIMIT && self.spill(left, spools) {
            return;
        }
        self.held += left.len();
        self.pieces.push_back(Piece::Bytes { payload, sent });
    }

    /// Writes bytes behind those that are in the file; whether that was done.
    fn spill(&mut self, bytes: &[u8], spools: &Spools) -> bool {
        let spilled = self.overflow.append(bytes, spools);
        match spilled {
            Ok(Some((file, offset))) => {
                match self.pieces.back_mut() {
                    Some(Piece::File { offset: start, left, .. }) if *start + *left == offset => {
                        *left += bytes.len() as u64;
                    }
                    _ => {
                        self.pieces.push_back(Piece::File {
                            file,
                            offset,
                            left: bytes.len() as u64,
                        });
                    }
                }
                true
            }
            Ok(None) => false,
            Err(error) => {
                log::warn!("cannot keep an answer on disk, a slow client holds a thread: {error}");
                self.overflow = Overflow::Broken;
                false
            }
        }
    }

    /// Whether neither memory nor the file is to hold more.
    pub(crate) fn is_full(&self) -> bool {
        self.held > MEMORY_LIMIT
            && match self.overflow {
                Overflow::None => false,
                Overflow::File(_, length) => length >= FILE_LIMIT,
                Overflow::Broken => true,
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
        *self = Self::default();
    }

    /// Writes until everything has gone or the socket has no room.
    ///
    /// # Errors
    /// Those of `send(2)` and `sendfile(2)`; `UnexpectedEof` when a file has
    /// become shorter than what was promised.
    pub(crate) fn flush(&mut self, to: BorrowedFd) -> io::Result<Flushed> {
        let mut total = 0;
        while let Some(piece) = self.pieces.front_mut() {
            if total >= SHARE {
                return Ok(Flushed::Paused);
            }
            match piece.write(to) {
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
        self.overflow = Overflow::None;
        Ok(Flushed::All)
    }
}

impl Overflow {
    /// Appends to the file: where the bytes are then, or `None` if it takes no
    /// more.
    fn append(&mut self, bytes: &[u8], spools: &Spools) -> io::Result<Option<(File, u64)>> {
        if let Self::None = self {
            *self = Self::File(spools.unnamed()?, 0);
        }
        match self {
            Self::File(file, length) if *length < FILE_LIMIT => {
                file.write_all_at(bytes, *length)?;
                let offset = *length;
                *length += bytes.len() as u64;
                Ok(Some((file.try_clone()?, offset)))
            }
            Self::File(..) | Self::Broken | Self::None => Ok(None),
        }
    }
}

impl Piece {
    fn write(&mut self, to: BorrowedFd) -> io::Result<u64> {
        match self {
            Self::Bytes { payload, sent } => {
                let written = socket::send(to, &payload.bytes()[*sent..], false)?;
                *sent += written;
                Ok(written as u64)
            }
            Self::File { file, offset, left } => {
                let step = usize::try_from(*left).unwrap_or(FILE_STEP).min(FILE_STEP);
                let written = file::send(to, file.as_fd(), *offset, step)? as u64;
                if written == 0 {
                    log::warn!("{SHORTENED}");
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

    fn spools() -> Spools {
        Spools::new(std::env::temp_dir())
    }

    #[test]
    fn what_memory_is_not_to_hold_goes_to_a_file_in_order() {
        let (one, mut two) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        let mut outgoing = Outgoing::default();
        let piece = 300_000;
        for letter in b'a'..=b'j' {
            outgoing.push_bytes(Box::new(vec![letter; piece]), 0, &spools());
        }
        assert!(outgoing.held() < 10 * piece && !outgoing.is_full());
        assert!(matches!(outgoing.overflow, Overflow::File(_, length) if length > 0));
        let mut received = Vec::new();
        let mut buffer = vec![0; 1 << 20];
        while received.len() < 10 * piece {
            outgoing.flush(one.as_fd()).unwrap();
            let count = two.read(&mut buffer).unwrap();
            received.extend_from_slice(&buffer[..count]);
        }
        let expected: Vec<_> = (b'a'..=b'j').flat_map(|letter| vec![letter; piece]).collect();
        assert!(received == expected);
        assert!(matches!(outgoing.overflow, Overflow::None) || !outgoing.is_empty());
    }

    #[test]
    fn without_a_disk_memory_is_all_there_is() {
        let mut outgoing = Outgoing::default();
        let nowhere = Spools::new(std::path::PathBuf::from("/nowhere"));
        for _ in 0..3 {
            outgoing.push_bytes(Box::new(vec![0; MEMORY_LIMIT]), 0, &nowhere);
        }
        assert!(outgoing.is_full());
        assert_eq!(outgoing.held(), 3 * MEMORY_LIMIT);
    }

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
        outgoing.push_bytes(Box::new(b"xxab".to_vec()), 2, &spools());
        outgoing.push_file(a_file(b"012345"), 1, 3);
        outgoing.push_bytes(Box::new(b"cd".to_vec()), 0, &spools());
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
        outgoing.push_bytes(Box::new(vec![b'a'; length]), 0, &spools());
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
