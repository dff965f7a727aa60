//! The program `gunicorn` in an environment: `monoceros install-gunicorn-shim`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::sys::signal::Signal;

use crate::support::directory::Directory;
use crate::support::environment;
use crate::support::server::Server;
use crate::support::setup::{Setup, program, python};

const APPLICATION: &str = "
import os
import sys

def make(greeting='hello'):
    def application(environ, start_response):
        body = ('%s %s' % (greeting, sys.prefix)).encode()
        start_response('200 OK', [('Content-Length', str(len(body)))])
        return [body]
    return application

application = make()
";

/// A program that starts gunicorn in itself, as several launchers do.
const LAUNCHER: &str = "
import sys
from gunicorn.app.wsgiapp import run

sys.argv = ['gunicorn', '-b', '127.0.0.1:0', \"shop:make('launched')\", '--timeout=5']
run()
";

/// An environment with nothing installed in it. Its name has a blank, which the first line of
/// a script cannot have.
fn new_environment(directory: &Directory) -> PathBuf {
    let path = directory.join("an environment");
    let mut command = Command::new(python());
    command.args(["-m", "venv", "--without-pip"]).arg(&path);
    assert!(environment::clear(&mut command).status().unwrap().success());
    path
}

fn install(words: &[&str], environment: &Path) -> Output {
    let mut command = Command::new(program());
    command.arg("install-gunicorn-shim").args(words).arg(environment);
    environment::clear(&mut command).output().unwrap()
}

/// Serves the shop with this program and these words behind it.
fn serve(binary: &Path, setup: Setup, words: &[&str]) -> Server {
    setup.binary(binary).flags(words).file("shop.py", APPLICATION).start()
}

#[test]
fn what_starts_gunicorn_starts_the_server() {
    let kept = Directory::new();
    let environment = new_environment(&kept);
    let installed = install(&[], &environment);
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let (script, interpreter) = (environment.join("bin/gunicorn"), environment.join("bin/python"));
    let prefix = environment.display();
    let words = ["-b", "127.0.0.1:0", "shop", "-w2", "--name", "shop"];
    let server = serve(&script, Setup::bare(), &words);
    assert_eq!(server.get("/").text(), format!("hello {prefix}"));
    server.stop();
    for module in ["gunicorn", "gunicorn.app.wsgiapp"] {
        let as_module = [&["-m", module], &words[..]].concat();
        let server = serve(&interpreter, Setup::bare(), &as_module);
        assert_eq!(server.get("/").text(), format!("hello {prefix}"));
        server.stop();
    }
    let setup = Setup::bare().file("launcher.py", LAUNCHER);
    let server = serve(&interpreter, setup, &["launcher.py"]);
    assert_eq!(server.get("/").text(), format!("launched {prefix}"));
    server.stop();
    // `status` is an application here, and no command of the server's program.
    let failed = Setup::bare().binary(&script).flags(&["status", "-b", "127.0.0.1:0"]).run();
    assert_ne!(failed.code, Some(0));
    assert!(failed.stderr.contains("No module named 'status'"), "{}", failed.stderr);
    let version = Command::new(&script).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&version.stdout), "gunicorn (version 27.0.1)\n");
}

#[test]
fn another_gunicorn_is_replaced_only_on_request() {
    let kept = Directory::new();
    let environment = new_environment(&kept);
    let script = environment.join("bin/gunicorn");
    fs::write(&script, "another").unwrap();
    let refused = install(&[], &environment);
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    let expected = format!(
        "monoceros: cannot install the program gunicorn in {}: {} is there; --replace removes it\n",
        environment.display(),
        script.display()
    );
    assert_eq!(text, expected);
    assert_eq!(fs::read_to_string(&script).unwrap(), "another");
    let replaced = install(&["--replace"], &environment);
    assert!(replaced.status.success(), "{}", String::from_utf8_lossy(&replaced.stderr));
    assert!(fs::read_to_string(&script).unwrap().contains("gunicorn.app.wsgiapp"));
    // Its own is replaced without more words, by a later version of itself.
    assert!(install(&[], &environment).status.success());
}

#[test]
fn what_is_no_environment_is_an_error() {
    let directory = Directory::new();
    let failed = install(&[], directory.path());
    assert_eq!(failed.status.code(), Some(1));
    let text = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(text.contains("there is no bin/python"), "{text}");
}

/// A program that is a server by itself: its settings and its application are made in it.
const OWN: &str = "
import sys
from gunicorn.app.base import BaseApplication

def application(environ, start_response):
    start_response('200 OK', [])
    return [('%s %s' % (__name__, sys.argv[1:])).encode()]

def post_worker_init(worker):
    worker.log.info('prepared by %s', __name__)

class Own(BaseApplication):
    def __init__(self, app, options):
        self.app, self.options = app, options
        super().__init__()

    def load_config(self):
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self):
        return self.app

if __name__ == '__main__':
    sys.argv.append('changed')
    Own(application, {'bind': '127.0.0.1:0', 'workers': 2, 'loglevel': 'info',
                      'post_worker_init': post_worker_init, 'limit_request_line': 0}).run()
";

#[test]
fn a_program_that_is_a_server_by_itself_becomes_this_server() {
    let kept = Directory::new();
    let environment = new_environment(&kept);
    let installed = install(&[], &environment);
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let setup = Setup::bare().file("own.py", OWN).variable("GUNICORN_CMD_ARGS", "--bind :x");
    let server = serve(&environment.join("bin/python"), setup, &["own.py", "--flag"]);
    assert_eq!(server.get("/").text(), "__main__ ['--flag', 'changed']");
    server.wait_for_log_times("prepared by __main__", 2);
    server.signal(Signal::SIGHUP);
    server.wait_for_log("gen=2 serves");
    assert_eq!(server.get("/").text(), "__main__ ['--flag', 'changed']");
    server.stop();
}

/// A program with gunicorn's flags: the command line is stronger than the variable.
const FLAGGED: &str = "
from gunicorn.app.base import Application

class Flagged(Application):
    def init(self, parser, opts, args):
        return {'bind': '127.0.0.1:0', 'workers': 3}

    def load(self):
        return lambda environ, start_response: (start_response('200 OK', []), [b'flagged'])[1]

Flagged('%(prog)s [OPTIONS]').run()
";

#[test]
fn a_program_with_the_flags_of_gunicorn_has_its_settings() {
    let kept = Directory::new();
    let environment = new_environment(&kept);
    let installed = install(&[], &environment);
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let interpreter = environment.join("bin/python");
    let set_up = || {
        let setup = Setup::bare().binary(&interpreter).file("flagged.py", FLAGGED);
        let setup = setup.variable("GUNICORN_CMD_ARGS", "-w 2 --timeout 9");
        setup.flags(&["flagged.py", "-w", "1"])
    };
    let server = set_up().start();
    assert_eq!(server.get("/").text(), "flagged");
    assert!(server.log().contains("with 1 worker "), "{}", server.log());
    server.stop();
    let shown = set_up().flag("--print-config").run();
    let has = |name: &str, value: &str| {
        let mut pairs = shown.stdout.lines().filter_map(|line| line.split_once('='));
        pairs.any(|(key, set)| (key.trim(), set.trim()) == (name, value))
    };
    assert!(
        shown.code == Some(0) && has("workers", "1") && has("timeout", "9"),
        "{}",
        shown.stderr
    );
}
