//! What a worker shows the master without saying anything: shared words.
//!
//! Each word has one writer. The worker's I/O thread writes the first row, and
//! each application thread its own; the master only reads, and so survives
//! whatever the worker writes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use monoceros_sys::memory::SharedWords;

/// Words in a row: two cache lines, so that threads do not share one.
const ROW: usize = 16;
/// The layout's version, in the first word; raised when a word moves.
const VERSION: u64 = 2;
/// The most bytes of a request's method and target that a row holds.
const LABEL_LIMIT: usize = (ROW - label::TEXT) * 8;

/// The words of the first row.
mod head {
    pub(super) const VERSION: usize = 0;
    pub(super) const HEARTBEAT: usize = 1;
    pub(super) const CONNECTIONS: usize = 2;
    pub(super) const STUCK_SINCE: usize = 3;
}

/// The words of a thread's row.
mod label {
    pub(super) const BUSY_SINCE: usize = 0;
    pub(super) const REQUESTS: usize = 1;
    pub(super) const LENGTH: usize = 2;
    pub(super) const TEXT: usize = 3;
}

/// One worker's shared memory.
#[derive(Debug)]
pub struct Scoreboard {
    memory: SharedWords,
}

/// What a thread is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The thread's number in its worker, from 0.
    pub thread: usize,
    /// Since when, in milliseconds of the rising clock.
    pub since_ms: u64,
    /// The method and target, cut to what fits.
    pub label: String,
}

impl Scoreboard {
    /// Makes the memory for a worker of `threads` application threads.
    ///
    /// # Errors
    /// Those of `memfd_create(2)` and `mmap(2)`.
    pub fn create(threads: u16) -> io::Result<Self> {
        let memory = SharedWords::create("monoceros-scoreboard", ROW * (1 + usize::from(threads)))?;
        memory.words()[head::VERSION].store(VERSION, Ordering::Relaxed);
        Ok(Self { memory })
    }

    /// Maps the memory that the master made.
    ///
    /// # Errors
    /// Those of `mmap(2)`; `InvalidData` when it is of another version.
    pub fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let memory = SharedWords::adopt(fd)?;
        match memory.words().first() {
            Some(version) if version.load(Ordering::Relaxed) == VERSION => Ok(Self { memory }),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "scoreboard of another version")),
        }
    }

    /// Says that the worker's loop has come round, at this time.
    pub fn beat(&self, now_ms: u64) {
        self.head(head::HEARTBEAT).store(now_ms, Ordering::Relaxed);
    }

    /// When the worker's loop last came round; 0 before the first time.
    #[must_use]
    pub fn last_beat_ms(&self) -> u64 {
        self.head(head::HEARTBEAT).load(Ordering::Relaxed)
    }

    /// Says how many connections are open.
    pub fn show_connections(&self, count: u64) {
        self.head(head::CONNECTIONS).store(count, Ordering::Relaxed);
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.head(head::CONNECTIONS).load(Ordering::Relaxed)
    }

    /// Says since when requests wait although a thread is free; `None` if they
    /// do not.
    pub fn show_stuck(&self, since_ms: Option<u64>) {
        let word = since_ms.map_or(0, |since_ms| since_ms.max(1));
        self.head(head::STUCK_SINCE).store(word, Ordering::Relaxed);
    }

    /// Since when requests wait although a thread is free, in milliseconds of
    /// the rising clock; `None` if they do not.
    #[must_use]
    pub fn stuck_since_ms(&self) -> Option<u64> {
        Some(self.head(head::STUCK_SINCE).load(Ordering::Relaxed)).filter(|since_ms| *since_ms > 0)
    }

    /// Says that a thread has begun a request; a thread without a row is passed
    /// over.
    pub fn begin(&self, thread: usize, now_ms: u64, method: &[u8], target: &[u8]) {
        let Some(row) = self.row(thread) else { return };
        let mut text = [0u8; LABEL_LIMIT];
        let length = write_label(&mut text, method, target);
        for (word, bytes) in row[label::TEXT..].iter().zip(text[..length].chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
        }
        row[label::LENGTH].store(length as u64, Ordering::Relaxed);
        row[label::BUSY_SINCE].store(now_ms.max(1), Ordering::Release);
    }

    /// Says that a thread waits for the client of its request, and does not run
    /// it meanwhile: a slow client is no fault of the application's.
    pub fn pause(&self, thread: usize) {
        if let Some(row) = self.row(thread) {
            row[label::BUSY_SINCE].store(0, Ordering::Release);
        }
    }

    /// Says that a thread runs the request again that it paused.
    pub fn resume(&self, thread: usize, now_ms: u64) {
        if let Some(row) = self.row(thread) {
            row[label::BUSY_SINCE].store(now_ms.max(1), Ordering::Release);
        }
    }

    /// Says that a thread has finished its request.
    pub fn finish(&self, thread: usize) {
        let Some(row) = self.row(thread) else { return };
        row[label::BUSY_SINCE].store(0, Ordering::Release);
        let done = row[label::REQUESTS].load(Ordering::Relaxed);
        row[label::REQUESTS].store(done + 1, Ordering::Relaxed);
    }

    /// What the threads are running now, longest first.
    #[must_use]
    pub fn running(&self) -> Vec<Running> {
        let threads = 0..self.memory.words().len() / ROW - 1;
        let mut found: Vec<_> = threads.filter_map(|thread| self.running_in(thread)).collect();
        found.sort_by_key(|running| running.since_ms);
        found
    }

    /// How many requests the worker has finished.
    #[must_use]
    pub fn requests(&self) -> u64 {
        let rows = self.memory.words().chunks_exact(ROW).skip(1);
        rows.map(|row| row[label::REQUESTS].load(Ordering::Relaxed)).sum()
    }

    fn running_in(&self, thread: usize) -> Option<Running> {
        let row = self.row(thread)?;
        let since_ms = row[label::BUSY_SINCE].load(Ordering::Acquire);
        if since_ms == 0 {
            return None;
        }
        let bytes: Vec<u8> = row[label::TEXT..]
            .iter()
            .flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes())
            .collect();
        let length = usize::try_from(row[label::LENGTH].load(Ordering::Relaxed)).unwrap_or(0);
        let text = &bytes[..length.min(LABEL_LIMIT)];
        Some(Running { thread, since_ms, label: String::from_utf8_lossy(text).into_owned() })
    }

    fn head(&self, word: usize) -> &AtomicU64 {
        &self.memory.words()[word]
    }

    fn row(&self, thread: usize) -> Option<&[AtomicU64]> {
        let start = ROW * (1 + thread);
        self.memory.words().get(start..start + ROW)
    }
}

