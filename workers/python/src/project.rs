//! Asks the loaded application for what the server has to know: the static files and the host
//! names of a Django project, and which debuggers it has turned on. `project.py` does so
//! without a trace in the project. It is asked once, by the process that loads it: workers that
//! a mold forks have the answers in their memory.

use std::path::PathBuf;

use monoceros_config::{AllowedHosts, StaticSetting, WorkerSettings};
use monoceros_edge::ProjectFiles;
use pyo3::prelude::*;

use crate::own_code::own_module;
use crate::traceback;

/// What the loaded application has shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProjectFacts {
    /// The static files of a Django project, if `static: auto` is set.
    pub(crate) static_files: Vec<ProjectFiles>,
    /// The names that a Django project allows, in the syntax of `allowed-hosts`, if `auto` is
    /// set there; `None` if every name is allowed.
    pub(crate) allowed_hosts: Option<Vec<String>>,
    /// The debuggers that are turned on, one text for each.
    pub(crate) debuggers: Vec<String>,
    /// What the operator should correct, one text for each.
    pub(crate) findings: Vec<String>,
    /// The application is in debug mode, as far as it could be loaded; only for `reload`.
    pub(crate) is_debugged: bool,
}

/// Asks the application for what the settings need.
pub(crate) fn ask(
    py: Python,
    application: &Bound<PyAny>,
    settings: &WorkerSettings,
) -> ProjectFacts {
    let mut facts = ProjectFacts::default();
    let asked = module(py).and_then(|module| fill(&mut facts, &module, application, settings));
    if let Err(error) = asked {
        let text = traceback::describe(py, &error);
        log::warn!("cannot ask the application for its static files, hosts and debuggers\n{text}");
    }
    facts
}

/// The functions of `project.py`.
pub(crate) fn module(py: Python) -> PyResult<Bound<PyModule>> {
    own_module(py, include_str!("project.py"), "monoceros.project")
}

fn fill(
    facts: &mut ProjectFacts,
    module: &Bound<PyModule>,
    application: &Bound<PyAny>,
    settings: &WorkerSettings,
) -> PyResult<()> {
    facts.debuggers = module.getattr("debuggers")?.call1((application,))?.extract()?;
    if settings.static_files().contains(&StaticSetting::Auto) {
        let prefix = std::env::var("SCRIPT_NAME").unwrap_or_default();
        let found = module.getattr("static_files")?.call1((prefix,))?;
        let (places, findings): (Vec<(String, Vec<PathBuf>)>, Vec<_>) = found.extract()?;
        let files = |(prefix, directories)| ProjectFiles { prefix, directories };
        facts.static_files = places.into_iter().map(files).collect();
        facts.findings.extend(findings);
    }
    if *settings.allowed_hosts() == AllowedHosts::Auto {
        let found = module.getattr("allowed_hosts")?.call0()?;
        let (hosts, findings): (_, Vec<_>) = found.extract()?;
        facts.allowed_hosts = hosts;
        facts.findings.extend(findings);
    }
    Ok(())
}

/// The messages of Django's own `check --deploy`, each as one line; a failure is one too.
pub(crate) fn deployment_messages(py: Python) -> Vec<String> {
    let messages =
        module(py).and_then(|module| module.getattr("deployment_messages")?.call0()?.extract());
    messages.unwrap_or_else(|error: PyErr| {
        let text = traceback::describe(py, &error);
        let last = text.lines().last().unwrap_or_default();
        vec![format!("django: check --deploy failed: {last}")]
    })
}
