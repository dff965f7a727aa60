//! What a worker shows the master without saying anything: shared words.
//!
//! Each word has one writer: the master where it makes the memory, the worker's
//! loop in the `head`, each application thread in its `row`. What is given up is
//! counted by all of them, by atomic addition. The master only
//! reads, and survives whatever the worker writes; and it can still read when
//! the worker has died.

mod given_up;
mod head;
mod histogram;
mod ring;
mod row;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU64;

use monoceros_sys::memory::SharedWords;

use crate::{Generation, Slot};
use head::BoardHead;
use row::ThreadRow;

pub use given_up::{GivenUp, KINDS, Losses};
pub use head::ReportedState;
pub use histogram::Histogram;
pub use ring::{Ended, ID_LIMIT, Recent};
pub use row::{ResponseStage, Running};

/// How many of a worker's last requests are told.
pub const RECENT: usize = ring::ENTRIES;

/// One worker's shared memory.
#[derive(Debug)]
pub struct Scoreboard {
    memory: SharedWords,
}

/// A request that an application thread begins with.
#[derive(Clone, Copy, Debug)]
pub struct Begun<'a> {
    /// Its number in the worker, from 1.
    pub number: u64,
    /// Now, in microseconds of the rising clock.
    pub now_us: u64,
    /// How long it has waited since it was complete, in microseconds.
    pub queued_us: u64,
    /// The method.
    pub method: &'a [u8],
    /// The target.
    pub target: &'a [u8],
    /// The identifier that the client gave, if it is a plain one.
    pub id: Option<&'a [u8]>,
}

/// How an application thread is through with a request.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// Its number.
    pub number: u64,
    /// How long the application had it, in microseconds.
    pub took_us: u64,
    /// The status of the answer; 0 when there was none.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// The answer is the application's: [`Scoreboard::count_answer`] has not
    /// counted it.
    pub counts: bool,
}

/// What a worker has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that the application is through with.
    pub requests: u64,
    /// Answers by class, 2xx to 5xx; those of the server itself are among them.
    pub answers: [u64; 4],
    /// Bytes of the bodies of the application's answers.
    pub bytes: u64,
    /// Requests that took longer than `timeout`.
    pub timeouts: u64,
}

/// The name of a request that its client has given none: the worker's pid and
/// the request's number, both hexadecimal.
#[must_use]
pub fn made_id(pid: u64, number: u64) -> String {
    format!("{pid:x}-{number:x}")
}

/// The class of a status, counted from 2xx; `None` if it is of none.
fn class_of(status: u16) -> Option<usize> {
    let class = usize::from(status / 100).checked_sub(2)?;
    (class < 4).then_some(class)
}

impl Scoreboard {
    /// Makes the memory for a worker of `threads` application threads.
    ///
    /// # Errors
    /// Those of `memfd_create(2)` and `mmap(2)`.
    pub fn create(slot: Slot, generation: Generation, threads: u16) -> io::Result<Self> {
        let words = head::WORDS + row::WORDS * usize::from(threads);
        let memory = SharedWords::create("monoceros-scoreboard", words)?;
        let board = Self { memory };
        board.head().sign(slot, generation);
        Ok(board)
    }

    /// Maps the memory that the master made, as the worker that it is for.
    ///
    /// # Errors
    /// Those of `mmap(2)`; `InvalidData` when it is of another version.
    pub fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let board = Self { memory: SharedWords::adopt(fd)? };
        if board.memory.words().len() < head::WORDS || !board.head().is_of_this_version() {
            let text = "scoreboard of another version";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        board.head().show_pid(std::process::id());
        Ok(board)
    }

    // The worker's loop.

    /// Says that the worker's loop has come round, at this time.
    pub fn beat(&self, now_ms: u64) {
        self.head().beat(now_ms);
    }

    /// Says how many connections are open.
    pub fn show_connections(&self, count: u64) {
        self.head().show_connections(count);
    }

    /// Says since when requests wait although a thread is free; `None` if they
    /// do not.
    pub fn show_stuck(&self, since_ms: Option<u64>) {
        self.head().show_stuck(since_ms);
    }

    /// Says where the worker is in its life.
    pub fn show_state(&self, state: ReportedState) {
        self.head().show_state(state);
    }

    /// Says which thread is the I/O thread, as the kernel numbers it.
    pub fn show_io_thread(&self, id: u32) {
        self.head().show_io_thread(id);
    }

    /// Says that the signal for the stacks is answered from now on.
    pub fn show_stacks(&self) {
        self.head().show_stacks();
    }

    /// Says that the client of a request has left which a thread is running.
    pub fn show_left(&self, number: u64, now_ms: u64) {
        self.rows().for_each(|row| row.leave(number, now_ms));
    }

    /// Counts an answer of the server itself.
    pub fn count_answer(&self, status: u16) {
        self.head().count_answer(status);
    }

    /// Counts a request that took longer than `timeout`.
    pub fn count_timeout(&self) {
        self.head().count_timeout();
    }

    // Any thread of the worker.

    /// Counts something that the server gives up by its own decision.
    pub fn count_given_up(&self, kind: GivenUp) {
        self.head().count_given_up(kind);
    }

    // An application thread; one without a row is passed over.

    /// Says which thread of the kernel's this application thread is.
    pub fn show_thread(&self, thread: usize, id: u32) {
        if let Some(row) = self.row(thread) {
            row.show_thread(id);
        }
    }

    /// Says that a thread has begun a request.
    pub fn begin(&self, thread: usize, begun: &Begun) {
        if let Some(row) = self.row(thread) {
            row.begin(begun);
        }
    }

