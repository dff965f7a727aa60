//! The callables that the application has called when its worker begins to drain. They are
//! called on a thread of their own: the application's threads may be held by streams that
//! these callables end.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use monoceros_engine::DrainOrigin;
use pyo3::prelude::*;

use crate::{ending, forked, signals, threads, traceback};

/// The name of the thread, also in Python.
const THREAD: &str = "monoceros-drain";

/// The callables of this process, and the state of their calls.
static CALLBACKS: Mutex<DrainCallbacks> = Mutex::new(DrainCallbacks {
    waiting: VecDeque::new(),
    has_begun: false,
    is_running: false,
    threads: Vec::new(),
});

/// The callables, and the state of their calls.
struct DrainCallbacks {
    /// Those that have not been called, in the order of their registration.
    waiting: VecDeque<Py<PyAny>>,
    /// The worker drains.
    has_begun: bool,
    /// A thread calls them.
    is_running: bool,
    /// The threads that were started.
    threads: Vec<JoinHandle<()>>,
}

impl DrainCallbacks {
    /// Starts a thread if callables are due and no thread calls them.
    fn call_due(&mut self) {
        if !self.has_begun || self.is_running || self.waiting.is_empty() {
            return;
        }
        match thread::Builder::new().name(THREAD.to_owned()).spawn(run) {
            Ok(thread) => {
                self.is_running = true;
                self.threads.push(thread);
            }
            Err(error) => log::error!(
                "cannot start a thread, so what the application has given to on_drain is not \
                 called: {error}"
            ),
        }
    }
}

/// Registers a callable. During a drain it is called at once.
pub(crate) fn register(callback: Py<PyAny>) {
    let mut callbacks = lock();
    callbacks.waiting.push_back(callback);
    callbacks.call_due();
}

/// Notifies the application that the worker begins to drain. Does not wait for it.
pub(crate) fn begin(origin: DrainOrigin) {
    {
        let mut callbacks = lock();
        callbacks.has_begun = true;
        callbacks.call_due();
    }
    signals::announce(origin);
}

/// Whether the drain has begun.
pub(crate) fn has_begun() -> bool {
    lock().has_begun
}

/// Waits for the calls: the worker has nothing else to do. The engine ends the process at the
/// end of the drain's time.
pub(crate) fn wait(py: Python) {
    loop {
        let threads = std::mem::take(&mut lock().threads);
        if threads.is_empty() {
            return;
        }
        py.detach(|| threads.into_iter().for_each(|thread| drop(thread.join())));
    }
}

/// Calls the callables, one after the other.
fn run() {
    Python::try_attach(|py| {
        if let Err(error) = threads::introduce(py, THREAD) {
            log::debug!("the thread for on_drain has no name: {error}");
        }
        while let Some(callback) = next() {
            let result = callback.call0(py);
            forked::leave(py, &result);
            if let Err(error) = result
                && !ending::has_begun()
            {
                let text = traceback::describe(py, &error);
                log::error!("a callable that the application has given to on_drain failed\n{text}");
            }
        }
    });
}

/// The next callable; with the last one, this thread ends.
fn next() -> Option<Py<PyAny>> {
    let mut callbacks = lock();
    let callback = callbacks.waiting.pop_front();
    callbacks.is_running = callback.is_some();
    callback
}

fn lock() -> MutexGuard<'static, DrainCallbacks> {
    CALLBACKS.lock().unwrap_or_else(PoisonError::into_inner)
}
