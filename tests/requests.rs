//! The input of a WSGI application: the environ, the body, the error log.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::certificate::Authority;
use crate::support::client::{Connection, get, request};
use crate::support::process;
use crate::support::setup::Setup;
use crate::support::tls::TlsClient;
use crate::support::until;

#[test]
fn the_environ_has_every_key_of_pep_3333() {
    let server = Setup::of("environ").start();
    let port = server.address().port().to_string();
    let headers = [("Content-Type", "text/x"), ("Cookie", "a=1"), ("X-Own", "yes")];
    let environ = server.ask(request("POST", "/a%20b/%E2%82%AC?q=%20&r", &headers, "hello")).json();
    let expected = json!({
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/\u{e2}\u{82}\u{ac}",
        "RAW_URI": "/a%20b/%E2%82%AC?q=%20&r",
        "QUERY_STRING": "q=%20&r",
        "CONTENT_TYPE": "text/x",
        "CONTENT_LENGTH": "5",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "HTTP_COOKIE": "a=1",
        "HTTP_X_OWN": "yes",
        "wsgi.version": [1, 0],
        "wsgi.url_scheme": "http",
        "wsgi.multithread": false,
        "wsgi.multiprocess": false,
        "wsgi.run_once": false,
        "wsgi.input_terminated": true,
        "input is readable": true,
        "errors is writable": true,
        "environ is a dict": true,
        "on main thread": true,
        "body": "hello",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&environ[key], value, "{key}");
    }
    let software = environ["SERVER_SOFTWARE"].as_str().unwrap();
    assert!(software.starts_with("monoceros"), "{software}");
    environ["REMOTE_PORT"].as_str().unwrap().parse::<u16>().unwrap();
    assert!(environ["wsgi.file_wrapper"].is_string());
    assert_eq!(environ.get("HTTP_CONTENT_LENGTH"), None);
    assert_eq!(environ.get("HTTP_CONTENT_TYPE"), None);
}

#[test]
fn the_environ_of_a_get_has_no_content() {
    let server = Setup::of("environ").start();
    let environ = server.get("/").json();
    assert_eq!(environ["QUERY_STRING"], "");
    assert!(matches!(environ.get("CONTENT_LENGTH"), None | Some(Value::String(_))));
    assert_eq!(environ.get("CONTENT_LENGTH").map_or("", |value| value.as_str().unwrap()), "");
    assert_eq!(environ["body"], "");
}

/// The worker keeps values that most requests have. Each variable is that of the request
/// nevertheless, whichever kind of client came first.
#[test]
fn no_variable_is_that_of_another_request() {
    let authority = Authority::new("root");
    let binds = [
        "--bind",
        "http://127.0.0.2:0",
        "--bind",
        "https://127.0.0.1:0",
        "--bind",
        "unix:socket?scheme=http",
    ];
    let setup = Setup::bare().apps().flag("environ").flags(&binds);
    let server = setup.certificate(&authority.server(&["localhost"]).issue()).start();
    let (plain, tls) = (server.address_of("http"), server.address_of("https"));
    let unix = server.directory.join("socket");
    let path = unix.to_str().unwrap();
    let client = TlsClient::new(&authority);
    let (http, https) = (plain.port().to_string(), tls.port().to_string());
    let longest = "a".repeat(200);
    let ask = |mut connection: Connection, expected: [&str; 6], host: Option<&str>| {
        let [method, protocol, ..] = expected;
        let field = host.map_or(String::new(), |host| format!("Host: {host}\r\n"));
        connection.send(format!("{method} / {protocol}\r\n{field}\r\n"));
        let environ = connection.response().json();
        let names =
            ["REQUEST_METHOD", "SERVER_PROTOCOL", "REMOTE_ADDR", "SERVER_NAME", "SERVER_PORT"];
        for (name, value) in names.into_iter().zip(expected) {
            assert_eq!(environ[name], value, "{name} of {expected:?}");
        }
        assert_eq!(environ["wsgi.url_scheme"], expected[5], "{expected:?}");
        assert_eq!(environ.get("HTTP_HOST"), host.map(Value::from).as_ref(), "{expected:?}");
    };
    let (new, old, own) = ("HTTP/1.1", "HTTP/1.0", "127.0.0.1");
    let near = "127.0.0.2";
    let over_tcp = || Connection::tcp(plain).unwrap();
    let over_unix = || Connection::unix(&unix).unwrap();
    let over_tls = || client.connect(tls).unwrap();
    let from_other = || Connection::from([127, 0, 0, 3].into(), plain).unwrap();
    for _ in 0..2 {
        ask(over_tcp(), ["GET", old, own, near, &http, "http"], None);
        ask(over_tls(), ["GET", new, own, own, &https, "https"], Some("b.example"));
        ask(over_unix(), ["POST", old, "", path, "80", "http"], None);
        ask(over_unix(), ["GET", new, "", "a.example", "8080", "http"], Some("a.example:8080"));
        ask(from_other(), ["PUT", new, "127.0.0.3", near, &http, "http"], Some(&longest));
        ask(over_tls(), ["DELETE", old, own, own, &https, "https"], None);
        ask(over_tcp(), ["GET", new, own, near, &http, "http"], Some("a.example"));
    }
}

