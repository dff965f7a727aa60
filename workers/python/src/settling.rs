//! Prepares a loaded application for forks.

use pyo3::prelude::*;

use crate::fork_audit::Inventory;
use crate::{output, traceback};

/// Prepares the loaded application for forks: writes out buffers, closes database
/// connections, and freezes the collector, which would otherwise write to all objects
/// in each worker and so copy their memory.
pub(crate) fn settle(py: Python, before: &Inventory) -> PyResult<()> {
    output::flush(py);
    if let Err(error) = load_urls(py) {
        let text = traceback::describe(py, &error);
        log::warn!("cannot load the URLs of the Django project before forking\n{text}");
    }
    if let Err(error) = close_databases(py) {
        let text = traceback::describe(py, &error);
        log::warn!("cannot close the database connections that were opened at import\n{text}");
    }
    if let Some(text) = Inventory::take(py).left_since(before) {
        log::warn!("{text}");
    }
    crate::start::spare_collector(py)
}

/// Loads the URLs and views of a Django project. Django itself loads them with the
/// first request: then each worker would load them, and one that is forked later might
/// find half of a new release on the disk.
fn load_urls(py: Python) -> PyResult<()> {
    if !is_django_project(py, "django.core.handlers.wsgi")? {
        return Ok(());
    }
    py.import("django.urls")?.call_method0("get_resolver")?.getattr("url_patterns").map(drop)
}

/// Whether this module of Django is loaded, and Django's settings are set.
fn is_django_project(py: Python, module: &str) -> PyResult<bool> {
    let modules = py.import("sys")?.getattr("modules")?;
    let conf = "django.conf";
    if !modules.contains(module)? || !modules.contains(conf)? {
        return Ok(false);
    }
    modules.get_item(conf)?.getattr("settings")?.getattr("configured")?.extract()
}

/// Closes Django's database connections: workers with copies of one connection would
/// mix their requests on it.
fn close_databases(py: Python) -> PyResult<()> {
    if !is_django_project(py, "django.db")? {
        return Ok(());
    }
    py.import("django.db")?.getattr("connections")?.call_method0("close_all").map(drop)
}
