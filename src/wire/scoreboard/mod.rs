//! What a worker shows the master without a message: shared words.
//!
//! Each word has one writer: the master where it makes the memory, the worker's loop in
//! the `head` and the row of each listener (`listener_row`), each application side in its row
//! (`side`), and in an `entry` the thread that has the request. What is given up is counted by all of them, by atomic
//! addition. The master only reads, and survives whatever the worker writes; and it can
//! still read when the worker has died.
//!
//! An application side is what takes requests: an application thread, which runs one at
//! a time, or an event loop, which runs many.

mod counters;
mod entry;
mod given_up;
mod head;
mod histogram;
mod layout;
mod listener_row;
mod request;
mod shape;
mod side;
mod sole_writer;
mod static_result;
mod statuses;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use monoceros_sys::memory::SharedWords;

use crate::request_id::IdPrefix;
use crate::{Generation, Slot};
use entry::RequestEntry;
use head::BoardHead;
use listener_row::ListenerRow;
use side::SideRow;

pub use counters::Counters;
pub use given_up::{GivenUp, KINDS, Losses};
pub use head::ReportedState;
pub use histogram::Histogram;
pub use listener_row::{ConnectionCounts, ListenerCounts};
pub use request::{Begun, Ended, Finished, Recent, ResponseStage, Running, ShownRequest};
pub use shape::BoardShape;
pub use static_result::StaticResult;
pub use statuses::StatusCounts;

/// How many of a worker's last requests are shown.
pub const RECENT: usize = 64;

/// One worker's shared memory.
#[derive(Debug)]
pub struct Scoreboard {
    memory: SharedWords,
    /// The shape when the memory was made or adopted, whatever is written since.
    shape: BoardShape,
}

impl Scoreboard {
    /// Makes the memory for a worker.
    ///
    /// # Errors
    /// Those of `memfd_create(2)` and `mmap(2)`.
    pub fn create(slot: Slot, generation: Generation, shape: BoardShape) -> io::Result<Self> {
        let memory = SharedWords::create("monoceros-scoreboard", layout::words(shape))?;
        let board = Self { memory, shape };
        // Keys of the operating system's generator of random numbers.
        let tag = RandomState::new().build_hasher().finish();
        board.head().sign(slot, generation, shape, tag);
        Ok(board)
    }