#[test]
fn repeated_headers_are_joined() {
    let server = Setup::of("environ").start();
    let headers = [("X-A", "1"), ("Cookie", "a=1"), ("x-a", " 2 "), ("Cookie", "b=2"), ("X-E", "")];
    let environ = server.ask(request("GET", "/", &headers, "")).json();
    assert_eq!(environ["HTTP_X_A"], "1,2");
    assert_eq!(environ["HTTP_COOKIE"], "a=1; b=2");
    assert_eq!(environ["HTTP_X_E"], "");
}

#[test]
fn fields_that_come_thousands_of_times_are_joined() {
    let flags = ["--limit-request-fields", "10000"];
    let server = Setup::of("environ").flags(&flags).start();
    let many: String =
        (0..3000).map(|number| format!("X-A: {number}\r\nX-{number}: a\r\n")).collect();
    let again: String = (0..3000).map(|number| format!("x-{number}: b\r\n")).collect();
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{many}{again}X_A: no\r\nX_A: no\r\n\r\n");
    let environ = server.ask(request).json();
    let numbers: Vec<_> = (0..3000).map(|number| number.to_string()).collect();
    assert_eq!(environ["HTTP_X_A"], numbers.join(","));
    numbers.iter().for_each(|number| assert_eq!(environ[format!("HTTP_X_{number}")], "a,b"));
}

#[test]
fn a_prefix_is_compared_with_the_decoded_path() {
    let prefix = OsStr::from_bytes(b"caf\xc3\xa9 1%/\xff/");
    let server = Setup::of("environ").variable("SCRIPT_NAME", prefix).start();
    for (target, rest) in [
        ("/caf%C3%A9%201%/%ff/a%20b", "/a b"),
        ("/%63af%c3%a9%201%25/%FF", ""),
        ("http://a/caf%c3%a9%201%/%ff/?b", "/"),
    ] {
        let environ = server.get(target).json();
        assert_eq!(environ["SCRIPT_NAME"], "/caf\u{c3}\u{a9} 1%/\u{ff}", "{target}");
        assert_eq!(environ["PATH_INFO"], rest, "{target}");
    }
    for target in ["/", "/caf%C3%A9%201%/%ffa", "/caf%E9%201%/%ff/", "/caf%C3%A9+1%/%ff/"] {
        assert_eq!(server.get(target).status, 404, "{target}");
    }
}

#[test]
fn values_are_latin_1() {
    let server = Setup::of("environ").start();
    let mut bytes = b"GET /%ff HTTP/1.1\r\nHost: localhost\r\nX-Name: caf\xe9 ".to_vec();
    bytes.extend("\u{20ac}\r\n\r\n".bytes());
    let environ = server.ask(bytes).json();
    assert_eq!(environ["HTTP_X_NAME"], "caf\u{e9} \u{e2}\u{82}\u{ac}");
    assert_eq!(environ["PATH_INFO"], "/\u{ff}");
}

