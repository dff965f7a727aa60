//! Logs through Python's `logging`, compared with the real gunicorn where it has the same.

use nix::sys::signal::Signal;
use serde_json::{Map, Value};

use crate::support::client::request;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, python};
use crate::support::until;

const APPLICATION: &str = "
import logging, threading

STATE = threading.local()

def application(environ, start_response):
    path = environ['PATH_INFO']
    STATE.name = path
    environ['shop.user'] = 'ada \"l\"'
    if path == '/fails':
        raise ValueError('no such basket')
    if path == '/logs':
        logging.getLogger('gunicorn.error').warning('from the application')
        environ['wsgi.errors'].write('written\\n')
    status = '404 Not Found' if path.startswith('/missing') else '200 OK'
    start_response(status, [('Content-Type', 'text/plain'), ('Content-Length', '5'),
                            ('X-Own', ' kept ')])
    return [b'hello']
";

/// Formatters and loggers of a project.
const LOGS: &str = r#"
import json, logging
from gunicorn.glogging import Logger

class Atoms(logging.Formatter):
    """As many projects have it: the atoms are the record's arguments."""

    def format(self, record):
        atoms = {name: str(value) for name, value in record.args.items()}
        atoms['message'] = record.getMessage()
        atoms['missing'] = record.args['{no-such}i']
        return json.dumps(atoms)

class Errors(logging.Formatter):
    def format(self, record):
        fields = {name: getattr(record, name, None) for name in ('request_id', 'worker', 'generation')}
        fields.update(message=record.getMessage(), level=record.levelname, pid=record.process)
        if record.exc_info:
            fields['exception'] = record.exc_info[0].__name__
        return json.dumps(fields)

class Own(Logger):
    def now(self):
        return '[the time]'

    def atoms(self, resp, req, environ, request_time):
        from application import STATE
        atoms = super().atoms(resp, req, environ, request_time)
        atoms['l'] = getattr(STATE, 'name', 'none')
        return atoms

    def access(self, resp, req, environ, request_time):
        if req.path != '/healthz':
            super().access(resp, req, environ, request_time)

class Bare:
    """Does not derive from gunicorn's class."""

    def __init__(self, cfg):
        self.log = open('bare.log', 'a', buffering=1)

    def access(self, resp, req, environ, request_time):
        print('access', req.method, req.uri, resp.status, resp.sent, file=self.log)

    def error(self, msg, *args, **kwargs):
        print('error', msg, file=self.log)

    exception = critical = error

    def warning(self, msg, *args, **kwargs):
        print('other', msg, file=self.log)

    info = debug = warning

    def reopen_files(self):
        pass
"#;

const JSON: &str = r#"{
    "version": 1,
    "disable_existing_loggers": true,
    "root": {"level": "INFO", "handlers": []},
    "formatters": {
        "atoms": {"()": "logs.Atoms"},
        "errors": {"()": "logs.Errors"}
    },
    "handlers": {
        "access": {"class": "logging.FileHandler", "filename": "access.json", "formatter": "atoms"},
        "error": {"class": "logging.FileHandler", "filename": "error.json", "formatter": "errors"}
    },
    "loggers": {
        "gunicorn.access": {"level": "INFO", "handlers": ["access"], "propagate": false},
        "gunicorn.error": {"level": "INFO", "handlers": ["error"], "propagate": false}
    }
}"#;

const INI: &str = "
[loggers]
keys = root, error, access

[handlers]
keys = file

[formatters]
keys = plain

[logger_root]
level = INFO
handlers =

[logger_error]
qualname = gunicorn.error
level = DEBUG
handlers = file
propagate = 0

[logger_access]
qualname = gunicorn.access
level = INFO
handlers = file
propagate = 0

[handler_file]
class = FileHandler
formatter = plain
args = ('%(here)sboth.log',)

[formatter_plain]
format = %(name)s|%(levelname)s|%(message)s
";