impl AsFd for Scoreboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

fn write_label(text: &mut [u8; LABEL_LIMIT], method: &[u8], target: &[u8]) -> usize {
    let mut length = 0;
    for part in [method, b" ", target] {
        let fits = part.len().min(LABEL_LIMIT - length);
        text[length..length + fits].copy_from_slice(&part[..fits]);
        length += fits;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_sides(threads: u16) -> (Scoreboard, Scoreboard) {
        let master = Scoreboard::create(threads).unwrap();
        let fd = master.as_fd().try_clone_to_owned().unwrap();
        (master, Scoreboard::adopt(fd).unwrap())
    }

    #[test]
    fn the_master_sees_what_a_thread_runs() {
        let (master, worker) = two_sides(2);
        worker.begin(1, 40, b"GET", b"/slow");
        worker.begin(0, 50, b"POST", b"/");
        let running = master.running();
        assert_eq!(running.len(), 2);
        assert_eq!((running[0].thread, running[0].since_ms), (1, 40));
        assert_eq!(running[0].label, "GET /slow");
        worker.finish(1);
        worker.finish(0);
        assert_eq!(master.running(), []);
        assert_eq!(master.requests(), 2);
    }

    #[test]
    fn a_request_that_waits_for_its_client_does_not_run() {
        let (master, worker) = two_sides(1);
        worker.begin(0, 40, b"GET", b"/large");
        worker.pause(0);
        assert_eq!(master.running(), []);
        worker.resume(0, 90);
        worker.resume(7, 90);
        let expected = Running { thread: 0, since_ms: 90, label: "GET /large".to_owned() };
        assert_eq!(master.running(), [expected]);
        worker.pause(0);
        worker.finish(0);
        assert_eq!((master.running(), master.requests()), (vec![], 1));
    }

    #[test]
    fn the_master_sees_since_when_requests_are_stuck() {
        let (master, worker) = two_sides(1);
        assert_eq!(master.stuck_since_ms(), None);
        worker.show_stuck(Some(40));
        assert_eq!(master.stuck_since_ms(), Some(40));
        worker.show_stuck(None);
        assert_eq!(master.stuck_since_ms(), None);
    }

    #[test]
    fn a_long_target_is_cut_and_a_thread_without_a_row_is_passed_over() {
        let (master, worker) = two_sides(1);
        worker.begin(0, 1, b"GET", &[b'a'; 500]);
        worker.begin(7, 1, b"GET", b"/");
        assert_eq!(master.running().len(), 1);
        assert_eq!(master.running()[0].label.len(), LABEL_LIMIT);
    }

    #[test]
    fn memory_of_another_version_is_refused() {
        let master = Scoreboard::create(1).unwrap();
        master.head(head::VERSION).store(99, Ordering::Relaxed);
        let fd = master.as_fd().try_clone_to_owned().unwrap();
        assert!(Scoreboard::adopt(fd).is_err());
    }
}