#[test]
fn invalid_percent_escapes_stay_as_they_are() {
    let server = Setup::of("environ").start();
    for (raw, path) in
        [("/%", "/%"), ("/%4", "/%4"), ("/%zz%41", "/%zzA"), ("//a/../b;c", "//a/../b;c")]
    {
        let environ = server.get(raw).json();
        assert_eq!((&environ["PATH_INFO"], &environ["RAW_URI"]), (&json!(path), &json!(raw)));
    }
}

#[test]
fn headers_that_can_be_mistaken_for_others_are_dropped() {
    let server = Setup::of("environ").start();
    let headers = [("X_Forwarded_For", "1"), ("X-Forwarded-For", "2"), ("Proxy", "evil")];
    let environ = server.ask(request("GET", "/", &headers, "")).json();
    assert_eq!(environ["HTTP_X_FORWARDED_FOR"], "2");
    assert_eq!(environ.get("HTTP_PROXY"), None);
}

#[test]
fn the_flags_for_threads_and_processes_are_true_to_fact() {
    for (workers, threads) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        let server = Setup::of("environ").workers(workers).threads(threads).start();
        let environ = server.get("/").json();
        assert_eq!(environ["wsgi.multiprocess"], workers > 1);
        assert_eq!(environ["wsgi.multithread"], threads > 1);
        assert_eq!(environ["on main thread"], threads == 1);
    }
}

/// Reads the body by `calls` from `wsgi.input` and from `io.BytesIO`.
fn assert_reads_alike(connection: &mut Connection, body: &str, calls: &str) {
    let mut ask = |path: &str| {
        connection.send(request("POST", &format!("{path}?{calls}"), &[], body));
        connection.response().json()
    };
    assert_eq!(ask("/input"), ask("/bytesio"), "{calls} of {} bytes", body.len());
}

#[test]
fn the_body_reads_as_bytesio_does() {
    let server = Setup::of("environ:reading").start();
    let mut connection = server.connect();
    let long = format!("{}\n", "line of text ".repeat(20)).repeat(400);
    let bodies = ["", "\n", "no line end", "one\ntwo\n", "one\r\n\r\nthree\n\nlast", long.as_str()];
    let calls = [
        "read:",
        "read:None",
        "read:-1",
        "read:0;read:",
        "read:2;read:3;read:",
        "read:1000000;read:1",
        "readline:",
        "readline:None",
        "readline:-1;readline:",
        "readline:0;readline:",
        "readline:2;readline:2;readline:2;readline:",
        "readline:5;read:3;readline:;read:",
        "readlines:",
        "readlines:None",
        "readlines:0",
        "readlines:1;readlines:",
        "readlines:4;readlines:5",
        "readlines:-1;read:",
        "iterate:",
        "read:4;iterate:",
        "next:;next:;readline:;next:;readlines:;next:",
        "readline:;iterate:;read:;readline:;readlines:",
        "seek:3;read:2;tell:;seek:0;readline:;seek:-1;tell:",
        "seek:-2:2;read:;seek:-9000000:1;tell:;seek:1:1;read:3;seek:9000000;readline:;read:",
        "seek:0:3;seek:5:2;read:1;tell:;seek:0;iterate:",
        "close:;read:;readline:;tell:;seek:0;next:",
    ];
    for body in bodies {
        for call in calls {
            assert_reads_alike(&mut connection, body, call);
        }
    }
}

/// The first mebibyte of a body is in memory while it is read.
#[test]
fn a_body_beyond_a_mebibyte_reads_as_bytesio_does() {
    let server = Setup::of("environ:reading").start();
    let mut connection = server.connect();
    let lines = format!("{}\n", "line of text ".repeat(9)).repeat(10_000);
    let endless = "x".repeat(1_200_000);
    let calls = [
        "seek:1048570;read:3;read:9;read:5",
        "seek:1048560;readline:;readline:4;readline:;tell:;seek:1048577;readline:",
        "seek:1040000;readlines:200000;tell:;read:7",
        "seek:1048576;readline:;seek:1100000;iterate:;tell:",
        "seek:1000000;readline:;seek:-3:2;readlines:",
    ];
    for body in [&lines, &endless] {
        for call in calls {
            assert_reads_alike(&mut connection, body, call);
        }
    }
}

