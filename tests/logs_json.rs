//! The error log as JSON: an object in each line, whatever a client or the application writes.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::log_records::{FORGED, ask_all, is_unsafe, writing};
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// The fields that docs/logging.md has for the error log.
const FIELDS: [&str; 12] = [
    "timestamp",
    "level",
    "logger",
    "message",
    "pid",
    "worker",
    "generation",
    "request_id",
    "trace_id",
    "span_id",
    "traceback",
    "message_id",
];

/// A trace that requests belong to, and a span in it.
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN_ID: &str = "00f067aa0ba902b7";

/// The lines of the error log.
fn objects(log: &str) -> Vec<Value> {
    assert!(!log.contains(|letter| letter != '\n' && is_unsafe(letter)), "{log:?}");
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect()
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}

/// `2026-11-22T09:23:00.123456+00:00`.
fn assert_timestamp(object: &Value) {
    let digits = |c: char| if c.is_ascii_digit() { '9' } else { c };
    let shape: String = text(object, "timestamp").chars().map(digits).collect();
    let shape = shape.replace("-99:99", "+99:99").replace("9999+99:99T", "9999-99-99T");
    assert!(shape.ends_with("T99:99:99.999999+99:99"), "{object}");
}

fn start(setup: Setup, flags: &[&str]) -> Server {
    let server =
        setup.flags(&["--log-format", "json", "--error-logfile", "log"]).flags(flags).spawn();
    until::holds("a server", || server.directory.read("log").contains("\"message\":\"serving"));
    server
}

#[test]
fn every_line_is_an_object_with_documented_fields() {
    for flags in [&[][..], &["--preload"]] {
        let server = start(writing(), &[flags, &["--capture-output", "--threads=2"]].concat());
        ask_all(&server);
        let log = || server.directory.read("log");
        until::holds("the last text", || log().contains("UserWarning"));
        let objects = objects(&log());
        let workers = server.workers();
        for object in &objects {
            let names: BTreeSet<_> =
                object.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(names.iter().all(|name| FIELDS.contains(name)), "{object}");
            assert!(!object.as_object().unwrap().values().any(Value::is_null), "{object}");
            assert_timestamp(object);
            let pid = i32::try_from(object["pid"].as_i64().unwrap()).unwrap();
            let of_worker = object["worker"].is_u64();
            assert_eq!(
                pid == server.pid(),
                text(object, "logger") == "monoceros.master",
                "{object}"
            );
            assert!(
                !of_worker || (workers.contains(&pid) && object["generation"] == 1),
                "{object}"
            );
        }
        let found = |logger: &str, level: &str, message: &str| {
            let mut found = objects.iter().filter(|it| {
                (text(it, "logger"), text(it, "level")) == (logger, level)
                    && text(it, "message").contains(message)
            });
            found.next().unwrap_or_else(|| panic!("{logger} {level} {message}: {objects:#?}"))
        };
        let failed = found("monoceros.worker", "error", "GET /exception");
        let traceback = text(failed, "traceback");
        assert!(traceback.starts_with("Traceback (most recent call last)"), "{failed}");
        assert!(traceback.contains(&format!("x\n{FORGED}")), "the text itself: {failed}");
        assert!(text(found("gunicorn.error", "warning", "x\n"), "message").contains(FORGED));
        let failed = found("gunicorn.error", "error", "failed: x\n");
        assert!(text(failed, "traceback").contains("Failure"), "{failed}");
        assert!(text(failed, "message").contains(FORGED), "{failed}");
        for stream in ["wsgi.errors", "stdout", "stderr"] {
            found(stream, "info", FORGED);
        }
        found("monoceros.master", "info", "serving writing:application");
    }
}

#[test]
fn events_have_identifiers() {
    let server = start(Setup::of("faults"), &[]);
    let log = || server.directory.read("log");
    let ids = |name: &str| {
        let objects = objects(&log());
        let with = objects.iter().filter(|it| text(it, "message").contains(name));
        with.map(|it| text(it, "message_id").to_owned()).collect::<Vec<_>>()
    };
    server.signal(Signal::SIGHUP);
    until::holds("a reload", || log().contains("reloaded: gen=2 serves"));
    until::holds("the end of the old worker", || log().contains(" left: exit code 0"));
    let old = server.workers();
    process::signal(old[0], Signal::SIGKILL);
    until::holds("a crash", || log().contains(" died: SIGKILL"));
    server.wait_for_replacement(&old);
    let known = include_str!("../docs/logging.md");
    for name in ["reloaded: gen=2", "died: SIGKILL"] {
        let found = ids(name);
        assert_eq!(found.len(), 1, "{}", log());
        assert!(found[0].len() == 32 && known.contains(&found[0]), "{name}: {found:?}");
    }
    assert_eq!(ids("master: serving").concat(), "");
}

