//! The redirect to https, `Strict-Transport-Security`, and the files of ACME that are served
//! without the application.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::Mode;

use crate::support::certificate::Authority;
use crate::support::client::{Connection, Response, get, request};
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::tls::TlsClient;

/// The directory of the files, below the webroot.
const CHALLENGES: &str = ".well-known/acme-challenge";

fn challenges(directory: &Path) -> std::path::PathBuf {
    let path = directory.join("webroot").join(CHALLENGES);
    fs::create_dir_all(&path).unwrap();
    path
}

fn status(server: &Server, name: &str) -> u16 {
    server.get(&format!("/{CHALLENGES}/{name}")).status
}

#[test]
fn a_challenge_is_served_from_the_webroot() {
    let setup = Setup::of("environ").flags(&["--acme-webroot", "webroot"]);
    let path = challenges(setup.directory.path());
    fs::write(path.join("Tok_en-1"), "Tok_en-1.key\n").unwrap();
    let server = setup.start();
    let mut connection = server.connect();
    let response = connection.get(&format!("/{CHALLENGES}/Tok_en-1?a=b"));
    assert_eq!((response.status, response.text()), (200, "Tok_en-1.key\n".to_owned()));
    assert_eq!(response.header("content-type"), Some("application/octet-stream"));
    connection.send(request("HEAD", &format!("/{CHALLENGES}/Tok_en-1"), &[], ""));
    let response = connection.try_response("HEAD").unwrap();
    assert_eq!((response.status, response.header("content-length")), (200, Some("13")));
    connection.send(request("POST", &format!("/{CHALLENGES}/Tok_en-1"), &[], "body"));
    let response = connection.response();
    assert_eq!((response.status, response.header("allow")), (405, Some("GET, HEAD")));
    // A file that is made later is found, and the connection continues.
    fs::write(path.join("later"), "").unwrap();
    assert_eq!(connection.get(&format!("/{CHALLENGES}/later")).status, 200);
    // Other paths are the application's.
    for target in ["/", "/.well-known/acme-challenge", "/.well-known/other"] {
        assert_eq!(connection.get(target).json()["PATH_INFO"], target);
    }
}

#[test]
fn only_regular_files_of_the_webroot_are_sent() {
    let setup = Setup::of("environ").flags(&["--acme-webroot", "webroot"]);
    let path = challenges(setup.directory.path());
    setup.directory.write("secret", "secret");
    fs::write(path.join("good"), "good").unwrap();
    fs::write(path.join("full"), "a".repeat(64 << 10)).unwrap();
    fs::write(path.join("large"), "a".repeat((64 << 10) + 1)).unwrap();
    fs::write(path.join("a.b"), "").unwrap();
    fs::create_dir(path.join("directory")).unwrap();
    nix::unistd::mkfifo(&path.join("pipe"), Mode::S_IRWXU).unwrap();
    symlink(setup.directory.join("secret"), path.join("link")).unwrap();
    symlink("good", path.join("inner")).unwrap();
    let server = setup.start();
    for name in ["good", "full"] {
        assert_eq!(status(&server, name), 200, "{name}");
    }
    for name in [
        "",
        "missing",
        "large",
        "directory",
        "pipe",
        "link",
        "inner",
        ".",
        "..",
        "../acme-challenge/good",
        "../../../secret",
        "..%2f..%2f..%2fsecret",
        "a.b",
        "directory/good",
        "%67ood",
        "good/",
        &"a".repeat(1000),
    ] {
        assert_eq!(status(&server, name), 404, "{name}");
    }
    // A line names the first file that exists and is not sent; there is one in a minute.
    server.wait_for_log(&format!("cannot send /{CHALLENGES}/large from --acme-webroot "));
    assert!(server.log().contains("webroot: it is larger than 64 KiB; answered 404"));
}

#[test]
fn no_link_leads_out_of_the_webroot() {
    let setup = Setup::of("environ").flags(&["--acme-webroot", "webroot"]);
    let other = setup.directory.join("other/acme-challenge");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("token"), "secret").unwrap();
    fs::create_dir(setup.directory.join("webroot")).unwrap();
    symlink("../other", setup.directory.join("webroot/.well-known")).unwrap();
    let server = setup.start();
    assert_eq!(status(&server, "token"), 404);
}

#[test]
fn a_challenge_is_served_while_the_application_is_stuck() {
    let setup = Setup::of("stream:route").flags(&["--acme-webroot", "webroot"]);
    fs::write(challenges(setup.directory.path()).join("token"), "key").unwrap();
    let server = setup.start();
    let (mut stuck, pipe) = server.occupy("pipe");
    for _ in 0..5 {
        assert_eq!(server.get(&format!("/{CHALLENGES}/token")).text(), "key");
    }
    drop(pipe);
    assert_eq!(stuck.response().status, 200);
}

/// A server with a plain and an https listener that redirects; flags and addresses in front.
fn redirecting(flags: &[&str]) -> Server {
    let setup = Setup::bare().apps().flag("environ").flags(flags);
    let files = Authority::new("tests").server(&["localhost"]).issue().write(&setup.directory, "a");
    let setup = setup.flags(&["--bind", "http://127.0.0.2:0", "--bind", "https://127.0.0.1:0"]);
    let setup = setup.flag("--certfile").flag(files.certfile);
    setup.flag("--keyfile").flag(files.keyfile).flag("--redirect-https").start()
}

