//! Makes the package `gunicorn` importable where none is installed: the server's own one,
//! which is part of this extension. `gunicorn_finder.py` finds it.

use pyo3::prelude::*;

use crate::own_code::own_module;

/// The modules of the server's package: the name, whether it is a package, the source.
pub(crate) const MODULES: [(&str, bool, &str); 26] = [
    ("gunicorn", true, include_str!("gunicorn/__init__.py")),
    ("gunicorn.__main__", false, include_str!("gunicorn/__main__.py")),
    ("gunicorn._checks", false, include_str!("gunicorn/_checks.py")),
    ("gunicorn._embedded", false, include_str!("gunicorn/_embedded.py")),
    ("gunicorn._hooks", false, include_str!("gunicorn/_hooks.py")),
    ("gunicorn._rows", false, include_str!("gunicorn/_rows.py")),
    ("gunicorn._server", false, include_str!("gunicorn/_server.py")),
    ("gunicorn.app", true, include_str!("gunicorn/app/__init__.py")),
    ("gunicorn.app.base", false, include_str!("gunicorn/app/base.py")),
    ("gunicorn.app.wsgiapp", false, include_str!("gunicorn/app/wsgiapp.py")),
    ("gunicorn.arbiter", false, include_str!("gunicorn/arbiter.py")),
    ("gunicorn.config", false, include_str!("gunicorn/config.py")),
    ("gunicorn.errors", false, include_str!("gunicorn/errors.py")),
    ("gunicorn.glogging", false, include_str!("gunicorn/glogging.py")),
    ("gunicorn.http", true, include_str!("gunicorn/http/__init__.py")),
    ("gunicorn.http.errors", false, include_str!("gunicorn/http/errors.py")),
    ("gunicorn.http.message", false, include_str!("gunicorn/http/message.py")),
    ("gunicorn.http.wsgi", false, include_str!("gunicorn/http/wsgi.py")),
    ("gunicorn.instrument", true, include_str!("gunicorn/instrument/__init__.py")),
    ("gunicorn.instrument.statsd", false, include_str!("gunicorn/instrument/statsd.py")),
    ("gunicorn.util", false, include_str!("gunicorn/util.py")),
    ("gunicorn.workers", true, include_str!("gunicorn/workers/__init__.py")),
    ("gunicorn.workers.base", false, include_str!("gunicorn/workers/base.py")),
    ("gunicorn.workers.gthread", false, include_str!("gunicorn/workers/gthread.py")),
    ("gunicorn.workers.sync", false, include_str!("gunicorn/workers/sync.py")),
    ("gunicorn.workers.workertmp", false, include_str!("gunicorn/workers/workertmp.py")),
];

/// Makes `import gunicorn` find the package that is installed, else the server's own, and
/// never a file `gunicorn.py` of the project. A second call changes nothing.
pub(crate) fn install(py: Python) -> PyResult<()> {
    let module = own_module(py, include_str!("gunicorn_finder.py"), "monoceros.gunicorn_finder")?;
    module.getattr("install")?.call1((wrap_pyfunction!(source, py)?,)).map(drop)
}

/// The source of a module of the server's package, and whether the module is a package.
#[pyfunction]
fn source(name: &str) -> Option<(&'static str, bool)> {
    let (_, is_package, source) = MODULES.iter().find(|module| module.0 == name)?;
    Some((source, *is_package))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The modules of a directory, by their names.
    fn modules_in(directory: &Path, package: &str) -> BTreeSet<(String, bool)> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let inner = format!("{package}.{name}");
            match path.extension().and_then(|it| it.to_str()) {
                Some("py") if name == "__init__" => found.insert((package.to_owned(), true)),
                Some("py") => found.insert((inner, false)),
                Some(_) | None if path.is_dir() && name != "__pycache__" => {
                    found.extend(modules_in(&path, &inner));
                    true
                }
                Some(_) | None => false,
            };
        }
        found
    }

    #[test]
    fn every_file_of_the_package_is_part_of_the_extension() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gunicorn");
        let listed: BTreeSet<_> = MODULES.iter().map(|it| (it.0.to_owned(), it.1)).collect();
        assert_eq!(modules_in(&root, "gunicorn"), listed);
    }
}
