//! The application threads: which of them are at work, and how many may be.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, TryLockError};

use monoceros_sys::thread::{self, ThreadHandle};

use crate::handoff::pace::{Pace, PaceWindow};

/// The thread has no request.
const IDLE: u64 = 0;
/// It has a request, and counts as being at work.
const WORKING: u64 = 1;
/// It has a request that takes long; other threads may work meanwhile.
const ASIDE: u64 = 2;
/// As above, and it computes: it takes the interpreter lock whenever another thread
/// releases it.
const LONG: u64 = 3;
/// A state and the number of the request are in one word.
const STATE_BITS: u32 = 2;
const STATE: u64 = (1 << STATE_BITS) - 1;

/// After so long, in microseconds, a running request may be waiting: from then on the
/// state of its thread is checked.
const LOOK_AFTER_US: u64 = 1_000;

/// A request that has been running for so long, in microseconds, does not keep other
/// requests from running: the interpreter would switch threads by then, too
/// (`sys.setswitchinterval`).
const LONG_US: u64 = 5_000;

/// The length of the window that the pace judges, in microseconds.
const WINDOW_US: u64 = 10_000;

/// The application threads of a worker.
#[derive(Debug)]
pub(crate) struct Crew {
    seats: Box<[Seat]>,
    /// Threads that may be at work.
    permits: AtomicU32,
    /// Threads that are at work.
    at_work: AtomicU32,
    /// Threads with a request that was set aside.
    aside: AtomicU32,
    /// Those of the set-aside requests that compute for long.
    long: AtomicU32,
    /// Counts how often a thread had no next request.
    dry: AtomicU32,
    /// The rule for the number; `None` where it is always the number of threads.
    watch: Option<Mutex<Watch>>,
}

/// One application thread.
#[derive(Debug, Default)]
struct Seat {
    /// Set by the thread itself when it registers.
    thread: OnceLock<ThreadHandle>,
    state: AtomicU64,
    begun_us: AtomicU64,
}

/// The values at the begin of the current window.
#[derive(Debug)]
struct Watch {
    pace: Pace,
    begun_us: u64,
    cpu_us: u64,
    finished: u32,
    dry: u32,
    was_waiting: bool,
}

impl Seat {
    /// Whether its thread runs or waits for a processor. Where the kernel does not
    /// report it, the thread counts as waiting for something else.
    fn is_runnable(&self) -> bool {
        self.thread.get().and_then(|thread| thread.is_runnable()) == Some(true)
    }
}

impl Crew {
    /// Threads that share an interpreter lock, unless `parallel`.
    pub(crate) fn new(threads: u16, parallel: bool) -> Self {
        let is_paced = threads > 1 && !parallel;
        let threads_count = u32::from(threads);
        let watch = Watch {
            pace: Pace::new(threads_count, thread::processors()),
            begun_us: 0,
            cpu_us: 0,
            finished: 0,
            dry: 0,
            was_waiting: false,
        };
        Self {
            seats: (0..threads).map(|_| Seat::default()).collect(),
            permits: AtomicU32::new(if is_paced { 1 } else { threads_count }),
            at_work: AtomicU32::new(0),
            aside: AtomicU32::new(0),
            long: AtomicU32::new(0),
            dry: AtomicU32::new(0),
            watch: is_paced.then(|| Mutex::new(watch)),
        }
    }

