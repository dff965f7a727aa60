//! Responses of a WSGI application, in every form that it can return.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use crate::support::client::{Connection, Response, get, request};
use crate::support::pipe::Pipe;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

#[test]
fn a_single_piece_is_counted_and_many_are_chunked() {
    let server = Setup::of("responses").start();
    let response = server.get("/one_piece");
    assert_eq!((response.header("content-length"), response.text().as_str()), (Some("5"), "hello"));
    let response = server.get("/pieces");
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
    assert_eq!(response.text(), "one two three");
    let response = server.get("/empty");
    assert_eq!((response.status, response.text().as_str()), (200, ""));
}

#[test]
fn the_server_names_itself_and_the_date() {
    let server = Setup::of("responses").start();
    let response = server.get("/one_piece");
    assert_eq!(response.line, "HTTP/1.1 200 OK");
    assert_eq!(response.header("server"), Some("monoceros"));
    let date = response.header("date").unwrap();
    assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    let response = server.get("/own_headers");
    assert_eq!((response.all("server").len(), response.all("date").len()), (1, 1));
}

#[test]
fn headers_of_the_settings_are_added_unless_the_application_sets_them() {
    let own = "def application(environ, start_response):\n    \
        start_response('200 OK', [('x-frame-options', 'SAMEORIGIN')])\n    return [b'']";
    let settings = "server-header: off\nresponse-headers:\n  X-Frame-Options: DENY\n  \
        Referrer-Policy: same-origin\n";
    let setup = Setup::of("own").file("own.py", own).file("monoceros.yaml", settings);
    let server = setup.flags(&["--config", "monoceros.yaml"]).start();
    let response = server.get("/");
    assert_eq!(response.all("x-frame-options"), ["SAMEORIGIN"]);
    assert_eq!(response.all("referrer-policy"), ["same-origin"]);
    assert_eq!((response.header("server"), response.all("date").len()), (None, 1));
    // The server's own response.
    let refused = server.ask("GET / HTTP/1.1\r\n\r\n");
    assert_eq!((refused.status, refused.all("x-frame-options")), (400, vec!["DENY"]));
    assert_eq!((refused.header("server"), refused.all("referrer-policy").len()), (None, 1));
}

#[test]
fn more_than_the_content_length_is_cut() {
    let server = Setup::of("responses").start();
    server.allow("Content-Length");
    for path in ["/too_long", "/too_long_at_once", "/endless"] {
        let mut connection = server.connect();
        assert_eq!(connection.get(path).text(), "hello");
        assert_eq!(
            connection.get("/one_piece").text(),
            "hello",
            "{path}: nothing leaks into the next"
        );
    }
}

#[test]
fn less_than_the_content_length_closes_the_connection() {
    let server = Setup::of("responses").start();
    server.allow("Content-Length");
    let mut connection = server.connect();
    connection.send(get("/too_short"));
    assert_eq!(connection.head().header("content-length"), Some("50"));
    assert_eq!(connection.rest().unwrap(), b"hello");
}

/// Sends `method`, reads a head only, and expects the connection to go on.
fn head_only(server: &Server, method: &str, path: &str) -> Response {
    let mut connection = server.connect();
    connection.send(request(method, path, &[], ""));
    let response = connection.try_response("HEAD").unwrap();
    assert_eq!(connection.get("/one_piece").text(), "hello", "{method} {path} has no body");
    response
}

#[test]
fn responses_that_must_have_no_body_have_none() {
    let server = Setup::of("responses").start();
    assert_eq!(head_only(&server, "HEAD", "/too_long_at_once").header("content-length"), Some("5"));
    assert_eq!(head_only(&server, "HEAD", "/pieces").status, 200);
    assert_eq!(head_only(&server, "HEAD", "/memory_file").status, 200);
    assert_eq!(head_only(&server, "HEAD", "/written").status, 200);
    for path in ["/no_content", "/endless_no_content"] {
        let response = head_only(&server, "GET", path);
        assert_eq!((response.status, response.header("content-length")), (204, None));
        assert_eq!(response.header("transfer-encoding"), None);
    }
    let response = head_only(&server, "GET", "/not_modified");
    assert_eq!((response.status, response.header("etag")), (304, Some("\"a\"")));
}

#[test]
fn pieces_of_write_come_before_the_returned_iterable() {
    let server = Setup::of("responses").start();
    let mut connection = server.connect();
    assert_eq!(connection.get("/written").text(), "written twice and returned");
    let response = connection.get("/written_counted");
    assert_eq!(
        (response.header("content-length"), response.text().as_str()),
        (Some("7"), "written")
    );
}

