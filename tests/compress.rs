//! Responses of an application that are sent in a content coding.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::support::certificate::Authority;
use crate::support::client::{Connection, Response, request};
use crate::support::pipe::Pipe;
use crate::support::setup::{Setup, python};
use crate::support::tls::TlsClient;
use crate::support::until;

const CODINGS: [&str; 3] = ["zstd", "gzip", "br"];

/// The forms in which an application gives a body.
const FORMS: [&str; 5] = ["whole", "parts", "pieces", "written", "file"];

fn setup() -> Setup {
    Setup::of("compressed").flags(&["--compress", "zstd,gzip,br"])
}

/// The target of a response of this form, with fields of the application.
fn target(form: &str, size: usize, fields: &[&str]) -> String {
    let mut target = format!("/{form}?size={size}");
    for field in fields {
        let field = field.replace('%', "%25").replace(' ', "%20").replace('&', "%26");
        target += &format!("&field={}", field.replace('"', "%22").replace('+', "%2B"));
    }
    target
}

/// The target of a response in plain text.
fn plain(form: &str, size: usize) -> String {
    target(form, size, &["Content-Type: text/plain; charset=utf-8"])
}

fn ask(connection: &mut Connection, method: &str, target: &str, accepted: &str) -> Response {
    connection.send(request(method, target, &[("Accept-Encoding", accepted)], ""));
    connection.try_response(method).unwrap_or_else(|error| panic!("{target}: {error}"))
}

/// The text of the application.
fn text(size: usize) -> String {
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= size {
            break;
        }
        text += &format!("line {number} of a text\n");
    }
    text.truncate(size);
    text
}

/// A complete body, decoded.
fn decoded(coding: &str, body: &[u8]) -> String {
    let mut decoder: Box<dyn Read> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(body)),
        "zstd" => Box::new(zstd::stream::read::Decoder::with_buffer(body).unwrap()),
        "br" => Box::new(brotli::Decompressor::new(body, 4096)),
        other => panic!("{other}"),
    };
    let mut text = String::new();
    decoder.read_to_string(&mut text).unwrap();
    text
}

/// What a client can decode of the beginning of a body.
fn decoded_so_far(coding: &str, bytes: &[u8]) -> String {
    let decoded = match coding {
        "gzip" => {
            let mut decoder = flate2::write::GzDecoder::new(Vec::new());
            decoder.write_all(bytes).unwrap();
            decoder.flush().unwrap();
            decoder.get_ref().clone()
        }
        "zstd" => {
            let mut decoder = zstd::stream::write::Decoder::new(Vec::new()).unwrap();
            decoder.write_all(bytes).unwrap();
            decoder.flush().unwrap();
            decoder.get_ref().clone()
        }
        "br" => {
            // It writes no more than one buffer behind the last byte that it gets.
            let mut decoder = brotli::DecompressorWriter::new(Vec::new(), 1 << 20);
            decoder.write_all(bytes).unwrap();
            decoder.flush().unwrap();
            decoder.get_ref().clone()
        }
        other => panic!("{other}"),
    };
    String::from_utf8(decoded).unwrap()
}

