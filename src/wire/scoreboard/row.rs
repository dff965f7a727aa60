//! The words of one application thread: what it runs, what it has counted, and
//! its last requests.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::histogram::{self, Histogram};
use super::ring::{ENTRIES, Recent, RingEntry};
use super::{Begun, Counters, Finished, add, class_of, ring};

const BUSY_SINCE: usize = 0;
/// The request that the thread is busy with; 0 for none.
const NUMBER: usize = 1;
/// How many requests it has begun: the last of them is in the ring, at this
/// number less one.
const BEGUN: usize = 2;
const REQUESTS: usize = 3;
const BYTES: usize = 4;
const THREAD_ID: usize = 5;
/// The request whose answer has begun and goes on; 0 for none.
const STREAM: usize = 6;
const ANSWERS: usize = 8;
// Written by the worker's loop.
/// The request whose client has left while its answer went on, and since when.
const LEFT: usize = 12;
const LEFT_SINCE: usize = 13;
const QUEUE_TIME: usize = 16;
// Each begins with a cache line.
const LATENCY: usize = (QUEUE_TIME + histogram::WORDS).next_multiple_of(8);
const RING: usize = (LATENCY + histogram::WORDS).next_multiple_of(8);

/// How many words these are.
pub(super) const WORDS: usize = RING + ENTRIES * ring::WORDS;

/// How often what a thread runs is read again when it has changed meanwhile.
const TRIES: usize = 3;

/// What a thread is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The thread's number in its worker, from 0.
    pub thread: usize,
    /// The thread's number in the kernel, `gettid(2)`; 0 if it is not known.
    pub tid: u32,
    /// The request's number in the worker.
    pub number: u64,
    /// The request's identifier: the client's own, or the one that was made.
    pub id: String,
    /// Since when, or since the last piece of its answer, in milliseconds of
    /// the rising clock.
    pub since_ms: u64,
    /// The method and target, cut to what fits.
    pub label: String,
    /// How far the answer is.
    pub stage: ResponseStage,
}

/// How far a running request's answer is, as far as other processes can see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseStage {
    /// It has not begun, is of one piece, or has gone as a whole.
    #[default]
    Whole,
    /// It has begun, and comes piece by piece.
    Streams,
    /// The answer comes piece by piece, and the client has left at this time, in
    /// milliseconds of the rising clock.
    Left {
        /// When that was seen.
        since_ms: u64,
    },
}

impl fmt::Display for Running {
    /// As the error log names a request.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{} (request {})", self.label, self.id)
    }
}

/// A view of the words.
pub(super) struct ThreadRow<'a>(pub(super) &'a [AtomicU64; WORDS]);

