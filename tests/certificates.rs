//! Certificates and keys: read by the master, passed on in memory, renewed while the server
//! runs. What is done with them on connections is in other files.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

use crate::support::certificate::{Authority, Certificate, DAY};
use crate::support::directory::Directory;
use crate::support::environment;
use crate::support::server::Server;
use crate::support::setup::{Setup, program};
use crate::support::{need, user};

/// A certificate for `localhost` of its own authority.
fn certificate() -> Certificate {
    Authority::new("Test").server(&["localhost"]).issue()
}

/// A server that has the certificate in `certificate-0.pem` with `certificate-0.key`.
fn setup(certificate: &Certificate) -> Setup {
    Setup::of("stream:route").certificate(certificate)
}

/// Replaces the files of the first certificate, the key first.
fn renew(server: &Server, certificate: &Certificate) {
    certificate.write(&server.directory, "certificate-0");
}

#[test]
fn files_that_cannot_be_used_end_the_start_with_one_line_about_setting_and_path() {
    let (good, other) = (certificate(), certificate());
    type Damage = fn(&Directory, &Certificate);
    let faults: [(Damage, &[&str]); 7] = [
        (
            |it, _| drop(fs::remove_file(it.join("certificate-0.pem"))),
            &["cannot read certfile ", "certificate-0.pem: no such file or directory"],
        ),
        (
            |it, _| drop(fs::remove_file(it.join("certificate-0.key"))),
            &["cannot read keyfile ", "certificate-0.key: no such file or directory"],
        ),
        (
            |it, other| drop(other.write_key(it, "certificate-0.key", 0o600)),
            &["cannot use certfile ", "certificate-0.pem with keyfile "],
        ),
        (|it, _| drop(it.write("certificate-0.pem", "nothing\n")), &["cannot use certfile "]),
        (
            |it, _| drop(it.write("certificate-0.key", "nothing\n")),
            &["cannot use keyfile ", "certificate-0.key: has no private key"],
        ),
        (
            |it, _| {
                fs::remove_file(it.join("certificate-0.key")).unwrap();
                fs::create_dir(it.join("certificate-0.key")).unwrap();
            },
            &["cannot read keyfile ", "certificate-0.key: it is not a regular file"],
        ),
        (
            |it, _| {
                fs::remove_file(it.join("certificate-0.key")).unwrap();
                let made = Command::new("mkfifo").arg(it.join("certificate-0.key")).status();
                assert!(made.unwrap().success());
            },
            &["cannot read keyfile ", "certificate-0.key: it is not a regular file"],
        ),
    ];
    for (damage, texts) in faults {
        for flags in [&[][..], &["--check-config"]] {
            let setup = setup(&good).flags(flags);
            damage(&setup.directory, &other);
            let end = setup.run();
            assert_eq!((end.code, end.stderr.lines().count()), (Some(1), 1), "{}", end.stderr);
            assert!(texts.iter().all(|text| end.stderr.contains(text)), "{}", end.stderr);
        }
    }
}

#[test]
fn a_directory_of_certificates_without_any_is_named() {
    let setup = Setup::of("stream:route").flags(&["--certificates", "live"]);
    fs::create_dir_all(setup.directory.join("live/empty")).unwrap();
    let end = setup.run();
    assert_eq!(end.code, Some(1));
    assert!(end.stderr.contains("cannot use certificates "), "{}", end.stderr);
    assert!(end.stderr.contains("there is no NAME/fullchain.pem in it"), "{}", end.stderr);
}

const OPENS: &str = "
import os
def application(environ, start_response):
    found = []
    for path in environ['QUERY_STRING'].split(','):
        try:
            found.append(open(path).read())
        except OSError as error:
            found.append(type(error).__name__)
    body = '|'.join(found).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

#[test]
fn the_workers_user_cannot_choose_the_files_that_root_reads() {
    let Some(python) = user::python() else { return };
    let own = certificate();
    let setup = Setup::bare().flag("--python").flag(python).flags(&["--bind", "127.0.0.1:0"]);
    let setup = setup.flags(&["--user", "nobody", "--group", "nogroup"]);
    let theirs = setup.directory.join("theirs");
    fs::create_dir(&theirs).unwrap();
    let files = own.write(&setup.directory, "secret");
    symlink(&files.keyfile, theirs.join("key")).unwrap();
    std::os::unix::fs::chown(&theirs, Some(user::NOBODY), Some(user::NOBODY)).unwrap();
    let setup = setup.flag("--certfile").flag(files.certfile).flags(&["--keyfile", "theirs/key"]);
    let end = setup.flag("opens:application").file("opens.py", OPENS).run();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    let text = "user 65534 may not read it, and ";
    assert!(end.stderr.contains(text), "{}", end.stderr);
    assert!(end.stderr.contains("theirs belongs to user 65534"), "{}", end.stderr);
}

#[test]
fn a_key_that_others_may_read_is_warned_of() {
    let own = certificate();
    let server = setup(&own).start();
    assert!(!server.log().contains("private key"), "{}", server.log());
    own.write_key(&server.directory, "certificate-0.key", 0o644);
    server.wait_for_log("[WARN");
    let text = "certificate-0.key has a private key and can be read by every user";
    assert!(server.log().contains(text), "{}", server.log());
    let Some(python) = user::python() else { return };
    let setup = Setup::bare().flag("--python").flag(python).flags(&["--bind", "127.0.0.1:0"]);
    let setup = setup.flags(&["--user", "nobody", "--group", "nogroup"]).certificate(&own);
    let key = setup.directory.join("certificate-0.key");
    std::os::unix::fs::chown(&key, Some(user::NOBODY), None).unwrap();
    let server = setup.flag("opens:application").file("opens.py", OPENS).start();
    let text = "certificate-0.key has a private key and can be read by user 65534";
    assert!(server.log().contains(text), "{}", server.log());
}

/// The output of a command.
fn command(server: &Server, word: &str) -> String {
    let mut command = Command::new(program());
    let pid = server.pid().to_string();
    environment::clear(&mut command).args([word, &pid]);
    let output = command.current_dir(server.directory.path()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_certificate_that_expires_soon_is_in_the_log_and_in_the_status() {
    let authority = Authority::new("Test");
    for (days, text) in
        [(10, Some("expires in 10 days")), (2, Some("expires in 2 days")), (30, None)]
    {
        let draft = authority.server(&["localhost"]);
        let own = draft.expires_in(days * DAY + DAY / 24).issue();
        let server = setup(&own).start();
        let (log, status) = (server.log(), command(&server, "status"));
        match text {
            Some(text) => {
                assert_eq!(log.matches(text).count(), 1, "{log}");
                assert!(log.contains("(localhost) "), "{log}");
                assert!(status.contains(text), "{status}");
                renew(&server, &certificate());
                server.wait_for_log("renewed certfile ");
                let status = command(&server, "status");
                assert!(!status.contains("expires"), "{status}");
            }
            None => assert!(!log.contains("expire") && !status.contains("expire"), "{log}"),
        }
    }
    let server = setup(&authority.server(&["localhost"]).expired().issue()).start();
    server.wait_for_log("(localhost) has expired");
}

#[test]
fn other_processes_of_the_user_see_nothing_of_a_master_with_keys() {
    let server = setup(&certificate()).start();
    let owner = |pid| fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid();
    assert_eq!(owner(server.pid()), 0);
    if !need::met(!nix::unistd::geteuid().is_root(), "an ordinary user") {
        return;
    }
    assert!(fs::read(format!("/proc/{}/environ", server.pid())).is_err());
    // What it reads of itself still works.
    server.upgrade();
    assert_eq!(owner(server.pid()), 0);
}
