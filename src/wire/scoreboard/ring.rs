//! The last requests of one application thread. Each has its text written once,
//! when it begins, and stays until so many others have come after it: also when
//! it runs for long, since a thread runs one at a time.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use super::{Begun, Finished, made_id};

/// How many requests there are.
pub(super) const ENTRIES: usize = 64;

/// Words of an entry: four cache lines, of which a usual request fills two.
pub(super) const WORDS: usize = 32;

/// Written first and last: 0 while the rest is being written.
const NUMBER: usize = 0;
const BEGUN: usize = 1;
const END: usize = 2;
const LENGTHS: usize = 3;
const LABEL: usize = 4;
const ID: usize = 24;

/// The most bytes of a request's method and target that are kept.
pub(super) const LABEL_LIMIT: usize = (ID - LABEL) * 8;

/// The most bytes of a client's identifier that are kept.
pub const ID_LIMIT: usize = (WORDS - ID) * 8;

/// The end of a request in one word, so that its parts are never of two: this
/// bit, the status, and the time that it took.
const HAS_ENDED: u64 = 1 << 63;
const STATUS_AT: u32 = 48;
const TOOK_MASK: u64 = (1 << STATUS_AT) - 1;

/// A request of the past, or one that still runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// The application thread that had it, from 0.
    pub thread: usize,
    /// Its number in the worker.
    pub number: u64,
    /// Its identifier: the client's own, or the one that was made.
    pub id: String,
    /// The method and target, cut to what fits.
    pub label: String,
    /// When the application got it, in microseconds of the rising clock.
    pub begun_us: u64,
    /// How it ended; `None` if it still runs.
    pub end: Option<Ended>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The status of the answer; 0 when there was none.
    pub status: u16,
    /// How long the application had it, in microseconds.
    pub took_us: u64,
}

/// A view of an entry's words.
pub(super) struct RingEntry<'a>(pub(super) &'a [AtomicU64; WORDS]);

impl RingEntry<'_> {
    /// Writes a request. A reader that sees a part of it sees that the number
    /// is 0, or another than before.
    pub(super) fn begin(&self, begun: &Begun) {
        self.0[NUMBER].store(0, Relaxed);
        fence(Release);
        let mut text = [0; LABEL_LIMIT];
        let length = write_label(&mut text, begun.method, begun.target);
        put(&self.0[LABEL..ID], &text[..length]);
        let id = begun.id.unwrap_or_default();
        let id = &id[..id.len().min(ID_LIMIT)];
        put(&self.0[ID..], id);
        self.0[LENGTHS].store((length | id.len() << 8) as u64, Relaxed);
        self.0[BEGUN].store(begun.now_us, Relaxed);
        self.0[END].store(0, Relaxed);
        self.0[NUMBER].store(begun.number, Release);
    }

    pub(super) fn finish(&self, finished: &Finished) {
        let status = u64::from(finished.status) << STATUS_AT;
        let end = HAS_ENDED | status & !HAS_ENDED | finished.took_us.min(TOOK_MASK);
        self.0[END].store(end, Release);
    }

    /// Reads a request; `None` if there is none, or it is being written.
    pub(super) fn read(&self, thread: usize, pid: u64) -> Option<Recent> {
        let number = self.0[NUMBER].load(Acquire);
        let begun_us = self.0[BEGUN].load(Relaxed);
        let end = self.0[END].load(Relaxed);
        let lengths = self.0[LENGTHS].load(Relaxed) as usize;
        let label = take(&self.0[LABEL..ID], lengths & 0xff);
        let id = take(&self.0[ID..], lengths >> 8 & 0xff);
        fence(Acquire);
        if number == 0 || self.0[NUMBER].load(Relaxed) != number {
            return None;
        }
        let id = if id.is_empty() { made_id(pid, number) } else { id };
        Some(Recent { thread, number, id, label, begun_us, end: read_end(end) })
    }
}

fn read_end(word: u64) -> Option<Ended> {
    let status = (word & !HAS_ENDED) >> STATUS_AT;
    let ended = Ended { status: status as u16, took_us: word & TOOK_MASK };
    (word & HAS_ENDED != 0).then_some(ended)
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

/// Stores as many words as the bytes fill.
fn put(words: &[AtomicU64], bytes: &[u8]) {
    for (word, bytes) in words.iter().zip(bytes.chunks(8)) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_ne_bytes(whole), Relaxed);
    }
}

/// The text in words. It goes into logs: what is not to be printed is replaced.
fn take(words: &[AtomicU64], length: usize) -> String {
    let words = words.iter().take(length.div_ceil(8));
    let mut bytes: Vec<u8> = words.flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect();
    bytes.truncate(length);
    String::from_utf8_lossy(&bytes)
        .replace(char::is_control, char::REPLACEMENT_CHARACTER.encode_utf8(&mut [0; 4]))
}
