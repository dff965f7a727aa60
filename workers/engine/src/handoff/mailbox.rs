//! Streams that return to the loop by message, and the wake-up of the loop.

use std::sync::{Arc, Mutex};

use crate::handoff::sleep_flag::SleepFlag;
use crate::handoff::wait::lock;
use crate::stream::shared_stream::SharedStream;

/// The messages to the loop.
#[derive(Debug)]
pub(crate) struct Mailbox {
    returned: Mutex<Vec<Arc<SharedStream>>>,
    /// The thread that runs the loop sleeps in it, or is about to.
    sleep: SleepFlag,
    waker: mio::Waker,
}

impl Mailbox {
    /// An empty mailbox; `waker` ends a sleep of the loop.
    pub(crate) fn new(waker: mio::Waker) -> Self {
        Self { returned: Mutex::default(), sleep: SleepFlag::new(), waker }
    }

    /// Returns a stream to the loop. One message that was not read yet has the effect
    /// of two.
    pub(crate) fn push(&self, stream: Arc<SharedStream>) {
        let mut returned = lock(&self.returned);
        if !returned.last().is_some_and(|last| Arc::ptr_eq(last, &stream)) {
            returned.push(stream);
        }
        drop(returned);
        self.wake_loop();
    }

    /// Takes the streams that were returned.
    pub(crate) fn take(&self, into: &mut Vec<Arc<SharedStream>>) {
        std::mem::swap(&mut *lock(&self.returned), into);
    }

    /// Wakes the thread that runs the loop.
    pub(crate) fn wake_loop(&self) {
        if self.sleep.must_wake() {
            // Fails only when the counter is full, and then a wake-up is due.
            self.waker.wake().ok();
        }
    }

    /// Announces that the loop is going to sleep; `false` when a stream was returned in
    /// between, or the loop has other work.
    pub(crate) fn fall_asleep(&self, is_quiet: impl FnOnce() -> bool) -> bool {
        self.sleep.fall_asleep(|| lock(&self.returned).is_empty() && is_quiet())
    }

    /// Announces that the loop is awake.
    pub(crate) fn wake_up(&self) {
        self.sleep.wake_up();
    }
}
