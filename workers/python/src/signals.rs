//! Python's handlers of signals, in a worker.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use monoceros_engine::Engine;
use monoceros_sys::signal;
use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;

use crate::{forked, traceback};

/// The worker has taken Python's own handler of SIGINT away.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// The application handles SIGTERM.
static IS_HEARD: AtomicBool = AtomicBool::new(false);

/// What handled SIGTERM when the worker began to listen; 0 before.
static OURS: AtomicUsize = AtomicUsize::new(0);

/// The worker, for handlers that want it to leave.
static WORKER: OnceLock<Engine> = OnceLock::new();

/// The application's own handler of SIGTERM, called once. Workers of other servers
/// get this signal when they are to finish, so the handler is called when the worker
/// begins to drain, however it was told. What it raises, as `sys.exit()` does, does
/// not reach the request that runs, which it would end in the middle.
#[pyclass(frozen, module = "monoceros")]
struct Farewell {
    handler: Py<PyAny>,
    is_over: AtomicBool,
}

#[pymethods]
impl Farewell {
    fn __call__(&self, py: Python, number: i32, frame: Py<PyAny>) {
        if self.is_over.swap(true, Ordering::SeqCst) {
            return;
        }
        let result = self.handler.call1(py, (number, frame));
        forked::leave(py, &result);
        if let Err(error) = result {
            complain(py, &error);
        }
    }
}

/// Takes away what Python does about SIGINT by default, which would raise
/// `KeyboardInterrupt` in a request of a worker that stops, and takes over the
/// application's handler of SIGTERM. To be called before the worker listens to
/// signals.
pub(crate) fn take_over(py: Python) -> PyResult<()> {
    let module = py.import("_signal")?;
    let handler = module.call_method1("getsignal", (signal::INT,))?;
    if handler.is(&module.getattr("default_int_handler")?) {
        module.call_method1("signal", (signal::INT, module.getattr("SIG_DFL")?))?;
        IS_QUIET.store(true, Ordering::Relaxed);
    }
    let handler = module.call_method1("getsignal", (signal::TERM,))?;
    if handler.is_callable() {
        let farewell = Farewell { handler: handler.unbind(), is_over: AtomicBool::new(false) };
        module.call_method1("signal", (signal::TERM, farewell))?;
    }
    IS_HEARD.store(signal::handler(signal::TERM).is_some(), Ordering::Relaxed);
    Ok(())
}

/// Takes note of the worker, which listens to signals by now.
pub(crate) fn introduce(worker: &Engine) {
    WORKER.set(worker.clone()).ok();
    OURS.store(signal::handler(signal::TERM).unwrap_or(0), Ordering::Relaxed);
}

/// Tells the application by SIGTERM that the worker drains, if it wants to know:
/// also where it has set its handler only later.
pub(crate) fn announce() {
    let heard = signal::handler(signal::TERM).is_some_and(|handler| {
        IS_HEARD.load(Ordering::Relaxed) || handler != OURS.load(Ordering::Relaxed)
    });
    if heard {
        signal::raise(signal::TERM);
    }
}

/// Python runs its signal handlers on the main thread, between two steps of
/// its own; a thread that waits in our code has to give it the occasion. A
/// handler that ends the program (`sys.exit()`) has the worker leave.
pub(crate) fn run_handlers(py: Python) {
    let result = py.check_signals();
    forked::leave(py, &result);
    if let Err(error) = result {
        if is_farewell(py, &error) {
            WORKER.get().map(Engine::leave).unwrap_or_default();
        }
        complain(py, &error);
    }
}

fn complain(py: Python, error: &PyErr) {
    if !is_farewell(py, error) {
        log::error!("a signal handler raised\n{}", traceback::describe(py, error));
    }
}

fn is_farewell(py: Python, error: &PyErr) -> bool {
    error.is_instance_of::<PySystemExit>(py) || error.is_instance_of::<PyKeyboardInterrupt>(py)
}

/// Undoes what was taken over, in a process that the application has forked,
/// unless the application has handlers of its own by now.
pub(crate) fn give_back(py: Python) -> PyResult<()> {
    let module = py.import("_signal")?;
    let handler = module.call_method1("getsignal", (signal::TERM,))?;
    if let Ok(farewell) = handler.cast_exact::<Farewell>() {
        module.call_method1("signal", (signal::TERM, &farewell.get().handler))?;
    }
    let handler = module.call_method1("getsignal", (signal::INT,))?;
    if IS_QUIET.swap(false, Ordering::Relaxed) && handler.eq(module.getattr("SIG_DFL")?)? {
        module.call_method1("signal", (signal::INT, module.getattr("default_int_handler")?))?;
    }
    Ok(())
}
