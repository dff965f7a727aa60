//! Whether a thread sleeps: new work wakes it then, and costs no system call while it
//! is awake.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use monoceros_sys::futex::{self, Wake};

use crate::atomics::Word;

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

/// The flag of one thread.
#[derive(Debug)]
pub(crate) struct SleepFlag<W = AtomicU32>(W);

impl<W: Word> SleepFlag<W> {
    pub(crate) fn new() -> Self {
        Self(W::new(AWAKE))
    }

    /// The thread is about to sleep. `is_quiet` checks after that whether there was
    /// work before; if so, the thread stays awake: `false`.
    pub(crate) fn fall_asleep(&self, is_quiet: impl FnOnce() -> bool) -> bool {
        self.0.store(ASLEEP, Ordering::SeqCst);
        let is_quiet = is_quiet();
        if !is_quiet {
            self.wake_up();
        }
        is_quiet
    }

    /// The thread is awake.
    pub(crate) fn wake_up(&self) {
        self.0.store(AWAKE, Ordering::SeqCst);
    }

    /// There is new work. Returns whether this caller must wake the thread.
    pub(crate) fn must_wake(&self) -> bool {
        self.0.swap(AWAKE, Ordering::SeqCst) == ASLEEP
    }
}

impl SleepFlag {
    /// Sleeps until another thread wakes this one, or the time is over.
    pub(crate) fn sleep(&self, limit: Option<Duration>) -> Wake {
        futex::wait(&self.0, ASLEEP, limit)
    }

    /// Sleeps for a time, without regard to new work.
    pub(crate) fn rest(&self, length: Duration) {
        futex::wait(&self.0, AWAKE, Some(length));
    }

    /// Whether no thread has woken it since it fell asleep.
    pub(crate) fn is_asleep(&self) -> bool {
        self.0.load(Ordering::SeqCst) == ASLEEP
    }

    /// There is new work: wakes the thread if it sleeps.
    pub(crate) fn wake(&self) {
        if self.must_wake() {
            futex::wake(&self.0, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    type ModelledFlag = SleepFlag<loom::sync::atomic::AtomicU32>;

    /// In every order, the work of two threads is found before the sleep, or ends it;
    /// and it is ended once.
    #[test]
    fn new_work_ends_a_sleep_in_any_order_of_steps() {
        let mut model = loom::model::Builder::new();
        // Every order with at most so many switches in the middle of a step: all orders
        // take a minute, and two switches show each mistake of a flag.
        model.preemption_bound = Some(2);
        model.check(|| {
            let flag = Arc::new(ModelledFlag::new());
            let brought = Arc::new(Mutex::new(0));
            let wakes = Arc::new(Mutex::new(0));
            let bringers: Vec<_> = (0..2)
                .map(|_| {
                    let (flag, brought) = (Arc::clone(&flag), Arc::clone(&brought));
                    let wakes = Arc::clone(&wakes);
                    thread::spawn(move || {
                        *brought.lock().unwrap() += 1;
                        if flag.must_wake() {
                            *wakes.lock().unwrap() += 1;
                        }
                    })
                })
                .collect();
            let sleeps = flag.fall_asleep(|| *brought.lock().unwrap() == 0);
            for bringer in bringers {
                bringer.join().unwrap();
            }
            if sleeps {
                assert_eq!(*wakes.lock().unwrap(), 1, "the sleep ends, by one system call");
            }
        });
    }
}
