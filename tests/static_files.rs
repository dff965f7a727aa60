//! Files that the server sends by itself: names, conditions, ranges, variants, changes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::support::certificate::Authority;
use crate::support::client::{Connection, Response, get, request};
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::tls::TlsClient;
use crate::support::until;

/// A server with `static/` at `/static/`, and the directory.
fn setup() -> (Setup, PathBuf) {
    let setup = Setup::of("environ").flags(&["--static", "/static/=static"]);
    let root = setup.directory.join("static");
    fs::create_dir(&root).unwrap();
    (setup, root)
}

/// Sends a request with these headers, and reads the response.
fn ask(
    connection: &mut Connection,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Response {
    connection.send(request(method, path, headers, ""));
    connection.try_response(method).unwrap()
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Waits until a file has this content for clients.
fn wait_for_text(server: &Server, path: &str, status: u16, text: &str) -> Response {
    let mut connection = server.connect();
    until::some(&format!("{status} {text:?} at {path}"), || {
        let response = connection.get(path);
        (response.status == status && response.text().starts_with(text)).then_some(response)
    })
}

#[test]
fn a_file_is_sent_with_what_clients_need_to_keep_it() {
    let (setup, root) = setup();
    write(&root.join("css/a.css"), "body {}");
    write(&root.join("app.0123456789ab.js"), "hashed");
    write(&root.join("named.js"), "named");
    write(&root.join("staticfiles.json"), r#"{"paths": {"n.js": "named.js"}, "version": "1.1"}"#);
    write(&root.join("app-deadbeef.mjs"), "vite");
    write(&root.join("empty"), "");
    write(&setup.directory.join("icon"), "icon");
    let pattern = r"[.-][0-9a-f]{8}\.mjs$";
    let setup = setup.flags(&["--static", "/favicon.ico=icon", "--static-immutable", pattern]);
    let server = setup.start();
    let mut connection = server.connect();
    let response = connection.get("/static/css/a.css?v=1");
    assert_eq!((response.status, response.text()), (200, "body {}".to_owned()));
    for (name, value) in [
        ("content-type", "text/css; charset=utf-8"),
        ("content-length", "7"),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "public, max-age=60"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    let tag = response.header("etag").unwrap();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 18, "{tag}");
    assert!(response.header("last-modified").unwrap().ends_with(" GMT"));
    assert_eq!(response.header("vary"), None);
    // The response to HEAD is the same without the body.
    let head = ask(&mut connection, "HEAD", "/static/css/a.css", &[]);
    let fields = |it: &Response| {
        let is_own = |name: &str| ["date", "x-request-id"].contains(&name);
        it.headers.iter().filter(|(name, _)| !is_own(name)).cloned().collect::<Vec<_>>()
    };
    assert_eq!((head.status, fields(&head)), (200, fields(&response)));
    for (path, cache_control) in [
        ("/static/app.0123456789ab.js", "public, max-age=31536000, immutable"),
        ("/static/named.js", "public, max-age=31536000, immutable"),
        ("/static/app-deadbeef.mjs", "public, max-age=31536000, immutable"),
        ("/favicon.ico", "public, max-age=60"),
    ] {
        let response = connection.get(path);
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(response.header("cache-control"), Some(cache_control), "{path}");
    }
    let empty = connection.get("/static/empty");
    assert_eq!((empty.status, empty.header("content-length")), (200, Some("0")));
    // What is missing, other methods, and directories.
    for path in ["/static/", "/static/css", "/static/css/", "/static/missing", "/static/css/a.css/"]
    {
        let response = connection.get(path);
        assert_eq!(response.status, 404, "{path}");
        assert_eq!(response.header("cache-control"), None, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let response = ask(&mut connection, method, "/static/css/a.css", &[]);
        assert_eq!((response.status, response.header("allow")), (405, Some("GET, HEAD")));
        assert_eq!(response.header("cache-control"), None);
    }
    // All else is the application's.
    for path in ["/static", "/statics/a", "/", "/favicon.ico/"] {
        assert_eq!(connection.get(path).json()["PATH_INFO"], path);
    }
}

#[test]
fn the_longest_prefix_wins_and_what_is_missing_can_fall_through() {
    let setup = Setup::of("environ");
    for (name, content) in [("site/a", "site"), ("site/s/a", "below"), ("assets/a", "assets")] {
        write(&setup.directory.join(name), content);
    }
    let setup = setup.flags(&["--static", "/=site", "--static", "/s/=assets"]);
    let server = setup.flag("--static-fallthrough").start();
    let mut connection = server.connect();
    assert_eq!(connection.get("/a").text(), "site");
    assert_eq!(connection.get("/s/a").text(), "assets");
    for path in ["/", "/missing", "/s/missing", "/s/", "/.git/config", "/b%2fc"] {
        let response = connection.get(path);
        assert_eq!(response.status, 200, "{path}");
        assert!(response.json()["PATH_INFO"].is_string(), "{path}");
    }
    let response = ask(&mut connection, "POST", "/missing", &[]);
    assert_eq!(response.json()["REQUEST_METHOD"], "POST");
    assert_eq!(ask(&mut connection, "POST", "/a", &[]).status, 405);
}

/// The rows of RFC 9110 section 13.2.2 that a client can see, and those of If-Range.
#[test]
fn conditions_and_ranges() {
    let (setup, root) = setup();
    write(&root.join("a"), "0123456789");
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    fs::File::options().write(true).open(root.join("a")).unwrap().set_modified(changed).unwrap();
    let server = setup.start();
    let mut connection = server.connect();
    let first = connection.get("/static/a");
    let tag = first.header("etag").unwrap().to_owned();
    let weak = format!("W/{tag}");
    let list = format!("\"x\", {weak}");
    let (before, exact) = ("Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(first.header("last-modified"), Some(exact));
    let (tag, weak, list) = (&tag[..], &weak[..], &list[..]);
    for (fields, status) in [
        (vec![("If-Match", tag)], 200),
        (vec![("If-Match", "*")], 200),
        (vec![("If-Match", weak)], 412),
        (vec![("If-Match", "\"x\"")], 412),
        (vec![("If-Match", tag), ("If-Unmodified-Since", before)], 200),
        (vec![("If-Match", "\"x\""), ("If-None-Match", tag)], 412),
        (vec![("If-Match", tag), ("If-None-Match", tag)], 304),
        (vec![("If-Unmodified-Since", before)], 412),
        (vec![("If-Unmodified-Since", exact)], 200),
        (vec![("If-Unmodified-Since", before), ("If-None-Match", tag)], 412),
        (vec![("If-None-Match", tag)], 304),
        (vec![("If-None-Match", weak)], 304),
        (vec![("If-None-Match", list)], 304),
        (vec![("If-None-Match", "*")], 304),
        (vec![("If-None-Match", "\"x\"")], 200),
        (vec![("If-None-Match", "\"x\""), ("If-Modified-Since", exact)], 200),
        (vec![("If-Modified-Since", exact)], 304),
        (vec![("If-Modified-Since", before)], 200),
        (vec![("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT")], 304),
        (vec![("If-Modified-Since", "Sun Nov  6 08:49:37 1994")], 304),
        (vec![("If-Modified-Since", "yesterday")], 200),
        (vec![("Range", "bytes=2-4")], 206),
        (vec![("Range", "bytes=2-4"), ("If-Range", tag)], 206),
        (vec![("Range", "bytes=2-4"), ("If-Range", exact)], 206),
        (vec![("Range", "bytes=2-4"), ("If-Range", weak)], 200),
        (vec![("Range", "bytes=2-4"), ("If-Range", before)], 200),
        (vec![("Range", "bytes=2-4"), ("If-None-Match", tag)], 304),
        (vec![("Range", "bytes=2-4"), ("If-Match", "\"x\"")], 412),
        (vec![("Range", "bytes=10-")], 416),
        (vec![("Range", "bytes=10-"), ("If-Range", "\"x\"")], 200),
        (vec![("Range", "bytes=0-1,3-4")], 200),
        (vec![("Range", "lines=0-1")], 200),
    ] {
        for method in ["GET", "HEAD"] {
            let response = ask(&mut connection, method, "/static/a", &fields);
            let is_range = [206, 416].contains(&status) && method == "HEAD";
            assert_eq!(response.status, if is_range { 200 } else { status }, "{method} {fields:?}");
            let has_validators = [200, 206, 304].contains(&response.status);
            assert_eq!(response.header("etag").is_some(), has_validators, "{fields:?}");
            assert_eq!(response.header("cache-control").is_some(), has_validators, "{fields:?}");
            if response.status == 304 {
                assert_eq!(response.header("content-length"), None);
                assert_eq!(response.header("content-type"), None);
            }
        }
    }
}

#[test]
fn one_range_is_sent() {
    let (setup, root) = setup();
    write(&root.join("a"), "0123456789");
    let server = setup.start();
    let mut connection = server.connect();
    for (range, text, content_range) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=8-", "89", "bytes 8-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=5-100", "56789", "bytes 5-9/10"),
    ] {
        let response = ask(&mut connection, "GET", "/static/a", &[("Range", range)]);
        assert_eq!((response.status, response.text()), (206, text.to_owned()));
        assert_eq!(response.header("content-range"), Some(content_range));
        assert_eq!(response.header("content-type"), Some("application/octet-stream"));
    }
    let response = ask(&mut connection, "GET", "/static/a", &[("Range", "bytes=10-")]);
    assert_eq!((response.status, response.header("content-range")), (416, Some("bytes */10")));
}

#[test]
fn a_large_file_is_sent_in_ranges_too() {
    let (setup, root) = setup();
    let content: Vec<u8> = (0..1_000_003_u32).map(|it| (it % 251) as u8).collect();
    write(&root.join("large"), &content);
    let server = setup.start();
    let mut connection = server.connect();
    assert!(connection.get("/static/large").body == content);
    let range = [("Range", "bytes=500000-800000")];
    let response = ask(&mut connection, "GET", "/static/large", &range);
    assert_eq!(response.header("content-range"), Some("bytes 500000-800000/1000003"));
    assert!(response.status == 206 && response.body == content[500_000..=800_000]);
    let head = ask(&mut connection, "HEAD", "/static/large", &[]);
    assert_eq!(head.header("content-length"), Some("1000003"));
}

#[test]
fn a_variant_is_chosen_by_what_the_client_accepts() {
    let (setup, root) = setup();
    for (ending, content) in [("", "plain"), (".br", "brotli"), (".zst", "zstd"), (".gz", "gzip")] {
        write(&root.join(format!("a.css{ending}")), content);
    }
    write(&root.join("b.css"), "plain");
    // What is no regular file, and a variant without its file.
    fs::create_dir(root.join("b.css.br")).unwrap();
    symlink("/etc/passwd", root.join("b.css.gz")).unwrap();
    write(&root.join("c.css.gz"), "gzip");
    let server = setup.start();
    let mut connection = server.connect();
    let mut tags = Vec::new();
    for (accepted, coding, text) in [
        (None, None, "plain"),
        (Some("gzip"), Some("gzip"), "gzip"),
        (Some("gzip, zstd"), Some("zstd"), "zstd"),
        (Some("gzip, deflate, br, zstd"), Some("br"), "brotli"),
        (Some("br;q=0.5, gzip;q=0.9"), Some("gzip"), "gzip"),
        (Some("br;q=0, *"), Some("zstd"), "zstd"),
        (Some("*;q=0"), None, "plain"),
        (Some("identity, gzip;q=0.5"), None, "plain"),
        (Some("deflate"), None, "plain"),
    ] {
        let fields: Vec<_> = accepted.map(|it| ("Accept-Encoding", it)).into_iter().collect();
        let response = ask(&mut connection, "GET", "/static/a.css", &fields);
        assert_eq!(response.text(), text, "{accepted:?}");
        assert_eq!(response.header("content-encoding"), coding, "{accepted:?}");
        assert_eq!(response.header("vary"), Some("Accept-Encoding"));
        assert_eq!(response.header("content-type"), Some("text/css; charset=utf-8"));
        let tag = response.header("etag").unwrap().to_owned();
        tags.push((text, tag.clone()));
        let fields: Vec<_> = fields.into_iter().chain([("If-None-Match", &tag[..])]).collect();
        let response = ask(&mut connection, "GET", "/static/a.css", &fields);
        assert_eq!((response.status, response.header("vary")), (304, Some("Accept-Encoding")));
    }
    for (text, tag) in &tags {
        for (other_text, other) in &tags {
            assert_eq!(text == other_text, tag == other, "{text} {other_text}");
        }
    }
    let range = [("Accept-Encoding", "br"), ("Range", "bytes=1-2")];
    let response = ask(&mut connection, "GET", "/static/a.css", &range);
    assert_eq!((response.status, response.text()), (206, "ro".to_owned()));
    assert_eq!(response.header("content-range"), Some("bytes 1-2/6"));
    let all = [("Accept-Encoding", "br, gzip, zstd")];
    let response = ask(&mut connection, "GET", "/static/b.css", &all);
    assert_eq!((response.text(), response.header("vary")), ("plain".to_owned(), None));
    assert_eq!(connection.get("/static/c.css").status, 404);
    assert_eq!(connection.get("/static/a.css.gz").header("content-type"), Some("application/gzip"));
}

/// Ways of writing the name of the directory above, and of writing a slash behind it.
const UP: &str = ".. %2e%2e .%2e %2e. %2E%2E %252e%252e %c0%ae%c0%ae %e0%80%ae. ..; ..%00 ..%20 \
    ..%5c.. .%00. %uff0e%uff0e %ef%bc%8e%ef%bc%8e ....";
const SLASH: &str = "/ %2f %2F \\ %5c %252f %c0%af %e0%80%af // /./ /%2e/";

/// Names below the prefix that are not served.
const NAMES: &str = ".hidden css/.hidden .git/config %2ehidden %2Egit/config .env \
    css/%2e%2e/.hidden out/secret.txt out.txt out%2etxt absolute.txt circle up/secret.txt \
    /etc/passwd //etc/passwd %2fetc/passwd %2fetc%2fpasswd etc%2fpasswd css%2fa.css css%5ca.css \
    css\\a.css css/a.css%00 css/a.css%00.txt css/a.css/ css/a.css/. css/a.css/.. css/./a.css \
    css//a.css ./css/a.css css/../css/a.css css/a.css%2f %00 % %2 %zz css/a% css/a.css%0a \
    css/a.css%0d%0aX:%20y %ff %80 %c1%9c %f0%80%80%af css/%61.css%2f..%2f..%2f..%2fsecret.txt \
    pipe socket null css . .. ... .well-known .well-known/.. .well-known/../.hidden ~/secret.txt \
    file:///etc/passwd proc/self/environ fd/0";

/// Several hundred spellings of paths to files that are not served.
fn spellings() -> Vec<String> {
    let mut found = Vec::new();
    for start in ["/static/", "/static/css/", "/static//", "/static/%2e/"] {
        for up in UP.split(' ') {
            for slash in SLASH.split(' ') {
                for depth in [1, 2, 9] {
                    let way = format!("{up}{slash}").repeat(depth);
                    found.push(format!("{start}{way}secret.txt"));
                    found.push(format!("{start}{way}etc/passwd"));
                }
            }
        }
    }
    found.extend(NAMES.split(' ').map(|name| format!("/static/{name}")));
    found
}

#[test]
fn no_spelling_of_a_path_leads_out() {
    let (setup, root) = setup();
    let directory = setup.directory.path().to_owned();
    write(&directory.join("secret.txt"), "secret");
    write(&directory.join("other/secret.txt"), "secret");
    for name in ["css/a.css", ".well-known/security.txt", "[...slug].js", "a..b.txt", "caf\u{e9}"] {
        write(&root.join(name), "served");
    }
    for name in [".hidden", "css/.hidden", ".git/config", ".env"] {
        write(&root.join(name), "secret");
    }
    symlink("../other", root.join("out")).unwrap();
    symlink("../secret.txt", root.join("out.txt")).unwrap();
    symlink(directory.join("secret.txt"), root.join("absolute.txt")).unwrap();
    symlink("circle", root.join("circle")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("/proc/self/fd", root.join("fd")).unwrap();
    symlink("/dev/null", root.join("null")).unwrap();
    nix::unistd::mkfifo(&root.join("pipe"), Mode::S_IRWXU).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    // Links that stay inside.
    symlink("css/a.css", root.join("near.css")).unwrap();
    symlink("../static/css/a.css", root.join("round.css")).unwrap();
    symlink(root.join("css/a.css"), root.join("whole.css")).unwrap();
    symlink("css", root.join("styles")).unwrap();
    let server = setup.start();
    let mut connection = server.connect();
    let spellings = spellings();
    assert!(spellings.len() > 2000, "{}", spellings.len());
    for path in spellings {
        connection.send(get(&path));
        let response = connection.response();
        let is_refused = [400, 404].contains(&response.status);
        assert!(is_refused, "{path}: {} {}", response.status, response.text());
        assert!(!response.text().contains("secret"), "{path}");
        if response.closes() {
            connection = server.connect();
        }
    }
    for path in [
        "css/a.css",
        "%63ss/a.css",
        "css/a%2ecss",
        ".well-known/security.txt",
        "[...slug].js",
        "a..b.txt",
        "caf%C3%A9",
        "near.css",
        "whole.css",
        "styles/a.css",
    ] {
        let response = connection.get(&format!("/static/{path}"));
        assert_eq!((response.status, response.text()), (200, "served".to_owned()), "{path}");
    }
    // It leaves the directory on its way.
    assert_eq!(connection.get("/static/round.css").status, 200);
    drop(listener);
    fs::remove_file(root.join("socket")).unwrap();
}

#[test]
fn links_may_lead_out_if_the_settings_allow_it() {
    let (setup, root) = setup();
    write(&setup.directory.join("outside/a"), "outside");
    symlink("../outside", root.join("out")).unwrap();
    let server = setup.flag("--static-follow-links").start();
    assert_eq!(server.get("/static/out/a").text(), "outside");
    for path in ["/static/../outside/a", "/static/out/../static/out/a", "/static/%2e%2e/outside/a"]
    {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

#[test]
fn what_is_exchanged_during_requests_does_not_lead_out() {
    const FILES: usize = 400;
    let (setup, root) = setup();
    let directory = setup.directory.path().to_owned();
    for number in 0..FILES {
        write(&root.join(format!("d/f{number}")), "inside");
        write(&directory.join(format!("out/f{number}")), "secret");
        write(&root.join(format!("g{number}")), "inside");
    }
    symlink("../out", root.join("link")).unwrap();
    let server = setup.start();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // A directory and a link to another one, under the same name in turn.
            while !is_done.load(Ordering::Relaxed) {
                fs::rename(root.join("d"), root.join("kept")).unwrap();
                fs::rename(root.join("link"), root.join("d")).unwrap();
                fs::rename(root.join("d"), root.join("link")).unwrap();
                fs::rename(root.join("kept"), root.join("d")).unwrap();
            }
        });
        scope.spawn(|| {
            // A file, and a link to another one.
            let mut number = 0;
            while !is_done.load(Ordering::Relaxed) {
                let (file, draft) = (root.join(format!("g{number}")), root.join("draft"));
                symlink(format!("../out/f{number}"), &draft).unwrap();
                fs::rename(&draft, &file).unwrap();
                write(&draft, "inside");
                fs::rename(&draft, &file).unwrap();
                number = (number + 1) % FILES;
            }
        });
        let mut connection = server.connect();
        let mut counts = [0; 2];
        for number in (0..FILES).chain(0..FILES) {
            for name in [format!("d/f{number}"), format!("g{number}")] {
                let response = connection.get(&format!("/static/{name}"));
                match response.status {
                    200 => assert_eq!(response.text(), "inside", "{name}"),
                    status => assert_eq!(status, 404, "{name}: {}", response.text()),
                }
                counts[usize::from(response.status == 404)] += 1;
            }
        }
        is_done.store(true, Ordering::Relaxed);
        assert!(counts[0] > 0, "{counts:?}");
    });
}

#[test]
fn changes_are_noticed() {
    let (setup, root) = setup();
    write(&root.join("a"), "first");
    write(&root.join("d/b"), "one");
    let server = setup.start();
    assert_eq!(server.get("/static/a").text(), "first");
    assert_eq!(server.get("/static/made").status, 404);
    assert_eq!(server.get("/static/d/b").text(), "one");
    // Replaced, appended to, removed, made.
    write(&root.join("draft"), "replaced");
    fs::rename(root.join("draft"), root.join("a")).unwrap();
    write(&root.join("made"), "made");
    wait_for_text(&server, "/static/a", 200, "replaced");
    wait_for_text(&server, "/static/made", 200, "made");
    let mut file = fs::File::options().append(true).open(root.join("a")).unwrap();
    file.write_all(b" and more").unwrap();
    wait_for_text(&server, "/static/a", 200, "replaced and more");
    fs::remove_file(root.join("made")).unwrap();
    wait_for_text(&server, "/static/made", 404, "");
    // A variant.
    write(&root.join("a.gz"), "variant");
    let mut connection = server.connect();
    let mut text =
        || ask(&mut connection, "GET", "/static/a", &[("Accept-Encoding", "gzip")]).text();
    until::holds("the variant", || text() == "variant");
    fs::remove_file(root.join("a.gz")).unwrap();
    until::holds("the file itself", || text() == "replaced and more");
    // A directory, and the served directory itself.
    write(&root.join("e/b"), "two");
    fs::rename(root.join("d"), root.join("f")).unwrap();
    fs::rename(root.join("e"), root.join("d")).unwrap();
    wait_for_text(&server, "/static/d/b", 200, "two");
    let other = server.directory.join("other");
    write(&other.join("a"), "another directory");
    fs::rename(&root, server.directory.join("before")).unwrap();
    fs::rename(&other, &root).unwrap();
    wait_for_text(&server, "/static/a", 200, "another directory");
    fs::remove_dir_all(&root).unwrap();
    wait_for_text(&server, "/static/a", 404, "");
    write(&root.join("a"), "again");
    wait_for_text(&server, "/static/a", 200, "again");
    // The names that never change.
    let manifest = r#"{"paths": {"b": "a"}}"#;
    write(&root.join("staticfiles.json"), manifest);
    until::holds("an immutable name", || {
        server.get("/static/a").header("cache-control").unwrap().contains("immutable")
    });
}

#[test]
fn a_served_directory_can_be_a_link_that_moves() {
    let setup = Setup::of("environ").flags(&["--static", "/static/=current"]);
    let directory = setup.directory.path().to_owned();
    write(&directory.join("one/a"), "one");
    write(&directory.join("two/a"), "two");
    symlink("one", directory.join("current")).unwrap();
    let server = setup.start();
    assert_eq!(server.get("/static/a").text(), "one");
    symlink("two", directory.join("next")).unwrap();
    fs::rename(directory.join("next"), directory.join("current")).unwrap();
    wait_for_text(&server, "/static/a", 200, "two");
}

#[test]
fn an_entity_tag_changes_with_the_content_and_not_with_the_worker() {
    let (setup, root) = setup();
    let large = "a".repeat(100_000);
    write(&root.join("small"), "one");
    write(&root.join("large"), &large);
    let server = setup.workers(2).start();
    let tag = |path: &str| {
        let response = server.get(path);
        response.header("etag").unwrap().to_owned()
    };
    let before = ["small", "large"].map(|name| tag(&format!("/static/{name}")));
    // The workers of another generation make the same tags.
    let workers = server.workers();
    server.signal(Signal::SIGHUP);
    server.wait_for_new_workers(&workers, 2);
    for _ in 0..8 {
        assert_eq!(before, ["small", "large"].map(|name| tag(&format!("/static/{name}"))));
    }
    // The same size and time, in a file that is put in the place of the other.
    for (name, content) in [("small", "two"), ("large", &"b".repeat(100_000)[..])] {
        let file = root.join(name);
        let modified = fs::metadata(&file).unwrap().modified().unwrap();
        let draft = root.join("draft");
        write(&draft, content);
        fs::File::options().write(true).open(&draft).unwrap().set_modified(modified).unwrap();
        fs::rename(&draft, &file).unwrap();
        let response = wait_for_text(&server, &format!("/static/{name}"), 200, &content[..3]);
        let is_known = before.iter().any(|tag| response.header("etag") == Some(tag));
        assert!(!is_known, "{name}: {before:?} {response:?}");
    }
}

#[test]
fn a_download_goes_on_when_its_file_is_replaced_and_is_cut_when_it_is_truncated() {
    const SIZE: usize = 8 << 20;
    for is_truncated in [false, true] {
        let (setup, root) = setup();
        let file = root.join("large");
        write(&file, vec![b'a'; SIZE]);
        let server = setup.narrow().start();
        let mut connection = Connection::narrow(server.address()).unwrap();
        connection.send(get("/static/large"));
        let head = connection.head();
        assert_eq!(head.header("content-length"), Some(&SIZE.to_string()[..]));
        if is_truncated {
            fs::File::options().write(true).open(&file).unwrap().set_len(1 << 20).unwrap();
            let received = connection.until_reset();
            assert!(received.len() < SIZE && received.iter().all(|&byte| byte == b'a'));
            server.wait_for_log("its file has become shorter while it was sent");
        } else {
            write(&root.join("draft"), "other");
            fs::rename(root.join("draft"), &file).unwrap();
            let received = connection.exactly(SIZE).unwrap();
            assert!(received.iter().all(|&byte| byte == b'a'));
        }
    }
}

#[test]
fn files_are_sent_while_the_application_is_stuck() {
    let setup = Setup::of("stream:route").flags(&["--static", "/static/=static"]);
    write(&setup.directory.join("static/a"), "small");
    write(&setup.directory.join("static/b"), "b".repeat(300_000));
    let server = setup.start();
    let (mut stuck, pipe) = server.occupy("pipe");
    for _ in 0..5 {
        assert_eq!(server.get("/static/a").text(), "small");
        assert_eq!(server.get("/static/b").body.len(), 300_000);
        assert_eq!(server.get("/static/c").status, 404);
    }
    drop(pipe);
    assert_eq!(stuck.response().status, 200);
}

#[test]
fn static_files_are_in_the_access_log() {
    let (setup, root) = setup();
    write(&root.join("a"), "content");
    let server = setup.flags(&["--access-logfile", "access.log"]).start();
    server.get("/static/a");
    server.get("/static/missing");
    until::holds("both lines", || {
        let log = server.directory.read("access.log");
        log.contains("\"GET /static/a HTTP/1.1\" 200 7 ")
            && log.contains("\"GET /static/missing HTTP/1.1\" 404 ")
    });
}

#[test]
fn a_missing_directory_is_named_once_and_a_file_that_cannot_be_read_too() {
    let setup =
        Setup::of("environ").flags(&["--static", "/static/=static", "--static", "/m/=gone"]);
    let root = setup.directory.join("static");
    write(&root.join("a"), "content");
    fs::create_dir(root.join("locked")).unwrap();
    symlink("../../stderr", root.join("locked/out")).unwrap();
    let server = setup.workers(2).start();
    let gone = server.directory.join("gone");
    server.wait_for_log(&format!("cannot find {}: no such file or directory", gone.display()));
    assert_eq!(server.log().matches("cannot find").count(), 1, "{}", server.log());
    assert_eq!(server.get("/m/a").status, 404);
    assert_eq!(server.get("/static/locked/out").status, 404);
    server.wait_for_log("does not send the file locked/out: ");
    // It is served as soon as it is there.
    write(&gone.join("a"), "late");
    wait_for_text(&server, "/m/a", 200, "late");
}

#[test]
fn files_are_sent_over_https() {
    let authority = Authority::new("Test");
    let (setup, root) = setup();
    write(&root.join("small"), "small");
    write(&root.join("large"), "l".repeat(3_000_000));
    let server = setup.certificate(&authority.server(&["localhost"]).issue()).start();
    let mut connection = TlsClient::new(&authority).connect(server.address()).unwrap();
    assert_eq!(connection.get("/static/small").text(), "small");
    assert_eq!(connection.get("/static/large").body, "l".repeat(3_000_000).into_bytes());
    let range = [("Range", "bytes=-3")];
    assert_eq!(ask(&mut connection, "GET", "/static/large", &range).text(), "lll");
    // Several requests at once.
    connection.send(format!("{}{}", get("/static/small"), get("/static/missing")));
    assert_eq!(connection.response().text(), "small");
    assert_eq!(connection.response().status, 404);
}

/// Forks in each request, and writes the pid of the new process to a file.
const FORKING: &str = "
import os, signal

def application(environ, start_response):
    if os.fork() == 0:
        with open('draft', 'w') as file:
            file.write(str(os.getpid()))
        os.rename('draft', 'forked')
        while True:
            signal.pause()
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

#[test]
fn a_process_that_the_application_forks_has_no_open_file_of_these() {
    let setup = Setup::of("forking").file("forking.py", FORKING).flag("--pythonpath=.");
    let setup = setup.flags(&["--static", "/static/=static"]);
    write(&setup.directory.join("static/large"), "l".repeat(100_000));
    let server = setup.start();
    assert_eq!(server.get("/static/large").body.len(), 100_000);
    let has_static =
        |pid: i32| process::descriptors(pid).unwrap().iter().any(|held| held.contains("/static"));
    assert!(has_static(server.workers()[0]));
    assert_eq!(server.get("/").status, 200);
    let forked = until::some("the pid", || server.directory.read("forked").parse().ok());
    assert!(!has_static(forked), "{:?}", process::descriptors(forked));
    process::signal(forked, Signal::SIGKILL);
    until::holds("its end", || !process::is_alive(forked));
}

/// Opening a named pipe for writing fails while no process reads it.
const O_NONBLOCK: i32 = nix::fcntl::OFlag::O_NONBLOCK.bits();

/// Is loaded when the test closes the named pipe `gate`; raises what was written.
const SLOW: &str = "
with open('gate') as gate:
    line = gate.read()
if line:
    raise RuntimeError(line)

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '11')])
    return [b'application']