/// A complete body of gzip, decoded by Python's zlib.
fn decoded_by_python(body: &[u8]) -> String {
    let script = "import sys, zlib\n\
        decoder = zlib.decompressobj(31)\n\
        body = decoder.decompress(sys.stdin.buffer.read())\n\
        assert decoder.eof and not decoder.unused_data\n\
        sys.stdout.buffer.write(body)";
    let mut child = Command::new(python())
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Checks that a response has this coding, and that its body is the text of this size.
fn check(response: &Response, coding: Option<&str>, size: usize) {
    assert_eq!(response.header("content-encoding"), coding);
    let body = coding.map_or_else(|| response.text(), |coding| decoded(coding, &response.body));
    assert!(body == text(size), "{} bytes of text", body.len());
}

#[test]
fn a_client_gets_the_coding_that_it_accepts_and_the_server_prefers() {
    let server = setup().start();
    let mut connection = server.connect();
    for (accepted, coding) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, deflate, br", Some("gzip")),
        ("br, gzip;q=0.9", Some("br")),
        ("x-gzip", Some("gzip")),
        ("*", Some("zstd")),
        ("*;q=0.1, zstd;q=0, gzip;q=0", Some("br")),
        ("deflate", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=many", None),
        ("identity, gzip;q=0.5", None),
    ] {
        let response = ask(&mut connection, "GET", &plain("whole", 5000), accepted);
        check(&response, coding, 5000);
        assert_eq!(response.header("vary"), Some("Accept-Encoding"), "{accepted}");
    }
    let response = connection.get(&plain("whole", 5000));
    check(&response, None, 5000);
    assert_eq!(response.header("vary"), Some("Accept-Encoding"));
}

#[test]
fn every_form_of_a_body_is_encoded() {
    let server = setup().start();
    let mut connection = server.connect();
    for coding in CODINGS {
        for form in FORMS {
            for size in [1500, 70_000, 1_200_000] {
                let response = ask(&mut connection, "GET", &plain(form, size), coding);
                check(&response, Some(coding), size);
                assert!(response.body.len() < size / 2 + 100, "{form}: {}", response.body.len());
                let has_length = response.header("content-length").is_some();
                assert_eq!(has_length, form == "whole" && size <= 1 << 20, "{form} {size}");
            }
        }
    }
    for form in FORMS {
        let response = ask(&mut connection, "GET", &plain(form, 70_000), "gzip");
        assert!(decoded_by_python(&response.body) == text(70_000), "{form}");
    }
}

#[test]
fn each_piece_of_a_stream_reaches_the_client_at_once() {
    let server = Setup::of("stream").flags(&["--compress", "zstd,gzip,br"]).start();
    for coding in CODINGS {
        let pipe = Pipe::new(&server.directory, coding);
        let mut connection = server.connect();
        let target = format!("/?{}", pipe.query());
        connection.send(request("GET", &target, &[("Accept-Encoding", coding)], ""));
        let mut writer = pipe.open();
        let (mut text, mut body) = (String::new(), Vec::new());
        for line in ["first\n", "second\n", "third, which is somewhat longer\n"] {
            writer.say(line);
            text += line;
            if body.is_empty() {
                let head = connection.head();
                assert_eq!(head.header("content-encoding"), Some(coding));
                assert_eq!(head.header("transfer-encoding"), Some("chunked"));
            }
            while decoded_so_far(coding, &body) != text {
                body.extend(connection.chunk().unwrap().expect("the body goes on"));
            }
        }
        writer.finish();
        while let Some(chunk) = connection.chunk().unwrap() {
            body.extend(chunk);
        }
        assert_eq!(decoded(coding, &body), text);
    }
}

#[test]
fn fields_about_the_bytes_of_the_body_are_changed() {
    let server = setup().start();
    let fields = [
        "Content-Type: text/html",
        "Content-Length: 5000",
        "ETag: \"abc\"",
        "Accept-Ranges: bytes",
        "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==",
        "Digest: sha-256=abc",
        "Content-Digest: sha-256=:abc:",
        "Repr-Digest: sha-256=:abc:",
        "Vary: Cookie",
        "Cache-Control: max-age=60",
        "Last-Modified: Sat, 28 Nov 2026 09:00:00 GMT",
        "Set-Cookie: a=b",
    ];
    let target = target("whole", 5000, &fields);
    let response = ask(&mut server.connect(), "GET", &target, "gzip");
    check(&response, Some("gzip"), 5000);
    assert_eq!(response.header("etag"), Some("W/\"abc\""));
    assert_eq!(response.all("vary"), ["Cookie", "Accept-Encoding"]);
    assert_eq!(response.header("content-length"), Some(&*response.body.len().to_string()));
    for name in ["accept-ranges", "content-md5", "digest", "content-digest", "repr-digest"] {
        assert_eq!(response.header(name), None, "{name}");
    }
    assert_eq!(response.header("cache-control"), Some("max-age=60"));
    assert_eq!(response.header("set-cookie"), Some("a=b"));
    assert!(response.header("last-modified").is_some());
    // The response without a coding keeps them all.
    let response = ask(&mut server.connect(), "GET", &target, "identity");
    check(&response, None, 5000);
    for field in fields {
        let (name, value) = field.split_once(": ").unwrap();
        assert!(response.all(&name.to_ascii_lowercase()).contains(&value), "{field}");
    }
}

#[test]
fn an_entity_tag_becomes_weak_once_and_vary_names_the_field_once() {
    let server = setup().start();
    let mut connection = server.connect();
    for (given, tag) in [
        ("ETag: \"\"", Some("W/\"\"")),
        ("etag: W/\"abc\"", Some("W/\"abc\"")),
        ("ETag: unquoted", None),
    ] {
        let target = target("whole", 5000, &["Content-Type: text/html", given]);
        let response = ask(&mut connection, "GET", &target, "gzip");
        assert_eq!(response.header("etag"), tag, "{given}");
    }
    for given in ["Cookie, accept-encoding", "ACCEPT-ENCODING", "*"] {
        let vary = format!("Vary: {given}");
        let target = target("whole", 5000, &["Content-Type: text/html", &vary]);
        let response = ask(&mut connection, "GET", &target, "gzip");
        check(&response, Some("gzip"), 5000);
        assert_eq!(response.header("vary"), Some(given));
    }
}

#[test]
fn what_must_not_be_encoded_is_sent_as_it_is() {
    let server = setup().start();
    let mut connection = server.connect();
    for (status, fields, varies) in [
        ("204 No Content", vec!["Content-Type: text/plain"], false),
        ("206 Partial Content", vec!["Content-Type: text/plain"], false),
        ("304 Not Modified", vec!["Content-Type: text/plain"], false),
        ("200 OK", vec!["Content-Type: text/plain", "Content-Encoding: x-own"], false),
        ("200 OK", vec!["Content-Type: text/plain", "Content-Range: bytes 0-4999/9000"], false),
        ("200 OK", vec!["Content-Type: text/plain", "Cache-Control: private, No-Transform"], false),
        ("200 OK", vec!["Content-Type: image/png"], false),
        ("200 OK", vec!["Content-Type: text"], false),
        ("200 OK", vec![], false),
        ("200 OK", vec!["Content-Type: text/plain"], true),
        ("404 Not Found", vec!["Content-Type: APPLICATION/json"], true),
    ] {
        let mut all = fields.clone();
        all.push("ETag: \"abc\"");
        // The last two are encoded, unless they are too short.
        let size = if varies { 1023 } else { 5000 };
        let target = target("whole", size, &all) + "&status=" + &status.replace(' ', "%20");
        let response = ask(&mut connection, "GET", &target, "gzip, br, zstd");
        assert_eq!(response.status.to_string(), status[..3]);
        assert_eq!(response.header("etag"), Some("\"abc\""), "{status} {fields:?}");
        assert_eq!(response.header("vary"), varies.then_some("Accept-Encoding"), "{fields:?}");
        let own = fields.iter().find_map(|it| it.strip_prefix("Content-Encoding: "));
        assert_eq!(response.header("content-encoding"), own);
        if ![204, 304].contains(&response.status) {
            assert!(response.text() == text(size), "{status} {fields:?}");
        }
    }
    let json = target("whole", 1024, &["Content-Type: APPLICATION/json"]) + "&status=404%20No";
    check(&ask(&mut connection, "GET", &json, "gzip"), Some("gzip"), 1024);
    let response = ask(&mut connection, "GET", &plain("whole", 0), "gzip");
    assert_eq!(response.header("content-length"), Some("0"));
}

#[test]
fn the_response_to_head_has_the_fields_of_the_one_to_get() {
    let server = setup().start();
    let mut connection = server.connect();
    let dated = |response: &Response| {
        let mut fields = response.headers.clone();
        fields.retain(|(name, _)| {
            !["date", "x-request-id", "content-length", "transfer-encoding"].contains(&&**name)
        });
        fields
    };
    for form in FORMS {
        let fields = ["Content-Type: text/plain", "ETag: \"abc\"", "Accept-Ranges: bytes"];
        let target = target(form, 70_000, &fields);
        let get = ask(&mut connection, "GET", &target, "gzip");
        let head = ask(&mut connection, "HEAD", &target, "gzip");
        assert_eq!(dated(&head), dated(&get), "{form}");
        assert_eq!(head.header("content-encoding"), Some("gzip"));
        assert_eq!(head.header("content-length"), None, "{form}");
    }
    let short = target("whole", 500, &["Content-Type: text/plain", "Content-Length: 500"]);
    let head = ask(&mut connection, "HEAD", &short, "gzip");
    assert_eq!(
        (head.header("content-encoding"), head.header("content-length")),
        (None, Some("500"))
    );
}

#[test]
fn requests_that_arrive_together_get_their_codings_in_order() {
    let server = setup().start();
    let mut connection = server.connect();
    let asked = [("whole", "gzip"), ("pieces", "br"), ("whole", "identity"), ("parts", "zstd")];
    let asked = asked.iter().cycle().take(40);
    let mut sent = String::new();
    for (form, accepted) in asked.clone() {
        sent += &request("GET", &plain(form, 5000), &[("Accept-Encoding", accepted)], "");
    }
    connection.send(sent);
    for (_, accepted) in asked {
        let coding = (*accepted != "identity").then_some(*accepted);
        check(&connection.response(), coding, 5000);
    }
}

#[test]
fn a_body_that_is_not_completed_has_no_end() {
    let server = setup().start();
    server.allow("the application failed");
    server.allow("Traceback");
    server.allow("Content-Length");
    for coding in CODINGS {
        let short = target("pieces", 5000, &["Content-Type: text/plain", "Content-Length: 6000"]);
        for target in [plain("failing", 5000), short] {
            let mut connection = server.connect();
            connection.send(request("GET", &target, &[("Accept-Encoding", coding)], ""));
            assert_eq!(connection.head().header("content-encoding"), Some(coding));
            let mut body = Vec::new();
            let end = loop {
                match connection.chunk() {
                    Ok(Some(chunk)) => body.extend(chunk),
                    other => break other,
                }
            };
            assert!(end.is_err(), "the last chunk is missing");
            assert!(text(5000).starts_with(&decoded_so_far(coding, &body)));
        }
    }
    let long = target("pieces", 5000, &["Content-Type: text/plain", "Content-Length: 1500"]);
    check(&ask(&mut server.connect(), "GET", &long, "gzip"), Some("gzip"), 1500);
}

#[test]
fn clients_that_leave_cost_nothing() {
    let server = setup().start();
    for coding in CODINGS.into_iter().cycle().take(12) {
        let mut connection = server.connect();
        let target = plain("endless", 100_000);
        connection.send(request("GET", &target, &[("Accept-Encoding", coding)], ""));
        assert_eq!(connection.head().header("content-encoding"), Some(coding));
        connection.exactly(1000).unwrap();
        drop(connection);
        check(
            &ask(&mut server.connect(), "GET", &plain("whole", 5000), coding),
            Some(coding),
            5000,
        );
    }
}

#[test]
fn a_client_of_http_1_0_gets_the_body_up_to_the_end_of_the_connection() {
    let server = setup().start();
    for coding in CODINGS {
        let mut connection = server.connect();
        let target = plain("pieces", 5000);
        connection.send(format!("GET {target} HTTP/1.0\r\nAccept-Encoding: {coding}\r\n\r\n"));
        let response = connection.response();
        assert_eq!(response.header("transfer-encoding"), None);
        check(&response, Some(coding), 5000);
    }
}

#[test]
fn the_interpreters_lock_is_free_while_a_large_piece_is_encoded() {
    let server = setup().start();
    let mut connection = server.connect();
    for coding in CODINGS {
        let response = ask(&mut connection, "GET", &plain("beside", 2_000_000), coding);
        assert_eq!(response.header("content-encoding"), Some(coding));
        let body = decoded(coding, &response.body);
        assert!(body.len() >= 2_000_000 && body.bytes().all(|byte| byte == 0));
    }
}

#[test]
fn the_settings_decide_about_types_lengths_and_levels() {
    let sizes: Vec<_> = ["fast", "best", "1", "9"]
        .into_iter()
        .map(|level| {
            let flags = ["--compress", "gzip", "--compress-level", level];
            let server = Setup::of("compressed").flags(&flags).start();
            let response = ask(&mut server.connect(), "GET", &plain("whole", 500_000), "gzip, br");
            check(&response, Some("gzip"), 500_000);
            response.body.len()
        })
        .collect();
    assert!(sizes[1] < sizes[0], "{sizes:?}");
    assert_eq!((sizes[0], sizes[1]), (sizes[2], sizes[3]));
    let flags = ["--compress", "br", "--compress-types", "image/*", "--compress-min-length", "10"];
    let server = Setup::of("compressed").flags(&flags).start();
    let mut connection = server.connect();
    let image = |size| target("whole", size, &["Content-Type: image/x-bitmap"]);
    check(&ask(&mut connection, "GET", &image(10), "gzip, br"), Some("br"), 10);
    check(&ask(&mut connection, "GET", &image(9), "gzip, br"), None, 9);
    check(&ask(&mut connection, "GET", &image(10), "gzip"), None, 10);
    let response = ask(&mut connection, "GET", &plain("whole", 5000), "br");
    check(&response, None, 5000);
    assert_eq!(response.header("vary"), None);
}

#[test]
fn without_the_setting_nothing_is_encoded() {
    let server = Setup::of("compressed").start();
    let target = target("whole", 5000, &["Content-Type: text/plain", "ETag: \"abc\""]);
    let response = ask(&mut server.connect(), "GET", &target, "gzip, br, zstd");
    check(&response, None, 5000);
    assert_eq!((response.header("vary"), response.header("etag")), (None, Some("\"abc\"")));
}

#[test]
fn the_access_log_has_the_bytes_that_were_sent() {
    let server = setup().flags(&["--access-logfile", "-", "--access-logformat", "%(B)s"]).start();
    let response = ask(&mut server.connect(), "GET", &plain("pieces", 5000), "gzip");
    let sent = format!("{}\n", response.body.len());
    until::holds("the line", || server.directory.read("stdout") == sent);
}

#[test]
fn threads_encode_bodies_for_clients_with_tls_at_the_same_time() {
    let authority = Authority::new("Test");
    let certificate = authority.server(&["localhost"]).issue();
    let server = setup().certificate(&certificate).threads(4).start();
    let client = TlsClient::new(&authority);
    let address = server.address();
    std::thread::scope(|scope| {
        for coding in CODINGS.into_iter().cycle().take(6) {
            let client = &client;
            scope.spawn(move || {
                let mut connection = client.connect(address).unwrap();
                for form in FORMS {
                    let response = ask(&mut connection, "GET", &plain(form, 300_000), coding);
                    check(&response, Some(coding), 300_000);
                }
            });
        }
    });
}
