//! The files that this process reads its code from, for `reload`: `sources.py` notes them, and
//! the master is sent those that it does not know.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use monoceros_config::raw::text_of;
use monoceros_sys::{fork, thread as own_thread};
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::message::FromWorker;
use monoceros_wire::source_files::SourceFiles;
use pyo3::prelude::*;

use crate::own_code::own_module;
use crate::{concern, project, traceback};

/// The most paths of one message, and the most bytes in them.
const MOST_PATHS: usize = 1000;
const MOST_BYTES: usize = 32 << 10;
/// Modules that are imported later are reported when none has been imported for this time.
const QUIET: Duration = Duration::from_millis(100);
/// The stack of the thread that reports them.
const STACK: usize = 256 << 10;

static NOTED: Mutex<NotedPaths> =
    Mutex::new(NotedPaths { known: BTreeSet::new(), fresh: Vec::new() });
static ARRIVED: Condvar = Condvar::new();

/// The paths that were noted in this process, or in its mold before the fork.
struct NotedPaths {
    known: BTreeSet<String>,
    /// Those that the master has not been sent.
    fresh: Vec<String>,
}

fn lock() -> MutexGuard<'static, NotedPaths> {
    NOTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes a path. Processes that the application forks report none; the lock may have been held
/// by another thread when they were forked.
#[pyfunction]
fn note(path: PathBuf) {
    if fork::is_forked() {
        return;
    }
    let text = text_of(path.as_os_str());
    let mut noted = lock();
    if noted.known.insert(text.clone()) {
        noted.fresh.push(text);
        ARRIVED.notify_one();
    }
}

/// The functions of `sources.py`, which notes every file from which a module is imported.
pub(crate) struct CodeSources<'py> {
    module: Bound<'py, PyModule>,
    project: Bound<'py, PyModule>,
    notes: Bound<'py, PyAny>,
}

impl<'py> CodeSources<'py> {
    /// Notes files from now on. `None` if Python cannot do so, which is logged.
    pub(crate) fn watch(py: Python<'py>) -> Option<Self> {
        let begin = || {
            let module = own_module(py, include_str!("sources.py"), "monoceros.sources")?;
            let notes = module.getattr("install")?.call1((wrap_pyfunction!(note, py)?,))?;
            Ok(Self { project: project::module(py)?, module, notes })
        };
        begin().map_err(|error: PyErr| complain(py, &error)).ok()
    }

    /// Loads the URLs of a Django project, and with them its views.
    ///
    /// # Errors
    /// What the project's modules raise.
    pub(crate) fn load_urls(&self) -> PyResult<()> {
        self.module.getattr("load_urls")?.call1((&self.project,)).map(drop)
    }

    /// Sends the master the files of an application that is loaded, and the directories of which
    /// every file counts.
    pub(crate) fn report(&self, py: Python, channel: &WorkerEnd, application: &Py<PyAny>) {
        let note =
            || self.module.getattr("note_trees")?.call1((&self.notes, &self.project, application));
        if let Err(error) = note() {
            complain(py, &error);
        }
        self.report_modules(py, channel);
    }

    /// Sends the master the files of all modules.
    pub(crate) fn report_modules(&self, py: Python, channel: &WorkerEnd) {
        if let Err(error) = self.notes.call_method0("modules") {
            complain(py, &error);
        }
        let fresh = std::mem::take(&mut lock().fresh);
        send(channel, fresh);
    }

    /// As above, with the files of an exception, and those that would have prevented it.
    pub(crate) fn report_failure(&self, py: Python, channel: &WorkerEnd, error: &PyErr) {
        if let Err(error) = self.notes.call_method1("failure", (error.value(py),)) {
            complain(py, &error);
        }
        self.report_modules(py, channel);
    }

    /// Whether the application is in debug mode; `None` for one that could not be loaded.
    pub(crate) fn is_debugged(&self, application: Option<&Py<PyAny>>) -> bool {
        let ask = || -> PyResult<bool> {
            self.module.getattr("is_debugged")?.call1((&self.project, application))?.extract()
        };
        ask().unwrap_or_default()
    }

    /// What is called in place of an application that cannot be loaded.
    pub(crate) fn stand_in(&self) -> Option<Py<PyAny>> {
        self.module.getattr("unloadable").map(Bound::unbind).ok()
    }
}

fn complain(py: Python, error: &PyErr) {
    let text = traceback::describe(py, error);
    log::warn!("cannot find all files of the application, so changes may go unnoticed\n{text}");
}

/// Reports what is imported from now on, on a thread of its own.
///
/// # Errors
/// For lack of descriptors or threads.
pub(crate) fn follow(channel: &WorkerEnd) -> io::Result<()> {
    let channel = WorkerEnd::from(channel.as_fd().try_clone_to_owned()?);
    let report = move || {
        own_thread::block_signals().ok();
        while send(&channel, wait_for_fresh()) {}
    };
    let name = "monoceros-sources".to_owned();
    thread::Builder::new().name(name).stack_size(STACK).spawn(report).map(drop)
}

/// Waits until paths were noted, and no more follow.
fn wait_for_fresh() -> Vec<String> {
    let mut noted = lock();
    while noted.fresh.is_empty() {
        noted = ARRIVED.wait(noted).unwrap_or_else(PoisonError::into_inner);
    }
    loop {
        let count = noted.fresh.len();
        let waited = ARRIVED.wait_timeout(noted, QUIET);
        noted = waited.unwrap_or_else(PoisonError::into_inner).0;
        if noted.fresh.len() == count {
            return std::mem::take(&mut noted.fresh);
        }
    }
}

/// Sends paths to the master. Returns whether it still receives messages.
fn send(channel: &WorkerEnd, paths: Vec<String>) -> bool {
    let parts = parts(paths);
    parts.into_iter().all(|part| concern::send(channel, &FromWorker::Sources(part)))
}

/// Paths as parts that messages have room for.
fn parts(paths: Vec<String>) -> Vec<SourceFiles> {
    let mut parts = vec![SourceFiles::default()];
    let mut bytes = 0;
    for path in paths {
        let is_full = parts.last().is_none_or(|it| it.paths.len() == MOST_PATHS);
        bytes += path.len();
        if is_full || bytes > MOST_BYTES {
            bytes = path.len();
            parts.push(SourceFiles::default());
        }
        if let Some(part) = parts.last_mut() {
            part.paths.push(path);
        }
    }
    let last = parts.len() - 1;
    parts[..last].iter_mut().for_each(|part| part.continues = true);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_paths_become_several_messages() {
        let files: Vec<_> = (0..2500).map(|number| format!("/a/{number}")).collect();
        let parts = parts(files.clone());
        assert_eq!(parts.iter().map(|it| it.paths.len()).collect::<Vec<_>>(), [1000, 1000, 500]);
        assert_eq!(parts.iter().map(|it| it.continues).collect::<Vec<_>>(), [true, true, false]);
        let sent: Vec<_> = parts.into_iter().flat_map(|it| it.paths).collect();
        assert_eq!(sent, files);
    }

    #[test]
    fn long_paths_need_more_messages() {
        let files = vec!["x".repeat(MOST_BYTES - 1); 3];
        let parts = parts(files);
        assert_eq!(parts.iter().map(|it| it.paths.len()).collect::<Vec<_>>(), [1, 1, 1]);
    }
}
