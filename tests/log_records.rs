//! The records of the error log: no text of a client or of the application can end one, or look
//! like one.

use crate::support::client::request;
use crate::support::server::Server;
use crate::support::setup::Setup;

/// What a client would send to forge a line, and to control a terminal.
pub(crate) const FORGED: &str = "[2026-01-01 00:00:00 +0000] [1] [ERROR] master: forged";
/// Ends of lines as some reader or other has them, and what controls a terminal.
const ENDS: &str =
    "\\n \\r \\r\\n \\v \\f \\x1c \\x85 \\u2028 \\u2029 \\x1b[2J \\x00 \\x9b \\u202e";

/// An application that writes a text in every way that leads to the error log.
const WRITING: &str = r#"
import logging, os, sys, warnings

FORGED = "@FORGED"
text = "".join("x" + end + FORGED for end in "@ENDS".split(" "))

class Failure(Exception):
    pass

def application(environ, start_response):
    way = environ["PATH_INFO"]
    if way == "/exception":
        raise Failure(text)
    if way == "/cause":
        try:
            raise Failure(text)
        except Failure as cause:
            raise Failure("second") from cause
    if way == "/errors":
        environ["wsgi.errors"].write(text + "\n")
    if way == "/bytes":
        environ["wsgi.errors"].buffer.write(b"\xff\xfe\n" + FORGED.encode() + b"\xc3\n")
    if way == "/logger":
        logging.getLogger("gunicorn.error").warning("%s", text)
    if way == "/logger-exception":
        try:
            raise Failure(text)
        except Failure:
            logging.getLogger("gunicorn.error").exception("failed: " + text)
    if way == "/name":
        logging.getLogger("gunicorn.error").getChild("x\n" + FORGED).warning("by name")
    if way == "/print":
        print(text)
    if way == "/stderr":
        print(text, file=sys.stderr)
    if way == "/warning":
        warnings.warn(text)
    if way == "/died":
        os._exit(3)
    start_response("200 OK", [("Content-Length", "0")])
    return []
"#;

pub(crate) fn writing() -> Setup {
    let text = WRITING.replace("@FORGED", FORGED).replace("@ENDS", ENDS);
    Setup::of("writing:application").file("writing.py", &text).flag("--pythonpath=.")
}

/// The ways that have a text in the error log. The last three write to Python's streams.
const WAYS: [&str; 10] = [
    "/exception",
    "/cause",
    "/errors",
    "/bytes",
    "/logger",
    "/logger-exception",
    "/name",
    "/print",
    "/stderr",
    "/warning",
];

pub(crate) fn ask_all(server: &Server) {
    for text in ["[ERROR]", "Traceback", "Failure"] {
        server.allow(text);
    }
    for way in WAYS {
        let status = server.get(way).status;
        assert!([200, 500].contains(&status), "{way}: {status}");
    }
}

/// Every character that ends a line for some reader, or controls a terminal.
pub(crate) fn is_unsafe(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn no_text_of_the_application_looks_like_a_line_of_the_error_log() {
    for flags in [&[][..], &["--preload"], &["--threads", "2"]] {
        let flags = [flags, &["--capture-output", "--error-logfile", "error.log"]].concat();
        let server = writing().flags(&flags).spawn();
        let read = || server.directory.read("error.log");
        crate::support::until::holds("a server", || read().contains("master: serving"));
        ask_all(&server);
        crate::support::until::holds("the last text", || read().contains("UserWarning"));
        let log = std::fs::read(server.directory.join("error.log")).unwrap();
        let log = String::from_utf8(log).expect("valid UTF-8");
        assert!(log.matches("forged").count() > 100, "{log}");
        for line in log.lines() {
            assert!(!line.contains(is_unsafe), "{line:?}");
            let is_first = line.starts_with('[');
            assert!(is_first || line.starts_with("  "), "{line:?}");
            // The process of a line is one of this server, and not the forged one.
            assert!(!line.starts_with(FORGED), "{line:?}");
        }
    }
}

#[test]
fn the_paths_of_clients_are_escaped_in_the_masters_lines() {
    let server = writing().start();
    server.allow("died");
    server.allow("[ERROR]");
    let mut connection = server.connect();
    connection.send(request("GET", "/died?%0a%e2%80%a8", &[("X", "\u{85}")], ""));
    connection.try_response("GET").unwrap_err();
    server.wait_for_log("it was running GET /died");
    let log = server.log();
    assert!(log.lines().all(|line| line.starts_with('[') && !line.contains(is_unsafe)), "{log}");
}

/// Writes lines in parts, and one without text.
const PARTS: &str = r#"
import sys

def application(environ, start_response):
    errors = environ["wsgi.errors"]
    for part in ["work", " begins", "\n", "\n", "ends\n"]:
        errors.write(part)
        errors.flush()
    print("first\nsecond")
    sys.stderr.write("third\nfou")
    sys.stderr.write("rth\n")
    start_response("200 OK", [("Content-Length", "0")])
    return []
"#;

#[test]
fn the_end_of_a_line_that_is_written_already_is_no_record() {
    let flags = ["--capture-output", "--log-format", "json", "--error-logfile", "error.log"];
    let setup = Setup::of("parts:application").file("parts.py", PARTS).flag("--pythonpath=.");
    let server = setup.flags(&flags).spawn();
    let read = || server.directory.read("error.log");
    crate::support::until::holds("a server", || read().contains("serving parts"));
    assert_eq!(server.get("/").status, 200);
    crate::support::until::holds("the last text", || read().contains("fourth"));
    let log = read();
    let records = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let of_application =
        |record: &serde_json::Value| !record["logger"].as_str().unwrap().contains("monoceros");
    let messages: Vec<_> = records
        .filter(of_application)
        .map(|record| record["message"].as_str().unwrap().to_owned())
        .collect();
    let expected = ["work", " begins", "", "ends", "first", "second", "third", "fourth"];
    assert_eq!(messages, expected);
}