    /// Says that the request of this number waits for its client, and does not
    /// run meanwhile: a slow client is no fault of the application's.
    pub fn pause(&self, thread: usize, number: u64) {
        if let Some(row) = self.row(thread) {
            row.pause(number);
        }
    }

    /// Says that the request of this number runs again, which was paused.
    pub fn resume(&self, thread: usize, number: u64, now_ms: u64) {
        if let Some(row) = self.row(thread) {
            row.resume(number, now_ms);
        }
    }

    /// Says that a thread has given another piece of the answer to the request
    /// of this number: its time begins anew.
    pub fn progress(&self, thread: usize, number: u64, now_ms: u64) {
        if let Some(row) = self.row(thread) {
            row.progress(number, now_ms);
        }
    }

    /// Says that the answer to the request of this number has begun and will come
    /// piece by piece, or that all of it has been given.
    pub fn show_stream(&self, thread: usize, number: u64, goes_on: bool) {
        if let Some(row) = self.row(thread) {
            row.stream(number, goes_on);
        }
    }

    /// Says that a thread has finished its request.
    pub fn finish(&self, thread: usize, finished: &Finished) {
        if let Some(row) = self.row(thread) {
            row.finish(finished);
        }
    }

    // Read by other processes.

    /// The worker's place.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.head().slot()
    }

    /// The generation that it belongs to.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.head().generation()
    }

    /// The worker's pid, as it says itself; 0 before it has come so far. Not
    /// for signals.
    #[must_use]
    pub fn pid(&self) -> u64 {
        self.head().pid()
    }

    /// Where the worker is in its life.
    #[must_use]
    pub fn state(&self) -> ReportedState {
        self.head().state()
    }

    /// The thread to send the signal for the stacks to, when the worker answers
    /// it; before, it would die of it. The thread is the I/O thread, so that no
    /// call of the application's is interrupted.
    #[must_use]
    pub fn stacks_thread(&self) -> Option<i32> {
        self.head().io_thread().filter(|_| self.head().has_stacks())
    }

    /// When the worker's loop last came round, in milliseconds of the rising
    /// clock; 0 before the first time.
    #[must_use]
    pub fn last_beat_ms(&self) -> u64 {
        self.head().last_beat_ms()
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.head().connections()
    }

    /// Since when requests wait although a thread is free, in milliseconds of
    /// the rising clock; `None` if they do not.
    #[must_use]
    pub fn stuck_since_ms(&self) -> Option<u64> {
        self.head().stuck_since_ms()
    }

    /// How many application threads there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.rows().count()
    }

    /// What the threads are running now, longest first.
    #[must_use]
    pub fn running(&self) -> Vec<Running> {
        let pid = self.pid();
        let rows = self.rows().enumerate();
        let mut found: Vec<_> = rows.filter_map(|(thread, row)| row.running(thread, pid)).collect();
        found.sort_by_key(|running| running.since_ms);
        found
    }

    /// The worker's last requests, at most [`RECENT`], newest first; those that
    /// run are among them.
    #[must_use]
    pub fn recent(&self) -> Vec<Recent> {
        let pid = self.pid();
        let rows = self.rows().enumerate();
        let mut found: Vec<_> = rows.flat_map(|(thread, row)| row.recent(thread, pid)).collect();
        found.sort_by_key(|recent| std::cmp::Reverse(recent.number));
        found.truncate(RECENT);
        found
    }

    /// Whether this thread runs the request of this number.
    #[must_use]
    pub fn is_running(&self, thread: usize, number: u64) -> bool {
        self.row(thread).is_some_and(|row| row.is_running(number))
    }

    /// What the worker has counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.head().counters();
        self.rows().for_each(|row| row.add_counters(&mut counters));
        counters
    }

    /// What the worker has given up by its own decision.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.head().losses()
    }

    /// How many requests the application is through with.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.rows().fold(0, |sum, row| sum.wrapping_add(row.requests()))
    }

    /// How long the application took for its requests.
    #[must_use]
    pub fn latency(&self) -> Histogram {
        sum(self.rows().map(|row| row.latency()))
    }

    /// How long requests that were complete waited for the application.
    #[must_use]
    pub fn queue_time(&self) -> Histogram {
        sum(self.rows().map(|row| row.queue_time()))
    }

    fn head(&self) -> BoardHead<'_> {
        let words = self.memory.words().first_chunk();
        BoardHead(words.expect("checked where the memory was made or adopted"))
    }

    fn rows(&self) -> impl Iterator<Item = ThreadRow<'_>> {
        let words = self.memory.words().get(head::WORDS..).unwrap_or_default();
        words.chunks_exact(row::WORDS).filter_map(|words| words.first_chunk().map(ThreadRow))
    }

    fn row(&self, thread: usize) -> Option<ThreadRow<'_>> {
        let start = head::WORDS + row::WORDS.checked_mul(thread)?;
        self.memory.words().get(start..)?.first_chunk().map(ThreadRow)
    }
}

impl AsFd for Scoreboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

fn sum(histograms: impl Iterator<Item = Histogram>) -> Histogram {
    histograms.fold(Histogram::default(), |mut sum, histogram| {
        sum.add(&histogram);
        sum
    })
}

/// Adds to a word that has no other writer.
fn add(word: &AtomicU64, count: u64) {
    use std::sync::atomic::Ordering::Relaxed;
    word.store(word.load(Relaxed).wrapping_add(count), Relaxed);
}
