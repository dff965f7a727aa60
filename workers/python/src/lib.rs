//! The Python worker: an extension module, which the user's own interpreter loads.
//! One build works with every CPython from 3.10 on (abi3, PEP 384).

mod after_fork;
mod application_error;
mod application_metrics;
mod application_module;
mod boot;
mod boot_failure;
mod cache;
mod clients;
mod concern;
mod config_file;
mod conversation;
mod debug_guard;
mod development;
mod drain_callbacks;
mod end;
mod ending;
mod environ;
mod errors;
mod ffi;
mod file_wrapper;
mod following;
mod fork_audit;
mod forked;
mod gunicorn_finder;
mod gunicorn_shim;
mod handed_socket;
mod hooked_mold;
mod hooks;
mod input;
mod keys;
mod loading;
mod logs;
mod mold;
mod mold_fork;
mod output;
mod own_code;
mod parameters;
mod plain_file;
mod programs;
mod project;
mod python_logging;
mod record_queue;
mod request_hooks;
mod sending;
mod serve;
mod settling;
mod signals;
mod sources;
mod spooled;
mod stacks;
mod start;
mod steering;
mod threads;
mod traceback;
mod worker_abort;
mod wsgi;

use pyo3::prelude::*;

/// The server, as a worker and its application see it.
#[pymodule]
mod monoceros {
    #[pymodule_export]
    use super::application_module::{draining, generation, on_drain, request_id, slot};
    #[pymodule_export]
    use super::boot::run_worker;
    #[pymodule_export]
    use super::conversation::Conversation;
    #[pymodule_export]
    use super::errors::ErrorLog;
    #[pymodule_export]
    use super::file_wrapper::FileWrapper;
    #[pymodule_export]
    use super::gunicorn_shim::install_gunicorn_shim;
    #[pymodule_export]
    use super::serve::Server;
    #[pymodule_export]
    use super::steering::Steering;

    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
