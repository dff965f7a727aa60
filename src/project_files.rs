//! The application of a project by its files: `manage.py` of Django, or a module with an
//! application at its top level. The files are read and not run, so that a mistake in them is
//! found by a worker, which can wait for its correction.

use std::fs;
use std::path::Path;

/// The modules that may have the application, in this order.
const MODULES: [&str; 4] = ["app", "wsgi", "application", "main"];

/// The names of an application, and those of a function that makes one.
const NAMES: [&str; 2] = ["app", "application"];
const FACTORIES: [&str; 2] = ["create_app", "make_app"];

/// The kind of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProjectKind {
    /// One of Django: a worker finds the application by `manage.py`.
    Django {
        /// The module of the application, if it lies where `startproject` puts it.
        app: Option<String>,
    },
    /// Another one, with its application.
    Other {
        /// `MODULE:CALLABLE`.
        app: String,
    },
}

/// Finds the application of the project in a directory.
///
/// # Errors
/// With the reason for people, if there is none.
pub(crate) fn find_project(directory: &Path) -> Result<ProjectKind, String> {
    if directory.join("manage.py").is_file() {
        return Ok(ProjectKind::Django { app: django_module(directory) });
    }
    let text = |module: &str| {
        let files = [format!("{module}.py"), format!("{module}/__init__.py")];
        files.iter().find_map(|file| fs::read_to_string(directory.join(file)).ok())
    };
    let there: Vec<_> = MODULES.iter().filter_map(|name| Some((*name, text(name)?))).collect();
    let mut found = there.iter().filter_map(|(name, text)| Some((name, callable(text)?)));
    match found.next() {
        Some((module, callable)) => Ok(ProjectKind::Other { app: format!("{module}:{callable}") }),
        None => Err(refusal(directory, &there.iter().map(|(name, _)| *name).collect::<Vec<_>>())),
    }
}

fn refusal(directory: &Path, modules: &[&str]) -> String {
    let place = directory.display();
    if let [first, ..] = modules {
        return format!(
            "cannot find the application: the module {first} in {place} has no app, application or \
             create_app at its top level; name it as MODULE:CALLABLE"
        );
    }
    let below = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut projects: Vec<_> = below
        .filter(|entry| entry.path().join("manage.py").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    projects.sort();
    let aid = match projects.first() {
        Some(name) => format!("there is {name}/manage.py: add --chdir {name}"),
        None => "name it as MODULE:CALLABLE".to_owned(),
    };
    format!(
        "cannot find the application: there is no manage.py, app.py, wsgi.py or main.py in \
         {place}; {aid}"
    )
}

/// The module `wsgi` of the one package that has it.
fn django_module(directory: &Path) -> Option<String> {
    let below = fs::read_dir(directory).ok()?.flatten();
    let mut packages = below.filter(|entry| entry.path().join("wsgi.py").is_file());
    let name = packages.next()?.file_name().into_string().ok()?;
    let is_module = name.chars().all(|it| it.is_alphanumeric() || it == '_');
    (packages.next().is_none() && is_module).then(|| format!("{name}.wsgi"))
}

/// The application in the text of a module: a name at the top level, or a call of a function
/// without arguments.
fn callable(text: &str) -> Option<String> {
    let defines = |name: &&&str| text.lines().any(|line| binds(line, name));
    if let Some(name) = NAMES.iter().find(defines) {
        return Some((*name).to_owned());
    }
    FACTORIES.iter().find(defines).map(|name| format!("{name}()"))
}

/// Whether a line at the top level gives something this name.
fn binds(line: &str, name: &str) -> bool {
    let follows = |rest: &str| !rest.starts_with(|it: char| it.is_alphanumeric() || it == '_');
    for word in ["def ", "async def ", "class "] {
        if let Some(rest) = line.strip_prefix(word).and_then(|it| it.strip_prefix(name)) {
            return follows(rest);
        }
    }
    if let Some(imported) = line.strip_prefix("from ").and_then(|it| it.split_once(" import ")) {
        let names = imported.1.split('#').next().unwrap_or_default().split(',');
        let bound = names.filter_map(|it| it.split_whitespace().next_back());
        return bound.into_iter().any(|it| it.trim_matches(['(', ')']) == name);
    }
    // A comparison has an empty part, and what is indented is not at the top level.
    let parts: Vec<_> = line.split('=').collect();
    let (_, targets) = parts.split_last().unwrap_or((&"", &[]));
    let target = |part: &&str| part.split(':').next().is_some_and(|it| it.trim_end() == name);
    !parts.contains(&"")
        && !line.starts_with(char::is_whitespace)
        && targets.iter().map(|it| it.trim_start()).any(|it| target(&it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_bound_at_the_top_level() {
        for (text, expected) in [
            ("app = Flask(__name__)\n", Some("app")),
            ("import x\napplication = get_wsgi_application()\n", Some("application")),
            ("app: Flask = Flask('x')\n", Some("app")),
            ("application = app = Flask('x')\n", Some("app")),
            ("def app(environ, start_response):\n    pass\n", Some("app")),
            ("from shop import app\n", Some("app")),
            ("from shop import db, create as app  # ours\n", Some("app")),
            ("from shop import (app)\n", Some("app")),
            (
                "def create_app(test=None):\n    app = Flask('x')\n    return app\n",
                Some("create_app()"),
            ),
            ("from shop import create_app\n", Some("create_app()")),
            ("from shop import create_app\napp = create_app()\n", Some("app")),
            ("apps = 1\nif app == 2: pass\n", None),
            ("    app = 1\n", None),
            ("import app\n", None),
            ("def apply(): pass\n", None),
        ] {
            assert_eq!(callable(text).as_deref(), expected, "{text}");
        }
    }
}
