//! The words for a worker as a whole.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::request_id::IdPrefix;
use crate::{Generation, Slot};

use super::counters::Counters;
use super::given_up::{GivenUp, KINDS, Losses};
use super::shape::BoardShape;
use super::sole_writer::add;
use super::static_result::{RESULTS, StaticResult};
use super::statuses;

/// How many words these are: whole cache lines.
pub(super) const WORDS: usize = (GIVEN_UP + KINDS).next_multiple_of(8);

/// The layout's version, in the first word; raised when a word moves.
const VERSION_NOW: u64 = 10;

// Written once, by the master and then by the worker as it starts.
const VERSION: usize = 0;
const SLOT: usize = 1;
const GENERATION: usize = 2;
const PID: usize = 3;
const STACKS: usize = 4;
const IO_THREAD: usize = 5;
const SIDES: usize = 6;
const ENTRIES: usize = 7;
// Written by the worker's loop.
const STATE: usize = 8;
const HEARTBEAT: usize = 9;
const CONNECTIONS: usize = 10;
/// Since when the oldest event waits in an inbox although its application side could
/// take it. This is the measure of a side's health, and not the age of a request: a
/// side that runs many requests at a time mostly waits in each of them.
const STUCK_SINCE: usize = 11;
const TIMEOUTS: usize = 12;
const QUEUED: usize = 13;
const RECEIVED: usize = 14;
const SENT: usize = 15;
const FULL_HANDSHAKES: usize = 16;
const RESUMED_HANDSHAKES: usize = 17;
const STATIC_FILES: usize = 18;
// Written once, by the master.
const LISTENERS: usize = STATIC_FILES + RESULTS;
/// A random number: the beginning of the identifiers that the worker makes for requests.
const ID_TAG: usize = LISTENERS + 1;
// Written by the worker's loop.
const STATUSES: usize = (ID_TAG + 1).next_multiple_of(8);
// Written by the loop and by application threads, seldom.
const GIVEN_UP: usize = (STATUSES + statuses::WORDS).next_multiple_of(8);

/// The state of a worker, as the worker reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportedState {
    /// It loads the application.
    #[default]
    Booting,
    /// It serves.
    Serving,
    /// It finishes what is open.
    Draining,
    /// Nothing is open any more, and it ends.
    Stopping,
}

/// A view of the words.
pub(super) struct BoardHead<'a>(pub(super) &'a [AtomicU64; WORDS]);

