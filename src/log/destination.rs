//! A log file. Its descriptor stays the same when the file is reopened.

use std::fs::{File, Metadata};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use monoceros_sys::{append, descriptor, pipe};

use crate::form::RecordForm;
use crate::journal;
use crate::loss::Loss;

/// The directories with the names of a process's descriptors (`proc_pid_fd(5)`).
const DESCRIPTORS: [&str; 3] = ["/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"];
/// The maximum number of links to such a name.
const MOST_LINKS: usize = 8;

/// The destination of log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Another descriptor that this process has inherited, by its number.
    Given(i32),
    /// A file to append to, made with mode 0640 if it is missing. A named pipe is
    /// opened for reading and writing, so that it needs no reader.
    File(PathBuf),
}

impl Destination {
    /// The destination of a setting: the file at `path`, else the standard `stream`.
    #[must_use]
    pub fn of(path: Option<PathBuf>, stream: Self) -> Self {
        path.map_or(stream, Self::named)
    }

    /// The destination of a path. A name for one of the process's own descriptors, such
    /// as `/dev/stdout`, or a link to one, means that descriptor. Opening such a name would
    /// open its file again, which fails for a socket (`ENXIO`, `open(2)`) and for the
    /// file of another user.
    #[must_use]
    pub fn named(path: PathBuf) -> Self {
        let mut name = path.clone();
        for _ in 0..MOST_LINKS {
            match descriptor(&name) {
                Some(1) => return Self::Stdout,
                Some(2) => return Self::Stderr,
                Some(number) => return Self::Given(number),
                None => {}
            }
            let Ok(target) = name.read_link() else { break };
            name = name.parent().unwrap_or(Path::new("/")).join(target);
        }
        Self::File(path)
    }
}

/// The number of the descriptor that has this name.
fn descriptor(path: &Path) -> Option<i32> {
    match path.to_str()? {
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        name => {
            let mut numbers = DESCRIPTORS.iter().filter_map(|place| name.strip_prefix(place));
            numbers.next()?.parse().ok().filter(|number| *number >= 0)
        }
    }
}

/// An open log file. A file gets each write in one call, so that lines of several
/// processes do not mix (`O_APPEND`, `write(2)`).
///
/// Writing never waits. Lines for which a pipe, a socket or a terminal has no room, and
/// those that a full disk refuses, are lost. The next line that can be written comes
/// after one with their number.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    destination: Mutex<Destination>,
    /// Whether it is a regular file, whose writers never wait for a reader.
    is_regular: AtomicBool,
    /// Whether systemd's journal reads it.
    is_journal: AtomicBool,
    /// Whether its records are JSON.
    is_json: AtomicBool,
    loss: Loss,
}

impl LogFile {
    /// Opens a destination.
    ///
    /// # Errors
    /// Those of `open(2)`, with the path.
    pub fn open(destination: Destination) -> io::Result<Self> {
        Self::open_by(destination, append::open)
    }

    /// As [`LogFile::open`], but a file is opened by `by`.
    ///
    /// # Errors
    /// As [`LogFile::open`].
    pub fn open_by(
        destination: Destination,
        by: impl FnOnce(&Path) -> io::Result<File>,
    ) -> io::Result<Self> {
        let file = find(&destination, by)?;
        Self::of(file, destination)
    }

    /// As [`LogFile::open_by`]. When that fails, the lines go to the standard stream
    /// `instead` until a [`LogFile::reopen_by`] succeeds, and the error is returned too.
    ///
    /// # Errors
    /// Those of `dup(2)`.
    pub fn open_or_by(
        destination: Destination,
        instead: Destination,
        by: impl Fn(&Path) -> io::Result<File>,
    ) -> io::Result<(Self, Option<io::Error>)> {
        match find(&destination, &by) {
            Ok(file) => Ok((Self::of(file, destination)?, None)),
            Err(error) => {
                let stream = find(&instead, &by)?;
                Ok((Self::of(stream, destination)?, Some(error)))
            }
        }
    }

