//! The application that `flask run` serves: that of the variable `FLASK_APP`, from the environment
//! or a file of variables.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path};

use crate::module_text::{application_of, has_function, read_module};

/// The variable.
const VARIABLE: &str = "FLASK_APP";

/// The files of variables, in their order.
const FILES: [&str; 2] = [".env", ".flaskenv"];

/// The application of the variable, as `MODULE:CALLABLE`; `None` if it is not set.
pub(crate) fn flask_application(
    directory: &Path,
    env: &[(OsString, OsString)],
) -> Option<Result<String, String>> {
    let set = env.iter().find(|(name, _)| name == VARIABLE);
    let set = set.map(|(_, value)| value.to_string_lossy().into_owned());
    let value = set.or_else(|| FILES.iter().find_map(|file| value_in(&directory.join(file))))?;
    let value = value.trim();
    (!value.is_empty()).then(|| application(directory, value))
}

/// The value of the variable in a file.
fn value_in(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().rev().find_map(value_of)
}

/// The value in a line such as `export FLASK_APP="shop:create_app('test')"  # ours`.
fn value_of(line: &str) -> Option<String> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let value = line.strip_prefix(VARIABLE)?.trim_start().strip_prefix('=')?.trim();
    let quote = value.chars().next().filter(|it| matches!(it, '"' | '\''));
    let value = match quote {
        Some(quote) => value[1..].split(quote).next().unwrap_or_default(),
        None => value.split(" #").next().unwrap_or_default().trim_end(),
    };
    Some(value.to_owned())
}

/// The application of a value: `FILE.py`, `MODULE`, or one of them with `:CALLABLE`. A function
/// that makes the application may be named without a call.
fn application(directory: &Path, value: &str) -> Result<String, String> {
    let (name, callable) = match value.split_once(':') {
        Some((name, callable)) => (name.trim(), Some(callable.trim())),
        None => (value, None),
    };
    let module = match name.strip_suffix(".py") {
        Some(path) => module_of(directory, path)?,
        None => name.to_owned(),
    };
    let text = read_module(directory, &module);
    match callable {
        Some(name) if text.as_ref().is_some_and(|text| has_function(text, name)) => {
            Ok(format!("{module}:{name}()"))
        }
        Some(name) => Ok(format!("{module}:{name}")),
        // A module that is installed elsewhere has the usual name.
        None if text.is_none() => Ok(format!("{module}:app")),
        None => application_of(directory, [module]).ok_or_else(|| {
            format!(
                "cannot find the application: {VARIABLE}={value}, which has no app, application \
                 or create_app at its top level; write {VARIABLE}={value}:CALLABLE"
            )
        }),
    }
}

/// The module of a file that is named without its ending.
fn module_of(directory: &Path, path: &str) -> Result<String, String> {
    let path = Path::new(path);
    let below = path.strip_prefix(directory).unwrap_or(path);
    let parts: Vec<_> = below.components().filter(|it| *it != Component::CurDir).collect();
    let names = parts.iter().map(|it| match it {
        Component::Normal(name) => name.to_str(),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
    });
    let names: Option<Vec<_>> = names.collect();
    let is_package = |depth: usize| {
        let package = parts[..depth].iter().fold(directory.to_owned(), |to, part| to.join(part));
        package.join("__init__.py").exists()
    };
    match names {
        Some(names) if (1..names.len()).all(is_package) => Ok(names.join(".")),
        Some(_) | None => {
            let place = below.parent().unwrap_or(below).display();
            let module = below.file_name().unwrap_or_default().display();
            Err(format!(
                "cannot use {VARIABLE}={}.py: {place} is no package; write --pythonpath {place} \
                 {module}:CALLABLE",
                path.display()
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_in_a_line_is_read() {
        for (line, expected) in [
            ("FLASK_APP=shop", Some("shop")),
            (
                "  export FLASK_APP = 'shop:create_app(\"a b\")' # ours",
                Some("shop:create_app(\"a b\")"),
            ),
            ("FLASK_APP=shop.py  # ours", Some("shop.py")),
            ("# FLASK_APP=shop", None),
            ("FLASK_APPLICATION=shop", None),
            ("FLASK_APP", None),
        ] {
            assert_eq!(value_of(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn the_application_is_that_of_flask_run() {
        let name = format!("monoceros-flask-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(directory.join("web/src")).unwrap();
        fs::create_dir_all(directory.join("src")).unwrap();
        for (file, text) in [
            ("hello.py", "server = Flask(__name__)\n\ndef make(name=None):\n    return server\n"),
            ("empty.py", "x = 1\n"),
            ("web/__init__.py", "def create_app():\n    pass\n"),
            ("web/main.py", "app = Flask(__name__)\n"),
            ("src/other.py", "app = Flask(__name__)\n"),
        ] {
            fs::write(directory.join(file), text).unwrap();
        }
        let found = |value: &str| {
            flask_application(&directory, &[(VARIABLE.into(), value.into())]).unwrap()
        };
        for (value, expected) in [
            ("hello:server", "hello:server"),
            ("hello.py:make", "hello:make()"),
            ("hello:make('x')", "hello:make('x')"),
            ("hello.py", "hello:server"),
            ("web", "web:create_app()"),
            ("./web/main.py", "web.main:app"),
            ("installed", "installed:app"),
        ] {
            assert_eq!(found(value).as_deref(), Ok(expected), "{value}");
        }
        let missing = found("empty").unwrap_err();
        assert!(missing.ends_with("write FLASK_APP=empty:CALLABLE"), "{missing}");
        let elsewhere = found("src/other.py").unwrap_err();
        assert!(elsewhere.ends_with("write --pythonpath src other:CALLABLE"), "{elsewhere}");
        assert_eq!(flask_application(&directory, &[]), None);
        fs::write(directory.join(".flaskenv"), "FLASK_APP=web\n").unwrap();
        assert_eq!(flask_application(&directory, &[]), Some(Ok("web:create_app()".to_owned())));
        fs::remove_dir_all(&directory).unwrap();
    }
}
