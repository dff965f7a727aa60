//! The application threads: they take requests until the worker stops.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use monoceros_engine::{Engine, Wait};
use monoceros_log::LogFile;
use pyo3::prelude::*;

use crate::conversation::Callables;
use crate::environ::{Constants, Environ};
use crate::errors::ErrorLog;
use crate::wsgi::ThreadContext;
use crate::{signals, threads};

/// What the application threads of a worker share.
#[pyclass(frozen, module = "monoceros")]
pub(crate) struct Server {
    pub(crate) worker: Engine,
    pub(crate) application: Py<PyAny>,
    pub(crate) log: Arc<LogFile>,
    pub(crate) threads: u16,
    pub(crate) multiprocess: bool,
    pub(crate) script_name: Vec<u8>,
    pub(crate) reports: Reports,
}

/// What application threads beside the main one say: that they sit, or why they
/// do not, and then that they leave.
pub(crate) struct Reports {
    said: Sender<PyResult<()>>,
    heard: Mutex<Receiver<PyResult<()>>>,
}

impl Default for Reports {
    fn default() -> Self {
        let (said, heard) = channel();
        Self { said, heard: Mutex::new(heard) }
    }
}

impl Reports {
    /// Waits for one report of each of so many threads.
    fn hear(&self, py: Python, count: u16) -> PyResult<()> {
        let wait = || {
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            // `self` keeps a sender, so the channel is never closed.
            (0..count).try_for_each(|_| heard.recv().unwrap_or(Ok(())))
        };
        py.detach(wait)
    }
}

/// The application threads, each of which can take requests.
pub(crate) enum ApplicationThreads {
    /// The main thread is the only one.
    Main(Box<ThreadContext>),
    /// So many threads beside it, which serve already.
    Others(u16),
}

#[pymethods]
impl Server {
    /// Serves as the application thread of this number, beside the main thread,
    /// until the worker stops.
    fn serve(&self, py: Python, thread: u16) {
        if let Err(error) = threads::introduce(py, thread) {
            log::debug!("thread {thread} has no name: {error}");
        }
        let context = self.context(py, thread);
        let (mut context, report) = match context {
            Ok(context) => (Some(context), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // The server has the other end.
        self.reports.said.send(report).ok();
        if let Some(context) = &mut context {
            while take_requests(py, context) {}
        }
        drop(context);
        self.reports.said.send(Ok(())).ok();
    }
}

impl Server {
    fn context(&self, py: Python, thread: u16) -> PyResult<ThreadContext> {
        // Each thread has its own, so that the lines of two threads never mix.
        let (errors, stream) = ErrorLog::open(py, Arc::clone(&self.log))?;
        let constants = Constants {
            multithread: self.threads > 1,
            multiprocess: self.multiprocess,
            script_name: &self.script_name,
            errors: &stream,
        };
        Ok(ThreadContext {
            application: self.application.clone_ref(py),
            environ: Environ::new(py, &constants)?,
            callables: Callables::new(py)?,
            errors,
            requests: self.worker.requests(usize::from(thread)),
        })
    }
}

/// Has the application threads take their seats. One is Python's main thread,
/// where profilers, debuggers and signal handlers expect the application; of
/// several, none is.
///
/// # Errors
/// What Python raises when a thread cannot be started, for want of memory or by
/// a limit of processes; those that were started wait until the process ends.
pub(crate) fn gather(server: &Bound<Server>) -> PyResult<ApplicationThreads> {
    let (py, shared) = (server.py(), server.get());
    if shared.threads == 1 {
        return Ok(ApplicationThreads::Main(Box::new(shared.context(py, 0)?)));
    }
    let serve = server.getattr("serve")?;
    (0..shared.threads).try_for_each(|number| threads::start(&serve, number))?;
    shared.reports.hear(py, shared.threads)?;
    Ok(ApplicationThreads::Others(shared.threads))
}

/// Serves until the worker stops.
pub(crate) fn run(server: &Bound<Server>, crew: ApplicationThreads) -> PyResult<()> {
    let (py, shared) = (server.py(), server.get());
    match crew {
        ApplicationThreads::Main(mut context) => while take_requests(py, &mut context) {},
        ApplicationThreads::Others(count) => {
            wait_for_stop(py, &shared.worker);
            // Python would end threads that still have something to do with it.
            shared.reports.hear(py, count)?;
        }
    }
    // One whose signal has come with the end.
    signals::run_handlers(py);
    Ok(())
}

fn wait_for_stop(py: Python, worker: &Engine) {
    loop {
        match py.detach(|| worker.wait_for_stop()) {
            Wait::Stop => return,
            Wait::Interrupted => signals::run_handlers(py),
            Wait::Look => {}
        }
    }
}

/// Answers the requests that are there and waits for the next; whether the
/// worker goes on.
fn take_requests(py: Python, context: &mut ThreadContext) -> bool {
    while let Some(exchange) = context.requests.next() {
        // A defect of the server costs this client its response, and no other client.
        if catch_unwind(AssertUnwindSafe(|| context.answer(py, exchange))).is_err() {
            drop(context.callables.conversation.get().end());
            log::error!("answering a request panicked; its connection was closed");
        }
    }
    let requests = &context.requests;
    match py.detach(|| requests.wait()) {
        Wait::Stop => return false,
        Wait::Interrupted => signals::run_handlers(py),
        Wait::Look => {}
    }
    true
}