#[test]
fn headers_go_out_as_they_came() {
    let server = Setup::of("responses").start();
    assert_eq!(server.get("/cookies").all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(server.get("/latin").header("x-name"), Some("caf\u{e9}"));
    let mut connection = server.connect();
    assert!(connection.get("/closing").closes());
    connection.assert_closed();
}

#[test]
fn headers_are_pairs_of_any_kind() {
    let server = Setup::of("responses").start();
    let response = server.get("/sequences");
    for (name, value) in [("x-list", "a"), ("x-tuple", "b"), ("x-own", "c"), ("x-named", "d")] {
        assert_eq!(response.header(name), Some(value));
    }
    assert_eq!(response.text(), "ok");
}

#[test]
fn invalid_response_heads_are_refused() {
    let paths = [
        "/crlf_in_value",
        "/lf_in_value",
        "/nul_in_value",
        "/crlf_in_name",
        "/space_in_name",
        "/empty_name",
        "/beyond_latin",
        "/bytes_in_value",
        "/number_in_value",
        "/crlf_in_status",
        "/status_without_number",
        "/status_too_short",
        "/status_in_bytes",
        "/length_no_number",
        "/length_negative",
        "/two_lengths",
        "/headers_no_list",
        "/header_no_pair",
        "/header_of_three",
        "/header_is_text",
        "/header_is_a_set",
        "/header_is_a_dictionary",
        "/bytes_in_a_list",
    ];
    let server = Setup::of("responses:bad_headers").start();
    let worker = server.workers();
    for text in ["[ERROR]", "Traceback", "AssertionError"] {
        server.allow(text);
    }
    for path in paths {
        let response = server.get(path);
        assert_eq!(response.status, 500, "{path}: {response:?}");
        assert_eq!(response.header("x-injected"), None, "{path}");
        assert_eq!(response.header("x-a"), None, "{path}");
    }
    assert_eq!(server.get("/good").text(), "ok");
    assert_eq!(server.workers(), worker, "the worker lives on");
}

#[test]
fn each_yielded_piece_is_sent_at_once() {
    let server = Setup::of("stream").start();
    let pipe = Pipe::new(&server.directory, "pipe");
    let mut connection = server.connect();
    connection.send(get(&format!("/stream?{}", pipe.query())));
    let mut writer = pipe.open();
    writer.say("first\n");
    let head = connection.head();
    assert_eq!((head.status, head.header("transfer-encoding")), (200, Some("chunked")));
    assert_eq!(connection.chunk().unwrap().unwrap(), b"first\n");
    writer.say("second\n");
    assert_eq!(connection.chunk().unwrap().unwrap(), b"second\n");
    writer.finish();
    assert_eq!(connection.chunk().unwrap(), None);
    assert_eq!(server.get("/missing?pipe=/dev/null").text(), "", "the worker is free again");
}

#[test]
fn each_yielded_piece_with_a_length_is_sent_at_once() {
    let server = Setup::of("stream:counted").start();
    let pipe = Pipe::new(&server.directory, "pipe");
    let mut connection = server.connect();
    connection.send(get(&format!("/?{}", pipe.query())));
    let mut writer = pipe.open();
    writer.say("one\n");
    assert_eq!(connection.head().header("content-length"), Some("8"));
    assert_eq!(connection.exactly(4).unwrap(), b"one\n");
    writer.say("two\n");
    assert_eq!(connection.exactly(4).unwrap(), b"two\n");
    writer.finish();
}

/// Asks for a file through `wsgi.file_wrapper`.
fn file(connection: &mut Connection, headers: &[(&str, &str)]) -> Response {
    connection.send(request("GET", "/real_file", headers, ""));
    connection.response()
}

#[test]
fn a_file_is_sent_from_its_position_to_its_end() {
    let server = Setup::of("responses").start();
    let content: String = ('a'..='z').cycle().take(3_000_000).collect();
    let path = server.directory.write("file", &content);
    let name = ("X-File", path.to_str().unwrap());
    let mut connection = server.connect();
    assert!(file(&mut connection, &[name]).body == content.as_bytes());
    let rest = file(&mut connection, &[name, ("X-Skip", "2999990")]);
    assert_eq!(rest.text(), content[2_999_990..]);
    let cut = file(&mut connection, &[name, ("X-Length", "10")]);
    assert_eq!(cut.text(), content[..10]);
    let uncounted = file(&mut connection, &[name, ("X-Uncounted", "1")]);
    assert!(uncounted.body == content.as_bytes());
    assert_eq!(connection.get("/one_piece").text(), "hello");
    connection.send(request("HEAD", "/real_file", &[name], ""));
    assert_eq!(connection.try_response("HEAD").unwrap().header("content-length"), Some("3000000"));
    assert_eq!(connection.get("/one_piece").text(), "hello");
}

#[test]
fn a_file_shorter_than_its_length_closes_the_connection() {
    let server = Setup::of("responses").start();
    server.allow("Content-Length");
    let path = server.directory.write("file", "short");
    let mut connection = server.connect();
    let headers = [("X-File", path.to_str().unwrap()), ("X-Length", "50")];
    connection.send(request("GET", "/real_file", &headers, ""));
    assert_eq!(connection.head().header("content-length"), Some("50"));
    assert_eq!(connection.rest().unwrap(), b"short");
}

#[test]
fn a_file_that_becomes_shorter_while_it_is_sent_is_logged() {
    const LENGTH: u64 = 200 << 20;
    let server = Setup::of("responses").start();
    let path = server.directory.write("file", "");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(LENGTH).unwrap();
    let mut connection = server.connect();
    connection.send(request("GET", "/real_file", &[("X-File", path.to_str().unwrap())], ""));
    // The application has been done with it by then, and the client is slow.
    assert_eq!(server.get("/one_piece").text(), "hello");
    file.set_len(0).unwrap();
    assert_eq!(connection.head().status, 200);
    assert!((connection.until_reset().len() as u64) < LENGTH);
    server.wait_for_log("gave up the response to GET /real_file (request ");
    server.wait_for_log("its file has become shorter while it was sent");
}

#[test]
fn files_are_closed_after_they_were_sent() {
    let server = Setup::of("responses").start();
    let path = server.directory.write("file", "content");
    let mut connection = server.connect();
    for _ in 0..20 {
        file(&mut connection, &[("X-File", path.to_str().unwrap())]);
    }
    let worker = server.workers()[0];
    let open = || process::descriptors(worker).unwrap().join("\n");
    until::holds("closed files", || !open().contains(path.to_str().unwrap()));
}

#[test]
fn objects_that_only_resemble_a_file_are_sent_too() {
    let server = Setup::of("responses").start();
    assert_eq!(server.get("/memory_file").text(), "from memory ".repeat(2000));
}

/// What those files read whose `read` is their own.
fn turned(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| 255 - byte).collect()
}

