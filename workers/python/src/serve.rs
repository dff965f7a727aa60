//! The application threads: they take requests until the worker stops.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use monoceros_engine::{Wait, Worker};
use monoceros_log::LogFile;
use pyo3::prelude::*;

use crate::child;
use crate::conversation::Callables;
use crate::environ::{Constants, Environ};
use crate::errors::ErrorStream;
use crate::trouble;
use crate::wsgi::Seat;

/// What the application threads of a worker share.
#[pyclass(frozen, module = "monoceros")]
pub(crate) struct Server {
    pub(crate) worker: Worker,
    pub(crate) application: Py<PyAny>,
    pub(crate) log: Arc<LogFile>,
    pub(crate) threads: u16,
    pub(crate) multiprocess: bool,
    pub(crate) script_name: Vec<u8>,
}

#[pymethods]
impl Server {
    /// Serves as the application thread of this number until the worker stops.
    fn serve(&self, py: Python, thread: usize) -> PyResult<()> {
        let mut seat = self.seat(py, thread)?;
        while take_requests(py, &mut seat) {}
        Ok(())
    }

    /// Takes note that the application is about to fork.
    fn note_fork(&self) {
        self.worker.note_fork();
    }
}

impl Server {
    fn seat(&self, py: Python, thread: usize) -> PyResult<Seat> {
        let errors = Bound::new(py, ErrorStream::new(Arc::clone(&self.log)))?;
        let constants = Constants {
            multithread: self.threads > 1,
            multiprocess: self.multiprocess,
            script_name: &self.script_name,
            errors: &errors,
        };
        Ok(Seat {
            application: self.application.clone_ref(py),
            environ: Environ::new(py, &constants)?,
            callables: Callables::new(py)?,
            desk: self.worker.desk(thread),
        })
    }
}

/// Runs the application threads. One is Python's main thread, where profilers,
/// debuggers and signal handlers expect the application; of several, none is.
pub(crate) fn run(server: &Bound<Server>) -> PyResult<()> {
    let py = server.py();
    let threads = server.get().threads;
    if threads == 1 {
        return server.get().serve(py, 0);
    }
    let serve = server.getattr("serve")?;
    let make = py.import("threading")?.getattr("Thread")?;
    for number in 0..threads {
        let arguments = pyo3::types::PyDict::new(py);
        arguments.set_item("target", &serve)?;
        arguments.set_item("args", (number,))?;
        arguments.set_item("name", format!("monoceros-{number}"))?;
        arguments.set_item("daemon", true)?;
        make.call((), Some(&arguments))?.call_method0("start")?;
    }
    let worker = server.get().worker.clone();
    loop {
        match py.detach(|| worker.wait_for_stop()) {
            Wait::Stop => return Ok(()),
            Wait::Interrupted => run_signal_handlers(py),
            Wait::Look => {}
        }
    }
}

/// Answers the requests that are there and waits for the next; whether the
/// worker goes on.
fn take_requests(py: Python, seat: &mut Seat) -> bool {
    while let Some(exchange) = seat.desk.next() {
        // A defect of ours costs the client its answer, and nobody else theirs.
        if catch_unwind(AssertUnwindSafe(|| seat.answer(py, exchange))).is_err() {
            drop(seat.callables.conversation.get().end());
            log::error!("answering a request panicked; its connection was closed");
        }
    }
    let desk = &seat.desk;
    match py.detach(|| desk.wait()) {
        Wait::Stop => return false,
        Wait::Interrupted => run_signal_handlers(py),
        Wait::Look => {}
    }
    true
}

/// Python runs its signal handlers on the main thread, between two steps of
/// its own; a thread that waits in our code has to give it the occasion.
fn run_signal_handlers(py: Python) {
    let result = py.check_signals();
    child::leave(py, &result);
    if let Err(error) = result {
        log::error!("a signal handler raised\n{}", trouble::describe(py, &error));
    }
}
