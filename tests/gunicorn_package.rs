//! The package `gunicorn` that applications find where none is installed, and that it does
//! what gunicorn's own does.

use std::path::Path;
use std::process::Command;

use crate::support::directory::Directory;
use crate::support::environment;
use crate::support::setup::{Setup, python};

/// Responds with what it has imported.
const APPLICATION: &str = "
import sys
import gunicorn
from gunicorn.config import Config

cfg = Config()
cfg.set('workers', '3')

def application(environ, start_response):
    found = [gunicorn.__spec__.origin, gunicorn.__version__, gunicorn.SERVER_SOFTWARE,
             str(cfg.workers), cfg.address[0][0], cfg.__class__.__module__]
    body = '\\n'.join(found).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

/// A project with a file that has gunicorn's name, as configuration files of old have.
fn project(setup: Setup) -> Setup {
    let setup = setup.file("importing.py", APPLICATION).file("gunicorn.py", "workers = 9\n");
    setup.flags(&["--pythonpath", ".", "--bind", "127.0.0.1:0", "importing:application"])
}

/// An environment in which no gunicorn is installed.
fn bare_environment(directory: &Directory) -> String {
    let mut command = Command::new(python());
    command.args(["-m", "venv", "--without-pip"]).arg(directory.join("venv"));
    assert!(environment::clear(&mut command).status().unwrap().success());
    directory.join("venv/bin/python").to_str().unwrap().to_owned()
}

#[test]
fn without_gunicorn_its_names_are_the_servers_own() {
    for preload in [&[][..], &["--preload"]] {
        let setup = Setup::bare();
        let interpreter = bare_environment(&setup.directory);
        let server = project(setup).flags(&["--python", &interpreter]).flags(preload).start();
        let found = server.get("/").text();
        assert_eq!(
            found.lines().collect::<Vec<_>>(),
            [
                "<monoceros>/gunicorn.py",
                "27.0.1",
                "gunicorn/27.0.1",
                "3",
                "127.0.0.1",
                "gunicorn.config"
            ]
        );
    }
}

#[test]
fn with_gunicorn_the_installed_one_is_found() {
    let server = project(Setup::bare()).flag("--python").flag(python()).start();
    let found = server.get("/").text();
    assert!(found.contains("site-packages/gunicorn/__init__.py\n"), "{found}");
}

/// Asks a package everything that `tests/gunicorn/names.py` asks: the one in this directory,
/// or the installed one.
fn answers(package: Option<&Path>, variables: &[(&str, &str)]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gunicorn/names.py");
    let directory = Directory::new();
    let mut command = Command::new(python());
    command.current_dir(directory.path()).arg(script).args(package);
    environment::clear(&mut command).env("HOME", "/").envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn the_servers_own_package_does_what_gunicorn_does() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("workers/python/src");
    for variables in [
        &[][..],
        &[("PORT", "9"), ("WEB_CONCURRENCY", "3"), ("FORWARDED_ALLOW_IPS", "*"), ("SENDFILE", "n")],
        &[("GUNICORN_CMD_ARGS", "-w 7 --bind :1 -c good.py"), ("XDG_RUNTIME_DIR", "/run")],
        &[("GUNICORN_CMD_ARGS", "-w 7 --nosuch"), ("SENDFILE", "Yes"), ("PORT", "")],
    ] {
        let (theirs, ours) = (answers(None, variables), answers(Some(&own), variables));
        assert!(theirs.len() > 10_000, "{}", theirs.len());
        for (their, our) in theirs.iter().zip(&ours) {
            assert_eq!(their, our, "{variables:?}");
        }
        assert_eq!(theirs.len(), ours.len());
    }
}