    /// Whether a person reads it on a terminal.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// Makes a log file from a descriptor that another process has opened for this one.
    ///
    /// # Errors
    /// Those of `fstat(2)`.
    pub fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let number = fd.as_raw_fd();
        Self::of(File::from(fd), Destination::Given(number))
    }

    fn of(file: File, destination: Destination) -> io::Result<Self> {
        let (is_regular, is_journal, is_json, loss) = <_>::default();
        let destination = Mutex::new(destination);
        let log = Self { file, destination, is_regular, is_journal, is_json, loss };
        log.look()?;
        Ok(log)
    }

    /// Finds out the kind of the file.
    fn look(&self) -> io::Result<()> {
        self.is_regular.store(self.file.metadata()?.is_file(), Ordering::Relaxed);
        self.is_journal.store(journal::reads(&self.file), Ordering::Relaxed);
        pipe::widen(self.file.as_fd());
        Ok(())
    }

    /// Whether systemd's journal reads it; its lines have another form.
    pub(crate) fn is_journal(&self) -> bool {
        self.is_journal.load(Ordering::Relaxed)
    }

    /// Sets whether its records are JSON.
    pub fn set_json(&self, is_json: bool) {
        self.is_json.store(is_json, Ordering::Relaxed);
    }

    /// The form of its records.
    pub(crate) fn form(&self) -> RecordForm {
        match (self.is_json.load(Ordering::Relaxed), self.is_journal()) {
            (true, _) => RecordForm::Json,
            (false, true) => RecordForm::Prefixed,
            (false, false) => RecordForm::Text,
        }
    }

    /// Writes bytes that end in a newline. Never waits for a reader: lines that do not fit
    /// are lost as a whole.
    pub fn write(&self, bytes: &[u8]) {
        let told = self.tell_loss();
        let kept = if told { self.put(bytes) } else { 0 };
        if kept < bytes.len() {
            self.loss.add(&bytes[kept..]);
        }
    }

    /// Writes how many lines were lost, if any were. Returns whether nothing is left to
    /// be written about a loss.
    fn tell_loss(&self) -> bool {
        let Some(lost) = self.loss.take() else { return true };
        let line = self.loss.tell(lost, self.form());
        let told = self.put(line.as_bytes()) == line.len();
        if !told {
            self.loss.put_back(lost);
        }
        told
    }

    /// Writes as many bytes as there is room for, and returns their number.
    fn put(&self, bytes: &[u8]) -> usize {
        let is_regular = self.is_regular.load(Ordering::Relaxed);
        let limit = if is_regular { usize::MAX } else { pipe::PIPE_BUF };
        let mut kept = 0;
        while kept < bytes.len() {
            let piece = whole_lines(&bytes[kept..], limit);
            let result = if is_regular {
                (&self.file).write(piece)
            } else {
                pipe::write_at_once(self.file.as_fd(), piece)
            };
            match result {
                Ok(0) => break,
                Ok(written) => kept += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.loss.keep(&bytes[..kept]);
        kept
    }

    /// Opens the file again by its name, after a rotation, with the same descriptor: all
    /// references to `self` use the new file. For a standard stream the kind of its file
    /// is found out again.
    ///
    /// # Errors
    /// Those of `open(2)`, with the path; the old file stays in use.
    pub fn reopen(&self) -> io::Result<()> {
        self.reopen_by(append::open)
    }

    /// As [`LogFile::reopen`], but a file is opened by `by`.
    ///
    /// # Errors
    /// As [`LogFile::reopen`].
    pub fn reopen_by(&self, by: impl FnOnce(&Path) -> io::Result<File>) -> io::Result<()> {
        match &self.destination() {
            Destination::Stdout => self.follow(io::stdout().as_fd(), "standard output"),
            Destination::Stderr => self.follow(io::stderr().as_fd(), "standard error"),
            // A descriptor has no name by which it could be opened.
            Destination::Given(_) => Ok(()),
            Destination::File(path) => self.replace_with(open(path, by)?.as_fd()),
        }?;
        self.look()
    }

    /// Makes this descriptor a copy of a stream, unless it is of the same file already: a process
    /// without a free descriptor cannot copy one.
    fn follow(&self, stream: BorrowedFd, name: &str) -> io::Result<()> {
        if descriptor::are_of_one_file(stream, self.file.as_fd()) {
            return Ok(());
        }
        self.replace_with(stream).map_err(|error| {
            let text = format!("cannot copy {name}: {}", monoceros_sys::reason(&error));
            io::Error::new(error.kind(), text)
        })
    }

    /// Continues at another destination; a file is opened by `by`.
    ///
    /// # Errors
    /// As [`LogFile::reopen`].
    pub fn continue_at(
        &self,
        destination: Destination,
        by: impl FnOnce(&Path) -> io::Result<File>,
    ) -> io::Result<()> {
        self.replace(find(&destination, by)?.as_fd())?;
        *self.destination.lock().unwrap_or_else(PoisonError::into_inner) = destination;
        Ok(())
    }

    /// Whether another file has its name now, or none.
    #[must_use]
    pub fn was_replaced(&self) -> bool {
        let Destination::File(path) = self.destination() else { return false };
        let identity = |found: io::Result<Metadata>| found.ok().map(|it| (it.dev(), it.ino()));
        identity(path.metadata()) != identity(self.file.metadata())
    }

    /// Where the lines go, or would go if the file could be opened.
    #[must_use]
    pub fn destination(&self) -> Destination {
        self.destination.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Continues in a file that another process has opened for this one, under the same
    /// descriptor.
    ///
    /// # Errors
    /// Those of `dup3(2)` and `fstat(2)`; after the first ones the old file stays in use.
    pub fn replace(&self, by: BorrowedFd) -> io::Result<()> {
        self.replace_with(by)?;
        self.look()
    }

    /// Makes this descriptor a copy of another one.
    fn replace_with(&self, other: BorrowedFd) -> io::Result<()> {
        descriptor::duplicate_onto(other, self.file.as_fd())
    }

    /// Redirects standard output and standard error to this file.
    ///
    /// # Errors
    /// Those of `dup3(2)`, and for a named pipe those of `open(2)`.
    pub fn capture_output(&self) -> io::Result<()> {
        // Programs do not expect `EAGAIN` for their output. A named pipe is opened anew for them;
        // one that this user may not open has to do as it is.
        let is_pipe = self.file.metadata()?.file_type().is_fifo();
        let waiting = match is_pipe && append::fails_when_full(self.file.as_fd()) {
            true => append::open_again(self.file.as_fd()).ok(),
            false => None,
        };
        let file = waiting.as_ref().unwrap_or(&self.file);
        for standard in [io::stdout().as_fd(), io::stderr().as_fd()] {
            if standard.as_raw_fd() != file.as_raw_fd() {
                descriptor::duplicate_for_programs(file.as_fd(), standard)?;
            }
        }
        Ok(())
    }
}

impl AsFd for LogFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn find(destination: &Destination, by: impl FnOnce(&Path) -> io::Result<File>) -> io::Result<File> {
    match destination {
        Destination::Stdout => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
        Destination::Stderr => Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?)),
        Destination::Given(number) => {
            let given = descriptor::duplicate(*number);
            given.map(File::from).map_err(|error| named(&format!("descriptor {number}"), &error))
        }
        Destination::File(path) => open(path, by),
    }
}

