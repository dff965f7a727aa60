//! Which connections a worker has added to the table: memory that the worker writes, and from
//! which the master subtracts them when the worker has ended.
//!
//! A connection is in the journal from before it is counted until after it is subtracted. So a
//! worker that is killed in between leaves a number that is too low by one, and never one that
//! is too high: no client is refused because of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Mutex, PoisonError};

use monoceros_sys::memory::SharedWords;

use super::cells::FoundCell;
use super::words::{CellUse, TENANCY_BITS, Tenancy};

/// A line with a connection.
const USED: u64 = 1 << 63;

/// The memory, on either side.
#[derive(Debug)]
pub struct ConnectionJournal {
    lines: SharedWords,
}

impl ConnectionJournal {
    /// Makes the journal of a worker, for so many connections at a time.
    ///
    /// # Errors
    /// Those of `memfd_create(2)` and `mmap(2)`.
    pub fn create(connections: usize) -> io::Result<Self> {
        Ok(Self { lines: SharedWords::create("monoceros-connections", connections.max(1))? })
    }

    /// Maps the journal that the master has made.
    ///
    /// # Errors
    /// Those of `mmap(2)`.
    pub fn adopt(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { lines: SharedWords::adopt(fd)? })
    }

    /// Takes every connection out.
    pub(super) fn take_all(&self) -> impl Iterator<Item = FoundCell> {
        self.lines.words().iter().filter_map(|line| cell_of(line.swap(0, Acquire)))
    }
}

impl AsFd for ConnectionJournal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lines.as_fd()
    }
}

fn line_of(cell: FoundCell) -> u64 {
    USED | (cell.index as u64) << TENANCY_BITS | cell.usage.tenancy.word()
}

/// The cell of a line, with its tenancy only; `None` if the line has no connection.
fn cell_of(line: u64) -> Option<FoundCell> {
    let index = usize::try_from((line & !USED) >> TENANCY_BITS).ok()?;
    let usage = CellUse { tenancy: Tenancy::of(line), connections: 0, until_s: 0 };
    (line & USED != 0).then_some(FoundCell { index, usage })
}

/// The worker's end of its journal.
#[derive(Debug)]
pub struct JournalWriter {
    journal: ConnectionJournal,
    unused: Mutex<UnusedLines>,
}

/// The lines without a connection.
#[derive(Debug, Default)]
struct UnusedLines {
    /// Lines that had a connection.
    again: Vec<u32>,
    /// The first line that never had one; neither had those behind it.
    first_new: u32,
}

/// A line of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JournalLine(pub(super) u32);

impl JournalWriter {
    /// The worker's end of this journal, which is empty.
    #[must_use]
    pub fn new(journal: ConnectionJournal) -> Self {
        Self { journal, unused: Mutex::default() }
    }

    /// Takes an unused line; `None` if the worker has more connections than the journal has
    /// lines.
    pub(super) fn take_line(&self) -> Option<JournalLine> {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = unused.again.pop() {
            return Some(JournalLine(line));
        }
        let line = unused.first_new;
        if line as usize >= self.journal.lines.words().len() {
            return None;
        }
        unused.first_new += 1;
        Some(JournalLine(line))
    }

    /// Writes which cell a connection is to be counted in.
    pub(super) fn write(&self, line: JournalLine, cell: FoundCell) {
        self.journal.lines.words()[line.0 as usize].store(line_of(cell), Release);
    }

    /// The cell that a connection is counted in.
    pub(super) fn read(&self, line: JournalLine) -> Option<FoundCell> {
        cell_of(self.journal.lines.words().get(line.0 as usize)?.load(Acquire))
    }

    /// The line has no connection any more.
    pub(super) fn release(&self, line: JournalLine) {
        self.journal.lines.words()[line.0 as usize].store(0, Release);
        self.unused.lock().unwrap_or_else(PoisonError::into_inner).again.push(line.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(index: usize, tenancy: u64) -> FoundCell {
        let usage = CellUse { tenancy: Tenancy::of(tenancy), connections: 0, until_s: 0 };
        FoundCell { index, usage }
    }

    #[test]
    fn the_master_reads_what_the_worker_has_written_and_not_released() {
        let journal = ConnectionJournal::create(3).unwrap();
        let theirs = journal.as_fd().try_clone_to_owned().unwrap();
        let writer = JournalWriter::new(ConnectionJournal::adopt(theirs).unwrap());
        let lines = [(); 3].map(|()| writer.take_line().unwrap());
        assert_eq!(writer.take_line(), None);
        let cells = [cell(131_071, 8191), cell(0, 1), cell(7, 2)];
        lines.into_iter().zip(cells).for_each(|(line, cell)| writer.write(line, cell));
        assert_eq!(writer.read(lines[1]), Some(cells[1]));
        writer.release(lines[1]);
        assert_eq!(writer.take_line(), Some(lines[1]));
        assert_eq!(journal.take_all().collect::<Vec<_>>(), [cells[0], cells[2]]);
        assert_eq!(journal.take_all().count(), 0);
    }
}