#[test]
fn bodies_of_every_size_arrive_whole() {
    let server = Setup::of("environ:echo").start();
    let mut connection = server.connect();
    let pattern: String = ('a'..='z').cycle().take(3_000_001).collect();
    for size in [0, 1, 8191, 8192, 65535, 65536, 65537, 131_072, 1_000_000, 3_000_001] {
        connection.send(request("POST", "/", &[], &pattern[..size]));
        assert!(connection.response().body == pattern.as_bytes()[..size], "{size} bytes");
    }
}

#[test]
fn a_chunked_body_is_whole_however_it_is_cut() {
    let server = Setup::of("environ:echo").start();
    let mut connection = server.connect();
    let pattern: String = ('a'..='z').cycle().take(200_000).collect();
    for size in [100, 4096, 65535, 65536, 65537, 200_000] {
        connection.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        for piece in pattern.as_bytes().chunks(size) {
            connection.send(format!("{:x}\r\n", piece.len()));
            connection.send(piece);
            connection.send("\r\n");
        }
        connection.send("0\r\n\r\n");
        assert!(connection.response().body == pattern.as_bytes(), "chunks of {size}");
    }
}

#[test]
fn a_large_body_lies_in_a_file_without_a_name() {
    let server = Setup::of("environ:echo").start();
    let worker = server.workers()[0];
    let spooled = || {
        let held = process::descriptors(worker).unwrap().into_iter();
        held.filter(|target| target.ends_with("(deleted)") && !target.contains("memfd")).count()
    };
    let mut connection = server.connect();
    for _ in 0..20 {
        connection.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n");
        connection.send(vec![b'x'; 200_000]);
        until::holds("a spooled body", || spooled() > 0);
        connection.send(vec![b'x'; 100_000]);
        assert_eq!(connection.response().body.len(), 300_000);
    }
    assert!(spooled() < 5, "files of bodies that are done do not pile up: {}", spooled());
}

#[test]
fn no_byte_of_a_body_is_in_a_later_request() {
    let server = Setup::of("environ:echo").start();
    let mut connection = server.connect();
    for (letter, size) in
        [("a", 2_500_000), ("b", 100_000), ("c", 1_200_000), ("d", 65_537), ("e", 10)]
    {
        let body = letter.repeat(size);
        connection.send(request("POST", "/", &[], &body));
        assert!(connection.response().body == body.as_bytes(), "{letter}");
        connection.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        connection.send(format!("{size:x}\r\n{body}\r\n0\r\n\r\n"));
        assert!(connection.response().body == body.as_bytes(), "{letter} in chunks");
    }
}

#[test]
fn the_application_is_not_bothered_before_the_body_is_there() {
    let server = Setup::of("environ:echo").start();
    let mut slow = server.connect();
    slow.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhel");
    for _ in 0..10 {
        assert_eq!(server.get("/").status, 200, "the only thread is free");
    }
    slow.send("lo");
    assert_eq!(slow.response().text(), "hello");
}

#[test]
fn a_request_that_comes_in_time_is_answered_by_a_worker_that_stands_still_meanwhile() {
    let server = Setup::of("stream:who").flags(&["--keep-alive", "2"]).start();
    let worker = server.workers()[0];
    let mut kept = server.connect();
    until::holds("a worker that stands still with an open connection", || {
        kept = server.connect();
        assert_eq!(kept.get("/").status, 200);
        process::signal(worker, Signal::SIGSTOP);
        // It is not if this test has stood still for two seconds.
        let is_open = kept.is_open();
        if !is_open {
            process::signal(worker, Signal::SIGCONT);
        }
        is_open
    });
    kept.send(get("/"));
    until::passes(Duration::from_secs(3));
    process::signal(worker, Signal::SIGCONT);
    assert_eq!(kept.response().text(), worker.to_string());
}

