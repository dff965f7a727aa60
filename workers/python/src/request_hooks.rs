//! The hooks `pre_request` and `post_request` of a configuration file of gunicorn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use monoceros_engine::{Exchange, Request};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::environ;
use crate::own_code::own_module;
use crate::traceback::describe;
use crate::{application_error, ffi, forked};

/// The hooks for requests of a worker that has some.
pub(crate) struct RequestHooks {
    hooks: Py<PyAny>,
    /// How many requests the application has got.
    begun: Arc<AtomicU64>,
}

/// A request between the two hooks.
pub(crate) struct HookedRequest<'py> {
    object: Bound<'py, PyAny>,
}

/// What has been sent of the application's own response.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SentPart {
    /// Bytes of the body.
    body: u64,
    has_head: bool,
}

impl SentPart {
    /// What has been sent in this exchange so far.
    pub(crate) fn of(exchange: &Exchange) -> Self {
        Self { body: exchange.body_bytes(), has_head: exchange.is_committed() }
    }
}

impl RequestHooks {
    /// The hooks of a configuration, which get this worker object; `None` if it has none.
    pub(crate) fn find(
        cfg: &Bound<PyAny>,
        worker: &Bound<PyAny>,
        begun: Arc<AtomicU64>,
    ) -> PyResult<Option<Self>> {
        let source = include_str!("request_hooks.py");
        let module = own_module(cfg.py(), source, "monoceros.request_hooks")?;
        let hooks = module.getattr("prepare")?.call1((cfg, worker))?;
        Ok((!hooks.is_none()).then(|| Self { hooks: hooks.unbind(), begun }))
    }

    /// The same for another thread.
    pub(crate) fn share(&self, py: Python) -> Self {
        Self { hooks: self.hooks.clone_ref(py), begun: Arc::clone(&self.begun) }
    }

    /// Makes the object of a request.
    ///
    /// # Errors
    /// What Python raises, for lack of memory.
    pub(crate) fn open<'py>(
        &self,
        exchange: &Exchange,
        environ: &Bound<'py, PyDict>,
    ) -> PyResult<HookedRequest<'py>> {
        let py = environ.py();
        let head = &exchange.request().head;
        let headers = PyList::empty(py);
        for (name, value) in head.fields() {
            if environ::is_mapped(name, exchange) {
                let name = ffi::latin1(py, &name.to_ascii_uppercase())?;
                headers.append((name, ffi::latin1(py, value)?))?;
            }
        }
        let path = ffi::latin1(py, head.path())?;
        let object = self.hooks.bind(py).call_method1("open", (environ, path, headers))?;
        Ok(HookedRequest { object })
    }

    /// Runs `pre_request`; returns `start_response` for the application.
    ///
    /// # Errors
    /// What the hook raises: the application does not get the request.
    pub(crate) fn begin<'py>(
        &self,
        hooked: &HookedRequest<'py>,
        environ: &Bound<'py, PyDict>,
        start_response: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let begun = hooked.object.call_method1("begin", (environ, start_response));
        forked::leave(environ.py(), &begun);
        if begun.is_ok() {
            self.begun.fetch_add(1, Ordering::Relaxed);
        }
        begun
    }
}

impl<'py> HookedRequest<'py> {
    /// The request's object, which both hooks get.
    pub(crate) fn request(&self) -> PyResult<Bound<'py, PyAny>> {
        self.object.getattr("request")
    }

    /// Runs `post_request`. What it raises is logged; the response has been made. The request is
    /// unknown if a thread of the application still uses it.
    pub(crate) fn end(&self, request: Option<&Request>, sent: SentPart) {
        let py = self.object.py();
        let result = self.object.call_method1("end", (sent.body, sent.has_head));
        forked::leave(py, &result);
        let Err(error) = result else { return };
        match request {
            Some(request) => application_error::report(py, request, "post_request failed", &error),
            None => log::error!("post_request failed\n{}", describe(py, &error)),
        }
    }
}