impl ThreadRow<'_> {
    pub(super) fn show_thread(&self, id: u32) {
        self.0[THREAD_ID].store(id.into(), Relaxed);
    }

    pub(super) fn begin(&self, begun: &Begun) {
        let count = self.0[BEGUN].load(Relaxed);
        self.entry(count).begin(begun);
        histogram::count(self.part(QUEUE_TIME), begun.queued_us);
        self.0[BEGUN].store(count.wrapping_add(1), Relaxed);
        self.0[NUMBER].store(begun.number, Relaxed);
        self.0[BUSY_SINCE].store((begun.now_us / 1000).max(1), Release);
    }

    pub(super) fn pause(&self, number: u64) {
        self.set_since(number, |since| (since != 0).then_some(0));
    }

    pub(super) fn resume(&self, number: u64, now_ms: u64) {
        self.set_since(number, |since| (since == 0).then_some(now_ms.max(1)));
    }

    pub(super) fn stream(&self, number: u64, goes_on: bool) {
        if self.has(number) {
            self.0[STREAM].store(if goes_on { number } else { 0 }, Release);
        }
    }

    pub(super) fn leave(&self, number: u64, now_ms: u64) {
        if self.has(number) && self.0[LEFT].load(Relaxed) != number {
            self.0[LEFT_SINCE].store(now_ms, Relaxed);
            self.0[LEFT].store(number, Release);
        }
    }

    fn stage(&self, number: u64) -> ResponseStage {
        if self.0[STREAM].load(Acquire) != number {
            ResponseStage::Whole
        } else if self.0[LEFT].load(Acquire) != number {
            ResponseStage::Streams
        } else {
            ResponseStage::Left { since_ms: self.0[LEFT_SINCE].load(Relaxed) }
        }
    }

    pub(super) fn progress(&self, number: u64, now_ms: u64) {
        self.set_since(number, |since| (since != 0).then_some(now_ms.max(1)));
    }

    /// As for an end: the thread may have gone on to another request, also at
    /// this moment, and then the time is that one's.
    fn set_since(&self, number: u64, next: impl FnOnce(u64) -> Option<u64>) {
        let since = self.0[BUSY_SINCE].load(Acquire);
        if let Some(next) = next(since).filter(|_| self.has(number)) {
            self.0[BUSY_SINCE].compare_exchange(since, next, Release, Relaxed).ok();
        }
    }

    pub(super) fn finish(&self, finished: &Finished) {
        // An application can keep an exchange in a thread of its own, while this
        // one has gone on to the next request.
        if self.has(finished.number) {
            self.0[BUSY_SINCE].store(0, Release);
            self.0[NUMBER].store(0, Relaxed);
            self.entry(self.0[BEGUN].load(Relaxed).wrapping_sub(1)).finish(finished);
        }
        add(&self.0[REQUESTS], 1);
        add(&self.0[BYTES], finished.bytes);
        if let Some(class) = class_of(finished.status).filter(|_| finished.counts) {
            add(&self.0[ANSWERS + class], 1);
        }
        histogram::count(self.part(LATENCY), finished.took_us);
    }

    fn has(&self, number: u64) -> bool {
        self.0[NUMBER].load(Relaxed) == number
    }

    pub(super) fn is_running(&self, number: u64) -> bool {
        self.0[BUSY_SINCE].load(Acquire) != 0 && self.has(number)
    }

    pub(super) fn running(&self, thread: usize, pid: u64) -> Option<Running> {
        let mut found = None;
        for _ in 0..TRIES {
            let since_ms = self.0[BUSY_SINCE].load(Acquire);
            if since_ms == 0 {
                return None;
            }
            let number = self.0[NUMBER].load(Relaxed);
            let entry = self.entry(self.0[BEGUN].load(Relaxed).wrapping_sub(1)).read(thread, pid);
            let (id, label) = match entry {
                Some(entry) if entry.number == number => (entry.id, entry.label),
                _ => (String::new(), String::new()),
            };
            let is_whole = !label.is_empty() && self.0[BUSY_SINCE].load(Relaxed) == since_ms;
            let tid = u32::try_from(self.0[THREAD_ID].load(Relaxed)).unwrap_or(0);
            let stage = self.stage(number);
            found = Some(Running { thread, tid, number, id, since_ms, label, stage });
            if is_whole {
                break;
            }
        }
        found
    }

    pub(super) fn recent(self, thread: usize, pid: u64) -> impl Iterator<Item = Recent> {
        (0..ENTRIES as u64).filter_map(move |index| self.entry(index).read(thread, pid))
    }

    pub(super) fn requests(&self) -> u64 {
        self.0[REQUESTS].load(Relaxed)
    }

    pub(super) fn add_counters(&self, counters: &mut Counters) {
        let add = |sum: &mut u64, word: usize| *sum = sum.wrapping_add(self.0[word].load(Relaxed));
        add(&mut counters.requests, REQUESTS);
        add(&mut counters.bytes, BYTES);
        for (class, sum) in counters.answers.iter_mut().enumerate() {
            add(sum, ANSWERS + class);
        }
    }

    pub(super) fn latency(&self) -> Histogram {
        histogram::read(self.part(LATENCY))
    }

    pub(super) fn queue_time(&self) -> Histogram {
        histogram::read(self.part(QUEUE_TIME))
    }

    fn entry(&self, count: u64) -> RingEntry<'_> {
        let index = count as usize % ENTRIES;
        RingEntry(self.part(RING + index * ring::WORDS))
    }

    fn part<const LENGTH: usize>(&self, start: usize) -> &[AtomicU64; LENGTH] {
        self.0[start..].first_chunk().expect("every part is inside the row")
    }
}