impl BoardHead<'_> {
    fn get(&self, word: usize) -> u64 {
        self.0[word].load(Relaxed)
    }

    fn set(&self, word: usize, value: u64) {
        self.0[word].store(value, Relaxed);
    }

    pub(super) fn sign(&self, slot: Slot, generation: Generation, shape: BoardShape, tag: u64) {
        self.set(ID_TAG, tag);
        self.set(SLOT, slot.0.into());
        self.set(GENERATION, generation.0.into());
        self.set(SIDES, shape.sides.into());
        self.set(ENTRIES, shape.entries.into());
        self.set(LISTENERS, shape.listeners.into());
        self.set(VERSION, VERSION_NOW);
    }

    pub(super) fn is_of_this_version(&self) -> bool {
        self.get(VERSION) == VERSION_NOW
    }

    /// The shape that the master has made; `None` if it cannot be one of the master's.
    pub(super) fn shape(&self) -> Option<BoardShape> {
        let number = |word| u16::try_from(self.get(word)).ok();
        let (sides, entries) = (number(SIDES)?, number(ENTRIES)?);
        Some(BoardShape { sides, entries, listeners: number(LISTENERS)? })
    }

    pub(super) fn show_pid(&self, pid: u32) {
        self.set(PID, pid.into());
    }

    pub(super) fn show_io_thread(&self, id: u32) {
        self.set(IO_THREAD, id.into());
    }

    pub(super) fn io_thread(&self) -> Option<i32> {
        i32::try_from(self.get(IO_THREAD)).ok().filter(|id| *id > 0)
    }

    pub(super) fn show_stacks(&self) {
        self.set(STACKS, 1);
    }

    pub(super) fn show_state(&self, state: ReportedState) {
        self.set(STATE, state as u64);
    }

    pub(super) fn beat(&self, now_ms: u64) {
        self.set(HEARTBEAT, now_ms);
    }

    pub(super) fn show_connections(&self, count: u64) {
        self.set(CONNECTIONS, count);
    }

    pub(super) fn show_stuck(&self, since_ms: Option<u64>) {
        self.set(STUCK_SINCE, since_ms.map_or(0, |since_ms| since_ms.max(1)));
    }

    pub(super) fn show_queued(&self, count: u32) {
        self.set(QUEUED, count.into());
    }

    pub(super) fn count_traffic(&self, received: u64, sent: u64) {
        add(&self.0[RECEIVED], received);
        add(&self.0[SENT], sent);
    }

    pub(super) fn count_handshake(&self, is_resumed: bool) {
        add(&self.0[if is_resumed { RESUMED_HANDSHAKES } else { FULL_HANDSHAKES }], 1);
    }

    pub(super) fn count_static(&self, result: StaticResult) {
        add(&self.0[STATIC_FILES + result.index()], 1);
    }

    pub(super) fn count_timeout(&self) {
        add(&self.0[TIMEOUTS], 1);
    }

    pub(super) fn count_given_up(&self, kind: GivenUp) {
        self.0[GIVEN_UP + kind.index()].fetch_add(1, Relaxed);
    }

    pub(super) fn count_answer(&self, status: u16) {
        statuses::count(self.part(STATUSES), status);
    }

    // A value that is too large for its type was not written by a worker of this
    // program.

    pub(super) fn slot(&self) -> Slot {
        Slot(u16::try_from(self.get(SLOT)).unwrap_or(u16::MAX))
    }

    pub(super) fn generation(&self) -> Generation {
        Generation(u32::try_from(self.get(GENERATION)).unwrap_or(u32::MAX))
    }

    pub(super) fn id_prefix(&self) -> IdPrefix {
        IdPrefix::of(self.get(ID_TAG))
    }

    pub(super) fn pid(&self) -> u64 {
        self.get(PID)
    }

    pub(super) fn has_stacks(&self) -> bool {
        self.get(STACKS) == 1
    }

    pub(super) fn state(&self) -> ReportedState {
        let states = [ReportedState::Serving, ReportedState::Draining, ReportedState::Stopping];
        let found = states.into_iter().find(|state| *state as u64 == self.get(STATE));
        found.unwrap_or(ReportedState::Booting)
    }

    pub(super) fn last_beat_ms(&self) -> u64 {
        self.get(HEARTBEAT)
    }

    pub(super) fn connections(&self) -> u64 {
        self.get(CONNECTIONS)
    }

    pub(super) fn queued(&self) -> u32 {
        u32::try_from(self.get(QUEUED)).unwrap_or(u32::MAX)
    }

    pub(super) fn stuck_since_ms(&self) -> Option<u64> {
        Some(self.get(STUCK_SINCE)).filter(|since_ms| *since_ms > 0)
    }

    pub(super) fn losses(&self) -> Losses {
        std::array::from_fn(|kind| self.get(GIVEN_UP + kind))
    }

    /// The counts of the worker as a whole.
    pub(super) fn counters(&self) -> Counters {
        let mut counters = Counters {
            timeouts: self.get(TIMEOUTS),
            received: self.get(RECEIVED),
            sent: self.get(SENT),
            full_handshakes: self.get(FULL_HANDSHAKES),
            resumed_handshakes: self.get(RESUMED_HANDSHAKES),
            static_files: std::array::from_fn(|result| self.get(STATIC_FILES + result)),
            ..Counters::default()
        };
        counters.statuses.add_words(self.part(STATUSES));
        counters
    }

    fn part<const LENGTH: usize>(&self, start: usize) -> &[AtomicU64; LENGTH] {
        self.0[start..].first_chunk().expect("every part is inside the head")
    }
}
