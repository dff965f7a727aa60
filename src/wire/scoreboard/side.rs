//! The row of one application side: its counts. Written by the side's own thread.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::counters::Counters;
use super::histogram::{self, Histogram};
use super::request::Finished;
use super::sole_writer::add;
use super::statuses;

const THREAD_ID: usize = 0;
/// The entry of the side, counted from 0, to try first for the next request.
const NEXT: usize = 1;
/// The last search found no free entry, and none has become free since.
const NONE: u64 = u64::MAX;
const REQUESTS: usize = 2;
const BYTES: usize = 3;
// Each begins with a cache line.
const STATUSES: usize = 8;
const QUEUE_TIME: usize = (STATUSES + statuses::WORDS).next_multiple_of(8);
const LATENCY: usize = (QUEUE_TIME + histogram::WORDS).next_multiple_of(8);

/// The thread's number in its process (`pthread_self(3)`).
const PTHREAD: usize = LATENCY + histogram::WORDS;

/// How many words these are: whole cache lines.
pub(super) const WORDS: usize = (PTHREAD + 1).next_multiple_of(8);

/// A view of the words.
pub(super) struct SideRow<'a>(pub(super) &'a [AtomicU64; WORDS]);

impl SideRow<'_> {
    pub(super) fn show_thread(&self, id: u32, pthread: u64) {
        self.0[THREAD_ID].store(id.into(), Relaxed);
        self.0[PTHREAD].store(pthread, Relaxed);
    }

    /// The thread's number in the kernel; 0 if it is not known.
    pub(super) fn thread_id(&self) -> u32 {
        u32::try_from(self.0[THREAD_ID].load(Relaxed)).unwrap_or(0)
    }

    /// The thread's number in its process; 0 if it is not known.
    pub(super) fn pthread(&self) -> u64 {
        self.0[PTHREAD].load(Relaxed)
    }

    /// Counts how long a request has waited that begins now.
    pub(super) fn count_begun(&self, queued_us: u64) {
        histogram::count(self.part(QUEUE_TIME), queued_us);
    }

    pub(super) fn count_finished(&self, finished: &Finished) {
        add(&self.0[REQUESTS], 1);
        add(&self.0[BYTES], finished.bytes);
        if finished.counts {
            statuses::count(self.part(STATUSES), finished.status);
        }
        histogram::count(self.part(LATENCY), finished.took_us);
    }

    /// The entry to try first; `None` if none is free.
    pub(super) fn next(&self) -> Option<u16> {
        self.0[NEXT].load(Relaxed).try_into().ok()
    }

    pub(super) fn set_next(&self, index: Option<u16>) {
        self.0[NEXT].store(index.map_or(NONE, u64::from), Relaxed);
    }

    pub(super) fn requests(&self) -> u64 {
        self.0[REQUESTS].load(Relaxed)
    }

    pub(super) fn add_counters(&self, counters: &mut Counters) {
        let add = |sum: &mut u64, word: usize| *sum = sum.wrapping_add(self.0[word].load(Relaxed));
        add(&mut counters.requests, REQUESTS);
        add(&mut counters.bytes, BYTES);
        counters.statuses.add_words(self.part(STATUSES));
    }

    pub(super) fn latency(&self) -> Histogram {
        histogram::read(self.part(LATENCY))
    }

    pub(super) fn queue_time(&self) -> Histogram {
        histogram::read(self.part(QUEUE_TIME))
    }

    fn part<const LENGTH: usize>(&self, start: usize) -> &[AtomicU64; LENGTH] {
        self.0[start..].first_chunk().expect("every part is inside the row")
    }
}
