//! Which thread runs the loop. One thread owns the loop at a time, and gets it in one
//! of three ways:
//!
//! - Run until there is work: the application's only thread while it is idle.
//! - A turn that does not wait: an application with its own event loop, which watches
//!   the descriptor of this loop.
//! - Take over: the I/O thread, whenever the application does not run the loop.
//!
//! A request that passes from one thread to another costs two wake-ups, which take
//! longer than a quick application. So a single application thread whose requests are
//! quick runs the loop by itself between them. The I/O thread checks two hundred times
//! a second whether a request takes longer than expected, and then takes the loop over:
//! deadlines, slow clients and the master never wait for the application. It gives the
//! loop back when requests are quick again.
//!
//! While nothing happens both threads sleep: one in the loop, the other until the first
//! request wakes it.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use monoceros_sys::clock;

use crate::event_loop::{EventLoop, Turn, TurnPace};
use crate::handoff::Handoff;
use crate::handoff::sleep_flag::SleepFlag;
use crate::handoff::threads::ThreadSide;
use crate::handoff::wait::{SIGNALS, Wait};

/// How often the I/O thread checks; a thread whose request takes longer loses the loop.
const LOOK: Duration = Duration::from_millis(5);

/// How often the I/O thread checks whether another thread is needed.
const SHORT_LOOK: Duration = Duration::from_millis(1);

/// How many checks a batch of requests may take, each of which ends in time.
const LOOKS: u32 = 4;

/// How long the I/O thread waits for quick requests to end before it runs the loop
/// again.
const HAND_BACK: Duration = Duration::from_millis(1);

/// The exit code of a worker whose loop panicked: an internal error in sysexits(3).
const PANICKED: i32 = 70;

/// The loop and the thread that owns it.
pub(crate) struct LoopOwner {
    /// Locked by the thread that runs the loop.
    io: Mutex<EventLoop>,
    /// Odd while the application thread runs the loop; changes with each
    /// request that it takes.
    steps: AtomicU32,
    /// The I/O thread sleeps until it is woken.
    standby: SleepFlag,
    /// The application thread does not run the loop any more.
    is_retired: AtomicBool,
    /// Ends the process.
    end: Box<dyn Fn(i32) + Send + Sync>,
}

impl LoopOwner {
    pub(crate) fn new(io: EventLoop, end: Box<dyn Fn(i32) + Send + Sync>) -> Self {
        Self {
            io: Mutex::new(io),
            steps: AtomicU32::new(0),
            standby: SleepFlag::new(),
            is_retired: AtomicBool::new(false),
            end,
        }
    }

