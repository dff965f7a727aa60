//! A request's body: in memory while it is small, otherwise in a file without a name.

use std::io;

use crate::spool::Spools;
use crate::spool::spool_file::Spool;
use crate::transport::socket::Socket;

/// The longest body that is kept in memory, in bytes.
pub const MEMORY_LIMIT: usize = 64 * 1024;

/// How much of a body whose announced length is above [`MEMORY_LIMIT`] is kept in
/// memory, in bytes: the rest goes to a file at once.
const FIRST_LIMIT: usize = 16 * 1024;

/// The body of a request, complete.
#[derive(Debug, Default)]
pub enum Body {
    /// There is no body, or one of no bytes.
    #[default]
    Empty,
    /// At most [`MEMORY_LIMIT`] bytes.
    Memory(Vec<u8>),
    /// A longer body, from the beginning of a file. The file may have other bytes
    /// behind the body.
    File {
        /// The file; the kernel removes it with its last descriptor.
        file: Spool,
        /// The body's length in bytes.
        length: u64,
    },
}

/// The received bytes of a body.
#[derive(Debug)]
pub(crate) struct Received {
    /// Bytes of the body.
    pub(crate) body: usize,
    /// Bytes that follow the body.
    pub(crate) beyond: usize,
    /// Nothing more has arrived.
    pub(crate) is_all: bool,
}

impl Body {
    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds bytes; moves everything to a file when the limit of memory is reached.
    /// `announced` is the body's length, where it is known.
    ///
    /// # Errors
    /// Those of `open(2)` and `write(2)`: the disk may be full.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        announced: Option<u64>,
        spools: &Spools,
    ) -> io::Result<()> {
        let is_large = announced.is_some_and(|length| length > MEMORY_LIMIT as u64);
        let limit = if is_large { FIRST_LIMIT } else { MEMORY_LIMIT };
        match self {
            _ if bytes.is_empty() => {}
            Self::Empty if bytes.len() <= limit => *self = Self::Memory(bytes.to_vec()),
            Self::Memory(held) if held.len() + bytes.len() <= limit => {
                held.extend_from_slice(bytes);
            }
            Self::Empty | Self::Memory(_) => {
                self.move_to_file(spools)?;
                self.append(bytes, spools)?;
            }
            Self::File { .. } => self.append(bytes, spools)?,
        }
        Ok(())
    }

    /// Receives at most `limit` bytes from a socket to the end of the body, and the
    /// bytes behind them to `beyond`. Returns how many of both; `None` when the bytes
    /// have to pass through memory.
    ///
    /// # Errors
    /// A full disk. An error of the socket is in the value.
    pub(crate) fn receive(
        &mut self,
        socket: &Socket,
        limit: u64,
        beyond: &mut [u8],
        spools: &Spools,
    ) -> io::Result<Option<io::Result<Received>>> {
        let Self::File { file, length } = self else { return Ok(None) };
        spools.with_room(|| file.prepare(*length, limit))?;
        let Some(room) = file.room(*length, limit) else { return Ok(None) };
        let size = room.len();
        // Only the bytes behind the body's last byte do not belong to the body.
        let beyond = if size as u64 == limit { beyond } else { &mut [] };
        let all = size + beyond.len();
        match socket.receive_parts([room, beyond]) {
            Ok(count) => {
                let body = count.min(size);
                *length += body as u64;
                Ok(Some(Ok(Received { body, beyond: count - body, is_all: count < all })))
            }
            // The file system has no room for the mapped bytes: some file systems need
            // room even to overwrite.
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {
                Err(io::ErrorKind::StorageFull.into())
            }
            Err(error) => Ok(Some(Err(error))),
        }
    }

    fn move_to_file(&mut self, spools: &Spools) -> io::Result<()> {
        let mut file = spools.take()?;
        let mut length = 0;
        if let Self::Memory(held) = self {
            spools.with_room(|| file.write_at(held, 0))?;
            length = held.len() as u64;
        }
        *self = Self::File { file, length };
        Ok(())
    }

    fn append(&mut self, bytes: &[u8], spools: &Spools) -> io::Result<()> {
        if let Self::File { file, length } = self {
            spools.with_room(|| file.write_at(bytes, *length))?;
            *length += bytes.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::test_spools;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;
    use std::os::unix::net::UnixStream;

    fn spools() -> Spools {
        test_spools(std::env::temp_dir())
    }

    #[test]
    fn a_body_moves_to_a_file_when_it_outgrows_memory() {
        let spools = spools();
        let mut body = Body::default();
        assert!(body.is_empty());
        body.push(&[b'a'; MEMORY_LIMIT], None, &spools).unwrap();
        assert!(matches!(body, Body::Memory(_)));
        body.push(b"b", None, &spools).unwrap();
        assert_eq!(body.len(), MEMORY_LIMIT as u64 + 1);
        let Body::File { file, length } = body else { panic!("still in memory") };
        let mut text = vec![0; MEMORY_LIMIT + 1];
        let file = std::fs::File::from(file.as_fd().try_clone_to_owned().unwrap());
        file.read_exact_at(&mut text, 0).unwrap();
        assert_eq!(length, text.len() as u64);
        assert!(text.ends_with(b"aab"));
    }

    #[test]
    fn a_body_with_a_large_length_goes_to_a_file_when_its_first_bytes_have_arrived() {
        let spools = spools();
        let large = Some(MEMORY_LIMIT as u64 + 1);
        let mut body = Body::default();
        body.push(&[b'a'; FIRST_LIMIT], large, &spools).unwrap();
        assert!(matches!(body, Body::Memory(_)));
        body.push(b"b", large, &spools).unwrap();
        assert!(matches!(body, Body::File { .. }));
        let mut body = Body::default();
        body.push(&[b'a'; MEMORY_LIMIT], Some(MEMORY_LIMIT as u64), &spools).unwrap();
        assert!(matches!(body, Body::Memory(_)));
    }

    #[test]
    fn bytes_behind_a_body_are_not_part_of_the_body() {
        let (mut one, two) = UnixStream::pair().unwrap();
        let two = Socket::new(two.into());
        let spools = spools();
        let mut body = Body::File { file: spools.take().unwrap(), length: 0 };
        let mut beyond = [0; 8];
        let mut receive = |body: &mut Body, limit| {
            body.receive(&two, limit, &mut beyond, &spools).unwrap().unwrap().unwrap()
        };
        one.write_all(b"body").unwrap();
        let received = receive(&mut body, 5);
        assert!(matches!(received, Received { body: 4, beyond: 0, is_all: true }));
        one.write_all(b"!GET /").unwrap();
        let received = receive(&mut body, 1);
        assert!(matches!(received, Received { body: 1, beyond: 5, is_all: true }));
        assert_eq!((&beyond[..5], body.len()), (&b"GET /"[..], 5));
        let Body::File { file, .. } = body else { panic!("in memory") };
        assert_eq!(&file.start()[..5], b"body!");
    }
}
