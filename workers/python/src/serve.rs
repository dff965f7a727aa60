//! The application threads: each takes requests until the worker stops.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use monoceros_edge::ErrorPages;
use monoceros_engine::{Engine, Wait};
use monoceros_http::PathPrefix;
use monoceros_log::RecordWriter;
use pyo3::prelude::*;

use crate::conversation::Callables;
use crate::environ::{Constants, Environ};
use crate::errors::ErrorLog;
use crate::request_hooks::RequestHooks;
use crate::wsgi::ThreadContext;
use crate::{drain_callbacks, errors, signals, threads};

/// The data that the application threads of a worker share.
#[pyclass(frozen, module = "monoceros")]
pub(crate) struct Server {
    pub(crate) worker: Engine,
    pub(crate) application: Py<PyAny>,
    pub(crate) log: Arc<RecordWriter>,
    pub(crate) threads: u16,
    pub(crate) multiprocess: bool,
    pub(crate) prefix: PathPrefix,
    pub(crate) has_client_certificates: bool,
    /// The name of the field with a request's identifier, if there is one.
    pub(crate) id_field: Option<String>,
    /// The hooks for requests, if there are some.
    pub(crate) hooks: Option<RequestHooks>,
    /// What a developer's browser gets when the application raises an exception.
    pub(crate) pages: Option<ErrorPages>,
    pub(crate) reports: Reports,
}

/// Reports of application threads other than the main thread: that they are ready or
/// have failed, and later that they have ended.
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
    /// Waits for one report from each of `count` threads.
    fn hear(&self, py: Python, count: u16) -> PyResult<()> {
        let wait = || {
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            // `self` keeps a sender, so the channel stays open.
            (0..count).try_for_each(|_| heard.recv().unwrap_or(Ok(())))
        };
        py.detach(wait)
    }
}

/// The application threads, ready to take requests.
pub(crate) enum ApplicationThreads {
    /// Only the main thread.
    Main(Box<ThreadContext>),
    /// A number of threads beside the main one, which serve already.
    Others(u16),
}

#[pymethods]
impl Server {
    /// Serves as the application thread with this number, beside the main thread,
    /// until the worker stops.
    fn serve(&self, py: Python, thread: u16) {
        if let Err(error) = threads::introduce(py, &format!("monoceros-{thread}")) {
            log::debug!("thread {thread} has no name: {error}");
        }
        let context = self.context(py, thread);
        let (mut context, report) = match context {
            Ok(context) => (Some(context), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // The receiver is in `self`, so the send works.
        self.reports.said.send(report).ok();
        if let Some(context) = &mut context {
            while take_requests(py, context) {}
        }
        drop(context);
        if let Err(error) = threads::leave(py) {
            log::debug!("thread {thread} counts as running: {error}");
        }
        self.reports.said.send(Ok(())).ok();
    }
}

impl Server {
    fn context(&self, py: Python, thread: u16) -> PyResult<ThreadContext> {
        // Each thread has one of its own, so that lines of two threads do not mix.
        let (errors, stream) = ErrorLog::open(py, Arc::clone(&self.log), "wsgi.errors")?;
        let constants = Constants {
            multithread: self.threads > 1,
            multiprocess: self.multiprocess,
            prefix: &self.prefix,
            has_client_certificates: self.has_client_certificates,
            id_field: self.id_field.as_deref(),
            errors: &stream,
        };
        Ok(ThreadContext {
            application: self.application.clone_ref(py),
            environ: Environ::new(py, &constants)?,
            callables: Callables::new(py)?,
            errors,
            requests: self.worker.requests(usize::from(thread)),
            hooks: self.hooks.as_ref().map(|hooks| hooks.share(py)),
            pages: self.pages.clone(),
        })
    }
}

/// Starts the application threads. A single one is Python's main thread, where
/// profilers, debuggers and signal handlers expect the application. Of several, none is
/// the main thread.
///
/// # Errors
/// What Python raises when a thread cannot be started, for lack of memory or by a limit
/// of processes. Threads that were started wait until the process ends.
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
            // Python's finalization would stop threads that still use the interpreter.
            shared.reports.hear(py, count)?;
        }
    }
    // For a signal that arrived with the end.
    signals::run_handlers(py);
    drain_callbacks::wait(py);
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

/// Serves the requests that are queued, and waits for the next one. Returns whether the
/// worker continues.
fn take_requests(py: Python, context: &mut ThreadContext) -> bool {
    while let Some(exchange) = context.requests.next() {
        errors::follow_level(py);
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
