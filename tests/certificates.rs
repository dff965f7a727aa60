//! Certificates and keys: read by the master, passed on in memory, renewed while the server
//! runs. What is done with them on connections is in other files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::recycling::LEAK;
use crate::support::certificate::{Authority, Certificate, DAY};
use crate::support::client::get;
use crate::support::directory::Directory;
use crate::support::environment;
use crate::support::load::Load;
use crate::support::server::Server;
use crate::support::setup::{Setup, program};
use crate::support::tls::TlsClient;
use crate::support::{need, process, until, user};

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

/// Whether a new connection has this certificate.
fn has(server: &Server, certificate: &Certificate) -> bool {
    let client = TlsClient::trusting_all().without_resumption();
    let mut connection = client.connect(server.address()).unwrap();
    assert_eq!(connection.get("/").status, 200);
    *connection.tls().certificate() == certificate.der
}

/// Waits until new connections have this certificate, over all workers.
fn wait_until_all_have(server: &Server, certificate: &Certificate) {
    until::holds("the renewed certificate everywhere", || {
        (0..10).all(|_| has(server, certificate))
    });
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
fn an_error_about_a_file_names_the_line_or_the_variable_that_has_its_path() {
    let app = "app: stream:route\n";
    for (key, line) in [("certfile", "cannot read certfile "), ("user", "cannot change the")] {
        let yaml = format!("{app}{key}: nowhere.pem\n");
        let setup = Setup::bare().apps().file("monoceros.yaml", &yaml);
        let end = setup.flags(&["--bind", "127.0.0.1:0", "--check-config"]).run();
        let text = format!("monoceros: monoceros.yaml line 2: {line}");
        assert!(end.code == Some(1) && end.stderr.starts_with(&text), "{}", end.stderr);
    }
    let setup = Setup::of("stream:route").variable("MONOCEROS_CERTIFICATES", "nowhere");
    let end = setup.run();
    let text = "monoceros: MONOCEROS_CERTIFICATES: cannot read certificates ";
    assert!(end.code == Some(1) && end.stderr.starts_with(text), "{}", end.stderr);
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

#[test]
fn replaced_files_reach_all_workers_without_a_reload() {
    let (old, new) = (certificate(), certificate());
    let server = setup(&old).workers(2).start();
    let workers = server.workers();
    assert!(has(&server, &old));
    let mut open = TlsClient::trusting_all().connect(server.address()).unwrap();
    renew(&server, &new);
    server.wait_for_log("certificate-0.key: localhost");
    wait_until_all_have(&server, &new);
    assert_eq!(open.get("/").status, 200, "a connection that is open goes on");
    assert_eq!(server.workers(), workers);
    assert_eq!(server.log().matches("renewed certfile ").count(), 1);
}

#[test]
fn renewals_lose_no_request() {
    let server = setup(&certificate()).workers(2).start();
    let address = server.address();
    let load = Load::through(2, move || TlsClient::trusting_all().connect(address));
    for number in 1..=5 {
        let new = certificate();
        renew(&server, &new);
        server.wait_for_log_times("renewed certfile ", number);
        load.proceed(20);
        wait_until_all_have(&server, &new);
    }
    load.finish();
}

/// Writes a certificate to a directory as certbot does: files with a number, and links to
/// them.
fn certbot(root: &Path, number: u32, certificate: &Certificate) {
    let (archive, live) = (root.join("archive/one"), root.join("live/one"));
    fs::create_dir_all(&archive).unwrap();
    fs::create_dir_all(&live).unwrap();
    let parts = [("fullchain", &certificate.pem), ("privkey", &certificate.key_pem)];
    for (name, content) in parts {
        let path = archive.join(format!("{name}{number}.pem"));
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let link = live.join(format!("{name}.pem"));
        // certbot removes the old link first, and then makes the new one.
        fs::remove_file(&link).ok();
        symlink(format!("../../archive/one/{name}{number}.pem"), link).unwrap();
    }
}

#[test]
fn a_directory_of_certbot_is_followed_through_its_links() {
    let (old, new, next) = (certificate(), certificate(), certificate());
    let setup = Setup::of("stream:route").flags(&["--certificates", "letsencrypt/live"]);
    let root = setup.directory.join("letsencrypt");
    certbot(&root, 1, &old);
    fs::write(root.join("live/README"), "not a certificate").unwrap();
    let server = setup.start();
    assert!(has(&server, &old));
    certbot(&root, 2, &new);
    server.wait_for_log("renewed certfile ");
    wait_until_all_have(&server, &new);
    // The files that the links lead to are replaced too.
    fs::write(root.join("archive/one/privkey2.pem"), &next.key_pem).unwrap();
    fs::write(root.join("archive/one/fullchain2.pem"), &next.pem).unwrap();
    wait_until_all_have(&server, &next);
}

#[test]
fn a_directory_that_is_exchanged_as_a_whole_is_noticed() {
    let (old, new) = (certificate(), certificate());
    let setup = Setup::of("stream:route");
    for (name, certificate) in [("one", &old), ("two", &new)] {
        fs::create_dir(setup.directory.join(name)).unwrap();
        certificate.write(&setup.directory, &format!("{name}/tls"));
    }
    // As Kubernetes mounts secrets.
    symlink("one", setup.directory.join("data")).unwrap();
    symlink("data/tls.pem", setup.directory.join("tls.crt")).unwrap();
    symlink("data/tls.key", setup.directory.join("tls.key")).unwrap();
    let server = setup.flags(&["--certfile", "tls.crt", "--keyfile", "tls.key"]).start();
    assert!(has(&server, &old));
    symlink("two", server.directory.join("data.new")).unwrap();
    fs::rename(server.directory.join("data.new"), server.directory.join("data")).unwrap();
    wait_until_all_have(&server, &new);
}

#[test]
fn a_pair_that_does_not_fit_yet_leaves_the_old_one_without_a_line() {
    let (old, new) = (certificate(), certificate());
    let server = setup(&old).workers(2).start();
    new.write_key(&server.directory, "certificate-0.key", 0o600);
    // A full second: the files are looked at several times in it.
    until::passes(std::time::Duration::from_secs(1));
    assert!(has(&server, &old));
    renew(&server, &new);
    wait_until_all_have(&server, &new);
    assert!(!server.log().contains("cannot "), "{}", server.log());
}

#[test]
fn a_pair_that_stays_broken_is_logged_once_and_new_workers_have_the_old_one() {
    let (old, new) = (certificate(), certificate());
    let server = setup(&old).workers(2).start();
    server.allow("cannot use certfile ");
    server.allow("died: SIGKILL");
    new.write_key(&server.directory, "certificate-0.key", 0o600);
    server.wait_for_log("cannot use certfile ");
    let text = "the certificates that were read before stay in use";
    assert!(server.log().contains(text), "{}", server.log());
    let status = command(&server, "status");
    assert!(status.contains("; cannot use certfile "), "{status}");
    let workers = server.workers();
    process::signal(workers[0], Signal::SIGKILL);
    server.wait_for_replacement(&workers);
    assert!((0..10).all(|_| has(&server, &old)));
    assert_eq!(server.log().matches("cannot use certfile ").count(), 1);
    renew(&server, &new);
    wait_until_all_have(&server, &new);
    let status = command(&server, "status");
    assert!(!status.contains("certfile"), "{status}");
}

#[test]
fn a_certificate_that_has_expired_does_not_replace_one_that_is_valid() {
    let old = certificate();
    let expired = Authority::new("tests").server(&["localhost"]).expired().issue();
    let server = setup(&old).start();
    server.allow("cannot use certfile ");
    renew(&server, &expired);
    server.wait_for_log("and the one before until ");
    assert!(has(&server, &old));
    let new = certificate();
    renew(&server, &new);
    wait_until_all_have(&server, &new);
}

#[test]
fn a_reload_takes_new_certificates_at_once_and_fails_with_broken_ones() {
    let (old, new) = (certificate(), certificate());
    let server = setup(&old).workers(2).start();
    server.allow("reload failed");
    let workers = server.workers();
    fs::write(server.directory.join("certificate-0.pem"), "nothing").unwrap();
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reload failed, nothing is changed: cannot use certfile ");
    assert_eq!(server.workers(), workers);
    assert!(has(&server, &old));
    renew(&server, &new);
    server.signal(Signal::SIGHUP);
    server.wait_for_new_workers(&workers, 2);
    assert!((0..10).all(|_| has(&server, &new)));
}

#[test]
fn sessions_are_resumed_by_all_workers_and_after_reloads_and_upgrades() {
    for client in [TlsClient::trusting_all().only_1_2(), TlsClient::trusting_all().only_1_3()] {
        let server = setup(&certificate()).workers(2).start();
        let is_resumed = || {
            let mut connection = client.connect(server.address()).unwrap();
            // The tickets of TLS 1.3 come with the response.
            assert_eq!(connection.get("/").status, 200);
            connection.tls().is_resumed()
        };
        assert!(!is_resumed());
        assert!((0..8).all(|_| is_resumed()));
        let workers = server.workers();
        server.signal(Signal::SIGHUP);
        server.wait_for_new_workers(&workers, 2);
        assert!(is_resumed(), "after a reload");
        server.upgrade();
        assert!(is_resumed(), "after an upgrade");
        renew(&server, &certificate());
        server.wait_for_log("renewed certfile ");
        assert!(is_resumed(), "after a renewal");
    }
}

/// Whether a client with its certificate gets a response.
fn is_admitted(server: &Server, client: &TlsClient) -> bool {
    client.connect(server.address()).is_ok_and(|mut connection| {
        // With TLS 1.3 a refusal comes after the handshake.
        connection.send_if_taken(get("/")).is_ok() && connection.try_response("GET").is_ok()
    })
}

#[test]
fn other_authorities_of_clients_admit_no_client_of_the_old_ones() {
    let (before, after) = (Authority::new("Before"), Authority::new("After"));
    let clients = |authority: &Authority| {
        let own = authority.client("warehouse").issue();
        [TlsClient::trusting_all().only_1_2(), TlsClient::trusting_all().only_1_3()]
            .map(|client| client.certificate(&own))
    };
    let setup = setup(&certificate()).workers(2);
    before.write(&setup.directory, "ca.pem");
    let server = setup.flags(&["--ca-certs", "ca.pem", "--cert-reqs", "required"]).start();
    let (old, new) = (clients(&before), clients(&after));
    assert!(old.iter().all(|client| is_admitted(&server, client)));
    for client in &old {
        let mut connection = client.connect(server.address()).unwrap();
        assert_eq!(connection.get("/").status, 200);
        assert!(connection.tls().is_resumed());
    }
    assert!(new.iter().all(|client| !is_admitted(&server, client)));
    after.write(&server.directory, "ca.pem");
    server.wait_for_log("ca.pem: 1 certificate");
    until::holds("the new authority everywhere", || {
        (0..10).all(|_| {
            new.iter().all(|client| is_admitted(&server, client))
                && !old.iter().any(|client| is_admitted(&server, client))
        })
    });
    assert!(!old.iter().any(|client| is_admitted(&server, client)), "not with a ticket either");
}

#[test]
fn workers_of_a_mold_have_certificates_too() {
    let (old, new) = (certificate(), certificate());
    let server = setup(&old).workers(2).flags(&["--preload"]).start();
    assert!((0..10).all(|_| has(&server, &old)));
    renew(&server, &new);
    wait_until_all_have(&server, &new);
    let before = server.workers();
    process::signal(*before.last().unwrap(), Signal::SIGTERM);
    server.wait_for_replacement(&before);
    assert!((0..10).all(|_| has(&server, &new)));
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

/// A root server whose workers run as another user; nothing where there is none.
fn as_another_user() -> Option<Setup> {
    let setup = Setup::bare().flag("--python").flag(user::python()?);
    Some(setup.flags(&["--bind", "127.0.0.1:0", "--user", "nobody", "--group", "nogroup"]))
}

#[test]
fn a_worker_of_another_user_can_open_no_key() {
    let own = certificate();
    for flags in [&[][..], &["--preload"]] {
        let Some(setup) = as_another_user() else { return };
        let setup = setup.flag("opens:application").file("opens.py", OPENS).certificate(&own);
        let server = setup.flags(flags).start();
        let address = server.address_of("https");
        let key = server.directory.join("certificate-0.key");
        let paths = format!("{},/proc/self/environ,/proc/self/mem", key.display());
        let mut connection = TlsClient::trusting_all().connect(address).unwrap();
        let found = connection.get(&format!("/?{paths}")).text();
        assert_eq!(found, "PermissionError|PermissionError|PermissionError", "{flags:?}");
        let processes = server.workers();
        let secret = own.key_pem.lines().nth(1).unwrap();
        for pid in processes {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
            assert!(!String::from_utf8_lossy(&environ).contains(secret));
            let held = process::descriptors(pid).unwrap();
            let is_key = |it: &String| it.contains("certificate-0") || it.contains("monoceros-tls");
            assert!(!held.iter().any(is_key), "{held:?}");
        }
        let worker = *server.workers().last().unwrap();
        let owner = fs::metadata(format!("/proc/{worker}/environ")).unwrap().uid();
        assert_eq!(owner, 0, "no core dump and no ptrace by its user");
    }
}

#[test]
fn the_workers_user_cannot_choose_the_files_that_root_reads() {
    let Some(setup) = as_another_user() else { return };
    let own = certificate();
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
}

#[test]
fn a_key_that_the_application_may_read_is_warned_of() {
    let Some(setup) = as_another_user() else { return };
    let own = certificate();
    let setup = setup.certificate(&own);
    let key = setup.directory.join("certificate-0.key");
    std::os::unix::fs::chown(&key, Some(user::NOBODY), None).unwrap();
    let server = setup.flag("opens:application").file("opens.py", OPENS).start();
    let text = "certificate-0.key has a private key and can be read by user 65534";
    assert!(server.log().contains(text), "{}", server.log());
}

/// Its master measures it in another way if it is not root.
#[test]
fn the_memory_of_a_worker_with_keys_is_measured() {
    let setup = Setup::of("leak:application").file("leak.py", LEAK).certificate(&certificate());
    let server = setup.patient().flags(&["--pythonpath=.", "--max-rss", "70M"]).start();
    let (old, address) = (server.workers(), server.address());
    let load = Load::through(2, move || TlsClient::trusting_all().connect(address));
    load.proceed(100);
    server.directory.write("tight", "");
    until::holds("another worker", || server.workers().iter().all(|it| !old.contains(it)));
    load.finish();
    assert!(server.log().contains("MiB of memory"), "{}", server.log());
}

#[test]
fn a_check_of_the_settings_reads_certificates() {
    let end = setup(&certificate()).flags(&["--check-config"]).run();
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""));
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
fn listeners_have_the_scheme_of_their_address() {
    let own = certificate();
    let binds = ["https://127.0.0.1:0", "http://127.0.0.2:0", "unix:own.sock?scheme=http"];
    let setup = Setup::bare().apps().flag("stream:route").certificate(&own);
    let setup = binds.iter().fold(setup, |setup, bind| setup.flags(&["--bind", bind]));
    let server = setup.start();
    let line = server.ready_line();
    assert!(line.contains("https://127.0.0.1:") && line.contains(", http://127.0.0.2:"), "{line}");
    let client = TlsClient::trusting_all().alpn(&["h2", "http/1.1"]);
    let mut connection = client.connect(server.address_of("https")).unwrap();
    assert_eq!(connection.get("/").status, 200);
    assert_eq!(connection.tls().alpn(), Some("http/1.1"));
    assert_eq!(server.get("/").status, 200);
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