    /// Runs the loop on an application thread until there is a request for it; `None`
    /// when another thread must run it.
    pub(crate) fn run_while_idle(&self, handoff: &Handoff, threads: &ThreadSide) -> Option<Wait> {
        let crew = &threads.crew;
        if !crew.is_single_file()
            || crew.has_long()
            || !crew.is_at_rest()
            || !(threads.is_quick() || threads.batch.waits())
        {
            return None;
        }
        let mut io = match self.io.try_lock() {
            Ok(io) => io,
            Err(TryLockError::Poisoned(io)) => io.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        if handoff.is_stopping() {
            // The loop has set the state under this lock, and belongs to the I/O thread
            // now.
            return None;
        }
        if threads.has_requests() && !threads.batch.waits() {
            // The I/O thread had the loop, and has written the responses that were
            // left.
            return Some(Wait::Look);
        }
        self.steps.fetch_add(1, Ordering::SeqCst);
        let mut idle_ms = None;
        let wait = loop {
            match self.turn(&mut io, TurnPace::Idle) {
                Turn::Over => self.end_process(io),
                Turn::Interrupted => break Wait::Interrupted,
                Turn::Done if threads.has_requests() => break Wait::Look,
                Turn::Done if handoff.is_stopping() => break Wait::Stop,
                Turn::Done if !crew.is_single_file() || crew.has_long() => {
                    break Wait::Look;
                }
                Turn::Done if crew.is_sole() && is_to_look(&mut idle_ms) => {
                    break Wait::Interrupted;
                }
                Turn::Done => {}
            }
        };
        threads.batch.open();
        // The next owner may be another thread: the number is even by then.
        self.steps.fetch_add(1, Ordering::SeqCst);
        drop(io);
        self.is_retired.store(wait == Wait::Stop, Ordering::SeqCst);
        self.standby.wake();
        Some(wait)
    }

    /// Runs one turn on a thread that has other events to wait for, and does not wait.
    /// Returns when the next turn is due if the descriptor of the loop does not become
    /// readable before; `None` while another thread runs the loop.
    pub(crate) fn turn_now(&self) -> Option<Duration> {
        let mut io = match self.io.try_lock() {
            Ok(io) => io,
            Err(TryLockError::Poisoned(io)) => io.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        match self.turn(&mut io, TurnPace::NoWait) {
            Turn::Over => self.end_process(io),
            Turn::Done | Turn::Interrupted => Some(io.prepare_sleep().unwrap_or_default()),
        }
    }

    /// The descriptor of the loop: readable when there is work for a turn.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.io.lock().unwrap_or_else(PoisonError::into_inner).descriptor()
    }

    /// The I/O thread: runs the loop whenever the application does not, until the
    /// process ends.
    pub(crate) fn run(&self, handoff: &Handoff) {
        match handoff.threads() {
            Some(threads) => self.run_beside(handoff, threads),
            None => self.run_alone(),
        }
    }

    fn run_alone(&self) {
        let mut io = self.io.lock().unwrap_or_else(PoisonError::into_inner);
        while self.turn(&mut io, TurnPace::Beside) != Turn::Over {}
        self.end_process(io);
    }

    fn run_beside(&self, handoff: &Handoff, threads: &ThreadSide) {
        let crew = &threads.crew;
        loop {
            self.stand_by(handoff, threads);
            // If it is locked, the application thread has been faster.
            let Ok(mut io) = self.io.try_lock() else {
                if !crew.is_single_file() || crew.has_long() {
                    handoff.wake_loop();
                    std::thread::yield_now();
                }
                continue;
            };
            threads.batch.close();
            loop {
                if let Turn::Over = self.turn(&mut io, TurnPace::Beside) {
                    self.end_process(io);
                }
                if self.may_hand_back(handoff, threads) {
                    break;
                }
            }
            threads.batch.open();
            drop(io);
            if crew.is_at_rest() {
                threads.ring_one();
            }
        }
    }

    fn turn(&self, io: &mut EventLoop, pace: TurnPace) -> Turn {
        let turn = catch_unwind(AssertUnwindSafe(|| io.turn(pace)));
        turn.unwrap_or_else(|_| {
            // Without its loop a worker cannot serve: it ends, so that the master
            // replaces it.
            (self.end)(PANICKED);
            Turn::Over
        })
    }

    /// Sleeps until the application thread has had one request, or one batch, for so
    /// long that the I/O thread must take the loop over.
    fn stand_by(&self, handoff: &Handoff, threads: &ThreadSide) {
        let (crew, finished_now) = (&threads.crew, || handoff.slots.finished());
        let mut seen = self.steps.load(Ordering::SeqCst);
        let (mut finished, mut looks) = (finished_now(), 0);
        while crew.is_single_file() && !crew.has_long() && !self.is_retired.load(Ordering::SeqCst) {
            self.rest(threads);
            let now = self.steps.load(Ordering::SeqCst);
            looks = if now == seen { looks + 1 } else { 0 };
            if now == seen && is_running_loop(now) {
                self.sleep_until_woken(now);
            } else if now == seen && (finished_now() == finished || looks >= LOOKS) {
                return;
            }
            (seen, finished) = (self.steps.load(Ordering::SeqCst), finished_now());
        }
    }

    /// Sleeps until the next check. Where there are other threads, one of them takes
    /// over when the first one waits.
    fn rest(&self, threads: &ThreadSide) {
        if threads.crew.is_sole() {
            self.standby.rest(LOOK);
            return;
        }
        for _ in 0..LOOK.as_micros() / SHORT_LOOK.as_micros() {
            self.standby.rest(SHORT_LOOK);
            let now_us = clock::monotonic_us();
            threads.judge_pace(now_us);
            threads.relieve(now_us);
        }
    }

    /// Sleeps while the application thread only waits, in the loop.
    fn sleep_until_woken(&self, seen: u32) {
        let is_waiting = || self.steps.load(Ordering::SeqCst) == seen;
        if self.standby.fall_asleep(is_waiting) {
            while is_waiting() && self.standby.is_asleep() {
                self.standby.sleep(None);
            }
            self.standby.wake_up();
        }
    }

    /// Whether the application thread should run the loop.
    fn may_hand_back(&self, handoff: &Handoff, threads: &ThreadSide) -> bool {
        let crew = &threads.crew;
        let is_retired = self.is_retired.load(Ordering::SeqCst);
        if !crew.is_single_file() || crew.has_long() || !threads.is_quick() || is_retired {
            return false;
        }
        let finished = handoff.slots.finished();
        threads.park_while_busy(HAND_BACK);
        // A queue that does not become empty has the same effect: with a batch open,
        // the application thread will soon run the loop.
        let is_free = if crew.is_sole() { !handoff.slots.is_full() } else { crew.is_at_rest() };
        (is_free || handoff.slots.finished() != finished) && !handoff.is_stopping()
    }

    fn end_process(&self, mut io: MutexGuard<EventLoop>) -> ! {
        io.flush();
        (self.end)(0);
        // `end` does not return, by the contract of this function.
        loop {
            std::thread::park();
        }
    }
}

/// Whether the only thread, idle since this time in milliseconds of the monotonic
/// clock, must check whether a signal was handled on it.
fn is_to_look(idle_ms: &mut Option<u64>) -> bool {
    let now_ms = clock::monotonic_ms();
    u128::from(now_ms - *idle_ms.get_or_insert(now_ms)) >= SIGNALS.as_millis()
}

/// Whether a count of steps means that the application thread runs the loop.
fn is_running_loop(steps: u32) -> bool {
    steps % 2 == 1
}
