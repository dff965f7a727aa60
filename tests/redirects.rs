//! The redirect to https, and the files of ACME that are served without the application.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::Mode;

use crate::support::client::{get, request};
use crate::support::server::Server;
use crate::support::setup::Setup;

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
    let mut kept = server.connect();
    assert_eq!(kept.get(&format!("/{CHALLENGES}/token")).text(), "key");
    let (mut stuck, pipe) = server.occupy("pipe");
    kept.send(get(&format!("/{CHALLENGES}/token")));
    assert_eq!(kept.response().text(), "key");
    drop(pipe);
    assert_eq!(stuck.response().status, 200);
}
