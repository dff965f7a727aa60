//! A request's body: in memory while it is small, else in a file without a
//! name.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use monoceros_sys::file;

/// The longest body that is kept in memory, in bytes.
pub const MEMORY_LIMIT: usize = 64 * 1024;

/// The body of a request, complete.
#[derive(Debug, Default)]
pub enum Body {
    /// There is none, or one of no bytes.
    #[default]
    Empty,
    /// At most [`MEMORY_LIMIT`] bytes.
    Memory(Vec<u8>),
    /// More than that, in a file that stands at its beginning.
    File {
        /// The file; vanishes with its last descriptor.
        file: File,
        /// Its length in bytes.
        length: u64,
    },
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

    /// Adds bytes; moves everything to a file in `directory` when memory is to
    /// hold no more.
    ///
    /// # Errors
    /// Those of `open(2)` and `write(2)`: the disk may be full.
    pub(crate) fn push(&mut self, bytes: &[u8], directory: &Path) -> io::Result<()> {
        match self {
            Self::Empty if bytes.len() <= MEMORY_LIMIT => *self = Self::Memory(bytes.to_vec()),
            Self::Memory(held) if held.len() + bytes.len() <= MEMORY_LIMIT => {
                held.extend_from_slice(bytes);
            }
            Self::Empty | Self::Memory(_) => {
                self.move_to_file(directory)?;
                self.append(bytes)?;
            }
            Self::File { .. } => self.append(bytes)?,
        }
        Ok(())
    }

    /// Makes room for a body of a known length.
    ///
    /// # Errors
    /// Those of `open(2)`.
    pub(crate) fn expect(&mut self, length: u64, directory: &Path) -> io::Result<()> {
        match usize::try_from(length) {
            Ok(length) if length <= MEMORY_LIMIT => {
                *self = Self::Memory(Vec::with_capacity(length))
            }
            _ => self.move_to_file(directory)?,
        }
        Ok(())
    }

    /// Puts the file to its beginning, to be read.
    ///
    /// # Errors
    /// Those of `lseek(2)`.
    pub(crate) fn rewind(&mut self) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.seek(SeekFrom::Start(0)).map(drop),
            Self::Empty | Self::Memory(_) => Ok(()),
        }
    }

    fn move_to_file(&mut self, directory: &Path) -> io::Result<()> {
        let mut file = file::unnamed(directory)?;
        let mut length = 0;
        if let Self::Memory(held) = self {
            file.write_all(held)?;
            length = held.len() as u64;
        }
        *self = Self::File { file, length };
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Self::File { file, length } = self {
            file.write_all(bytes)?;
            *length += bytes.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_body_moves_to_a_file_when_it_outgrows_memory() {
        let directory = std::env::temp_dir();
        let mut body = Body::default();
        assert!(body.is_empty());
        body.push(&[b'a'; MEMORY_LIMIT], &directory).unwrap();
        assert!(matches!(body, Body::Memory(_)));
        body.push(b"b", &directory).unwrap();
        body.rewind().unwrap();
        assert_eq!(body.len(), MEMORY_LIMIT as u64 + 1);
        let Body::File { mut file, .. } = body else { panic!("still in memory") };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("aab"));
        assert_eq!(text.len(), MEMORY_LIMIT + 1);
    }

    #[test]
    fn a_body_of_known_length_goes_where_it_fits() {
        let directory = std::env::temp_dir();
        let mut body = Body::default();
        body.expect(MEMORY_LIMIT as u64 + 1, &directory).unwrap();
        assert!(matches!(body, Body::File { .. }));
        let mut body = Body::default();
        body.expect(MEMORY_LIMIT as u64, &directory).unwrap();
        assert!(matches!(body, Body::Memory(_)));
    }
}
