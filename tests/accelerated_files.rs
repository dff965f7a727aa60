//! Files that responses of the application name (`accel`).

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::client::{Connection, Response, request};
use crate::support::server::Server;
use crate::support::setup::Setup;

fn setup() -> Setup {
    let setup = Setup::of("accelerated");
    for (name, content) in [
        ("files/a.pdf", "0123456789"),
        ("files/d/b c.txt", "spaced"),
        ("files/caf\u{e9}", "unicode"),
        ("files/.hidden", "secret"),
        ("secret", "secret"),
    ] {
        let path = setup.directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    fs::write(setup.directory.join("files/large"), vec![b'l'; 300_000]).unwrap();
    symlink("../secret", setup.directory.join("files/out")).unwrap();
    setup
}

fn start() -> Server {
    setup().flags(&["--accel", "/protected/=files"]).start()
}

/// The text with all bytes but letters and digits as escapes.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// Asks for a response with these fields.
fn ask(
    connection: &mut Connection,
    method: &str,
    fields: &[(&str, &str)],
    asked: &[(&str, &str)],
) -> Response {
    let query: Vec<_> =
        fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    connection.send(request(method, &format!("/?{}", query.join("&")), asked, ""));
    connection.try_response(method).unwrap()
}

#[test]
fn a_response_is_replaced_by_the_file_that_it_names() {
    let server = start();
    let mut connection = server.connect();
    let path = server.directory.join("files/d/b c.txt");
    for (name, value, text) in [
        ("X-Accel-Redirect", "/protected/a.pdf", "0123456789"),
        ("x-accel-redirect", "/protected/d/b%20c.txt?a=b", "spaced"),
        ("X-Accel-Redirect", "/protected/caf%C3%A9", "unicode"),
        ("X-Sendfile", path.to_str().unwrap(), "spaced"),
    ] {
        let response = ask(&mut connection, "GET", &[(name, value)], &[]);
        assert_eq!((response.status, response.text()), (200, text.to_owned()), "{value}");
        assert_eq!(response.header("content-length"), Some(&text.len().to_string()[..]));
        assert!(response.header("etag").is_some() && response.header("last-modified").is_some());
        assert_eq!(response.header("cache-control"), None);
        let is_left = |name: &str| name.starts_with("x-") && name != "x-request-id";
        assert!(!response.headers.iter().any(|(name, _)| is_left(name)), "{response:?}");
    }
    let large = [("X-Accel-Redirect", "/protected/large")];
    assert_eq!(ask(&mut connection, "GET", &large, &[]).body, vec![b'l'; 300_000]);
    let head = ask(&mut connection, "HEAD", &large, &[]);
    assert_eq!((head.status, head.header("content-length")), (200, Some("300000")));
    let post = ask(&mut connection, "POST", &large, &[("If-None-Match", "*")]);
    assert_eq!((post.status, post.body.len()), (200, 300_000));
}

#[test]
fn the_fields_of_the_application_are_kept() {
    let server = start();
    let mut connection = server.connect();
    let fields = [
        ("X-Accel-Redirect", "/protected/a.pdf"),
        ("Content-Type", "text/x-own"),
        ("Content-Length", "22"),
        ("Content-Disposition", "attachment"),
        ("Cache-Control", "private"),
        ("Set-Cookie", "a=b"),
        ("ETag", "\"own\""),
        ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ];
    let response = ask(&mut connection, "GET", &fields, &[]);
    assert_eq!((response.status, response.text()), (200, "0123456789".to_owned()));
    for (name, value) in [
        ("content-type", "text/x-own"),
        ("content-length", "10"),
        ("content-disposition", "attachment"),
        ("cache-control", "private"),
        ("set-cookie", "a=b"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    assert_ne!(response.header("etag"), Some("\"own\""));
    assert_ne!(response.header("last-modified"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    let guessed = ask(&mut connection, "GET", &fields[..1], &[]);
    assert_eq!(guessed.header("content-type"), Some("application/pdf"));
    // Another status is kept; ranges and conditions are about a 200.
    let fields = [("status", "403 No"), ("X-Accel-Redirect", "/protected/a.pdf")];
    let response = ask(&mut connection, "GET", &fields, &[("Range", "bytes=0-1")]);
    assert_eq!((response.status, response.text()), (403, "0123456789".to_owned()));
}

#[test]
fn ranges_and_conditions_are_about_the_file() {
    let server = start();
    let mut connection = server.connect();
    let fields = [("X-Accel-Redirect", "/protected/a.pdf"), ("Set-Cookie", "a=b")];
    let tag = ask(&mut connection, "GET", &fields, &[]).header("etag").unwrap().to_owned();
    let part = ask(&mut connection, "GET", &fields, &[("Range", "bytes=2-4")]);
    assert_eq!((part.status, part.text()), (206, "234".to_owned()));
    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(part.header("set-cookie"), Some("a=b"));
    let range = [("Range", "bytes=2-4"), ("If-Range", "\"x\"")];
    assert_eq!(ask(&mut connection, "GET", &fields, &range).status, 200);
    let behind = ask(&mut connection, "GET", &fields, &[("Range", "bytes=10-")]);
    assert_eq!((behind.status, behind.header("content-range")), (416, Some("bytes */10")));
    let known = ask(&mut connection, "GET", &fields, &[("If-None-Match", &tag)]);
    assert_eq!((known.status, known.header("etag")), (304, Some(&tag[..])));
    assert_eq!(ask(&mut connection, "GET", &fields, &[("If-Match", "\"x\"")]).status, 412);
}

#[test]
fn no_file_outside_of_the_directories_is_sent() {
    let server = start();
    let mut connection = server.connect();
    let directory = server.directory.path().display().to_string();
    let paths = [
        "/etc/passwd".to_owned(),
        format!("{directory}/secret"),
        format!("{directory}/files/../secret"),
        format!("{directory}/files/out"),
        format!("{directory}/files/.hidden"),
        format!("{directory}/files//a.pdf"),
        format!("{directory}/files"),
        format!("{directory}/filesystem"),
        "files/a.pdf".to_owned(),
        String::new(),
    ];
    let urls = [
        "/protected/../secret",
        "/protected/%2e%2e/secret",
        "/protected/..%2fsecret",
        "/protected/out",
        "/protected/.hidden",
        "/protected/missing",
        "/protected/",
        "/protected",
        "/protected/a.pdf%00",
        "/protected/%",
        "/other/a.pdf",
        "a.pdf",
        "http://localhost/protected/a.pdf",
        "",
    ];
    let urls = urls.map(|url| ("X-Accel-Redirect", url.to_owned()));
    for (name, value) in urls.into_iter().chain(paths.map(|path| ("X-Sendfile", path))) {
        let response = ask(&mut connection, "GET", &[(name, &value)], &[]);
        assert_eq!(
            (response.status, response.text()),
            (404, "404 Not Found\n".to_owned()),
            "{value}"
        );
        assert_eq!(response.header(&name.to_lowercase()), None, "{value}");
    }
    server.wait_for_log("cannot send the file of x-accel-redirect: /protected/../secret: ");
}

#[test]
fn without_the_setting_the_field_is_for_a_proxy_in_front() {
    let server = setup().start();
    let fields = [("X-Accel-Redirect", "/protected/a.pdf")];
    let response = ask(&mut server.connect(), "GET", &fields, &[]);
    assert_eq!(response.header("x-accel-redirect"), Some("/protected/a.pdf"));
    assert_eq!(response.text(), "the application's body");
}
