//! The kinds of worker, one file for each: which program it executes, how it is started and
//! stopped, and how it communicates with the master. A new kind is a file here and a row in `of`.

pub(crate) mod client_memory;
pub(crate) mod executable;
pub(crate) mod extension;
mod interpreter;
pub(crate) mod link;
pub(crate) mod native_worker;
mod notify_receiver;
mod program;
mod python;
mod stacks_reader;
pub(crate) mod worker_kind;

use monoceros_config::WorkerClass;

use self::program::ProgramKind;
use self::python::PythonKind;
pub(crate) use self::python::mold_program;
use self::worker_kind::WorkerKind;

/// The kind of worker that molds and their workers are.
pub(crate) fn python_kind() -> &'static dyn WorkerKind {
    &PythonKind
}

/// The kind of worker that a worker class runs.
pub(crate) fn of(class: WorkerClass) -> &'static dyn WorkerKind {
    match class {
        WorkerClass::Wsgi => &PythonKind,
        WorkerClass::Exec => &ProgramKind,
    }
}