fn send(address: SocketAddr, bytes: &str) -> Response {
    let mut connection = Connection::tcp(address).unwrap();
    connection.send(bytes);
    connection.response()
}

#[test]
fn plain_requests_are_redirected_to_the_https_listener() {
    let server = redirecting(&[]);
    let (plain, secure) = (server.address_of("http"), server.address_of("https"));
    let port = secure.port();
    for (line, host, location) in [
        ("GET / HTTP/1.1", "Host: shop.example", format!("https://shop.example:{port}/")),
        ("POST /a%20b?c=d&e HTTP/1.1", "Host: a:80", format!("https://a:{port}/a%20b?c=d&e")),
        ("GET /a HTTP/1.1", "Host: [::1]:8000", format!("https://[::1]:{port}/a")),
        ("GET http://b/c?d HTTP/1.1", "Host: a", format!("https://b:{port}/c?d")),
        ("GET /a HTTP/1.0", "Accept: */*", format!("https://127.0.0.2:{port}/a")),
        ("GET /a HTTP/1.1", "Host:", format!("https://127.0.0.2:{port}/a")),
    ] {
        let response = send(plain, &format!("{line}\r\n{host}\r\n\r\n"));
        assert_eq!(response.status, 308, "{line}");
        assert_eq!(response.header("location"), Some(location.as_str()), "{line}");
    }
    // The connection continues behind a body.
    let mut connection = Connection::tcp(plain).unwrap();
    connection.send(request("POST", "/a", &[], "body"));
    assert_eq!((connection.response().status, connection.get("/b").status), (308, 308));
    let mut connection = TlsClient::trusting_all().connect(secure).unwrap();
    assert_eq!(connection.get("/a").json()["wsgi.url_scheme"], "https");
    // What a proxy reports of its client's plain connection makes no circle.
    connection.send(request("GET", "/a", &[("X-Forwarded-Proto", "http")], ""));
    assert_eq!(connection.response().json()["wsgi.url_scheme"], "http");
}

#[test]
fn a_client_that_uses_https_behind_a_proxy_is_not_redirected() {
    for (allowed, status) in [("127.0.0.1", 200), ("192.0.2.1", 308)] {
        let server = redirecting(&["--forwarded-allow-ips", allowed]);
        let secure = [("X-Forwarded-Proto", "https")];
        let response = send(server.address_of("http"), &request("GET", "/", &secure, ""));
        assert_eq!(response.status, status, "{allowed}");
    }
}

#[test]
fn challenges_are_not_redirected() {
    let flags = ["--acme-webroot", "webroot"];
    let server = redirecting(&flags);
    fs::write(challenges(server.directory.path()).join("token"), "key").unwrap();
    let plain = server.address_of("http");
    let response = send(plain, &get(&format!("/{CHALLENGES}/token")));
    assert_eq!((response.status, response.text()), (200, "key".to_owned()));
    assert_eq!(send(plain, &get(&format!("/{CHALLENGES}/other"))).status, 404);
    assert_eq!(send(plain, &get("/.well-known/other")).status, 308);
    let mut connection = TlsClient::trusting_all().connect(server.address_of("https")).unwrap();
    let target = format!("/{CHALLENGES}/token");
    assert_eq!(connection.get(&target).json()["PATH_INFO"], target, "the application's");
}

#[test]
fn challenges_are_the_applications_without_a_webroot() {
    let server = redirecting(&[]);
    let (plain, target) = (server.address_of("http"), format!("/{CHALLENGES}/token"));
    assert_eq!(send(plain, &get(&target)).json()["PATH_INFO"], target);
    assert_eq!(send(plain, &get("/.well-known/other")).status, 308);
}

#[test]
fn responses_over_https_forbid_plain_http() {
    let server = redirecting(&["--hsts", "31536000"]);
    let rule =
        |response: &Response| response.header("strict-transport-security").map(str::to_owned);
    let expected = Some("max-age=31536000".to_owned());
    let mut connection = TlsClient::trusting_all().connect(server.address_of("https")).unwrap();
    assert_eq!(rule(&connection.get("/")), expected);
    connection.send("GET / HTTP/1.1\r\n\r\n");
    let refused = connection.response();
    assert_eq!((refused.status, rule(&refused)), (400, expected.clone()), "the server's own");
    let plain = server.address_of("http");
    assert_eq!(rule(&send(plain, &get("/"))), None);
    let reported = send(plain, &request("GET", "/", &[("X-Forwarded-Proto", "https")], ""));
    assert_eq!((reported.status, rule(&reported)), (200, expected));
    let own = "def application(environ, start_response):\n    \
        start_response('200 OK', [('Strict-Transport-Security', 'max-age=0')])\n    return [b'']";
    let setup = Setup::of("own").file("own.py", own).flags(&["--hsts", "300"]);
    let server = setup.start();
    let headers = [("X-Forwarded-Proto", "https")];
    assert_eq!(rule(&server.ask(request("GET", "/", &headers, ""))), Some("max-age=0".to_owned()));
}
