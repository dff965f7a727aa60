//! A log file under a descriptor that stays the same when it is reopened.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to; made with mode 0640 if it is missing.
    File(PathBuf),
}

/// An open log file. A write goes out whole in one call, so that lines of
/// several processes do not mix (`O_APPEND`, `write(2)`).
#[derive(Debug)]
pub struct LogFile {
    file: File,
    destination: Destination,
}

impl LogFile {
    /// Opens a destination.
    ///
    /// # Errors
    /// Those of `open(2)`, with the path.
    pub fn open(destination: Destination) -> io::Result<Self> {
        let file = match &destination {
            Destination::Stdout => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            Destination::Stderr => File::from(io::stderr().as_fd().try_clone_to_owned()?),
            Destination::File(path) => append(path)?,
        };
        Ok(Self { file, destination })
    }

    /// Writes bytes that end in a newline. A full disk or a closed pipe loses
    /// them: a log must never stop what it is about.
    pub fn write(&self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match (&self.file).write(rest) {
                Ok(0) => return,
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Opens the file again by name, after a rotation, under the same
    /// descriptor: whoever holds a copy of `self` by reference sees the new one.
    /// A standard stream is followed to where it leads now.
    ///
    /// # Errors
    /// Those of `open(2)`, with the path; the old file stays in use.
    pub fn reopen(&self) -> io::Result<()> {
        match &self.destination {
            Destination::Stdout => self.replace_with(io::stdout().as_fd()),
            Destination::Stderr => self.replace_with(io::stderr().as_fd()),
            Destination::File(path) => self.replace_with(append(path)?.as_fd()),
        }
    }

    /// Makes this descriptor a copy of another.
    fn replace_with(&self, other: BorrowedFd) -> io::Result<()> {
        monoceros_sys::file::duplicate_onto(other, self.file.as_fd())
    }

    /// Makes standard output and standard error lead here too.
    ///
    /// # Errors
    /// Those of `dup3(2)`.
    pub fn capture_output(&self) -> io::Result<()> {
        for standard in [io::stdout().as_fd(), io::stderr().as_fd()] {
            if standard.as_raw_fd() != self.file.as_raw_fd() {
                monoceros_sys::file::duplicate_for_programs(self.file.as_fd(), standard)?;
            }
        }
        Ok(())
    }

    /// Gives the file to another user, who is to write it after this process
    /// has; other destinations stay whose they are.
    ///
    /// # Errors
    /// Those of `fchown(2)`.
    pub fn give_to(&self, user: Option<u32>, group: Option<u32>) -> io::Result<()> {
        match self.destination {
            Destination::File(_) => std::os::unix::fs::fchown(&self.file, user, group),
            Destination::Stdout | Destination::Stderr => Ok(()),
        }
    }
}

impl AsFd for LogFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path).map_err(|error| {
        let reason = monoceros_sys::reason(&error);
        let text = format!("cannot open log file {}: {reason}", path.display());
        io::Error::new(error.kind(), text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reopened_file_is_the_new_one() {
        let directory = std::env::temp_dir().join(format!("monoceros-log-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (path, moved) = (directory.join("error.log"), directory.join("error.log.1"));
        let log = LogFile::open(Destination::File(path.clone())).unwrap();
        log.write(b"one\n");
        std::fs::rename(&path, &moved).unwrap();
        log.write(b"two\n");
        log.reopen().unwrap();
        log.write(b"three\n");
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn an_error_names_the_file() {
        let missing = PathBuf::from("/nowhere/at/all.log");
        let error = LogFile::open(Destination::File(missing)).unwrap_err();
        assert!(error.to_string().starts_with("cannot open log file /nowhere/at/all.log: "));
    }
}