const FORMAT: &str = "%(h)s %(u)s \"%(r)s\" %(s)s %(B)s \"%(f)s\" %({x-own}i)s %({x-own}o)s";

fn files(setup: Setup) -> Setup {
    let setup = setup.file("application.py", APPLICATION).file("logs.py", LOGS);
    setup.file("logs.json", JSON).file("logs.ini", INI)
}

fn ours(flags: &[&str]) -> Setup {
    let flags = [&["--pythonpath", ".", "--access-logformat", FORMAT], flags].concat();
    files(Setup::of("application:application")).flags(&flags)
}

/// gunicorn itself, as a program of our server.
fn gunicorn(flags: &[&str]) -> Setup {
    let python = python();
    let words = [
        &[python.to_str().unwrap(), "-m", "gunicorn", "--no-control-socket"][..],
        &["--log-level", "warning", "--access-logformat", FORMAT],
        flags,
        &["application:application"],
    ];
    files(Setup::program(&words.concat()))
}

/// The lines of a file, of which there must be so many.
fn lines(server: &Server, name: &str, count: usize) -> Vec<String> {
    let read = || server.directory.read(name);
    until::holds("lines in a log", || {
        server.directory.join(name).exists() && read().lines().count() >= count
    });
    let lines: Vec<_> = read().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), count, "{name}: {lines:#?}");
    lines
}

