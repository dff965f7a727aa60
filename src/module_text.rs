//! The application in the text of a module. The text is read and not run.

use std::fs;
use std::path::Path;

/// The names of an application, and those of a function that makes one.
const NAMES: [&str; 2] = ["app", "application"];
const FACTORIES: [&str; 2] = ["create_app", "make_app"];

/// The application of the first of these modules that has one.
pub(crate) fn application_of<const N: usize>(
    directory: &Path,
    modules: [String; N],
) -> Option<String> {
    modules.into_iter().find_map(|module| {
        let callable = callable(&read_module(directory, &module)?)?;
        Some(format!("{module}:{callable}"))
    })
}

/// The text of a module.
pub(crate) fn read_module(directory: &Path, module: &str) -> Option<String> {
    let path = module.replace('.', "/");
    let files = [format!("{path}.py"), format!("{path}/__init__.py")];
    files.iter().find_map(|file| fs::read_to_string(directory.join(file)).ok())
}

/// Whether the text of a module has a function of this name at its top level.
pub(crate) fn has_function(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let rest = line.strip_prefix("def ").and_then(|it| it.strip_prefix(name));
        rest.is_some_and(|rest| rest.trim_start().starts_with('('))
    })
}

/// The application in the text of a module: a name at the top level, or a call of a function
/// without arguments.
fn callable(text: &str) -> Option<String> {
    let defines = |name: &&&str| text.lines().any(|line| binds(line, name));
    if let Some(name) = NAMES.iter().find(defines) {
        return Some((*name).to_owned());
    }
    let factory = FACTORIES.iter().find(defines).map(|name| format!("{name}()"));
    factory.or_else(|| only_flask(text))
}

/// The name of the one object of Flask that is made at the top level.
fn only_flask(text: &str) -> Option<String> {
    let mut names = text.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim_start();
        let makes = value.starts_with("Flask(") || value.starts_with("flask.Flask(");
        let name = name.split(':').next()?.trim_end();
        (makes && is_identifier(name)).then(|| name.to_owned())
    });
    names.next().filter(|_| names.next().is_none())
}

/// Whether a text is a name, as far as that matters for names of files and variables.
pub(crate) fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|it| it.is_alphanumeric() || it == '_')
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
            ("server = Flask(__name__)\n", Some("server")),
            ("server: Flask = flask.Flask('x')\n", Some("server")),
            ("one = Flask('x')\ntwo = Flask('y')\n", None),
            ("import app\n", None),
            ("def apply(): pass\n", None),
        ] {
            assert_eq!(callable(text).as_deref(), expected, "{text}");
        }
    }
}
