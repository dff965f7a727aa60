//! What a proxy in front of the server reports about its client, and what a client that is no
//! proxy cannot forge.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::client::{Connection, Response, request};
use crate::support::server::Server;
use crate::support::setup::Setup;

/// The server does not trust this machine.
const UNTRUSTED: [&str; 2] = ["--forwarded-allow-ips", "192.0.2.1"];
/// It trusts this machine and 10.0.0.0/8.
const TRUSTED: [&str; 2] = ["--forwarded-allow-ips", "127.0.0.1,::ffff:10.0.0.0/104"];

fn start(flags: &[&str]) -> Server {
    Setup::of("environ").flags(flags).start()
}

fn ask(server: &Server, target: &str, headers: &[(&str, &str)]) -> Response {
    server.ask(request("GET", target, headers, ""))
}

fn environ(server: &Server, target: &str, headers: &[(&str, &str)]) -> Value {
    let response = ask(server, target, headers);
    assert_eq!(response.status, 200, "{target} {headers:?}: {}", response.text());
    response.json()
}

/// Sends headers for which the server refuses the request, and expects it in the log.
fn assert_refused(server: &Server, target: &str, headers: &[(&str, &str)], reason: &str) {
    let line = "refused 127.0.0.1:";
    let before = server.log().matches(line).count();
    let response = ask(server, target, headers);
    assert_eq!((response.status, response.closes()), (400, true), "{target} {headers:?}");
    server.wait_for_log_times(line, before + 1);
    let log = server.log();
    assert!(log.lines().last().unwrap().contains(&format!(": 400 {reason} (request ")), "{log}");
}

#[test]
fn a_trusted_proxy_reports_the_scheme() {
    let server = start(&[]);
    for (headers, scheme) in [
        (&[("X-Forwarded-Proto", "https")][..], "https"),
        (&[("x-forwarded-ssl", "on")], "https"),
        (&[("X-Forwarded-Protocol", "ssl")], "https"),
        (&[("X-Forwarded-Proto", "https"), ("X-Forwarded-Ssl", "on")], "https"),
        (&[("X-Forwarded-Proto", "HTTPS")], "http"),
        (&[("X-Forwarded-Proto", "https,http")], "http"),
        (&[("X-Forwarded-Proto", "http")], "http"),
        (&[], "http"),
    ] {
        let environ = environ(&server, "/", headers);
        assert_eq!(environ["wsgi.url_scheme"], scheme, "{headers:?}");
        assert_eq!(environ.get("HTTPS"), None, "the connection is plain");
        assert_eq!(environ["REMOTE_ADDR"], "127.0.0.1");
    }
    assert!(!server.log().contains("ignored the header"), "{}", server.log());
}

#[test]
fn contradictory_schemes_are_refused() {
    let server = start(&[]);
    let reason = "contradictory headers about the scheme";
    let headers = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Ssl", "off")];
    assert_refused(&server, "/", &headers, reason);
    let headers = [("X-Forwarded-Proto", "http"), ("X-Forwarded-Proto", "https")];
    assert_refused(&server, "/", &headers, reason);
    let server = start(&UNTRUSTED);
    assert_eq!(environ(&server, "/", &headers)["wsgi.url_scheme"], "http");
}

#[test]
fn the_headers_about_the_scheme_are_a_setting() {
    let server = start(&["--secure-scheme-headers", "Front-End-Https=On"]);
    let scheme = |name, value| environ(&server, "/", &[(name, value)])["wsgi.url_scheme"].clone();
    assert_eq!(scheme("front-end-https", "On"), "https");
    assert_eq!(scheme("front-end-https", "on"), "http");
    assert_eq!(scheme("X-Forwarded-Proto", "https"), "http");
}

