//! Files for bodies that are too large for memory, used again and again.
//!
//! A new file costs more than what goes through it: the file system has to find
//! a page for every one that is written. A file that was used before has them.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use monoceros_sys::file;

/// Files that are kept.
const KEPT: usize = 4;

/// The most bytes of a file that are kept with it.
const KEPT_LENGTH: u64 = 4 << 20;

/// The files of a worker that nobody uses at the moment.
#[derive(Debug)]
pub(crate) struct Spools {
    directory: PathBuf,
    spare: Mutex<Vec<File>>,
}

impl Spools {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, spare: Mutex::default() }
    }

    /// Takes a file. What stands in it is of an earlier request: only what has
    /// been written since may be read.
    ///
    /// # Errors
    /// Those of `open(2)`, with the directory.
    pub(crate) fn take(&self) -> io::Result<File> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(file) = spare {
            return Ok(file);
        }
        file::unnamed(&self.directory).map_err(|error| {
            let text = format!("no file in {}: {error}", self.directory.display());
            io::Error::new(error.kind(), text)
        })
    }

    /// Gives back a file that nobody else can reach.
    pub(crate) fn give_back(&self, file: File, length: u64) {
        if length > KEPT_LENGTH && file.set_len(0).is_err() {
            return;
        }
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < KEPT {
            spare.push(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_used_again_and_a_large_one_is_emptied() {
        let spools = Spools::new(std::env::temp_dir());
        let mut file = spools.take().unwrap();
        file.write_all(b"abc").unwrap();
        spools.give_back(file, 3);
        let file = spools.take().unwrap();
        assert_eq!(file.metadata().unwrap().len(), 3);
        spools.give_back(file, KEPT_LENGTH + 1);
        assert_eq!(spools.take().unwrap().metadata().unwrap().len(), 0);
    }

    #[test]
    fn an_error_names_the_directory() {
        let error = Spools::new(PathBuf::from("/nowhere")).take().unwrap_err();
        assert!(error.to_string().starts_with("no file in /nowhere: "));
    }
}