#[test]
fn the_result_of_read_is_sent_with_any_file_behind_it() {
    let content: Vec<u8> = (b'a'..=b'z').cycle().take(300_000).collect();
    let turned = turned(&content);
    let server = Setup::of("files").start();
    std::fs::write(server.directory.join("content"), &content).unwrap();
    let mut connection = server.connect();
    for kind in
        ["reader", "raw", "random", "django", "image", "around", "temporary", "uploaded", "packed"]
    {
        assert!(connection.get(&format!("/{kind}")).body == content, "{kind}");
    }
    for kind in [
        "veiled",
        "around_veiled",
        "diverted",
        "proxy",
        "derived",
        "derived_raw",
        "changed",
        "changed_temporary",
    ] {
        assert!(connection.get(&format!("/{kind}")).body == turned, "{kind}");
    }
    assert_eq!(connection.get("/part").body, turned[..100]);
}

/// To read all that stands before the range would take longer than any test may.
#[test]
fn the_end_of_a_huge_file_costs_no_more_than_its_beginning() {
    const LENGTH: u64 = 200 << 30;
    let server = Setup::of("files:ranged").start();
    let path = server.directory.write("content", "the beginning");
    let mut file = File::options().write(true).open(&path).unwrap();
    file.set_len(LENGTH).unwrap();
    file.seek(SeekFrom::End(-7)).unwrap();
    file.write_all(b"the end").unwrap();
    let mut connection = server.connect();
    for target in ["/", "/read"] {
        for (range, text, place) in [
            ("bytes=0-2", "the", "0-2".to_owned()),
            ("bytes=4-12", "beginning", "4-12".to_owned()),
            ("bytes=-3", "end", format!("{}-{}", LENGTH - 3, LENGTH - 1)),
        ] {
            connection.send(request("GET", target, &[("Range", range)], ""));
            let answer = connection.response();
            let body = if target == "/" { answer.body.clone() } else { turned(&answer.body) };
            assert_eq!((answer.status, &body[..]), (206, text.as_bytes()), "{target} {range}");
            let place = format!("bytes {place}/{LENGTH}");
            assert_eq!(answer.header("content-range"), Some(place.as_str()));
        }
    }
}

#[test]
fn a_wrapped_file_gives_a_part_of_itself() {
    let server = Setup::of("files:part").start();
    server.directory.write("content", "abcdefghijklmnopqrstuvwxyz");
    let mut connection = server.connect();
    for (query, text) in [
        ("0,3,0", "abc"),
        ("10,20,0", "klmnopqrst"),
        ("10,,2", "mnopqrstuvwxyz"),
        ("5,15,20", "z"),
        ("3,3,0", ""),
    ] {
        assert_eq!(connection.get(&format!("/?{query}")).text(), text, "{query}");
        let read = connection.get(&format!("/read?{query}")).body;
        assert_eq!(turned(&read), text.as_bytes(), "{query}, read");
    }
}