#[test]
fn a_peer_that_is_not_trusted_reports_nothing_and_the_log_names_it_once() {
    let flags = [&UNTRUSTED[..], &["--real-ip", "x-forwarded-for"]].concat();
    let server = start(&flags);
    let begun = Instant::now();
    let headers = [
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("SCRIPT_NAME", "/a"),
        ("REMOTE_USER", "root"),
    ];
    for _ in 0..5 {
        let environ = environ(&server, "/a/b", &headers);
        assert_eq!(environ["wsgi.url_scheme"], "http");
        assert_eq!(environ["REMOTE_ADDR"], "127.0.0.1");
        assert_eq!((&environ["SCRIPT_NAME"], &environ["PATH_INFO"]), (&"".into(), &"/a/b".into()));
        assert_eq!(environ.get("HTTP_SCRIPT_NAME"), None);
        assert_eq!(environ.get("HTTP_REMOTE_USER"), None);
        assert_eq!(environ["HTTP_X_FORWARDED_PROTO"], "https", "as any other header");
    }
    let line = "ignored the header X-Forwarded-Proto of 127.0.0.1:";
    server.wait_for_log(line);
    // A slower machine may write more lines than one in a minute.
    if begun.elapsed() < Duration::from_secs(60) {
        assert_eq!(server.log().matches("ignored the header").count(), 1, "{}", server.log());
    }
    let line = server.log().lines().find(|it| it.contains(line)).unwrap().to_owned();
    assert!(
        line.ends_with(
            "--forwarded-allow-ips does not have 127.0.0.1; 0 other requests with such headers \
             since the last line"
        ),
        "{line}"
    );
}

