//! One request of an application side, while it runs and after it has ended. Its text
//! is written once, when it begins. An entry is used for another request only after its
//! own has ended.
//!
//! The writer is the thread that has the request. The I/O thread writes the two words
//! about a client that has gone. The number shows a reader that all words are of one
//! request: the writer sets the number to 0 before it writes the next request, and to
//! its number afterwards. A reader that has read a word of the next request then finds
//! another number than before.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use super::request::{Begun, Ended, Finished, Recent, ResponseStage, Running};
use crate::request_id::{ID_LIMIT, IdPrefix, RequestId};
use crate::trace_ids::TraceIds;

/// Words of an entry: six cache lines, of which a usual request fills two.
pub(super) const WORDS: usize = ID + ID_LIMIT / 8;

/// Written first and last: 0 while the rest is being written.
const NUMBER: usize = 0;
/// Since when the request runs, or since its last piece; 0 while it does not.
const SINCE: usize = 1;
/// 1 while the response has begun and goes on.
const STREAMS: usize = 2;
const END: usize = 3;
const BEGUN: usize = 4;
const LENGTHS: usize = 5;
/// The client's address: its family, and behind it an IPv4 address.
const CLIENT: usize = 6;
const LABEL: usize = 7;
// Written if the caller has sent a trace.
const SPAN: usize = 25;
// Written by the I/O thread.
/// The request whose client has gone while its response went on, and since when.
const LEFT: usize = 26;
const LEFT_SINCE: usize = 27;
/// Both halves of the client's address, if it is one of IPv6.
const CLIENT_V6: usize = 28;
/// Both halves of the trace's identifier.
const TRACE: usize = 30;
// Begins with a cache line, which is touched only if a client has given an identifier.
const ID: usize = 32;

/// The most bytes of a request's method and target that are kept.
pub(super) const LABEL_LIMIT: usize = (SPAN - LABEL) * 8;

/// In `LENGTHS`, above the lengths of label and identifier: there is a trace.
const HAS_TRACE: u64 = 1 << 16;

/// The families in front of an address in `CLIENT`. Without one the peer has no IP address.
const V4: u64 = 4 << 32;
const V6: u64 = 6 << 32;

/// The end of a request in one word, so that its parts are always of the same request:
/// this bit, the status, and the time that it took.
const HAS_ENDED: u64 = 1 << 63;
const STATUS_AT: u32 = 48;
const TOOK_MASK: u64 = (1 << STATUS_AT) - 1;

/// A view of an entry's words.
pub(super) struct RequestEntry<'a>(pub(super) &'a [AtomicU64; WORDS]);

