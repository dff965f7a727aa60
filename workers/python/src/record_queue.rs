//! What waits for Python's logging: records and requests of threads that cannot call Python.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monoceros_engine::{AccessFacts, AccessSink};
use monoceros_log::{DetachedRecord, LogRecord, RecordSink};
use monoceros_sys::fork;

/// The most records and requests that wait. What comes beyond that is lost and counted.
const MOST_QUEUED: usize = 10_000;

thread_local! {
    /// This thread is in a call of Python's logging.
    static IS_LOGGING: Cell<bool> = const { Cell::new(false) };
}

/// Calls Python's logging. Records that this thread makes meanwhile are not queued: a handler that
/// writes to the server's own error log would never end.
pub(crate) fn logging<T>(call: impl FnOnce() -> T) -> T {
    let before = IS_LOGGING.replace(true);
    let result = call();
    IS_LOGGING.set(before);
    result
}

/// What waits.
#[derive(Debug)]
pub(crate) enum Queued {
    /// A record of the error log.
    Record(DetachedRecord),
    /// A request for the access log.
    Request(Box<AccessFacts>),
    /// The files of handlers are to be opened again.
    Reopen,
}

/// What has waited, in order.
#[derive(Debug, Default)]
pub(crate) struct QueuedBatch {
    pub(crate) waited: VecDeque<Queued>,
    /// How many came when there was no room.
    pub(crate) lost: u64,
}

/// The queue of a process.
#[derive(Debug, Default)]
pub(crate) struct RecordQueue {
    state: Mutex<RecordQueueState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct RecordQueueState {
    batch: QueuedBatch,
    is_closed: bool,
    /// The thread that logs what waits has begun.
    is_read: bool,
}

impl RecordQueue {
    /// Adds something. Returns whether the queue takes it: not when it is closed, nor in a process
    /// that the application has forked, which lacks the thread.
    pub(crate) fn add(&self, queued: Queued) -> bool {
        if fork::is_forked() {
            return false;
        }
        let mut state = self.lock();
        if state.is_closed {
            return false;
        }
        if state.batch.waited.len() < MOST_QUEUED || matches!(queued, Queued::Reopen) {
            state.batch.waited.push_back(queued);
        } else {
            state.batch.lost += 1;
        }
        self.changed.notify_all();
        true
    }

    /// Takes what waits.
    pub(crate) fn take(&self) -> QueuedBatch {
        std::mem::take(&mut self.lock().batch)
    }

    /// Waits until something waits, for the thread that logs it. `None`: the queue is closed, and
    /// empty.
    pub(crate) fn wait(&self) -> Option<QueuedBatch> {
        let mut state = self.lock();
        state.is_read = true;
        while state.batch.waited.is_empty() {
            if state.is_closed {
                state.is_read = false;
                self.changed.notify_all();
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Some(std::mem::take(&mut state.batch))
    }

    /// Takes what is added, also after it was closed.
    pub(crate) fn open(&self) {
        self.lock().is_closed = false;
    }

    /// Takes nothing from now on, and waits until what waits has been logged, but not for longer
    /// than `limit`.
    pub(crate) fn close(&self, limit: Duration) {
        let mut state = self.lock();
        state.is_closed = true;
        self.changed.notify_all();
        let reads = |state: &mut RecordQueueState| state.is_read;
        // After the limit what waits is lost with the process.
        drop(self.changed.wait_timeout_while(state, limit, reads));
    }

    fn lock(&self) -> MutexGuard<'_, RecordQueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecordSink for RecordQueue {
    fn take(&self, record: &LogRecord) -> bool {
        !IS_LOGGING.get() && self.add(Queued::Record(DetachedRecord::of(record)))
    }
}

/// Adds requests to the queue of this process.
#[derive(Debug)]
pub(crate) struct QueuedAccess(pub(crate) &'static RecordQueue);

impl AccessSink for QueuedAccess {
    fn take(&self, facts: AccessFacts) {
        self.0.add(Queued::Request(Box::new(facts)));
    }
}
