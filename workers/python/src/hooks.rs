//! The server hooks of a configuration file in Python. Their objects are in `hooks.py`. The
//! mold makes them, and a worker that it forks has a copy.

use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use monoceros_sys::fork::{self, Mark};
use monoceros_wire::gunicorn::ServerHook;
use monoceros_wire::listener::ListenerDescription;
use monoceros_wire::message::BootFailure;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PyStopIteration, PySystemExit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::own_code::own_module;
use crate::{python_logging, traceback};

/// The exit code of a process that SIGINT has ended, as shells show it: gunicorn's, whatever has
/// raised `KeyboardInterrupt`.
const INTERRUPTED: u8 = 128 + 2;

/// The hooks of this process, if it has a configuration file in Python.
static HOOKS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Set in a worker.
static IN_WORKER: AtomicBool = AtomicBool::new(false);

/// Set when the last hook of a worker has been called.
static HAS_LEFT: AtomicBool = AtomicBool::new(false);

/// The sockets of the hooks' listeners are not for processes that hooks fork.
static SOCKETS: Mutex<Vec<Mark>> = Mutex::new(Vec::new());

/// Makes the objects of the hooks from the settings, an object of `config_file.py`, or gives
/// them the settings that were read again.
pub(crate) fn prepare(py: Python, config: &Bound<PyAny>, app: Option<&str>) -> PyResult<()> {
    if let Some(hooks) = HOOKS.get(py) {
        return hooks.call_method1(py, "use", (app,)).map(drop);
    }
    let loader = own_module(py, include_str!("loader.py"), "monoceros.loader")?;
    let module = own_module(py, include_str!("hooks.py"), "monoceros.hooks")?;
    let (class, load) = (module.getattr("Hooks")?, loader.getattr("load")?);
    let hooks = match python_logging::current() {
        Some(logging) => class.call1((config, app, load, logging.make_log(py)?))?,
        None => class.call1((config, app, load))?,
    };
    // The cell is empty, as found above; only the main thread fills it.
    HOOKS.set(py, hooks.unbind()).ok();
    Ok(())
}

/// The application by its object, which a hook may have loaded already: what is called, and its
/// name. `None` without a configuration file in Python.
pub(crate) fn load_application(py: Python) -> PyResult<Option<(Py<PyAny>, String)>> {
    let Some(hooks) = HOOKS.get(py) else { return Ok(None) };
    let application = hooks.bind(py).getattr("server")?.getattr("app")?;
    let callable = application.call_method0("wsgi")?;
    Ok(Some((callable.unbind(), application.getattr("name")?.extract()?)))
}

// In the mold.

/// Runs a hook of the server.
pub(crate) fn run(py: Python, hook: ServerHook) -> PyResult<()> {
    let name = hook.name();
    match hook {
        ServerHook::OnStarting
        | ServerHook::WhenReady
        | ServerHook::OnReload
        | ServerHook::PreExec
        | ServerHook::OnExit => call(py, name, ()),
        ServerHook::NumWorkersChanged { new, old } => call(py, name, (new, old)),
        ServerHook::ChildExit { worker, is_silent } => call(py, name, (worker, is_silent)),
    }
}

/// The exit code of a server that begins with what a hook has raised. gunicorn's differs while it
/// forks workers, as in `pre_fork`.
pub(crate) fn exit_code(py: Python, error: &PyErr, is_forking: bool) -> u8 {
    let raised = error.value(py);
    if error.is_instance_of::<PySystemExit>(py) {
        let code = raised.getattr("code").ok();
        return match code {
            Some(code) if code.is_none() => 0,
            // As exit(3): the lowest byte counts.
            Some(code) => code.extract::<i64>().map_or(1, |code| (code & 0xff) as u8),
            None => 1,
        };
    }
    let is_interrupt = error.is_instance_of::<PyKeyboardInterrupt>(py);
    if !is_forking {
        return if is_interrupt { INTERRUPTED } else { 1 };
    }
    if is_interrupt || error.is_instance_of::<PyStopIteration>(py) {
        // gunicorn's loop ends with them when it has received a signal.
        return 0;
    }
    let status = raised.getattr("exit_status").and_then(|status| status.extract::<i64>());
    match status {
        // `HaltServer` of gunicorn has it.
        Ok(status) => (status & 0xff) as u8,
        Err(_) if error.is_instance_of::<PyException>(py) => 255,
        Err(_) => 1,
    }
}