impl RequestEntry<'_> {
    /// Whether its request has begun and not ended: the entry is not free for another.
    pub(super) fn is_taken(&self) -> bool {
        !self.is_of(0) && self.0[END].load(Relaxed) & HAS_ENDED == 0
    }

    /// Whether the entry has the request of this number.
    fn is_taken_by(&self, number: u64) -> bool {
        self.is_of(number) && self.is_taken()
    }

    /// Writes a request.
    pub(super) fn begin(&self, begun: &Begun) {
        self.0[NUMBER].store(0, Relaxed);
        fence(Release);
        let mut text = [0; LABEL_LIMIT];
        let length = write_label(&mut text, begun.method, begun.target);
        put(&self.0[LABEL..SPAN], &text[..length]);
        let id = begun.id.unwrap_or_default();
        let id = &id[..id.len().min(ID_LIMIT)];
        put(&self.0[ID..], id);
        let lengths = (length | id.len() << 8) as u64 | self.put_trace(begun.trace);
        self.0[LENGTHS].store(lengths, Relaxed);
        self.put_client(begun.client);
        self.0[BEGUN].store(begun.now_us, Relaxed);
        self.0[END].store(0, Relaxed);
        self.0[STREAMS].store(0, Relaxed);
        self.0[SINCE].store((begun.now_us / 1000).max(1), Relaxed);
        self.0[NUMBER].store(begun.number, Release);
    }

    pub(super) fn pause(&self, number: u64) {
        self.set_since(number, |since| (since != 0).then_some(0));
    }

    pub(super) fn resume(&self, number: u64, now_ms: u64) {
        self.set_since(number, |since| (since == 0).then_some(now_ms.max(1)));
    }

    pub(super) fn progress(&self, number: u64, now_ms: u64) {
        self.set_since(number, |since| (since != 0).then_some(now_ms.max(1)));
    }

    fn set_since(&self, number: u64, next: impl FnOnce(u64) -> Option<u64>) {
        if self.is_taken_by(number)
            && let Some(next) = next(self.0[SINCE].load(Relaxed))
        {
            self.0[SINCE].store(next, Release);
        }
    }

    pub(super) fn show_stream(&self, number: u64, goes_on: bool) {
        if self.is_taken_by(number) {
            self.0[STREAMS].store(goes_on.into(), Release);
        }
    }

    /// For the I/O thread. The request may end meanwhile, and the entry show another
    /// one: then these words have a number that is not the entry's.
    pub(super) fn leave(&self, number: u64, now_ms: u64) {
        if self.0[LEFT].load(Relaxed) != number {
            self.0[LEFT_SINCE].store(now_ms, Release);
            self.0[LEFT].store(number, Release);
        }
    }

    pub(super) fn finish(&self, number: u64, finished: &Finished) {
        if !self.is_taken_by(number) {
            return;
        }
        self.0[SINCE].store(0, Release);
        let status = u64::from(finished.status) << STATUS_AT;
        let end = HAS_ENDED | status & !HAS_ENDED | finished.took_us.min(TOOK_MASK);
        self.0[END].store(end, Release);
    }

    /// Whether it shows the request of this number.
    pub(super) fn is_of(&self, number: u64) -> bool {
        self.0[NUMBER].load(Relaxed) == number
    }

    pub(super) fn is_running(&self, number: u64) -> bool {
        self.is_of(number) && self.0[SINCE].load(Acquire) != 0
    }

    /// Reads the request, if it runs; `None` also while it is being written.
    /// `thread` has the numbers of its side's thread.
    pub(super) fn running(&self, thread: (u32, u64), prefix: &IdPrefix) -> Option<Running> {
        let (tid, pthread) = thread;
        self.read(|number| {
            let since_ms = self.0[SINCE].load(Relaxed);
            if since_ms == 0 {
                return None;
            }
            let (id, label) = (self.id(prefix, number), self.label());
            let (begun_us, stage) = (self.0[BEGUN].load(Relaxed), self.stage(number));
            let (client, trace) = (self.client(), self.trace());
            Some(Running {
                tid,
                pthread,
                number,
                id,
                trace,
                client,
                begun_us,
                since_ms,
                label,
                stage,
            })
        })
    }

    /// Reads the request; `None` if there is none, or it is being written.
    pub(super) fn recent(&self, tid: u32, prefix: &IdPrefix) -> Option<Recent> {
        self.read(|number| {
            let begun_us = self.0[BEGUN].load(Relaxed);
            let end = read_end(self.0[END].load(Relaxed));
            let (id, label) = (self.id(prefix, number), self.label());
            Some(Recent { tid, number, id, client: self.client(), label, begun_us, end })
        })
    }

    /// The result of `read` for the entry, if the whole entry is of one request.
    fn read<T>(&self, read: impl FnOnce(u64) -> Option<T>) -> Option<T> {
        let number = self.0[NUMBER].load(Acquire);
        if number == 0 {
            return None;
        }
        let found = read(number)?;
        fence(Acquire);
        self.is_of(number).then_some(found)
    }

    fn stage(&self, number: u64) -> ResponseStage {
        if self.0[STREAMS].load(Relaxed) == 0 {
            ResponseStage::Whole
        } else if self.0[LEFT].load(Acquire) != number {
            ResponseStage::Streams
        } else {
            ResponseStage::Left { since_ms: self.0[LEFT_SINCE].load(Relaxed) }
        }
    }

    fn label(&self) -> String {
        take(&self.0[LABEL..SPAN], self.0[LENGTHS].load(Relaxed) as usize & 0xff)
    }

    fn id(&self, prefix: &IdPrefix, number: u64) -> String {
        let id = take(&self.0[ID..], self.0[LENGTHS].load(Relaxed) as usize >> 8 & 0xff);
        if id.is_empty() { RequestId::made(prefix, number).to_string() } else { id }
    }

    /// Writes the trace, and returns what `LENGTHS` has of it.
    fn put_trace(&self, trace: Option<TraceIds>) -> u64 {
        let Some(TraceIds { trace, span }) = trace else { return 0 };
        put_u128(&self.0[TRACE..], trace);
        self.0[SPAN].store(span, Relaxed);
        HAS_TRACE
    }

    fn trace(&self) -> Option<TraceIds> {
        let has_trace = self.0[LENGTHS].load(Relaxed) & HAS_TRACE != 0;
        let (trace, span) = (take_u128(&self.0[TRACE..]), self.0[SPAN].load(Relaxed));
        has_trace.then_some(TraceIds { trace, span })
    }

    fn put_client(&self, client: Option<IpAddr>) {
        let word = match client {
            None => 0,
            Some(IpAddr::V4(ip)) => V4 | u64::from(u32::from(ip)),
            Some(IpAddr::V6(ip)) => {
                put_u128(&self.0[CLIENT_V6..], ip.into());
                V6
            }
        };
        self.0[CLIENT].store(word, Relaxed);
    }

    fn client(&self) -> Option<IpAddr> {
        let word = self.0[CLIENT].load(Relaxed);
        match word & !u64::from(u32::MAX) {
            V4 => Some(Ipv4Addr::from(word as u32).into()),
            V6 => Some(Ipv6Addr::from(take_u128(&self.0[CLIENT_V6..])).into()),
            _ => None,
        }
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

/// Stores a number in the first two words.
fn put_u128(words: &[AtomicU64], number: u128) {
    words[0].store((number >> 64) as u64, Relaxed);
    words[1].store(number as u64, Relaxed);
}

/// The number in the first two words.
fn take_u128(words: &[AtomicU64]) -> u128 {
    let [high, low] = [0, 1].map(|half| u128::from(words[half].load(Relaxed)));
    high << 64 | low
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
