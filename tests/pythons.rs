//! One build of the extension with every CPython from 3.10 on.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::client::request;
use crate::support::interpreters::found;
use crate::support::need;
use crate::support::setup::{Setup, apps, install, program, python};
use crate::support::until;

fn with(interpreter: &PathBuf) -> Setup {
    let paths = format!("{},{}", apps("wsgi").display(), packages().display());
    let setup = Setup::bare().flag("--python").flag(interpreter).flags(&["--pythonpath", &paths]);
    setup.flags(&["--bind", "127.0.0.1:0", "--workers", "2"])
}

/// Where Django and Flask lie: they are written in Python alone, or can do
/// without what is not, so that every version can use them.
fn packages() -> PathBuf {
    let lib = python().ancestors().nth(2).unwrap().join("lib");
    let version = fs::read_dir(lib).unwrap().next().unwrap().unwrap();
    version.path().join("site-packages")
}

#[test]
fn every_python_that_is_new_enough_serves() {
    let found = found();
    let new: Vec<_> = found.iter().filter(|(version, _)| **version >= (3, 10)).collect();
    assert!(!new.is_empty(), "there is a Python");
    for (version, interpreter) in new {
        eprintln!("Python {version:?}: {}", interpreter.display());
        let server = with(interpreter).flag("validated").start();
        assert_eq!(server.get("/pieces").text(), "one two three");
        let body = "line\n".repeat(20_000);
        let answer = server.ask(request("POST", "/read_all", &[], &body)).text();
        assert_eq!(answer.matches("line\\n").count(), 20_000, "{version:?}");
        server.stop();
        let server = with(interpreter).flags(&["--threads", "4", "faults"]).start();
        server.allow("[ERROR]");
        server.allow("Traceback");
        for _ in 0..20 {
            assert_eq!(server.get("/before").status, 500, "{version:?}");
            assert_eq!(server.get("/").text(), "well", "{version:?}");
        }
        server.stop();
        let server = with(interpreter).flags(&["--preload", "preloaded"]).start();
        let pid = || server.get("/").json()["pid"].to_string();
        let (first, token) = (pid(), server.get("/").json()["token"].clone());
        until::holds("the other worker", || pid() != first);
        assert_eq!(server.get("/").json()["token"], token, "{version:?}: one import");
        server.stop();
        let server =
            with(interpreter).flag("--chdir").flag(apps("flaskapp")).flag("app:app").start();
        let numbers = request(
            "POST",
            "/sum",
            &[("Content-Type", "application/json")],
            "{\"numbers\": [1, 2]}",
        );
        assert_eq!(server.ask(numbers).json()["sum"], 3, "{version:?}");
    }
}

#[test]
fn a_python_that_is_too_old_is_one_clear_line() {
    let old: Vec<_> = found().into_iter().filter(|(version, _)| *version < (3, 10)).collect();
    need::met(!old.is_empty(), "a Python older than 3.10");
    for (version, interpreter) in &old {
        let end = with(interpreter).flag("environ").run();
        assert_eq!(end.code, Some(1), "{version:?}: {}", end.stderr);
        let (major, minor) = version;
        assert!(end.stderr.contains(&format!("{major}.{minor}")), "{}", end.stderr);
        assert!(end.stderr.contains("3.10"), "what is needed is said: {}", end.stderr);
        let errors = end.stderr.lines().filter(|line| line.contains("[ERROR]")).count();
        assert!(errors == 1 && !end.stderr.contains("Traceback"), "{version:?}: {}", end.stderr);
    }
}

#[test]
fn the_virtual_environment_that_is_active_is_used() {
    let setup = Setup::bare().flags(&["--bind", "127.0.0.1:0", "--chdir"]).flag(apps("flaskapp"));
    let venv = python().ancestors().nth(2).unwrap().to_owned();
    let server = setup.flag("app:app").variable("VIRTUAL_ENV", venv).start();
    assert_eq!(server.get("/").text(), "Hello, stranger\n");
}

/// Responds with the prefix of its environment.
const WHERE: &str = "
import sys

def application(environ, start_response):
    body = sys.prefix.encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

#[test]
fn the_virtual_environment_that_the_program_lies_in_comes_before_the_active_one() {
    let setup = Setup::bare().flags(&["--bind", "127.0.0.1:0", "where:application"]);
    let setup = setup.file("where.py", WHERE);
    let active = python().ancestors().nth(2).unwrap().to_owned();
    let own = setup.directory.join("venv");
    fs::create_dir_all(own.join("bin")).unwrap();
    for name in ["monoceros", "libmonoceros_python.so"] {
        install(&program().with_file_name(name), &own.join("bin").join(name));
    }
    // An interpreter beside the program is not what makes an environment.
    symlink(fs::canonicalize(python()).unwrap(), own.join("bin/python3")).unwrap();
    let setup = setup.binary(own.join("bin/monoceros")).variable("VIRTUAL_ENV", &active);
    let server = setup.start();
    assert_eq!(server.get("/").text(), active.display().to_string());
    let made = Command::new(python()).args(["-m", "venv", "--without-pip"]).arg(&own).status();
    assert!(made.unwrap().success());
    server.signal(Signal::SIGHUP);
    until::holds("the new worker", || server.get("/").text() == own.display().to_string());
}