/// The failure of a worker whose `post_fork` or `post_worker_init` has raised this.
pub(crate) fn boot_failure(py: Python, error: &PyErr) -> BootFailure {
    let is_of_application = py
        .import("gunicorn.errors")
        .and_then(|errors| errors.getattr("AppImportError"))
        .and_then(|class| error.value(py).is_instance(&class));
    let exits = error.is_instance_of::<PySystemExit>(py);
    let code = BootFailure::Application.exit_code();
    if is_of_application.unwrap_or(false) || (exits && exit_code(py, error, false) == code) {
        BootFailure::Application
    } else {
        BootFailure::Boot
    }
}

/// Lets signals pass that end a process, until the master ends the mold.
pub(crate) fn outlive_signals(py: Python) -> PyResult<()> {
    call(py, "outlive_signals", ())
}

/// Shows hooks these listening sockets.
pub(crate) fn listen(
    py: Python,
    sockets: &[BorrowedFd],
    described: &[ListenerDescription],
    are_activated: bool,
) -> PyResult<()> {
    SOCKETS.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let mut marks = Vec::new();
    let mut listeners = Vec::new();
    for (socket, description) in sockets.iter().zip(described) {
        let copy: OwnedFd = socket.try_clone_to_owned()?;
        marks.push(Mark::new(copy.as_fd()));
        // Python's socket closes it.
        listeners.push((copy.into_raw_fd(), description.to_string()));
    }
    let listened = call(py, "listen", (listeners, are_activated));
    *SOCKETS.lock().unwrap_or_else(PoisonError::into_inner) = marks;
    listened
}

/// Runs `pre_fork` for a worker of this age that is about to be forked.
pub(crate) fn pre_fork(py: Python, age: u64) -> PyResult<()> {
    call(py, "pre_fork", (age,))
}

/// The worker was forked; `number` is the master's for it.
pub(crate) fn forked(py: Python, number: u64, pid: i32) -> PyResult<()> {
    call(py, "forked", (number, pid))
}

/// Waits until a descriptor is readable, with the event loop of gevent, if that has replaced
/// what Python waits with: then threads that hooks have started run in this thread. Returns
/// whether it has.
pub(crate) fn wait_with_gevent(py: Python, number: i32) -> PyResult<bool> {
    match HOOKS.get(py) {
        Some(hooks) => hooks.call_method1(py, "wait_with_gevent", (number,))?.extract(py),
        None => Ok(false),
    }
}

// In a worker.

/// This process is a worker now: runs `post_fork`.
pub(crate) fn post_fork(py: Python) -> PyResult<()> {
    IN_WORKER.store(true, Ordering::SeqCst);
    call(py, "post_fork", ())
}

/// Undoes in a worker what the mold has set for its own signals.
pub(crate) fn give_handlers_back(py: Python) -> PyResult<()> {
    call(py, "give_handlers_back", ())
}

/// Runs `post_worker_init`, with the application.
pub(crate) fn post_worker_init(py: Python, application: &Py<PyAny>) -> PyResult<()> {
    match of_worker(py) {
        Some(hooks) => hooks.call_method1(py, "post_worker_init", (application,)).map(drop),
        None => Ok(()),
    }
}

/// Runs the last hooks of a worker, once: `worker_int` if a signal ends it at once, and
/// `worker_exit`. What they raise is logged.
pub(crate) fn leave(py: Python, is_interrupted: bool) {
    let Some(hooks) = of_worker(py) else { return };
    if HAS_LEFT.swap(true, Ordering::SeqCst) {
        return;
    }
    for name in ["worker_int", "worker_exit"] {
        if name == "worker_int" && !is_interrupted {
            continue;
        }
        if let Err(error) = hooks.call_method0(py, name) {
            log::warn!("the hook {name} has failed\n{}", traceback::describe(py, &error));
        }
    }
}

/// The hooks, in a worker. A process that the application has forked has none.
pub(crate) fn of_worker(py: Python<'_>) -> Option<&Py<PyAny>> {
    let is_worker = IN_WORKER.load(Ordering::SeqCst) && !fork::is_forked();
    HOOKS.get(py).filter(|_| is_worker)
}

fn call<'py>(
    py: Python<'py>,
    name: &str,
    arguments: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<()> {
    match HOOKS.get(py) {
        Some(hooks) => hooks.call_method1(py, name, arguments).map(drop),
        None => Ok(()),
    }
}
