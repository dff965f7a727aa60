//! The application of a project by its files: `manage.py` of Django, what `flask run` serves, what
//! gunicorn serves in production, or a module with an application at its top level. The files are read and not run, so that a mistake
//! in them is found by a worker, which can wait for its correction.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::flask_app::flask_application;
use crate::module_text::{application_of, is_identifier, read_module};
use crate::platform_files::deployed_application;

/// The modules that may have the application, in this order.
const MODULES: [&str; 4] = ["app", "wsgi", "application", "main"];

/// The directory of a project whose modules are not beside its other files.
const SOURCES: &str = "src";

/// Directories that are no package of the application.
const NO_PACKAGES: [&str; 3] = [SOURCES, "tests", "test"];

/// What the `manage.py` of Django has in its text, in any case.
const DJANGO: &[u8] = b"django";

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

/// Finds the application of the project in a directory, with the variables of the environment.
///
/// # Errors
/// With the reason for people, if there is none.
pub(crate) fn find_project(
    directory: &Path,
    env: &[(OsString, OsString)],
) -> Result<ProjectKind, String> {
    if is_django(directory) {
        return Ok(ProjectKind::Django { app: django_module(directory) });
    }
    if let Some(app) = flask_application(directory, env) {
        return app.map(|app| ProjectKind::Other { app });
    }
    if let Some(app) = deployed_application(directory) {
        return Ok(ProjectKind::Other { app });
    }
    if let Some(app) = application_of(directory, MODULES.map(str::to_owned)) {
        return Ok(ProjectKind::Other { app });
    }
    match &applications_below(directory)[..] {
        [app] => Ok(ProjectKind::Other { app: app.clone() }),
        several => Err(refusal(directory, several)),
    }
}

/// The applications of the packages in a directory, one for each.
fn applications_below(directory: &Path) -> Vec<String> {
    let names = names_below(directory, |path| path.is_dir());
    let names =
        names.into_iter().filter(|name| is_identifier(name) && !NO_PACKAGES.contains(&&**name));
    let modules = |name: String| [format!("{name}.wsgi"), format!("{name}.app"), name];
    names.filter_map(|name| application_of(directory, modules(name))).collect()
}

/// The names in a directory whose paths are such, sorted.
fn names_below(directory: &Path, is_such: impl Fn(&Path) -> bool) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let found = entries.filter(|entry| is_such(&entry.path()));
    let mut names: Vec<_> =
        found.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Why there is no application, or not one alone, and what to do.
fn refusal(directory: &Path, several: &[String]) -> String {
    let place = directory.display();
    if let [first, ..] = several {
        return format!(
            "cannot choose the application: {place} has {}; name one, such as {first}",
            several.join(", ")
        );
    }
    if let Some(module) = MODULES.iter().find(|name| read_module(directory, name).is_some()) {
        return format!(
            "cannot find the application: the module {module} in {place} has no app, application \
             or create_app at its top level; name it as MODULE:CALLABLE"
        );
    }
    format!(
        "cannot find the application: there is no manage.py, app.py, wsgi.py or main.py in \
         {place}, nor a package with one; {}",
        aid(directory)
    )
}

/// What may help: a project in a directory below.
fn aid(directory: &Path) -> String {
    if let Some(name) = names_below(directory, |path| path.join("manage.py").is_file()).first() {
        return format!("there is {name}/manage.py: add --chdir {name}");
    }
    let sources = directory.join(SOURCES);
    let inside = application_of(&sources, MODULES.map(str::to_owned));
    match inside.or_else(|| applications_below(&sources).into_iter().next()) {
        Some(app) => format!("there is {app} in {SOURCES}: add --pythonpath {SOURCES} {app}"),
        None => "name it as MODULE:CALLABLE".to_owned(),
    }
}

/// Whether there is a `manage.py` of Django: other frameworks have had such a file too.
fn is_django(directory: &Path) -> bool {
    let text = fs::read(directory.join("manage.py")).unwrap_or_default();
    text.windows(DJANGO.len()).any(|it| it.eq_ignore_ascii_case(DJANGO))
}

/// The module `wsgi` of the one package that has it.
fn django_module(directory: &Path) -> Option<String> {
    match &names_below(directory, |path| path.join("wsgi.py").is_file())[..] {
        [name] if is_identifier(name) => Some(format!("{name}.wsgi")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_with_an_application_is_found_if_it_is_the_only_one() {
        let name = format!("monoceros-project-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let found = || find_project(&directory, &[]);
        let other = |app: &str| Ok(ProjectKind::Other { app: app.to_owned() });
        write("src/shop/__init__.py", "def create_app():\n    pass\n");
        let error = found().unwrap_err();
        assert!(error.ends_with("add --pythonpath src shop:create_app()"), "{error}");
        write("tests/app.py", "app = 1\n");
        write("shop/__init__.py", "def create_app():\n    pass\n");
        assert_eq!(found(), other("shop:create_app()"));
        write("shop/wsgi.py", "from shop import create_app\napplication = create_app()\n");
        assert_eq!(found(), other("shop.wsgi:application"));
        write("store/app.py", "app = Flask(__name__)\n");
        let error = found().unwrap_err();
        assert!(error.contains("shop.wsgi:application, store.app:app; name one"), "{error}");
        write("app.py", "app = Flask(__name__)\n");
        assert_eq!(found(), other("app:app"));
        fs::remove_dir_all(&directory).unwrap();
    }
}
