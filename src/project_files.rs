//! The application of a project by its files: `manage.py` of Django, or a module with an
//! application at its top level. The files are read and not run, so that a mistake in them is
//! found by a worker, which can wait for its correction.

use std::fs;
use std::path::Path;

/// The modules that may have the application, in this order.
const MODULES: [&str; 4] = ["app", "wsgi", "application", "main"];

/// The directory of a project whose modules are not beside its other files.
const SOURCES: &str = "src";

/// Directories that are no package of the application.
const NO_PACKAGES: [&str; 3] = [SOURCES, "tests", "test"];

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
    if let Some(app) = application_of(directory, MODULES.map(str::to_owned)) {
        return Ok(ProjectKind::Other { app });
    }
    match &applications_below(directory)[..] {
        [app] => Ok(ProjectKind::Other { app: app.clone() }),
        several => Err(refusal(directory, several)),
    }
}

/// The application of the first of these modules that has one.
fn application_of<const N: usize>(directory: &Path, modules: [String; N]) -> Option<String> {
    modules.into_iter().find_map(|module| {
        let callable = callable(&read_module(directory, &module)?)?;
        Some(format!("{module}:{callable}"))
    })
}

/// The applications of the packages in a directory, one for each.
fn applications_below(directory: &Path) -> Vec<String> {
    let names = names_below(directory, |path| path.is_dir());
    let names =
        names.into_iter().filter(|name| is_identifier(name) && !NO_PACKAGES.contains(&&**name));
    let modules = |name: String| [format!("{name}.wsgi"), format!("{name}.app"), name];
    names.filter_map(|name| application_of(directory, modules(name))).collect()
}

/// The text of a module.
fn read_module(directory: &Path, module: &str) -> Option<String> {
    let path = module.replace('.', "/");
    let files = [format!("{path}.py"), format!("{path}/__init__.py")];
    files.iter().find_map(|file| fs::read_to_string(directory.join(file)).ok())
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

fn is_identifier(name: &str) -> bool {
    name.chars().all(|it| it.is_alphanumeric() || it == '_')
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

/// The module `wsgi` of the one package that has it.
fn django_module(directory: &Path) -> Option<String> {
    match &names_below(directory, |path| path.join("wsgi.py").is_file())[..] {
        [name] if is_identifier(name) => Some(format!("{name}.wsgi")),
        _ => None,
    }
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
    fn a_package_with_an_application_is_found_if_it_is_the_only_one() {
        let name = format!("monoceros-project-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let found = || find_project(&directory);
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