    /// Maps the memory that the master made, as the worker that it is for.
    ///
    /// # Errors
    /// Those of `mmap(2)`; `InvalidData` when it has another version, or another length
    /// than its head requires.
    pub fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let board = Self::map(fd)?;
        board.head().show_pid(std::process::id());
        Ok(board)
    }

    /// Maps the memory of a worker that another master has started, to read it.
    ///
    /// # Errors
    /// As [`Scoreboard::adopt`].
    pub fn map(fd: OwnedFd) -> io::Result<Self> {
        let refuse = |text| Err(io::Error::new(io::ErrorKind::InvalidData, text));
        let memory = SharedWords::adopt(fd)?;
        let Some(head) = memory.words().first_chunk().map(BoardHead) else {
            return refuse("scoreboard without a head".to_owned());
        };
        if !head.is_of_this_version() {
            return refuse("scoreboard of another version".to_owned());
        }
        let (length, shape) = (memory.words().len(), head.shape());
        let Some(shape) = shape.filter(|shape| layout::words(*shape) == length) else {
            return refuse(format!("scoreboard of {length} words, which do not fit its head"));
        };
        Ok(Self { memory, shape })
    }

    // The worker's loop.

    /// Writes the heartbeat: the time at which the worker's loop began a turn.
    pub fn beat(&self, now_ms: u64) {
        self.head().beat(now_ms);
    }

    /// Writes how many connections are open.
    pub fn show_connections(&self, count: u64) {
        self.head().show_connections(count);
    }

    /// Writes since when requests wait although an application side could take one;
    /// `None` if they do not.
    pub fn show_stuck(&self, since_ms: Option<u64>) {
        self.head().show_stuck(since_ms);
    }

    /// Writes the worker's state.
    pub fn show_state(&self, state: ReportedState) {
        self.head().show_state(state);
    }

    /// Writes the kernel's number of the I/O thread.
    pub fn show_io_thread(&self, id: u32) {
        self.head().show_io_thread(id);
    }

    /// Marks that the worker handles the signal for the stacks from now on.
    pub fn show_stacks(&self) {
        self.head().show_stacks();
    }

    /// Marks that the client of a running request has gone.
    pub fn show_left(&self, number: u64, now_ms: u64) {
        if let Some(entry) = self.entries().find(|entry| entry.is_of(number)) {
            entry.leave(number, now_ms);
        }
    }

    /// Writes how many requests wait for an application side.
    pub fn show_queued(&self, count: u32) {
        self.head().show_queued(count);
    }

    /// Writes how many connections of a listener are open, by its position among the worker's
    /// listeners.
    pub fn show_open(&self, listener: usize, open: ConnectionCounts) {
        if let Some(row) = self.listener(listener) {
            row.show_open(open);
        }
    }

    /// Counts a connection that was accepted from a listener.
    pub fn count_accepted(&self, listener: usize) {
        if let Some(row) = self.listener(listener) {
            row.count_accepted();
        }
    }

    /// Counts bytes that connections have received and sent.
    pub fn count_traffic(&self, received: u64, sent: u64) {
        self.head().count_traffic(received, sent);
    }

    /// Counts a TLS handshake that has succeeded.
    pub fn count_handshake(&self, is_resumed: bool) {
        self.head().count_handshake(is_resumed);
    }

    /// Counts a response from a static file.
    pub fn count_static(&self, result: StaticResult) {
        self.head().count_static(result);
    }

    /// Counts a response of the server itself.
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

    // An application side; calls for one without a row do nothing.

    /// Writes the numbers of the thread that runs this application side: the kernel's, and
    /// the one that stacks have (`pthread_self(3)`).
    pub fn show_thread(&self, side: usize, id: u32, pthread: u64) {
        if let Some(row) = self.row(side) {
            row.show_thread(id, pthread);
        }
    }

    /// Begins a request of a side. Returns the request's entry, which all further calls
    /// about the request name. `None` if every entry of the side shows a request that
    /// runs; then the request is only counted, when it is finished.
    pub fn begin(&self, side: usize, begun: &Begun) -> Option<ShownRequest> {
        let row = self.row(side)?;
        row.count_begun(begun.queued_us);
        let (place, entry) = self.take_entry(side, &row)?;
        entry.begin(begun);
        Some(ShownRequest { place, number: begun.number })
    }

    /// Marks that a request waits for its client, and does not run meanwhile: a slow
    /// client is not a fault of the application.
    pub fn pause(&self, request: Option<ShownRequest>) {
        if let Some((entry, number)) = self.find(request) {
            entry.pause(number);
        }
    }

    /// Marks that a paused request runs again.
    pub fn resume(&self, request: Option<ShownRequest>, now_ms: u64) {
        if let Some((entry, number)) = self.find(request) {
            entry.resume(number, now_ms);
        }
    }

    /// Marks that the application has given another piece of the response: the
    /// request's time begins anew.
    pub fn progress(&self, request: Option<ShownRequest>, now_ms: u64) {
        if let Some((entry, number)) = self.find(request) {
            entry.progress(number, now_ms);
        }
    }

    /// Marks that the response has begun and will come piece by piece, or that it has
    /// been given completely.
    pub fn show_stream(&self, request: Option<ShownRequest>, goes_on: bool) {
        if let Some((entry, number)) = self.find(request) {
            entry.show_stream(number, goes_on);
        }
    }

    /// Finishes a request of a side.
    pub fn finish(&self, side: usize, request: Option<ShownRequest>, finished: &Finished) {
        let row = self.row(side);
        if let Some((entry, number)) = self.find(request) {
            entry.finish(number, finished);
            if let (Some(row), Some(request)) = (&row, request) {
                self.offer_entry(side, row, request.place);
            }
        }
        if let Some(row) = row {
            row.count_finished(finished);
        }
    }

    // Read by other processes.

    /// The worker's slot.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.head().slot()
    }

    /// The generation that it belongs to.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.head().generation()
    }

    /// The worker's pid, as the worker writes it; 0 before it has started. Not for
    /// signals.
    #[must_use]
    pub fn pid(&self) -> u64 {
        self.head().pid()
    }

    /// The beginning of the identifiers that the worker makes for requests.
    #[must_use]
    pub fn id_prefix(&self) -> IdPrefix {
        self.head().id_prefix()
    }

    /// The worker's state.
    #[must_use]
    pub fn state(&self) -> ReportedState {
        self.head().state()
    }

    /// The thread to send the signal for the stacks to; `None` until the worker handles
    /// the signal, whose default action would end it. The thread is the I/O thread, so
    /// that no call of the application's is interrupted.
    #[must_use]
    pub fn stacks_thread(&self) -> Option<i32> {
        self.head().io_thread().filter(|_| self.head().has_stacks())
    }

    /// When the worker's loop last began a turn, in milliseconds of the monotonic
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

    /// How many requests wait for an application side, as of a moment ago.
    #[must_use]
    pub fn queued(&self) -> u32 {
        self.head().queued()
    }

    /// The connections of each listener that the worker was given.
    #[must_use]
    pub fn listeners(&self) -> Vec<ListenerCounts> {
        let listeners = 0..usize::from(self.shape.listeners);
        listeners.filter_map(|listener| Some(self.listener(listener)?.read())).collect()
    }

    /// How many requests the application has, also those whose response waits for the client.
    #[must_use]
    pub fn in_progress(&self) -> u32 {
        let count = self.entries().filter(RequestEntry::is_taken).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Since when requests wait although an application side could take one, in
    /// milliseconds of the monotonic clock; `None` if they do not.
    #[must_use]
    pub fn stuck_since_ms(&self) -> Option<u64> {
        self.head().stuck_since_ms()
    }

    /// How many application sides there are.
    #[must_use]
    pub fn sides(&self) -> usize {
        self.shape.sides.into()
    }

    /// The threads of the application sides: the number that stacks have (`pthread_self(3)`), and
    /// the kernel's. Those that have not begun are left out.
    #[must_use]
    pub fn threads(&self) -> Vec<(u64, u32)> {
        let all = self.rows().map(|row| (row.pthread(), row.thread_id()));
        all.filter(|(pthread, id)| *pthread > 0 && *id > 0).collect()
    }

    /// Unmaps its memory from this process until it is read again. Nothing is lost.
    pub fn unmap_pages(&self) {
        self.memory.unmap_pages();
    }

    /// What the application is running now, longest first.
    #[must_use]
    pub fn running(&self) -> Vec<Running> {
        let prefix = self.id_prefix();
        let mut found: Vec<_> = self
            .rows()
            .enumerate()
            .flat_map(|(side, row)| {
                let thread = (row.thread_id(), row.pthread());
                self.entries_of(side).filter_map(move |entry| entry.running(thread, &prefix))
            })
            .collect();
        found.sort_by_key(|running| running.since_ms);
        found
    }

    /// What the application side of this thread (`gettid(2)`) is running; `None` if nothing.
    #[must_use]
    pub fn running_on(&self, thread: u32) -> Option<Running> {
        let prefix = self.id_prefix();
        let mut rows = self.rows().enumerate().filter(|(_, row)| row.thread_id() == thread);
        rows.find_map(|(side, row)| {
            let thread = (row.thread_id(), row.pthread());
            self.entries_of(side).find_map(|entry| entry.running(thread, &prefix))
        })
    }

    /// The worker's last requests, at most [`RECENT`], newest first; those that
    /// run are among them.
    #[must_use]
    pub fn recent(&self) -> Vec<Recent> {
        let prefix = self.id_prefix();
        let rows = self.rows().enumerate();
        let mut found: Vec<_> = rows
            .flat_map(|(side, row)| {
                let tid = row.thread_id();
                self.entries_of(side).filter_map(move |entry| entry.recent(tid, &prefix))
            })
            .collect();
        found.sort_by_key(|recent| std::cmp::Reverse(recent.number));
        found.truncate(RECENT);
        found
    }

    /// Whether the request of this number runs.
    #[must_use]
    pub fn is_running(&self, number: u64) -> bool {
        self.entries().any(|entry| entry.is_running(number))
    }

    /// The counts of the worker.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.head().counters();
        self.rows().for_each(|row| row.add_counters(&mut counters));
        counters
    }

    /// The counts of what the worker has given up by its own decision.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.head().losses()
    }

    /// How many requests the application has finished.
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

    fn rows(&self) -> impl Iterator<Item = SideRow<'_>> {
        (0..self.sides()).filter_map(|side| self.row(side))
    }

    fn row(&self, side: usize) -> Option<SideRow<'_>> {
        let start = layout::row_start(self.shape, side)?;
        self.memory.words().get(start..)?.first_chunk().map(SideRow)
    }

    fn listener(&self, listener: usize) -> Option<ListenerRow<'_>> {
        let start = layout::listener_start(self.shape, listener)?;
        self.memory.words().get(start..)?.first_chunk().map(ListenerRow)
    }

    /// The entries of all sides.
    fn entries(&self) -> impl Iterator<Item = RequestEntry<'_>> {
        (0..self.sides()).flat_map(|side| self.entries_of(side))
    }

    fn entries_of(&self, side: usize) -> impl Iterator<Item = RequestEntry<'_>> {
        let first = layout::first_place(self.shape, side);
        (first..first + u32::from(self.shape.entries)).filter_map(|place| self.entry(place))
    }

    fn entry(&self, place: u32) -> Option<RequestEntry<'_>> {
        let start = layout::entry_start(self.shape, place);
        self.memory.words().get(start..)?.first_chunk().map(RequestEntry)
    }

    fn find(&self, request: Option<ShownRequest>) -> Option<(RequestEntry<'_>, u64)> {
        let ShownRequest { place, number } = request?;
        Some((self.entry(place)?, number))
    }

    /// Takes the next entry of a side whose request does not run. For a thread that is
    /// the next in order, whose request has ended long ago.
    fn take_entry(&self, side: usize, row: &SideRow) -> Option<(u32, RequestEntry<'_>)> {
        let (first, count) = (layout::first_place(self.shape, side), self.shape.entries);
        let mut index = row.next()?;
        for _ in 0..count {
            index = if index < count { index } else { 0 };
            let place = first + u32::from(index);
            index += 1;
            let entry = self.entry(place)?;
            if !entry.is_taken() {
                row.set_next(Some(index));
                return Some((place, entry));
            }
        }
        row.set_next(None);
        None
    }

    /// The request of this entry has ended. If the next entry in order is not free,
    /// this one is taken next: a side with few free entries need not search for them.
    fn offer_entry(&self, side: usize, row: &SideRow, place: u32) {
        let (first, count) = (layout::first_place(self.shape, side), self.shape.entries);
        let is_free = |index: u16| {
            let index = if index < count { index } else { 0 };
            self.entry(first + u32::from(index)).is_some_and(|entry| !entry.is_taken())
        };
        if !row.next().is_some_and(is_free) {
            row.set_next(place.checked_sub(first).and_then(|index| index.try_into().ok()));
        }
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
