//! Who runs the loop: the I/O thread, or the application's only thread while it
//! has nothing else to do.
//!
//! Handing a request from one thread to another costs two wake-ups, which is
//! more than a quick application takes. So a single application thread whose
//! requests are quick runs the loop by itself between them. The I/O thread looks
//! two hundred times a second whether a request takes longer than thought, and
//! takes the loop over then: deadlines, slow clients and the master never wait
//! for the application. It gives the loop back when requests are quick again.
//!
//! While nothing happens both sleep: the one in the loop, the other until it is
//! woken with the first request.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use monoceros_sys::{clock, futex};

use crate::event_loop::{EventLoop, Turn};
use crate::handoff::{Handoff, SIGNALS, Wait};

/// How often the I/O thread looks; a request that takes longer loses the loop.
const LOOK: Duration = Duration::from_millis(5);

/// How often the I/O thread checks whether another thread is needed.
const SHORT_LOOK: Duration = Duration::from_millis(1);

/// How many looks a batch of requests may take, each of which ends in time.
const LOOKS: u32 = 4;

/// How long the I/O thread waits for quick requests to end before it goes on
/// with the loop.
const HAND_BACK: Duration = Duration::from_millis(1);

/// The exit code of a worker whose loop panicked; sysexits(3) calls it an
/// internal error.
const PANICKED: i32 = 70;

/// The loop and who has it.
pub(crate) struct LoopOwner {
    /// Locked by who runs it.
    io: Mutex<EventLoop>,
    /// Odd while the application thread runs the loop; changes with each
    /// request that it takes.
    steps: AtomicU32,
    /// 1 while the I/O thread sleeps until it is woken.
    asleep: AtomicU32,
    /// The application thread is gone for good.
    is_retired: AtomicBool,
    /// Ends the process.
    end: Box<dyn Fn(i32) + Send + Sync>,
}

impl LoopOwner {
    pub(crate) fn new(io: EventLoop, end: Box<dyn Fn(i32) + Send + Sync>) -> Self {
        Self {
            io: Mutex::new(io),
            steps: AtomicU32::new(0),
            asleep: AtomicU32::new(0),
            is_retired: AtomicBool::new(false),
            end,
        }
    }