    /// Registers a thread; must be called on it.
    pub(crate) fn sit(&self, thread: usize) {
        if let Some(seat) = self.seats.get(thread) {
            // A second call comes from the same thread.
            seat.thread.set(ThreadHandle::current()).ok();
        }
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> u32 {
        u32::try_from(self.seats.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is one thread only.
    pub(crate) fn is_sole(&self) -> bool {
        self.seats.len() == 1
    }

    /// Whether one thread at a time is at work.
    pub(crate) fn is_single_file(&self) -> bool {
        self.permits.load(Ordering::Relaxed) == 1
    }

    /// How many more threads may begin to work.
    pub(crate) fn room(&self) -> u32 {
        if self.watch.is_none() {
            return u32::MAX;
        }
        let at_work = self.at_work.load(Ordering::SeqCst);
        // Threads share the interpreter lock equally: without one more for each thread
        // that computes for long, other requests would get half of the time or less.
        let long = self.long.load(Ordering::SeqCst);
        (self.permits.load(Ordering::SeqCst) + long).saturating_sub(at_work)
    }

    /// How many threads to wake for the waiting requests, if so many sleep. A thread
    /// that neither sleeps nor has a request takes one by itself.
    pub(crate) fn wanted(&self, asleep: u32) -> u32 {
        if self.watch.is_none() {
            return asleep;
        }
        let busy = self.at_work.load(Ordering::SeqCst) + self.aside.load(Ordering::SeqCst);
        let between = self.threads().saturating_sub(asleep + busy);
        self.room().saturating_sub(between).min(asleep)
    }

    /// Whether a thread computes for long beside those that are at work. A thread that
    /// releases the interpreter lock then waits until the other one must give it back
    /// (`sys.setswitchinterval`).
    pub(crate) fn has_long(&self) -> bool {
        self.long.load(Ordering::SeqCst) > 0
    }

    /// Whether no thread is at work.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.at_work.load(Ordering::SeqCst) == 0
    }

    /// Whether a thread is at work, with a request that does not take long.
    pub(crate) fn is_working(&self, thread: usize) -> bool {
        self.watch.is_none() || self.seats[thread].state.load(Ordering::Relaxed) & STATE == WORKING
    }

    /// A thread takes a request of this number. Only one thread at a time calls this.
    pub(crate) fn begin(&self, thread: usize, number: u64) {
        if self.watch.is_none() {
            return;
        }
        let seat = &self.seats[thread];
        seat.begun_us.store(0, Ordering::Relaxed);
        let before = seat.state.swap(number << STATE_BITS | WORKING, Ordering::AcqRel);
        self.count_in(WORKING);
        // Another thread of the application may still have the last request.
        self.count_out(before);
    }

    /// When the request was begun, in microseconds of the monotonic clock.
    pub(crate) fn note_begin(&self, thread: usize, now_us: u64) {
        if self.watch.is_some() {
            // A reader of this value also finds the thread counted.
            self.seats[thread].begun_us.store(now_us, Ordering::Release);
        }
    }

    /// The thread's request of this number has ended. The thread may have begun
    /// another: then the old request is not counted any more.
    pub(crate) fn end(&self, thread: usize, number: u64) {
        if self.watch.is_none() {
            return;
        }
        let idle = |state: u64| (state >> STATE_BITS == number).then_some(IDLE);
        let state = &self.seats[thread].state;
        if let Ok(before) = state.fetch_update(Ordering::AcqRel, Ordering::Acquire, idle) {
            self.count_out(before);
        }
    }

    /// Counts a thread that is about to enter this state.
    fn count_in(&self, state: u64) {
        match state & STATE {
            WORKING => self.at_work.fetch_add(1, Ordering::SeqCst),
            ASIDE => self.aside.fetch_add(1, Ordering::SeqCst),
            LONG => {
                self.long.fetch_add(1, Ordering::SeqCst);
                self.aside.fetch_add(1, Ordering::SeqCst)
            }
            _ => 0,
        };
    }

    /// Counts a thread that has left this state.
    fn count_out(&self, state: u64) {
        match state & STATE {
            WORKING => self.at_work.fetch_sub(1, Ordering::SeqCst),
            ASIDE => self.aside.fetch_sub(1, Ordering::SeqCst),
            LONG => {
                self.long.fetch_sub(1, Ordering::SeqCst);
                self.aside.fetch_sub(1, Ordering::SeqCst)
            }
            _ => 0,
        };
    }

    /// A thread finds no next request.
    pub(crate) fn note_dry(&self) {
        self.dry.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests wait, and no thread may begin one: sets aside the requests that have
    /// been at work for long, or that only wait.
    pub(crate) fn make_room(&self, now_us: u64) {
        if self.watch.is_none() {
            return;
        }
        let mut waits = Vec::new();
        for seat in &self.seats {
            let state = seat.state.load(Ordering::Acquire);
            let begun_us = seat.begun_us.load(Ordering::Acquire);
            let taken_us = now_us.saturating_sub(begun_us);
            if state & STATE != WORKING || begun_us == 0 || taken_us < LOOK_AFTER_US {
                continue;
            }
            if taken_us >= LONG_US {
                self.set_aside(seat, state, if seat.is_runnable() { LONG } else { ASIDE });
            } else {
                waits.push((seat, state));
            }
        }
        // With several threads at work the pace has already counted those that wait.
        if self.room() == 0 && self.is_single_file() && !waits.is_empty() && !self.is_computing() {
            waits.into_iter().for_each(|(seat, state)| self.set_aside(seat, state, ASIDE));
        }
    }

    fn set_aside(&self, seat: &Seat, before: u64, to: u64) {
        let (aside, order) = (before & !STATE | to, (Ordering::AcqRel, Ordering::Relaxed));
        // Counted first, because the request may end at any time.
        self.count_in(to);
        let is_set = seat.state.compare_exchange(before, aside, order.0, order.1).is_ok();
        self.count_out(if is_set { before } else { to });
    }

    /// Whether a thread that has a request could run now: it runs, or waits for a
    /// processor. A thread that waits for the interpreter lock could not run; but then
    /// another thread has the lock. True also while no thread has a request, since a
    /// thread is then between two requests.
    fn is_computing(&self) -> bool {
        let mut busy =
            self.seats.iter().filter(|seat| seat.state.load(Ordering::Relaxed) != IDLE).peekable();
        busy.peek().is_none() || busy.any(Seat::is_runnable)
    }

    /// Judges the time since the last call, if it was long enough. Returns whether more
    /// threads than before may be at work.
    pub(crate) fn judge_pace(&self, now_us: u64, is_waiting: bool, finished: u32) -> bool {
        let Some(watch) = &self.watch else { return false };
        let mut watch = match watch.try_lock() {
            Ok(watch) => watch,
            Err(TryLockError::Poisoned(watch)) => watch.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let length_us = now_us.saturating_sub(watch.begun_us);
        if length_us < WINDOW_US {
            return false;
        }
        let clocks = self.seats.iter().filter_map(|seat| seat.thread.get()?.cpu_us());
        let (cpu_us, dry) = (clocks.sum::<u64>(), self.dry.load(Ordering::Relaxed));
        let is_pressed = is_waiting && watch.was_waiting && dry == watch.dry;
        let window = PaceWindow {
            now_us,
            length_us,
            cpu_us: cpu_us.saturating_sub(watch.cpu_us),
            finished: finished.wrapping_sub(watch.finished),
            is_pressed,
            is_computing: is_pressed && self.is_computing(),
        };
        let mut is_more = false;
        if watch.begun_us > 0 {
            let permits = watch.pace.judge(window);
            let before = self.permits.swap(permits, Ordering::SeqCst);
            is_more = permits > before;
            if permits != before {
                log::debug!("application threads that may be at work: {permits}");
            }
        }
        (watch.begun_us, watch.cpu_us, watch.finished) = (now_us, cpu_us, finished);
        (watch.dry, watch.was_waiting) = (dry, is_waiting);
        is_more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_at_a_time_is_at_work() {
        let crew = Crew::new(3, false);
        assert!(crew.is_single_file() && crew.room() == 1);
        crew.begin(0, 7);
        assert!(crew.room() == 0 && crew.is_working(0) && !crew.is_at_rest());
        crew.end(0, 7);
        assert!(crew.room() == 1 && !crew.is_working(0) && crew.is_at_rest());
        assert_eq!((crew.wanted(3), crew.wanted(2)), (1, 0), "one that is awake takes it");
    }

    #[test]
    fn threads_without_a_common_lock_are_not_held_back() {
        let crew = Crew::new(3, true);
        assert_eq!(crew.room(), u32::MAX);
        crew.begin(0, 1);
        assert!(crew.is_at_rest() && !crew.is_single_file() && crew.is_working(0));
    }

    #[test]
    fn a_long_request_makes_room_for_others() {
        let crew = Crew::new(2, false);
        crew.begin(0, 1);
        crew.note_begin(0, 1_000);
        crew.make_room(1_000 + LOOK_AFTER_US - 1);
        assert_eq!(crew.room(), 0);
        crew.make_room(1_000 + LONG_US);
        assert!(crew.room() == 1 && !crew.is_working(0));
        crew.begin(1, 2);
        assert_eq!(crew.room(), 0);
        crew.end(0, 1);
        assert_eq!(crew.room(), 0, "it was counted when it was set aside");
        assert_eq!(crew.wanted(1), 0);
        crew.end(1, 2);
        assert_eq!(crew.room(), 1);
    }

    #[test]
    fn beside_a_request_that_computes_for_long_one_more_thread_works() {
        let crew = Crew::new(3, false);
        // This thread computes, as far as the kernel shows.
        crew.sit(0);
        crew.begin(0, 1);
        crew.note_begin(0, 1_000);
        crew.make_room(1_000 + LONG_US);
        assert!(crew.has_long() && crew.room() == 2);
        crew.begin(1, 2);
        crew.begin(2, 3);
        assert_eq!(crew.room(), 0);
        crew.end(1, 2);
        crew.end(0, 1);
        assert!(!crew.has_long() && crew.room() == 0 && !crew.is_at_rest());
    }

    #[test]
    fn a_request_that_ends_after_its_thread_began_another_is_counted_once() {
        let counts =
            |crew: &Crew| (crew.at_work.load(Ordering::SeqCst), crew.aside.load(Ordering::SeqCst));
        for is_long in [false, true] {
            let crew = Crew::new(2, false);
            crew.begin(0, 1);
            crew.note_begin(0, 1_000);
            if is_long {
                crew.make_room(1_000 + LONG_US);
                assert_eq!(counts(&crew), (0, 1));
            }
            crew.begin(0, 2);
            assert_eq!(counts(&crew), (1, 0));
            crew.end(0, 1);
            assert!(counts(&crew) == (1, 0) && crew.is_working(0));
            crew.end(0, 2);
            crew.end(0, 1);
            assert_eq!(counts(&crew), (0, 0));
        }
    }

    #[test]
    fn a_request_that_waits_makes_room_and_one_that_computes_does_not() {
        let crew = Crew::new(2, false);
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let ready = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            let (crew, ready) = (&crew, &ready);
            scope.spawn(move || {
                crew.sit(0);
                crew.begin(0, 1);
                crew.note_begin(0, 1_000);
                ready.wait();
                let _ = wait.recv();
            });
            ready.wait();
            // This thread computes, as far as the kernel shows.
            crew.sit(1);
            crew.begin(1, 2);
            crew.note_begin(1, 1_000);
            crew.make_room(1_000 + LOOK_AFTER_US);
            assert!(crew.is_working(0) && crew.is_working(1));
            crew.end(1, 2);
            while crew.is_working(0) {
                crew.make_room(1_000 + LOOK_AFTER_US);
            }
            assert_eq!(crew.room(), 1);
            drop(done);
        });
    }
}
