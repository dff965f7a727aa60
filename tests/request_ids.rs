//! The identifier of a request: from the client or made, and the same in the application's
//! environment, in the response and in the log.

use std::collections::HashSet;

use crate::support::cases::{LIMIT, at_once};
use crate::support::client::Response;
use crate::support::pipe::Pipe;
use crate::support::server::Server;
use crate::support::setup::Setup;

/// Responds with the identifier that it gets. Fails, or sends one of its own, if the path asks
/// for that.
const APPLICATION: &str = "
import os

def application(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/fail':
        raise ValueError('wrong')
    if path == '/wait':
        with open(environ['QUERY_STRING'].partition('=')[2]) as pipe:
            pipe.read()
    names = ['HTTP_X_REQUEST_ID', 'HTTP_X_TRACE', 'HTTP_TRACEPARENT']
    fields = [('X-Request-Id', 'its-own')] if path == '/own' else []
    start_response('200 OK', fields)
    return ['\\n'.join(str(environ.get(name)) for name in names).encode()]
";

fn setup() -> Setup {
    let setup = Setup::of("ids:application").file("ids.py", APPLICATION);
    setup.flags(&["--pythonpath=."])
}

/// A request with these field lines.
fn ask(server: &Server, target: &str, fields: &str) -> Response {
    server.ask(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}Connection: close\r\n\r\n"))
}

/// The identifier in the response, and the one in the environment.
fn ids(response: &Response) -> (String, String) {
    let text = response.text();
    let sent = response.all("x-request-id");
    assert_eq!(sent.len(), 1, "{sent:?}");
    (sent[0].to_owned(), text.lines().next().unwrap_or_default().to_owned())
}

/// Whether an identifier is one that a worker makes.
fn is_made(id: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    id.split_once('-').is_some_and(|(prefix, number)| {
        prefix.len() == 12 && is_hex(prefix) && !number.is_empty() && is_hex(number)
    })
}

#[test]
fn a_client_gives_its_request_an_identifier() {
    at_once(&[1, 4], |threads| {
        let server = setup().threads(threads).start();
        server.allow("the application failed");
        server.allow("ValueError");
        server.allow("Traceback");
        for id in ["4bf9.2f_3-7", "a", &"x".repeat(128)] {
            let response = ask(&server, "/", &format!("X-Request-ID: {id}\r\n"));
            assert_eq!(ids(&response), (id.to_owned(), id.to_owned()));
        }
        let repeated = ask(&server, "/", "X-Request-ID: one\r\nX-REQUEST-id: two\r\n");
        assert_eq!(ids(&repeated), ("one".to_owned(), "one".to_owned()));
        let failed = ask(&server, "/fail", "X-Request-ID: odd-7\r\n");
        assert_eq!((failed.status, failed.header("x-request-id")), (500, Some("odd-7")));
        server.wait_for_log("GET /fail (request odd-7): the application failed");
        let own = ask(&server, "/own", "X-Request-ID: odd-8\r\n");
        assert_eq!(ids(&own), ("its-own".to_owned(), "odd-8".to_owned()));
    });
}

#[test]
fn a_missing_or_odd_identifier_is_replaced() {
    at_once(&[1, 4], |threads| {
        let server = setup().threads(threads).start();
        server.allow("the application failed");
        server.allow("ValueError");
        server.allow("Traceback");
        let odd = ["", "a b", "a:b", "<a>", "a,b", "a/b", "\u{e9}", "\"a\"", &"x".repeat(129)];
        let fields = odd.map(|id| format!("X-Request-ID: {id}\r\n"));
        let mut seen = HashSet::new();
        for fields in fields.iter().map(String::as_str).chain(["", "X_Request_ID: a\r\n"]) {
            let (sent, given) = ids(&ask(&server, "/", fields));
            assert!(sent == given && is_made(&sent), "{fields}: {sent} and {given}");
            assert!(seen.insert(sent));
        }
        let failed = ask(&server, "/fail", "");
        let id = failed.header("x-request-id").unwrap();
        server.wait_for_log(&format!("GET /fail (request {id}): the application failed"));
    });
}

#[test]
fn no_two_workers_make_the_same_identifier() {
    let server = setup().workers(3).start();
    let mut prefixes = HashSet::new();
    let mut all = HashSet::new();
    while prefixes.len() < 3 {
        let (id, _) = ids(&ask(&server, "/", ""));
        prefixes.insert(id.split_once('-').unwrap().0.to_owned());
        assert!(all.insert(id) && all.len() < 3000);
    }
}

#[test]
fn the_responses_of_the_server_itself_have_one() {
    let server =
        setup().flags(&["--limit-request-body", "10", "--limit-request-fields", "3"]).start();
    let field = "X-Request-ID: mine\r\n";
    let large = format!("POST / HTTP/1.1\r\nHost: a\r\n{field}Content-Length: 20\r\n\r\n");
    let response = server.ask(&large);
    assert_eq!((response.status, response.header("x-request-id")), (413, Some("mine")));
    server.wait_for_log("(request mine)");
    // A head that cannot be read to its end has no field.
    for (status, request) in [
        (400, "GET\r\n\r\n".to_owned()),
        (400, format!("GET / HTTP/1.1\r\nHost: a\r\n{field}Host: b\r\n\r\n")),
        (417, format!("GET / HTTP/1.1\r\nHost: a\r\n{field}Expect: it\r\n\r\n")),
        (431, format!("GET / HTTP/1.1\r\nHost: a\r\n{field}A: b\r\nC: d\r\n\r\n")),
    ] {
        let response = server.ask(&request);
        let id = response.header("x-request-id").unwrap().to_owned();
        assert!(response.status == status && is_made(&id), "{id}");
        server.wait_for_log(&format!("(request {id})"));
    }
}

#[test]
fn a_request_whose_time_is_over_keeps_its_identifier() {
    at_once(&[1, 4], |threads| {
        let server = setup().threads(threads).flags(&LIMIT).start();
        server.allow("/wait");
        let mut made = None;
        for field in ["X-Request-ID: stuck-1\r\n", ""] {
            let pipe = Pipe::new(&server.directory, if field.is_empty() { "one" } else { "two" });
            let mut connection = server.connect();
            connection
                .send(format!("GET /wait?{} HTTP/1.1\r\nHost: a\r\n{field}\r\n", pipe.query()));
            let writer = pipe.open();
            let response = connection.response();
            assert_eq!(response.status, 504);
            let id = response.header("x-request-id").unwrap().to_owned();
            server.wait_for_log(&format!("(request {id}) for "));
            made = Some(id);
            writer.finish();
        }
        assert!(is_made(&made.unwrap()));
    });
}

#[test]
fn the_settings_name_another_header_or_none() {
    let fields = "X-Request-ID: usual\r\nX-Trace: named\r\n";
    let refused = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 20\r\n\r\n");
    let limit = ["--limit-request-body", "10"];
    let server = setup().flags(&["--request-id-header", "X-Trace"]).flags(&limit).start();
    let response = ask(&server, "/", fields);
    assert_eq!(
        (response.header("x-trace"), response.header("x-request-id")),
        (Some("named"), None)
    );
    // The other one is a header like any.
    assert_eq!(response.text(), "usual\nnamed\nNone");
    let response = ask(&server, "/", "X-Request-ID: usual\r\n");
    let id = response.header("x-trace").unwrap().to_owned();
    assert!(is_made(&id), "{id}");
    assert_eq!(response.text(), format!("usual\n{id}\nNone"));
    let response = server.ask(&refused);
    assert_eq!((response.status, response.header("x-trace")), (413, Some("named")));
    server.wait_for_log("(request named)");

    let server = setup().flags(&["--request-id-header", "none"]).flags(&limit).start();
    for response in [ask(&server, "/", fields), server.ask(&refused)] {
        assert_eq!((response.header("x-trace"), response.header("x-request-id")), (None, None));
    }
    assert_eq!(ask(&server, "/", fields).text(), "usual\nnamed\nNone");
    assert_eq!(ask(&server, "/", "").text(), "None\nNone\nNone");
    // Log lines have one that is made.
    let log = server.log();
    let (_, id) = log.split_once("(request ").unwrap();
    assert!(is_made(id.split(')').next().unwrap()), "{log}");
}
