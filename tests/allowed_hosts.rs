//! The names that clients may use for the server.

use nix::sys::signal::Signal;

use crate::given_up::given_up;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

/// A server with these lines in its file.
fn start(lines: &[&str]) -> Server {
    Setup::of("environ").file("monoceros.yaml", &(lines.join("\n") + "\n")).start()
}

const NAMES: &str = "allowed-hosts: [example.org, '*.example.com', 192.0.2.1, '[2001:db8::7]']";

#[test]
fn only_requests_for_allowed_hosts_reach_the_application() {
    let server = start(&[NAMES]);
    let mut refused = 0;
    for (line, host, status) in [
        ("GET / HTTP/1.1", "example.org", 200),
        ("GET / HTTP/1.1", "EXAMPLE.ORG:8000", 200),
        ("GET / HTTP/1.1", "example.org.", 200),
        ("GET / HTTP/1.1", "www.example.com", 200),
        ("GET / HTTP/1.1", "a.b.example.com:1", 200),
        ("GET / HTTP/1.1", "192.0.2.1", 200),
        ("GET / HTTP/1.1", "[2001:DB8:0:0::7]:80", 200),
        ("GET / HTTP/1.0", "example.org", 200),
        ("GET http://example.org/ HTTP/1.1", "example.org", 200),
        ("GET http://a.example.com/ HTTP/1.1", "example.org", 200),
        ("OPTIONS * HTTP/1.1", "example.org", 200),
        ("GET / HTTP/1.1", "example.com", 421),
        ("GET / HTTP/1.1", "www.example.org", 421),
        ("GET / HTTP/1.1", "example.org.evil.example", 421),
        ("GET / HTTP/1.1", "evilexample.com", 421),
        ("GET / HTTP/1.1", "127.0.0.1", 421),
        ("GET / HTTP/1.1", "localhost:8000", 421),
        ("GET / HTTP/1.1", "", 421),
        ("POST / HTTP/1.1", "evil.example", 421),
        ("OPTIONS * HTTP/1.1", "evil.example", 421),
        // The application gets the authority as the host, and may look at Host too.
        ("GET http://evil.example/ HTTP/1.1", "example.org", 421),
        ("GET http://example.org/ HTTP/1.1", "evil.example", 421),
        ("GET http://example.org/ HTTP/1.1", "", 421),
    ] {
        let response = server.ask(format!("{line}\r\nHost: {host}\r\n\r\n"));
        assert_eq!(response.status, status, "{line} {host}");
        refused += u64::from(status == 421);
    }
    for line in ["GET / HTTP/1.0", "GET http://example.org/ HTTP/1.0"] {
        let response = server.ask(format!("{line}\r\n\r\n"));
        assert_eq!(response.status, 421, "{line}");
        assert_eq!(response.text(), "421 Misdirected Request\n");
        refused += 1;
    }
    until::holds("each counted", || given_up(&server, "misdirected") == refused);
    assert!(server.log().contains(": 421 "), "{}", server.log());
}

#[test]
fn a_request_that_names_no_host_is_allowed_by_a_setting() {
    let server = start(&[NAMES, "allowed-hosts-empty: allow"]);
    for (head, status) in [
        ("GET / HTTP/1.0\r\n", 200),
        ("GET / HTTP/1.1\r\nHost:\r\n", 200),
        ("GET http://example.org/ HTTP/1.0\r\n", 200),
        ("GET http://evil.example/ HTTP/1.0\r\n", 421),
        ("GET / HTTP/1.0\r\nHost: evil.example\r\n", 421),
    ] {
        assert_eq!(server.ask(format!("{head}\r\n")).status, status, "{head}");
    }
}

#[test]
fn without_the_setting_every_host_is_served() {
    let server = Setup::of("environ").start();
    for head in ["GET / HTTP/1.0\r\n", "GET / HTTP/1.1\r\nHost: evil.example\r\n"] {
        assert_eq!(server.ask(format!("{head}\r\n")).status, 200, "{head}");
    }
}

#[test]
fn access_rules_come_before_the_host() {
    let server = start(&[NAMES, "access:", "- {deny: all, path: /admin}"]);
    let status = |target: &str| {
        server.ask(format!("GET {target} HTTP/1.1\r\nHost: evil.example\r\n\r\n")).status
    };
    assert_eq!((status("/admin"), status("/")), (403, 421));
}

#[test]
fn hosts_are_checked_while_the_application_is_stuck() {
    let setup = Setup::of("stream:route").flags(&["--allowed-hosts", "localhost"]);
    let server = setup.start();
    let (mut stuck, pipe) = server.occupy("pipe");
    for _ in 0..3 {
        assert_eq!(server.ask("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").status, 421);
    }
    drop(pipe);
    assert_eq!(stuck.response().status, 200);
}

#[test]
fn a_reload_replaces_the_hosts() {
    let server = start(&["allowed-hosts: a.example"]);
    let status = |host: &str| server.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).status;
    assert_eq!((status("a.example"), status("b.example")), (200, 421));
    server.directory.write("monoceros.yaml", "allowed-hosts: b.example\n");
    let workers = server.workers();
    server.signal(Signal::SIGHUP);
    server.wait_for_replacement(&workers);
    until::holds("the new host", || status("b.example") == 200);
    assert_eq!(status("a.example"), 421);
}

/// A Django project that answers each request with the host that it has found.
const PROJECT: &str = "
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=['a.example', '.b.example', '[::1]'],
    ROOT_URLCONF=__name__,
    SECRET_KEY='a',
    FORWARDED=False,
)
urlpatterns = [path('', lambda request: HttpResponse(request.get_host()))]
application = get_wsgi_application()
";

#[test]
fn auto_takes_the_hosts_of_a_django_project() {
    let django = |project: &str, auto: &[&str]| {
        let setup = Setup::of("project:application").file("project.py", project);
        setup.flags(&["--pythonpath", "."]).flags(auto).start()
    };
    let server = django(PROJECT, &["--allowed-hosts", "auto"]);
    let ask = |server: &Server, host: &str| {
        server.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).status
    };
    for (host, status) in [
        ("a.example", 200),
        ("A.example:8000", 200),
        ("b.example", 200),
        ("x.b.example", 200),
        ("[::1]:80", 200),
        ("x.a.example", 421),
        ("c.example", 421),
        ("", 421),
    ] {
        assert_eq!(ask(&server, host), status, "{host}");
    }
    // Django itself answers 400.
    assert_eq!(ask(&django(PROJECT, &[]), "c.example"), 400);
    let all = PROJECT.replace("'a.example'", "'*'");
    assert_eq!(ask(&django(&all, &["--allowed-hosts", "auto"]), "c.example"), 200);
    let forwarded = PROJECT.replace("FORWARDED=False", "USE_X_FORWARDED_HOST=True");
    let server = django(&forwarded, &["--allowed-hosts", "auto"]);
    let headers = "Host: internal\r\nX-Forwarded-Host: a.example";
    assert_eq!(server.ask(format!("GET / HTTP/1.1\r\n{headers}\r\n\r\n")).status, 200);
    assert!(server.log().contains("USE_X_FORWARDED_HOST is set"), "{}", server.log());
}

#[test]
fn auto_without_django_allows_every_host_with_a_line() {
    let server = Setup::of("environ").flags(&["--allowed-hosts", "auto"]).start();
    assert_eq!(server.ask("GET / HTTP/1.1\r\nHost: any.example\r\n\r\n").status, 200);
    assert!(server.log().contains("no Django project is loaded"), "{}", server.log());
}