fn open(path: &Path, by: impl FnOnce(&Path) -> io::Result<File>) -> io::Result<File> {
    by(path).map_err(|error| named(&path.display().to_string(), &error))
}

fn named(name: &str, error: &io::Error) -> io::Error {
    let text = format!("cannot open log file {name}: {}", monoceros_sys::reason(error));
    io::Error::new(error.kind(), text)
}

/// The whole lines at the beginning of `bytes` that fit into `limit` bytes; for a longer
/// line, its first `limit` bytes.
fn whole_lines(bytes: &[u8], limit: usize) -> &[u8] {
    if bytes.len() <= limit {
        return bytes;
    }
    let within = &bytes[..limit];
    let end = within.iter().rposition(|byte| *byte == b'\n');
    end.map_or(within, |at| &bytes[..=at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

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
    fn a_name_of_a_stream_means_the_stream() {
        let named = |name: &str| Destination::named(PathBuf::from(name));
        for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
            assert_eq!(named(name), Destination::Stdout);
        }
        for name in ["/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"] {
            assert_eq!(named(name), Destination::Stderr);
        }
        assert_eq!(named("/dev/fd/7"), Destination::Given(7));
        for name in ["/dev/null", "/dev/fd/x", "/dev/fd/-1", "stdout"] {
            assert_eq!(named(name), Destination::File(PathBuf::from(name)));
        }
        let link = std::env::temp_dir().join(format!("monoceros-stream-{}", std::process::id()));
        std::os::unix::fs::symlink("/dev/stderr", &link).unwrap();
        assert_eq!(Destination::named(link.clone()), Destination::Stderr);
        std::fs::remove_file(link).unwrap();
    }

    #[test]
    fn a_log_that_cannot_be_opened_goes_to_a_stream_until_it_can() {
        let directory = std::env::temp_dir().join(format!("monoceros-late-{}", std::process::id()));
        let path = directory.join("a.log");
        let destination = Destination::File(path.clone());
        let (log, error) =
            LogFile::open_or_by(destination, Destination::Stderr, append::open).unwrap();
        assert!(error.unwrap().to_string().starts_with("cannot open log file"));
        assert!(log.reopen().is_err());
        std::fs::create_dir(&directory).unwrap();
        log.reopen().unwrap();
        log.write(b"one\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn an_error_names_the_file() {
        let missing = PathBuf::from("/nowhere/at/all.log");
        let error = LogFile::open(Destination::File(missing)).unwrap_err();
        assert!(error.to_string().starts_with("cannot open log file /nowhere/at/all.log: "));
    }

    #[test]
    fn lines_stay_whole_as_long_as_they_fit() {
        assert_eq!(whole_lines(b"one\ntwo\n", 8), b"one\ntwo\n");
        assert_eq!(whole_lines(b"one\ntwo\n", 7), b"one\n");
        assert_eq!(whole_lines(b"longer\ntwo\n", 4), b"long");
    }

    fn log_to(end: impl Into<std::os::fd::OwnedFd>) -> LogFile {
        LogFile::of(File::from(end.into()), Destination::Stdout).unwrap()
    }

    /// Writes numbered lines until some are lost, and returns the number of written lines.
    fn fill(log: &LogFile) -> usize {
        let mut count = 0;
        while log.loss.is_none() {
            log.write(format!("line {count:06} {:0200}\n", 0).as_bytes());
            count += 1;
        }
        count
    }

    /// Fills the log before its reader begins. The lines that were kept must be whole, and
    /// the next line must come after one with the number of lost lines.
    fn assert_loses_whole_lines(log: LogFile, reader: impl Into<std::os::fd::OwnedFd>) {
        let written = fill(&log);
        log.write(b"not this either\nnor this\n");
        let mut reader = File::from(reader.into());
        let mut first = vec![0; 512 * 1024];
        let mut seen = String::new();
        while seen.matches('\n').count() < written - 1 {
            let count = reader.read(&mut first).unwrap();
            seen.push_str(std::str::from_utf8(&first[..count]).unwrap());
        }
        log.write(b"again\n");
        drop(log);
        reader.read_to_string(&mut seen).unwrap();
        let lines: Vec<_> = seen.lines().collect();
        assert_eq!(lines.len(), written + 1, "all but the one that filled it, and two more");
        for (number, line) in lines[..written - 1].iter().enumerate() {
            assert_eq!(*line, format!("line {number:06} {:0200}", 0));
        }
        assert!(
            lines[written - 1].contains("] master: log: 3 lines (238 bytes) were lost here"),
            "{seen}"
        );
        assert_eq!(lines[written], "again");
    }

    #[test]
    fn a_pipe_whose_reader_stalls_loses_whole_lines_and_counts_them() {
        let (reader, writer) = io::pipe().unwrap();
        assert_loses_whole_lines(log_to(writer), reader);
    }

    #[test]
    fn a_named_pipe_needs_no_reader() {
        let path = std::env::temp_dir().join(format!("monoceros-fifo-{}", std::process::id()));
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let log = LogFile::open(Destination::File(path.clone())).unwrap();
        log.reopen().unwrap();
        let reader = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_loses_whole_lines(log, reader);
    }

    #[test]
    fn a_line_longer_than_a_pipe_takes_at_once_goes_out_in_pieces() {
        let (mut reader, writer) = io::pipe().unwrap();
        let log = log_to(writer);
        let line = format!("{:010000}\n", 7);
        log.write(line.as_bytes());
        drop(log);
        let mut seen = String::new();
        reader.read_to_string(&mut seen).unwrap();
        assert_eq!(seen, line);
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let full = PathBuf::from("/dev/full");
        let log = LogFile::open(Destination::File(full)).unwrap();
        log.write(b"one\n");
        log.write(b"two\nthree\n");
        let lost = log.loss.take().unwrap();
        assert!(log.loss.tell(lost, RecordForm::Text).contains("3 lines (14 bytes)"));
    }
}