#[test]
fn a_proxy_at_a_unix_socket_is_trusted_unless_the_settings_exclude_it() {
    for (allowed, scheme) in [("192.0.2.1", "https"), ("192.0.2.1,no-unix", "http")] {
        let setup = Setup::bare().apps().flag("environ").flags(&["--bind", "unix:socket"]);
        let flags = ["--forwarded-allow-ips", allowed, "--real-ip", "x-forwarded-for"];
        let server = setup.flags(&flags).start();
        let mut connection = Connection::unix(&server.directory.join("socket")).unwrap();
        let headers = [("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "1.2.3.4:80")];
        connection.send(request("GET", "/", &headers, ""));
        let environ = connection.response().json();
        let is_trusted = scheme == "https";
        assert_eq!(environ["wsgi.url_scheme"], scheme);
        assert_eq!(environ["REMOTE_ADDR"], if is_trusted { "1.2.3.4" } else { "" });
        assert_eq!(environ.get("REMOTE_PORT"), is_trusted.then(|| "80".into()).as_ref());
        let port = if is_trusted { "443" } else { "80" };
        assert_eq!(environ["SERVER_PORT"], port, "of the scheme, as Host has none");
    }
}

#[test]
fn names_with_an_underscore_are_dropped_refused_or_mapped() {
    let headers = [("X_Own", "1"), ("X-Own", "2")];
    let server = start(&[]);
    assert_eq!(environ(&server, "/", &headers)["HTTP_X_OWN"], "2");
    let server = start(&["--header-map", "refuse"]);
    assert_refused(&server, "/", &headers, "underscore in the name of a header");
    assert_eq!(environ(&server, "/", &headers[1..])["HTTP_X_OWN"], "2");
    let own = environ(&server, "/a", &[("SCRIPT_NAME", "/a")]);
    assert_eq!(own["SCRIPT_NAME"], "/a", "a trusted proxy may send it");
    let server = start(&["--header-map", "dangerous"]);
    assert_eq!(environ(&server, "/", &headers)["HTTP_X_OWN"], "1,2");
    // Mapped is not believed.
    let server = start(&[&UNTRUSTED[..], &["--header-map", "dangerous"]].concat());
    let own = environ(&server, "/a", &[("SCRIPT_NAME", "/a"), ("PATH_INFO", "/b")]);
    assert_eq!((&own["SCRIPT_NAME"], &own["PATH_INFO"]), (&"".into(), &"/a".into()));
    assert_eq!(own["HTTP_SCRIPT_NAME"], "/a");
}

#[test]
fn a_trusted_proxy_sets_the_headers_of_the_settings() {
    let headers = [("REMOTE_USER", "ann"), ("PATH_INFO", "/x"), ("X_OTHER", "1")];
    let server = start(&[]);
    let found = environ(&server, "/", &headers);
    assert_eq!((found.get("HTTP_REMOTE_USER"), found.get("HTTP_X_OTHER")), (None, None));
    assert_eq!(found["HTTP_PATH_INFO"], "/x");
    assert_eq!(found["PATH_INFO"], "/", "the path stays, as in gunicorn");
    let server = start(&["--forwarder-headers", "REMOTE_USER"]);
    let found = environ(&server, "/", &headers);
    assert_eq!(found["HTTP_REMOTE_USER"], "ann");
    assert_eq!(found.get("HTTP_PATH_INFO"), None);
    let server = start(&["--forwarder-headers", "*", "--header-map", "refuse"]);
    assert_eq!(environ(&server, "/", &headers)["HTTP_X_OTHER"], "1");
    let server = start(&["--forwarder-headers", "none"]);
    let found = environ(&server, "/a", &[("SCRIPT_NAME", "/a")]);
    assert_eq!((&found["SCRIPT_NAME"], found.get("HTTP_SCRIPT_NAME")), (&"".into(), None));
}

#[test]
fn the_prefix_of_a_trusted_proxy_ends_at_a_segment_of_the_path() {
    let setup = Setup::of("environ").variable("SCRIPT_NAME", "/own");
    let server = setup.start();
    for (target, prefix, below) in [
        ("/shop/cart", "/shop", "/cart"),
        ("/shop", "/shop/", ""),
        ("/%73hop/a%20b?c", "/shop", "/a b"),
        ("/own/a", "/", "/own/a"),
        ("/shop/shop", "/shop/shop", ""),
    ] {
        let found = environ(&server, target, &[("SCRIPT_NAME", prefix)]);
        let expected = prefix.trim_end_matches('/');
        assert_eq!((&found["SCRIPT_NAME"], &found["PATH_INFO"]), (&expected.into(), &below.into()));
        assert_eq!(found["RAW_URI"], target);
    }
    assert_eq!(environ(&server, "/own/a", &[])["SCRIPT_NAME"], "/own", "of the variable");
    let reason = "SCRIPT_NAME is not the beginning of the path";
    for target in ["/shopping", "/", "/a/shop", "/sho"] {
        assert_refused(&server, target, &[("SCRIPT_NAME", "/shop")], reason);
    }
    let headers = [("SCRIPT_NAME", "/shop"), ("SCRIPT_NAME", "/shop/a")];
    assert_refused(&server, "/shop/a", &headers, "contradictory SCRIPT_NAME");
}

#[test]
fn the_client_is_the_rightmost_address_that_is_not_trusted() {
    let flags = [&TRUSTED[..], &["--real-ip", "x-forwarded-for"]].concat();
    let server = start(&flags);
    for (headers, address, port) in [
        (&[("X-Forwarded-For", "6.6.6.6, 1.2.3.4:81, 10.1.1.1")][..], "1.2.3.4", Some("81")),
        (&[("X-Forwarded-For", "1.2.3.4"), ("x-forwarded-for", "10.1.1.1")], "1.2.3.4", None),
        (&[("X-Forwarded-For", "::ffff:1.2.3.4, [::ffff:10.1.1.1]:9")], "1.2.3.4", None),
        (&[("X-Forwarded-For", "[2001:db8::7]:443")], "2001:db8::7", Some("443")),
        // Garbage ends the walk.
        (&[("X-Forwarded-For", "1.2.3.4, unknown, 10.1.1.1")], "10.1.1.1", None),
        (&[("X-Forwarded-For", "10.1.1.2, 10.1.1.1")], "10.1.1.2", None),
        // The other header is not read.
        (&[("X-Forwarded-For", "1.2.3.4"), ("Forwarded", "for=6.6.6.6")], "1.2.3.4", None),
    ] {
        let found = environ(&server, "/", headers);
        assert_eq!(found["REMOTE_ADDR"], address, "{headers:?}");
        assert_eq!(found.get("REMOTE_PORT").and_then(Value::as_str), port, "{headers:?}");
    }
    for headers in [
        &[][..],
        &[("Forwarded", "for=6.6.6.6")],
        &[("X-Forwarded-For", "unknown")],
        &[("X-Forwarded-For", "")],
    ] {
        let found = environ(&server, "/", headers);
        assert_eq!(found["REMOTE_ADDR"], "127.0.0.1", "{headers:?}");
        found["REMOTE_PORT"].as_str().unwrap().parse::<u16>().unwrap();
    }
}

#[test]
fn the_client_can_be_named_by_forwarded() {
    let flags = [&TRUSTED[..], &["--real-ip", "forwarded"]].concat();
    let server = start(&flags);
    for (value, address) in [
        ("for=6.6.6.6, for=1.2.3.4;proto=https, for=10.1.1.1", "1.2.3.4"),
        ("for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
        ("for=\", for=1.2.3.4", "1.2.3.4"),
        ("for=1.2.3.4, for=_hidden, for=10.1.1.1", "10.1.1.1"),
        ("proto=https", "127.0.0.1"),
    ] {
        let headers = [("Forwarded", value), ("X-Forwarded-For", "6.6.6.6")];
        let found = environ(&server, "/", &headers);
        assert_eq!(found["REMOTE_ADDR"], address, "{value}");
        assert_eq!(found["wsgi.url_scheme"], "http", "{value}");
    }
}

#[test]
fn without_the_setting_no_header_names_the_client() {
    let server = start(&["--forwarded-allow-ips", "*"]);
    let headers = [("X-Forwarded-For", "1.2.3.4"), ("Forwarded", "for=1.2.3.4")];
    assert_eq!(environ(&server, "/", &headers)["REMOTE_ADDR"], "127.0.0.1");
}

#[test]
fn each_request_of_a_connection_has_its_own_client() {
    let server = start(&["--real-ip", "x-forwarded-for"]);
    let mut connection = server.connect();
    for address in ["1.2.3.4", "1.2.3.5", "127.0.0.1"] {
        let headers = [("X-Forwarded-For", address)];
        connection.send(request("GET", "/", &headers[..usize::from(address != "127.0.0.1")], ""));
        assert_eq!(connection.response().json()["REMOTE_ADDR"], address);
    }
}

#[test]
fn the_access_log_names_the_client_and_the_error_log_the_proxy() {
    let flags = ["--real-ip", "x-forwarded-for", "--access-logfile", "access.log"];
    let format = ["--access-logformat", "%(h)s %(s)s %({remote_addr}e)s %({wsgi.url_scheme}e)s"];
    let server = Setup::of("environ").flags(&flags).flags(&format).start();
    let from = ("X-Forwarded-For", "1.2.3.4");
    ask(&server, "/", &[from, ("X-Forwarded-Proto", "https")]);
    // A line comes after its response: the next request could be first.
    server.access_lines(1);
    // The server refuses these by itself: one at the end of its head, the other by its body.
    ask(&server, "/", &[from, ("X-Forwarded-Proto", "https"), ("X-Forwarded-Ssl", "off")]);
    server.access_lines(2);
    let chunked = ("Transfer-Encoding", "chunked");
    server.ask(request("PUT", "/", &[from, chunked], "") + "x\r\n");
    let lines = server.access_lines(3);
    assert_eq!(lines[0], "1.2.3.4 200 1.2.3.4 https");
    assert_eq!(lines[1], "127.0.0.1 400 - -", "such a request has no client");
    assert_eq!(lines[2], "1.2.3.4 400 - -");
    server.wait_for_log_times("refused 127.0.0.1:", 2);
}

#[test]
fn the_walk_begins_with_the_address_of_the_proxy_protocol() {
    let allowed = ["--forwarded-allow-ips", "127.0.0.1,10.0.0.0/8"];
    let flags = ["--real-ip", "x-forwarded-for", "--proxy-protocol", "v1"];
    let server = start(&[allowed, [flags[0], flags[1]], [flags[2], flags[3]]].concat());
    let headers = [("X-Forwarded-For", "6.6.6.6, 1.2.3.4"), ("X-Forwarded-Proto", "https")];
    for (named, client) in [("10.0.0.7", "1.2.3.4"), ("203.0.113.9", "203.0.113.9")] {
        let mut connection = server.connect();
        connection.send(format!("PROXY TCP4 {named} 10.0.0.1 4711 443\r\n"));
        for _ in 0..2 {
            connection.send(request("GET", "/", &headers, ""));
            let found = connection.response().json();
            assert_eq!(found["REMOTE_ADDR"], client, "{named}");
            assert_eq!(found["PROXY_ADDR"], "10.0.0.1");
            // The trust in headers about the scheme is one in the peer of the socket.
            assert_eq!(found["wsgi.url_scheme"], "https");
        }
    }
}