";

/// A server whose application is being loaded, with the writing end of its pipe.
fn loading() -> (Server, fs::File) {
    let setup = Setup::of("slow").file("slow.py", SLOW).flag("--pythonpath=.");
    let setup = setup.flags(&["--static", "/static/=static"]);
    write(&setup.directory.join("static/a"), "early");
    let gate = setup.directory.join("gate");
    nix::unistd::mkfifo(&gate, Mode::S_IRWXU).unwrap();
    let server = setup.spawn();
    // The end for writing can be opened when a worker reads: its import has begun.
    let open = || fs::File::options().write(true).custom_flags(O_NONBLOCK).open(&gate).ok();
    let writer = until::some("the import", open);
    (server, writer)
}

#[test]
fn files_are_sent_before_the_application_is_loaded() {
    let (server, writer) = loading();
    let mut waiting = server.connect();
    waiting.send(get("/"));
    for _ in 0..3 {
        assert_eq!(server.get("/static/a").text(), "early");
        assert_eq!(server.get("/static/b").status, 404);
    }
    drop(writer);
    assert_eq!(waiting.response().text(), "application");
    server.wait_until_ready();
    assert_eq!(server.get("/static/a").text(), "early");
    // Signals act as ever. The next import does not wait.
    let gate = server.directory.join("gate");
    fs::remove_file(&gate).unwrap();
    write(&gate, "");
    let workers = server.workers();
    process::signal(workers[0], Signal::SIGTERM);
    server.wait_for_replacement(&workers);
}

#[test]
fn an_application_that_cannot_be_loaded_ends_the_server_although_files_were_sent() {
    let (server, mut writer) = loading();
    server.allow("RuntimeError");
    server.allow("Traceback");
    server.allow("[ERROR]");
    assert_eq!(server.get("/static/a").text(), "early");
    writer.write_all(b"broken on purpose").unwrap();
    drop(writer);
    let finished = server.wait_for_end();
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(finished.stderr.contains("broken on purpose"));
}

#[test]
fn a_server_can_be_stopped_while_its_application_is_loaded() {
    let (server, writer) = loading();
    assert_eq!(server.get("/static/a").text(), "early");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    drop(writer);
}