#[test]
fn a_body_that_was_not_read_is_not_the_next_request() {
    let server = Setup::of("stream:who").start();
    let mut connection = server.connect();
    let smuggled = get("/smuggled");
    for body in [smuggled.clone(), smuggled.repeat(4000)] {
        connection.send(request("POST", "/", &[], &body) + &get("/"));
        assert_eq!(connection.response().status, 200);
        assert_eq!(connection.response().status, 200);
        assert_eq!(connection.get("/").status, 200);
    }
}

#[test]
fn text_written_to_wsgi_errors_is_in_the_error_log() {
    let server = Setup::of("environ:complain").start();
    assert_eq!(server.get("/").text(), "complained");
    let lines = ["one line by write", "two lines by writelines", "three lines by print: \u{2603}"];
    lines.iter().for_each(|line| server.wait_for_log(line));
}

#[test]
fn wsgiref_validates_the_server() {
    let server = Setup::of("validated").workers(2).start();
    let file = server.directory.write("file", "content of a file");
    let file = [("X-File", file.to_str().unwrap())];
    for path in [
        "/one_piece",
        "/pieces",
        "/empty",
        "/written",
        "/written_counted",
        "/memory_file",
        "/cookies",
    ] {
        assert_eq!(server.get(path).status, 200, "{path}");
        assert_eq!(server.ask(request("POST", path, &[], "a body")).status, 200, "{path}");
    }
    assert_eq!(server.ask(request("GET", "/real_file", &file, "")).text(), "content of a file");
    assert_eq!(server.get("/no_content").status, 204);
    let body = "one\ntwo\nthree\n".repeat(10);
    let answer = server.ask(request("POST", "/read_all", &[], &body)).text();
    assert_eq!(answer, format!("b'{}'", body.replace('\n', "\\n")));
    assert_eq!(server.get("/environ").status, 200);
    let mut connection = server.connect();
    connection.send(request("HEAD", "/one_piece", &[], ""));
    assert_eq!(connection.try_response("HEAD").unwrap().status, 200);
    assert!(!server.log().contains("without being closed"));
}

#[test]
fn applications_are_found_as_gunicorn_finds_them() {
    let cases = [
        ("factory:make()", "((), [])"),
        (
            "factory:make('a', 2, [None], key={'b': True})",
            "(('a', 2, [None]), [('key', {'b': True})])",
        ),
        ("factory:instance", "instance"),
        ("factory:Holder.inner", "instance"),
    ];
    for (application, expected) in cases {
        let server = Setup::of(application).start();
        assert_eq!(server.get("/").text(), expected, "{application}");
    }
}

const FORKING: &str = "
import os, sys

def fork(path):
    pid = os.fork()
    if pid == 0 and path == '/exit':
        sys.exit(3)
    if pid == 0 and path == '/raise':
        raise RuntimeError('in the other process')
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else 'forked'
    return str(code).encode()

def stream(path):
    yield b'code '
    yield fork(path)

def application(environ, start_response):
    path = environ['PATH_INFO']
    if environ['QUERY_STRING'] == 'stream':
        start_response('200 OK', [])
        return stream(path)
    body = b'code ' + fork(path)
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

#[test]
fn a_process_that_the_application_forks_sends_no_response() {
    for threads in [1, 2] {
        let setup = Setup::of("forking:application").file("forking.py", FORKING).threads(threads);
        let server = setup.flag("--pythonpath=.").start();
        let workers = server.workers();
        ["Traceback", "in the other process", "a process that the application has forked"]
            .iter()
            .for_each(|text| server.allow(text));
        let mut kept = server.connect();
        for (path, code) in [("/exit", "3"), ("/raise", "1"), ("/return", "0")] {
            for query in ["", "?stream"] {
                assert_eq!(kept.get(&format!("{path}{query}")).text(), format!("code {code}"));
            }
        }
        assert!(server.log().contains("came back from it and ends here"));
        assert_eq!(server.workers(), workers);
    }
}