fn objects(server: &Server, name: &str, count: usize) -> Vec<Map<String, Value>> {
    lines(server, name, count).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines of a file with this text.
fn wait_for_line(server: &Server, name: &str, text: &str) -> String {
    until::some("a line in a log", || {
        let found = server.directory.join(name).exists().then(|| server.directory.read(name))?;
        found.lines().find(|line| line.contains(text)).map(str::to_owned)
    })
}

fn requests() -> Vec<String> {
    vec![
        request("GET", "/a%20b?c=%22", &[("X-Own", "1"), ("Referer", "http://r/\"")], ""),
        request("POST", "/missing", &[("Content-Type", "text/plain")], "a body"),
        request("GET", "/", &[("Authorization", "Basic YWRhOnNlY3JldA==")], ""),
    ]
}

fn ask_all(server: &Server) {
    for request in requests() {
        server.ask(request);
    }
}

#[test]
fn a_json_formatter_gets_the_atoms_of_gunicorn() {
    let read = |setup: Setup| {
        let server = setup.start();
        ask_all(&server);
        objects(&server, "access.json", requests().len())
    };
    let flags = ["--log-config-json", "logs.json"];
    let (ours, theirs) = (read(ours(&flags)), read(gunicorn(&flags)));
    for (our, their) in ours.iter().zip(&theirs) {
        for name in ["h", "l", "u", "r", "s", "m", "U", "q", "H", "b", "B", "f", "a"] {
            assert_eq!(our[name], their[name], "{name}: {our:?}");
        }
        for name in ["{x-own}i", "{host}i", "{x-own}o", "{content-type}o", "{shop.user}e"] {
            assert_eq!(our.get(name), their.get(name), "{name}: {our:?}");
        }
        for name in ["{path_info}e", "{http_x_own}e", "{raw_uri}e", "message", "missing"] {
            assert_eq!(our.get(name), their.get(name), "{name}: {our:?}");
        }
        for name in ["t", "T", "D", "M", "L", "p"] {
            assert!(our.contains_key(name), "{name}: {our:?}");
        }
    }
}

#[test]
fn responses_of_the_server_itself_are_logged_too() {
    let static_files = ["--static", "/files/=files", "--access-log-exclude", "/files/left"];
    let limited = ["--log-config-json", "logs.json", "--limit-request-body", "10"];
    let setup = ours(&limited).flags(&static_files);
    let server = setup.file("files/small", "x").file("files/left", "y").start();
    server.get("/files/left");
    server.get("/files/small");
    server.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    server.ask("GET /\u{1} HTTP/1.1\r\n\r\n");
    let found = objects(&server, "access.json", 3);
    let shown: Vec<_> =
        found.iter().map(|it| format!("{} {} {}", it["r"], it["s"], it["B"])).collect();
    assert_eq!(shown[0], r#""GET /files/small HTTP/1.1" "200" "1""#);
    assert!(shown[1].starts_with(r#""POST / HTTP/1.1" "413""#), "{shown:?}");
    assert!(shown[2].starts_with(r#""- - -" "400""#), "{shown:?}");
    assert_eq!(found[1]["{host}i"], "a");
    assert_eq!(found[2]["h"], "127.0.0.1");
    wait_for_line(&server, "error.json", "refused 127.0.0.1");
}

#[test]
fn records_have_their_facts_and_exceptions() {
    let server = ours(&["--log-config-json", "logs.json", "--threads", "2"]).start();
    let failed = server.get("/fails");
    let line = wait_for_line(&server, "error.json", "the application failed");
    let record: Map<String, Value> = serde_json::from_str(&line).unwrap();
    assert_eq!(record["exception"], "ValueError");
    assert_eq!(record["request_id"].as_str(), failed.header("x-request-id"));
    assert_eq!((&record["worker"], &record["generation"]), (&0.into(), &1.into()));
    assert_eq!(record["pid"], server.workers()[0]);
    server.get("/logs");
    wait_for_line(&server, "error.json", "from the application");
    wait_for_line(&server, "error.json", "written");
    assert!(!server.log().contains("the application failed"), "{}", server.log());
}

#[test]
fn a_logger_class_decides_what_is_logged() {
    let read = |setup: Setup| {
        let server = setup.start();
        for target in ["/healthz", "/first", "/second"] {
            server.get(target);
        }
        lines(&server, "access.log", 2)
    };
    let flags = ["--logger-class", "logs.Own", "--access-logfile", "access.log"];
    let format = ["--access-logformat", "%(t)s %(l)s %(U)s %(s)s"];
    let flags = [&flags[..], &format].concat();
    let own = files(Setup::of("application:application")).flags(&["--pythonpath", "."]);
    let found = read(own.flags(&flags));
    assert_eq!(found, ["[the time] /first /first 200", "[the time] /second /second 200"]);
    assert_eq!(found, read(gunicorn(&flags)));
}

#[test]
fn a_class_of_its_own_gets_everything() {
    let server = ours(&["--logger-class", "logs.Bare"]).start();
    server.get("/first");
    server.get("/fails");
    wait_for_line(&server, "bare.log", "access GET /first 200 OK 5");
    wait_for_line(&server, "bare.log", "the application failed");
    wait_for_line(&server, "bare.log", "access GET /fails 500");
    server.ask("GET /\u{1} HTTP/1.1\r\n\r\n");
    wait_for_line(&server, "bare.log", "other worker=0 gen=1: refused 127.0.0.1");
}

#[test]
fn an_ini_file_sets_levels_and_files() {
    // The level of the logger decides, also above that of the server.
    let server = ours(&["--log-config", "logs.ini", "--log-level", "error"]).spawn();
    server.ask("GET /\u{1} HTTP/1.1\r\n\r\n");
    wait_for_line(&server, "both.log", "gunicorn.error|INFO|worker=0 gen=1: refused");
    server.get("/logs");
    wait_for_line(&server, "both.log", "gunicorn.error|WARNING|from the application");
    let access = wait_for_line(&server, "both.log", "GET /logs");
    let expected = r#"gunicorn.access|INFO|127.0.0.1 - "GET /logs HTTP/1.1" 200 5 "-" - kept"#;
    assert_eq!(access, expected);
}

#[test]
fn a_rotation_opens_the_files_of_handlers_again() {
    let server = ours(&["--log-config-json", "logs.json"]).start();
    server.get("/first");
    lines(&server, "access.json", 1);
    for (signal, moved) in [(Signal::SIGUSR1, "first.json"), (Signal::SIGHUP, "second.json")] {
        let (from, to) = (server.directory.join("access.json"), server.directory.join(moved));
        std::fs::rename(from, to).unwrap();
        server.signal(signal);
        // An old worker may answer until it ends.
        server.wait_for_reopened(moved, "access.json");
        server.get("/again");
        wait_for_line(&server, "access.json", "/again");
        assert_eq!(server.directory.read(moved).lines().count(), 1);
    }
}

#[test]
fn a_reload_configures_the_new_workers() {
    let server = ours(&["--log-config-json", "logs.json"]).start();
    server.get("/first");
    lines(&server, "access.json", 1);
    let old = server.workers();
    server.directory.write("logs.json", &JSON.replace("access.json", "other.json"));
    server.signal(Signal::SIGHUP);
    server.wait_for_new_workers(&old, 1);
    until::holds("the new file", || server.directory.join("other.json").exists());
    until::holds("a request in it", || {
        server.get("/second");
        server.directory.read("other.json").contains("/second")
    });
}

#[test]
fn workers_of_a_mold_log_by_themselves() {
    let server = ours(&["--log-config-json", "logs.json", "--preload"]).workers(2).spawn();
    wait_for_line(&server, "error.json", "serving");
    ask_all(&server);
    let found = objects(&server, "access.json", requests().len());
    assert!(found.iter().any(|it| it["s"] == "404"), "{found:?}");
    server.get("/fails");
    let line = wait_for_line(&server, "error.json", "the application failed");
    let record: Map<String, Value> = serde_json::from_str(&line).unwrap();
    let pid = i32::try_from(record["pid"].as_i64().unwrap()).unwrap();
    assert!(process::is_alive(pid) && pid != server.pid(), "{record:?}");
    assert!(record["worker"].is_u64(), "{record:?}");
}

#[test]
fn the_mold_logs_the_records_of_the_master() {
    let file = "logconfig_json = 'logs.json'";
    for flags in [&["--log-config-json", "logs.json", "--preload"][..], &[]] {
        let setup = ours(flags);
        let setup = if flags.is_empty() { setup.file("gunicorn.conf.py", file) } else { setup };
        let server = setup.spawn();
        let line = wait_for_line(&server, "error.json", "master: serving");
        let record: Map<String, Value> = serde_json::from_str(&line).unwrap();
        assert_eq!((&record["level"], &record["worker"]), (&"INFO".into(), &Value::Null));
        assert_eq!(record["pid"].as_i64(), Some(server.pid().into()), "{flags:?}");
        server.signal(Signal::SIGHUP);
        wait_for_line(&server, "error.json", "reloaded: gen=2 serves");
        assert!(!server.log().contains("gen=2 serves"), "{}", server.log());
        // Without a mold the master has its own error log.
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait_for_exit(), 0);
        wait_for_line(&server, "error.json", "master: draining");
        assert!(server.log().contains("master: stopped"), "{}", server.log());
    }
}

#[test]
fn what_was_logged_last_is_not_lost() {
    let server = ours(&["--log-config-json", "logs.json"]).start();
    for signal in [Signal::SIGTERM] {
        for _ in 0..50 {
            server.ask("GET /\u{1} HTTP/1.1\r\n\r\n");
        }
        server.signal(signal);
    }
    assert_eq!(server.wait_for_exit(), 0);
    assert_eq!(server.directory.read("access.json").lines().count(), 50);
}

#[test]
fn a_configuration_that_cannot_be_used_is_an_error_of_the_start() {
    for (flags, expected) in [
        (["--log-config", "missing.ini"], "missing.ini"),
        (["--logger-class", "logs.Missing"], "has no attribute 'Missing'"),
        (["--log-config-json", "logs.py"], "Expecting value"),
    ] {
        let finished = ours(&flags).run();
        assert_ne!(finished.code, Some(0));
        assert!(finished.stderr.contains(expected), "{expected}: {}", finished.stderr);
    }
}
