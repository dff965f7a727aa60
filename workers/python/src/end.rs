//! The end of a worker or mold that stops at once: it waits neither for requests nor
//! for threads of the application. It runs the functions of `atexit`, which end what
//! the application has started (managers, pools, executors), for a limited time, and
//! then calls `_exit(2)`. `multiprocessing` ends its own processes in the same way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use monoceros_engine::Engine;
use monoceros_sys::process::exit_now;
use pyo3::prelude::*;

use crate::{ending, hooks, output, python_logging, signals, traceback};

/// The maximum time of the whole end. A master that stops at once sends SIGKILL after 2 s.
const LIMIT: Duration = Duration::from_millis(1_500);

/// The part of that time for executors (`concurrent.futures`), which wait for the
/// calls that were submitted to them.
const EXECUTORS: Duration = Duration::from_millis(700);

/// Set when the interpreter itself calls the functions of `atexit`.
static BY_ITSELF: AtomicBool = AtomicBool::new(false);

/// Registers a function that notes when the interpreter itself calls the functions of
/// `atexit`. Must be called when the application is loaded: the last function that was
/// registered is called first.
pub(crate) fn watch(py: Python) -> PyResult<()> {
    py.import("atexit")?.call_method1("register", (wrap_pyfunction!(note_end, py)?,)).map(drop)
}

#[pyfunction]
fn note_end() {
    BY_ITSELF.store(true, Ordering::SeqCst);
}

/// Ends this process with this code, from any thread, within [`LIMIT`]: also while
/// another thread holds the interpreter's lock, or an exit function does not return.
pub(crate) fn at_once(code: i32) -> ! {
    if !ending::begin() {
        loop {
            thread::park();
        }
    }
    let limited = thread::Builder::new().spawn(move || {
        thread::sleep(LIMIT);
        log::warn!(
            "the exit functions have not ended within {} ms: the process ends without them, and \
             what they would have ended may go on",
            LIMIT.as_millis()
        );
        exit_now(code)
    });
    // The functions run within a limit only, and once: not if the interpreter runs them.
    if limited.is_ok() && !BY_ITSELF.load(Ordering::SeqCst) {
        Python::try_attach(run_exit_functions);
    }
    exit_now(code)
}

fn run_exit_functions(py: Python) {
    hooks::leave(py, signals::worker().is_some_and(Engine::is_interrupted));
    python_logging::end_at_once(py);
    if let Err(error) = end_executors(py) {
        log::debug!("cannot end executors: {}", traceback::describe(py, &error));
    }
    let run = || py.import("atexit")?.call_method0("_run_exitfuncs");
    if let Err(error) = run() {
        log::debug!("an exit function failed\n{}", traceback::describe(py, &error));
    }
    output::flush(py);
}

/// Calls the functions by which `threading` ends executors, on a thread of its own:
/// they may never return.
fn end_executors(py: Python) -> PyResult<()> {
    let modules = py.import("sys")?.getattr("modules")?;
    if !modules.contains("threading")? {
        return Ok(());
    }
    let functions = modules.get_item("threading")?.getattr("_threading_atexits")?;
    let functions: Vec<Py<PyAny>> = functions.extract()?;
    if functions.is_empty() {
        return Ok(());
    }
    let (said, heard) = mpsc::channel::<()>();
    thread::Builder::new().spawn(move || {
        // Dropped when the thread ends, also when a function raises.
        let _said = said;
        Python::try_attach(|py| {
            for function in functions.iter().rev() {
                if let Err(error) = function.call0(py) {
                    log::debug!("cannot end an executor: {}", traceback::describe(py, &error));
                }
            }
        });
    })?;
    py.detach(move || heard.recv_timeout(EXECUTORS)).ok();
    Ok(())
}
