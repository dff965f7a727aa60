//! Python's signal handlers in a worker.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use monoceros_config::{SIGNALS, SignalCommand};
use monoceros_engine::{DrainOrigin, Engine};
use monoceros_sys::signal;
use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::{forked, traceback};

/// Set when the worker has removed Python's default handler of SIGINT.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Set when the application has a handler of SIGTERM.
static IS_HEARD: AtomicBool = AtomicBool::new(false);

/// The address of the C handler of SIGTERM when the worker began to listen to signals;
/// 0 before.
static OURS: AtomicUsize = AtomicUsize::new(0);

/// The handler of SIGTERM of a worker with hooks that does not serve yet.
static BOOT_HANDLER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The worker's engine, for handlers that end the worker.
static WORKER: OnceLock<Engine> = OnceLock::new();

/// Wraps the application's own handler of SIGTERM, and calls it once. Workers of other
/// servers get this signal when they have to finish. So the handler is called when the
/// worker begins to drain, for any reason. An exception of the handler, as by
/// `sys.exit()`, is not raised in the running request, which it would interrupt.
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

/// Ignores the signals that only a master acts on. By default most of them would
/// end or stop the worker, if they are sent to all processes with the same name.
pub(crate) fn disregard_masters() {
    let masters = SIGNALS
        .iter()
        .filter(|it| !matches!(it.command, SignalCommand::Drain | SignalCommand::Stop));
    signal::disregard(masters.map(|it| it.name));
}

/// Has SIGTERM call this function, always the same one, until [`take_over`]. By default the signal
/// ends a process.
pub(crate) fn end_boot_by(py: Python, handler: &Bound<PyAny>) -> PyResult<()> {
    BOOT_HANDLER.get_or_init(py, || handler.clone().unbind());
    py.import("_signal")?.call_method1("signal", (signal::TERM, handler)).map(drop)
}

/// Removes the handler of [`end_boot_by`], if it is still there.
fn remove_boot_handler(py: Python) -> PyResult<()> {
    let Some(ours) = BOOT_HANDLER.get(py) else { return Ok(()) };
    let module = py.import("_signal")?;
    if module.call_method1("getsignal", (signal::TERM,))?.is(ours) {
        module.call_method1("signal", (signal::TERM, module.getattr("SIG_DFL")?))?;
    }
    Ok(())
}

/// Removes Python's default handler of SIGINT, which would raise `KeyboardInterrupt` in
/// a request of a worker that stops, and wraps the application's handler of SIGTERM. Must
/// be called before the worker listens to signals.
pub(crate) fn take_over(py: Python) -> PyResult<()> {
    let module = py.import("_signal")?;
    let handler = module.call_method1("getsignal", (signal::INT,))?;
    if handler.is(&module.getattr("default_int_handler")?) {
        module.call_method1("signal", (signal::INT, module.getattr("SIG_DFL")?))?;
        IS_QUIET.store(true, Ordering::Relaxed);
    }
    remove_boot_handler(py)?;
    let handler = module.call_method1("getsignal", (signal::TERM,))?;
    if handler.is_callable() {
        let farewell = Farewell { handler: handler.unbind(), is_over: AtomicBool::new(false) };
        module.call_method1("signal", (signal::TERM, farewell))?;
    }
    IS_HEARD.store(signal::handler(signal::TERM).is_some(), Ordering::Relaxed);
    Ok(())
}

/// Stores the worker's engine, after it has begun to listen to signals.
pub(crate) fn introduce(worker: &Engine) {
    WORKER.set(worker.clone()).ok();
    OURS.store(signal::handler(signal::TERM).unwrap_or(0), Ordering::Relaxed);
}

/// The worker's engine; `None` before it has begun to listen to signals.
pub(crate) fn worker() -> Option<&'static Engine> {
    WORKER.get()
}

/// Sends this process SIGTERM when the worker begins to drain, if the application has a
/// handler for it that has not been called, also one that was set after the worker was ready.
pub(crate) fn announce(origin: DrainOrigin) {
    let handler = signal::handler(signal::TERM);
    let is_ours = handler.is_some_and(|it| it == OURS.load(Ordering::Relaxed));
    let has_wrapped = is_ours && IS_HEARD.load(Ordering::Relaxed);
    let is_due = match origin {
        DrainOrigin::Signal => false,
        // A handler that is not wrapped may be the one that ends the program.
        DrainOrigin::Application => has_wrapped,
        DrainOrigin::Master => has_wrapped || handler.is_some() && !is_ours,
    };
    if is_due {
        signal::raise(signal::TERM);
    }
}

/// Runs Python's pending signal handlers. Python runs them on the main thread only
/// between its own instructions, so a main thread that waits in our code must call this.
/// A handler that ends the program (`sys.exit()`) ends the worker.
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

/// Restores Python's handlers in a process that the application has forked, unless the
/// application has set its own meanwhile.
pub(crate) fn give_back(py: Python) -> PyResult<()> {
    remove_boot_handler(py)?;
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