#[test]
fn middleware_may_wait_for_the_end_of_a_wrapped_file() {
    let server = Setup::of("files:patched").start();
    server.directory.write("content", "abc");
    let mut connection = server.connect();
    for count in 1..3 {
        assert_eq!(connection.get("/").text(), "abc");
        until::holds("its end", || server.directory.read("closed") == "closed".repeat(count));
    }
}

#[test]
fn close_is_called_once_however_a_body_ends() {
    let server = Setup::of("closing").start();
    for text in ["[ERROR]", "Traceback", "AssertionError"] {
        server.allow(text);
    }
    let closed = || server.directory.read("closed").lines().count();
    let mut expected = 0;
    for (path, is_whole) in
        [("/whole", true), ("/empty", true), ("/text", true), ("/raising", false)]
    {
        let mut connection = server.connect();
        connection.send(get(path));
        assert_eq!(connection.try_response("GET").is_ok(), is_whole, "{path}");
        expected += 1;
        until::holds(path, || closed() == expected);
    }
    let mut connection = server.connect();
    connection.send(request("HEAD", "/whole", &[], ""));
    connection.try_response("HEAD").unwrap();
    until::holds("HEAD", || closed() == expected + 1);
    let mut connection = server.connect();
    connection.send(get("/endless"));
    connection.head();
    drop(connection);
    until::holds("a client that went away", || closed() == expected + 2);
    assert_eq!(server.get("/whole").text(), "onetwo");
    until::holds("the last one", || closed() == expected + 3);
}

#[test]
fn a_failing_application_is_answered_with_500_that_discloses_nothing() {
    let server = Setup::of("faults").start();
    for text in ["[ERROR]", "Traceback", "AssertionError"] {
        server.allow(text);
    }
    let worker = server.workers();
    for path in ["/before", "/after", "/first", "/twice", "/never", "/nothing", "/text", "/exits"] {
        let response = server.get(path);
        assert_eq!(response.status, 500, "{path}");
        let text = response.text();
        assert!(text.len() < 200 && !text.contains("raised") && !text.contains("/"), "{text}");
        assert_eq!(server.get("/").text(), "well", "{path}");
    }
    assert_eq!(server.workers(), worker, "the worker lives on");
    let log = server.log();
    assert!(log.contains("GET /before") && log.contains("ValueError: raised before"), "{log}");
}

#[test]
fn a_traceback_is_complete_with_any_bytes_in_its_message() {
    let server = Setup::of("faults").start();
    for text in ["[ERROR]", "Traceback"] {
        server.allow(text);
    }
    assert_eq!(server.get("/unprintable").status, 500);
    server.wait_for_log("FileNotFoundError: caf\\udce9");
    server.wait_for_log("Traceback (most recent call last)");
}

#[test]
fn an_application_that_fails_half_way_cuts_the_connection() {
    let server = Setup::of("faults").start();
    for text in ["[ERROR]", "Traceback"] {
        server.allow(text);
    }
    for path in ["/second", "/counted", "/too_late"] {
        let mut connection = server.connect();
        connection.send(get(path));
        assert_eq!(connection.head().status, 200, "{path}");
        let rest = connection.rest().unwrap();
        let rest = String::from_utf8_lossy(&rest);
        assert!(rest.contains("one piece") && !rest.ends_with("0\r\n\r\n"), "{path}: {rest}");
        assert!(!rest.contains("500"), "{path}: no second head within the body: {rest}");
    }
    server.wait_for_log("ValueError: raised while iterating");
    server.wait_for_log("GET /second");
    assert_eq!(server.get("/").text(), "well");
}

#[test]
fn exc_info_replaces_a_head_that_was_not_sent() {
    let server = Setup::of("faults").start();
    let response = server.get("/replaced");
    assert_eq!(response.line, "HTTP/1.1 503 Not Now");
    assert_eq!((response.header("x-first"), response.header("x-second")), (None, Some("yes")));
    assert_eq!(response.text(), "replaced");
}

#[test]
fn a_close_that_raises_does_not_change_the_response() {
    let server = Setup::of("faults").start();
    for text in ["[ERROR]", "Traceback"] {
        server.allow(text);
    }
    assert_eq!(server.get("/closing").text(), "done");
    server.wait_for_log("raised in close");
    assert_eq!(server.get("/").text(), "well");
}

#[test]
fn memory_stays_bounded_when_a_client_does_not_read() {
    let server = Setup::of("stream:endless").start();
    let worker = server.workers()[0];
    let resident = || process::status(worker, "VmRSS")[0].parse::<u64>().unwrap();
    let before = resident();
    let mut client = server.connect();
    client.send(get("/"));
    assert_eq!(client.head().status, 200);
    let grown = || (resident() > before + 65_536).then(&resident);
    let most = until::within(Duration::from_secs(1), grown);
    assert_eq!(most, None, "KiB, of {before} in the beginning");
}