    /// Runs the loop on the application thread until there is a request for it;
    /// `None` when it is not its turn.
    pub(crate) fn run_while_idle(&self, handoff: &Handoff) -> Option<Wait> {
        if !handoff.crew.is_single_file()
            || handoff.crew.has_long()
            || !handoff.crew.is_at_rest()
            || !(handoff.is_quick() || handoff.batch.waits())
        {
            return None;
        }
        let mut io = match self.io.try_lock() {
            Ok(io) => io,
            Err(TryLockError::Poisoned(io)) => io.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        if handoff.is_stopping() {
            // The loop has told so under this lock, and is the I/O thread's now.
            return None;
        }
        if handoff.has_requests() && !handoff.batch.waits() {
            // The I/O thread had the loop, and has written what was due.
            return Some(Wait::Look);
        }
        self.steps.fetch_add(1, Ordering::SeqCst);
        let mut idle_ms = None;
        let wait = loop {
            match self.turn(&mut io, false) {
                Turn::Over => self.end_process(io),
                Turn::Interrupted => break Wait::Interrupted,
                Turn::Done if handoff.has_requests() => break Wait::Look,
                Turn::Done if handoff.is_stopping() => break Wait::Stop,
                Turn::Done if !handoff.crew.is_single_file() || handoff.crew.has_long() => {
                    break Wait::Look;
                }
                Turn::Done if handoff.crew.is_sole() && is_to_look(&mut idle_ms) => {
                    break Wait::Interrupted;
                }
                Turn::Done => {}
            }
        };
        handoff.batch.open();
        // The next to run it may be another thread: the number is even by then.
        self.steps.fetch_add(1, Ordering::SeqCst);
        drop(io);
        self.is_retired.store(wait == Wait::Stop, Ordering::SeqCst);
        self.wake_io_thread();
        Some(wait)
    }

    /// The I/O thread: runs the loop whenever the application thread does not,
    /// until the process is to end.
    pub(crate) fn run(&self, handoff: &Handoff) {
        loop {
            self.stand_by(handoff);
            // Where it is locked, the application thread has been faster.
            let Ok(mut io) = self.io.try_lock() else {
                if !handoff.crew.is_single_file() || handoff.crew.has_long() {
                    handoff.wake_loop();
                    std::thread::yield_now();
                }
                continue;
            };
            handoff.batch.close();
            loop {
                if let Turn::Over = self.turn(&mut io, true) {
                    self.end_process(io);
                }
                if self.may_hand_back(handoff) {
                    break;
                }
            }
            handoff.batch.open();
            drop(io);
            if handoff.crew.is_at_rest() {
                handoff.ring_one();
            }
        }
    }

    fn turn(&self, io: &mut EventLoop, parks: bool) -> Turn {
        let turn = catch_unwind(AssertUnwindSafe(|| io.turn(parks)));
        turn.unwrap_or_else(|_| {
            // Without its loop a worker is of no use: the master is to see that
            // it is gone.
            (self.end)(PANICKED);
            Turn::Over
        })
    }

    /// Sleeps until the application thread has been with one request, or with
    /// one batch of them, for so long that the loop has to go on without it.
    fn stand_by(&self, handoff: &Handoff) {
        let mut seen = self.steps.load(Ordering::SeqCst);
        let (mut finished, mut looks) = (handoff.finished(), 0);
        while handoff.crew.is_single_file()
            && !handoff.crew.has_long()
            && !self.is_retired.load(Ordering::SeqCst)
        {
            self.rest(handoff);
            let now = self.steps.load(Ordering::SeqCst);
            looks = if now == seen { looks + 1 } else { 0 };
            if now == seen && is_running_loop(now) {
                self.sleep_until_woken(now);
            } else if now == seen && (handoff.finished() == finished || looks >= LOOKS) {
                return;
            }
            (seen, finished) = (self.steps.load(Ordering::SeqCst), handoff.finished());
        }
    }

    /// Sleeps until the next look. Where there are other threads, one of them
    /// takes over when the first one waits.
    fn rest(&self, handoff: &Handoff) {
        if handoff.crew.is_sole() {
            futex::wait(&self.asleep, 0, Some(LOOK));
            return;
        }
        for _ in 0..LOOK.as_micros() / SHORT_LOOK.as_micros() {
            futex::wait(&self.asleep, 0, Some(SHORT_LOOK));
            let now_us = clock::monotonic_us();
            handoff.judge_pace(now_us);
            handoff.relieve(now_us);
        }
    }

    /// Sleeps while the application thread only waits, in the loop.
    fn sleep_until_woken(&self, seen: u32) {
        self.asleep.store(1, Ordering::SeqCst);
        while self.steps.load(Ordering::SeqCst) == seen && self.asleep.load(Ordering::SeqCst) == 1 {
            futex::wait(&self.asleep, 1, None);
        }
        self.asleep.store(0, Ordering::SeqCst);
    }

    fn wake_io_thread(&self) {
        if self.asleep.swap(0, Ordering::SeqCst) == 1 {
            futex::wake(&self.asleep, 1);
        }
    }

    /// Whether the application thread had better run the loop.
    fn may_hand_back(&self, handoff: &Handoff) -> bool {
        let is_retired = self.is_retired.load(Ordering::SeqCst);
        if !handoff.crew.is_single_file()
            || handoff.crew.has_long()
            || !handoff.is_quick()
            || is_retired
        {
            return false;
        }
        let finished = handoff.finished();
        handoff.park_while_busy(HAND_BACK);
        // A queue that does not run empty is as good as one that does: with a
        // batch open, the application thread is soon back.
        let is_free =
            if handoff.crew.is_sole() { !handoff.is_full() } else { handoff.crew.is_at_rest() };
        (is_free || handoff.finished() != finished) && !handoff.is_stopping()
    }

    fn end_process(&self, mut io: MutexGuard<EventLoop>) -> ! {
        io.flush();
        (self.end)(0);
        // `end` does not return; who passes one that does has asked for it.
        loop {
            std::thread::park();
        }
    }
}

/// Whether the only thread, idle since this time in milliseconds of the rising
/// clock, is to see whether a signal was handled on it.
fn is_to_look(idle_ms: &mut Option<u64>) -> bool {
    let now_ms = clock::monotonic_ms();
    u128::from(now_ms - *idle_ms.get_or_insert(now_ms)) >= SIGNALS.as_millis()
}

/// Whether a count of steps says that the application thread runs the loop.
fn is_running_loop(steps: u32) -> bool {
    steps % 2 == 1
}
