//! The access log: gunicorn's atoms, compared with the real gunicorn; what it leaves out; JSON.

use serde_json::Value;

use crate::support::client::request;
use crate::support::server::Server;
use crate::support::setup::{Setup, python};
use crate::support::until;

/// An application whose response depends on the path.
const APPLICATION: &str = "
def application(environ, start_response):
    path = environ['PATH_INFO']
    status = '404 Not Found' if path.startswith('/missing') else '200 OK'
    body = b'' if path.startswith('/empty') else b'hello'
    environ['shop.user'] = 'ada \"l\"'
    environ['Shop.Count'] = 42
    start_response(status, [('Content-Type', 'text/plain'), ('Content-Length', str(len(body))),
                            ('X-Twice', 'one'), ('X-Twice', '  two ')])
    return [body]
";

/// Every atom whose value does not depend on the time or the process.
const ATOMS: &str = "%(h)s|%(l)s|%(u)s|%(r)s|%(m)s|%(U)s|%(q)s|%(H)s|%(s)s|%(B)s|%(b)s|%(f)s|%(a)s\
    |%({X-Own}i)s|%({x-none}i)s|%({User-Agent}I)s|%({Content-Type}o)s|%({x-twice}o)s|%({x-no}o)s\
    |%({path_info}e)s|%({Query_String}E)s|%({SHOP.user}e)s|%({shop.count}e)s|%({wsgi.version}e)s\
    |%({none}e)s|%({script_name}e)s|%({http_x_own}e)s|%({RAW_URI}e)s|%({remote_addr}e)s|100%%\
    |%(h)-12s|%(s)6s|%(B)05d|%(a).3s|%(b)7s|%(asctime)s|%()-4s";

/// The atoms that depend on them.
const TIMES: &str = "%(t)s|%(T)s|%(M)d|%(D)s|%(L)s|%(p)s";

fn log(server: &Server) -> String {
    server.directory.read("access.log")
}

fn ours(format: &str) -> Setup {
    let flags = ["--access-logfile", "access.log", "--access-logformat", format];
    let setup = Setup::of("compared:application").file("compared.py", APPLICATION);
    setup.flags(&["--pythonpath", "."]).flags(&flags)
}

/// gunicorn itself, as a program of our server.
fn gunicorn(format: &str) -> Setup {
    let python = python();
    let words = [
        &[python.to_str().unwrap(), "-m", "gunicorn", "--no-control-socket", "--log-level"][..],
        &["warning", "--access-logfile", "access.log", "--access-logformat", format],
        &["compared:application"],
    ];
    Setup::program(&words.concat()).file("compared.py", APPLICATION)
}

/// Requests whose parts are printable ASCII.
fn requests() -> Vec<String> {
    let with = |target, headers: &[(&str, &str)]| request("GET", target, headers, "");
    vec![
        with("/", &[]),
        with("/a%20b/%22c%22?q=%22&r", &[("Referer", "http://here/"), ("User-Agent", "a \"b\" c")]),
        with("/empty", &[]),
        with("/missing?", &[("User-Agent", "")]),
        with("/", &[("X-Own", "one"), ("x-own", "two"), ("User-Agent", "a"), ("user-agent", "b")]),
        with("/", &[("Referer", "c"), ("Referer", "d"), ("X-Own", "")]),
        with("/", &[("User-Agent", r"a\b \\c\d"), ("X-Own", r"\x41")]),
        with("/shop/cart", &[("SCRIPT_NAME", "/shop")]),
        with("/", &[("Authorization", "Basic YWRhOnNlY3JldA==")]),
        with("/", &[("Authorization", "basic YWRh")]),
        with("/", &[("Authorization", "Basic OnNlY3JldA==")]),
        with("/", &[("Authorization", "Bearer YWRhOnNlY3JldA==")]),
        with("/", &[("Authorization", "Basic !")]),
        with("http://shop.example:8000/x?y", &[]),
        request("POST", "/", &[("Content-Type", "text/plain")], "a body"),
        "HEAD /head HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
        "GET /old HTTP/1.0\r\n\r\n".to_owned(),
    ]
}

fn logged(setup: Setup, requests: &[String]) -> Vec<String> {
    let server = setup.start();
    for (index, request) in requests.iter().enumerate() {
        let mut connection = server.connect();
        connection.send(request);
        server.access_lines(index + 1);
    }
    server.access_lines(requests.len())
}

#[test]
fn every_atom_equals_gunicorns() {
    let requests = requests();
    let (ours, theirs) = (logged(ours(ATOMS), &requests), logged(gunicorn(ATOMS), &requests));
    for (request, (our, their)) in requests.iter().zip(ours.iter().zip(&theirs)) {
        assert_eq!(our, their, "{request}");
    }
    let default = r#"%(h)s %(l)s %(u)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s""#;
    let requests = &requests[..3];
    assert_eq!(logged(self::ours(default), requests), logged(gunicorn(default), requests));
}

#[test]
fn times_have_the_form_of_gunicorns() {
    let form = |setup| {
        let line = logged(setup, &requests()[..1]).remove(0);
        let mut form = String::new();
        for letter in line.chars() {
            let letter = if letter.is_ascii_digit() { '9' } else { letter };
            if letter != '9' || !form.ends_with('9') {
                form.push(letter);
            }
        }
        // The month may change between the two.
        form.split_once('/').map(|(_, rest)| rest.to_owned()).unwrap().split_off(3)
    };
    assert_eq!(form(ours(TIMES)), form(gunicorn(TIMES)));
    let decimals = logged(ours("%(L)s"), &requests()[..1]).remove(0);
    assert_eq!(decimals.split_once('.').map(|(_, decimals)| decimals.len()), Some(6), "{decimals}");
}

