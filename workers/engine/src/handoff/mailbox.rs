//! Messages to the loop: streams that return, results of background threads. And the wake-up
//! of the loop.

use std::sync::{Arc, Mutex};

use crate::handoff::sleep_flag::SleepFlag;
use crate::handoff::task::FinishedTask;
use crate::handoff::wait::lock;
use crate::stream::shared_stream::SharedStream;

/// The messages to the loop.
#[derive(Debug)]
pub(crate) struct Mailbox {
    messages: Mutex<Messages>,
    /// The thread that runs the loop sleeps in it, or is about to.
    sleep: SleepFlag,
    waker: mio::Waker,
}

/// Messages that the loop has not read.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    /// Streams that the application side has returned.
    pub(crate) returned: Vec<Arc<SharedStream>>,
    /// What background threads have done.
    pub(crate) finished: Vec<FinishedTask>,
}

impl Messages {
    fn is_empty(&self) -> bool {
        self.returned.is_empty() && self.finished.is_empty()
    }
}

impl Mailbox {
    /// An empty mailbox; `waker` ends a sleep of the loop.
    pub(crate) fn new(waker: mio::Waker) -> Self {
        Self { messages: Mutex::default(), sleep: SleepFlag::new(), waker }
    }

    /// Returns a stream to the loop. One message that was not read yet has the effect
    /// of two.
    pub(crate) fn push(&self, stream: Arc<SharedStream>) {
        let mut messages = lock(&self.messages);
        let returned = &mut messages.returned;
        if !returned.last().is_some_and(|last| Arc::ptr_eq(last, &stream)) {
            returned.push(stream);
        }
        drop(messages);
        self.wake_loop();
    }

    /// Puts in the result of a background thread, which wakes the loop then.
    pub(crate) fn push_result(&self, result: FinishedTask) {
        lock(&self.messages).finished.push(result);
    }

    /// Takes the messages.
    pub(crate) fn take(&self, into: &mut Messages) {
        std::mem::swap(&mut *lock(&self.messages), into);
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
        self.sleep.fall_asleep(|| lock(&self.messages).is_empty() && is_quiet())
    }

    /// Announces that the loop is awake.
    pub(crate) fn wake_up(&self) {
        self.sleep.wake_up();
    }
}