#[test]
fn a_reload_changes_the_form_of_the_log() {
    let setup = Setup::of("faults").file("monoceros.yaml", "log-format: text\n");
    let server = setup.flags(&["--config", "monoceros.yaml", "--error-logfile", "log"]).spawn();
    let log = || server.directory.read("log");
    until::holds("a server", || log().contains("master: serving"));
    std::fs::write(server.directory.join("monoceros.yaml"), "log-format: json\n").unwrap();
    server.signal(Signal::SIGHUP);
    until::holds("a reload", || log().contains("gen=2 serves"));
    // The old worker may answer until it reads that it has to end.
    until::holds("a line of the new worker", || {
        assert_eq!(server.get("/before").status, 500);
        log().lines().flat_map(serde_json::from_str::<Value>).any(|it| it["worker"] == 0)
    });
    // The master goes on in the new form when the old generation is gone.
    server.signal(Signal::SIGUSR1);
    let reopened = "\"message\":\"log files opened again\"";
    until::holds("a line of the master", || log().contains(reopened));
}

#[test]
fn a_line_about_a_request_has_its_identifiers_as_fields() {
    let rules = ["--access", "deny=all;path=/admin", "--limit-request-body", "1"];
    let server = start(writing(), &rules);
    for (line, fields, status) in [
        ("GET /admin", "X-Request-ID: no-way\r\n", 403),
        ("POST /", "X-Request-ID: too-long\r\nContent-Length: 2\r\n", 413),
    ] {
        let trace = format!("traceparent: 00-{TRACE_ID}-{SPAN_ID}-01\r\n");
        let request = format!("{line} HTTP/1.1\r\nHost: a\r\n{trace}{fields}\r\n");
        assert_eq!(server.ask(request).status, status);
    }
    let log = || server.directory.read("log");
    until::holds("both lines", || log().contains("(request too-long)"));
    let objects = objects(&log());
    for id in ["no-way", "too-long"] {
        let end = format!("(request {id})");
        let line = objects.iter().find(|it| text(it, "message").ends_with(&end)).unwrap();
        let found = ["request_id", "trace_id", "span_id"].map(|name| text(line, name));
        assert_eq!(found, [id, TRACE_ID, SPAN_ID]);
    }
}

/// Writes to the log in each way that an application has, and from a process of its own.
const WRITING_IN_A_REQUEST: &str = "
import logging, os

def application(environ, start_response):
    print('by wsgi.errors', file=environ['wsgi.errors'], flush=True)
    logging.getLogger('gunicorn.error').warning('by a logger')
    child = os.fork()
    if child == 0:
        print('by a child', file=environ['wsgi.errors'], flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn what_an_application_writes_in_a_request_has_its_identifiers() {
    for flags in [&["--threads=1"][..], &["--threads=3"], &["--preload"]] {
        let setup = Setup::of("own:application").file("own.py", WRITING_IN_A_REQUEST);
        let server = start(setup.flag("--pythonpath=."), flags);
        let trace = format!("traceparent: 00-{TRACE_ID}-{SPAN_ID}-01\r\n");
        let fields = format!("X-Request-ID: its-own\r\n{trace}");
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(server.ask(request).status, 200);
        let objects = objects(&server.directory.read("log"));
        let all = ["its-own", TRACE_ID, SPAN_ID];
        for (message, ids) in
            [("by wsgi.errors", all), ("by a logger", all), ("by a child", ["", "", ""])]
        {
            let line = objects.iter().find(|it| text(it, "message").contains(message)).unwrap();
            let found = ["request_id", "trace_id", "span_id"].map(|name| text(line, name));
            assert_eq!(found, ids, "{flags:?}: {message}");
        }
    }
}