#[test]
fn other_bytes_are_escaped_once() {
    let server = ours("%(U)s|%({path_info}e)s|%({x-own}i)s|%({http_x_own}e)s").start();
    server.ask(b"GET /caf%C3%A9%0a%1b HTTP/1.1\r\nHost: a\r\nX-Own: \xe9\t\x85\r\n\r\n");
    let path = r"/caf\xc3\xa9\x0a\x1b";
    assert_eq!(server.access_lines(1)[0], format!(r"{path}|{path}|\xe9\x09\x85|\xe9\x09\x85"));
}

#[test]
fn a_client_can_neither_close_a_quote_nor_keep_it_open() {
    let server = ours(r#""%(a)s" "%({x-own}i)s""#).start();
    let headers = [("User-Agent", r#"a\" 200 "b"#), ("X-Own", r"c\")];
    server.ask(request("GET", "/", &headers, ""));
    assert_eq!(server.access_lines(1)[0], r#""a\\\" 200 \"b" "c\\""#);
}

#[test]
fn requests_that_the_settings_exclude_have_no_line() {
    let flags = ["--access-log-exclude", "/healthz", "--access-log-exclude", "404"];
    let static_files = ["--static", "/files/=files", "--access-log-exclude", "/files/big"];
    let setup = ours("%(r)s %(s)s").flags(&flags).flags(&static_files);
    let server = setup.file("files/small", "x").file("files/big", &"x".repeat(1 << 20)).start();
    for target in ["/healthz", "/healthz/live?x", "/missing", "/files/none", "/files/big"] {
        server.get(target);
    }
    for target in ["/healthzone", "/healthz/../admin", "/files/small"] {
        server.get(target);
    }
    let mut lines = server.access_lines(3);
    lines.sort();
    let expected = [
        "GET /files/small HTTP/1.1 200",
        "GET /healthz/../admin HTTP/1.1 200",
        "GET /healthzone HTTP/1.1 200",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_sample_leaves_requests_out() {
    let server = ours("%(r)s").flags(&["--access-log-sample", "0"]).start();
    for _ in 0..20 {
        server.get("/");
    }
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert_eq!(log(&server), "");

    let server = ours("%(r)s").flags(&["--access-log-sample", "0.5"]).start();
    let mut connection = server.connect();
    let mut count = 0;
    // That none or all of the first 64 have a line happens once in 2^63 runs.
    until::holds("some requests with a line, and some without", || {
        connection.get("/");
        count += 1;
        let logged = log(&server).lines().count();
        0 < logged && logged < count && count >= 64
    });
}

const NASTY: &str = "a\"},{\"status\":200}\\";

#[test]
fn a_line_in_json_is_one_object_that_no_client_can_break() {
    let setup = ours("%(h)s has no effect").flags(&["--log-format", "json"]);
    let server = setup.spawn();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut head = format!(
        "POST /a%0ab?c=\"d HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: {NASTY}\r\n\
         Referer: r1\r\nReferer: r2\r\ntraceparent: {trace}\r\nX-Request-ID: own-1\r\n\
         Authorization: Basic YWRhOnNlY3JldA==\r\nContent-Length: 4\r\n"
    )
    .into_bytes();
    head.extend_from_slice(b"X-Forwarded-Proto: https\r\nConnection: close\r\n\r\nbody");
    server.ask(&head);
    // A line comes after its response: the next request could be first.
    server.access_lines(1);
    let raw = b"GET /b HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\t\xc3\xa9\xe2\x80\xa8\r\n\r\n";
    let made = server.ask(raw).header("x-request-id").map(str::to_owned);
    server.access_lines(2);
    server.ask("GET /\u{1} HTTP/1.1\r\n\r\n");
    let log = server.access_lines(3);
    let read: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [first, second, third] = &read[..] else { panic!("{log:?}") };
    for (name, value) in [
        ("logger", "monoceros.access"),
        ("client", "127.0.0.1"),
        ("method", "POST"),
        ("target", "/a%0ab?c=\"d"),
        ("protocol", "HTTP/1.1"),
        ("host", "shop.example"),
        ("scheme", "https"),
        ("referer", "r1,r2"),
        ("user_agent", NASTY),
        ("request_id", "own-1"),
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("span_id", "00f067aa0ba902b7"),
        ("user", "ada"),
    ] {
        assert_eq!(first[name], value, "{name}: {first}");
    }
    let worker = server.workers()[0];
    for (name, value) in [("status", 200), ("bytes", 5), ("worker", 0), ("generation", 1)] {
        assert_eq!(first[name], value, "{name}: {first}");
    }
    assert_eq!(first["pid"], worker);
    let timestamp = first["timestamp"].as_str().unwrap();
    assert_eq!(timestamp.len(), "2026-11-22T09:23:00.123456+01:00".len(), "{timestamp}");
    for name in ["duration", "queue"] {
        assert!(first[name].is_f64(), "{name}: {first}");
    }

    assert_eq!(second["user_agent"], "\u{fffd}\t\u{e9}\u{2028}");
    assert!(!log[1].contains('\u{2028}') && log[1].is_ascii() | log[1].contains('\u{e9}'));
    assert_eq!(second["request_id"].as_str(), made.as_deref());
    // A request that cannot be read has what the server knows.
    assert_eq!((&third["status"], &third["client"]), (&400.into(), &"127.0.0.1".into()));
    for name in ["method", "target", "queue", "referer", "trace_id", "user", "tls"] {
        assert!(third.get(name).is_none(), "{name}: {third}");
    }
    assert!(log.iter().all(|line| !line.contains("null")), "{log:?}");
}
