//! A root master and workers of another user: nothing that the user can change
//! makes root do what the user may not.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use nix::unistd::geteuid;

use crate::processes::{NOBODY, python_of_nobody};
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

const PLAIN: &str = "
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'x']
";

/// A root server whose workers run as another user; nothing where there is none.
fn setup() -> Option<Setup> {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can have workers of another user");
        return None;
    }
    let Some(python) = python_of_nobody() else {
        eprintln!("skipped: no interpreter here that others may execute");
        return None;
    };
    let setup = Setup::bare().flag("--python").flag(python).flags(&["--bind", "127.0.0.1:0"]);
    let setup = setup.flags(&["--user", "nobody", "--group", "nogroup"]);
    Some(setup.flag("plain:application").file("plain.py", PLAIN))
}

/// A directory beside the application, of this owner.
fn directory(setup: &Setup, name: &str, owner: u32) -> PathBuf {
    let path = setup.directory.join(name);
    fs::create_dir(&path).unwrap();
    chown(&path, Some(owner), Some(owner)).unwrap();
    path
}

/// A file that only root can read.
fn secret(setup: &Setup) -> PathBuf {
    let path = setup.directory.write("secret", "precious\n");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

fn assert_untouched(secret: &Path) {
    let found = fs::metadata(secret).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o777), (0, 0o600));
    assert_eq!(fs::read_to_string(secret).unwrap(), "precious\n");
}

fn lines(server: &Server, name: &str) -> usize {
    server.directory.read(name).lines().count()
}

/// Asks until another answer has its line in this file.
fn assert_logged(server: &Server, name: &str) {
    let before = lines(server, name);
    until::holds("a line in the log", || {
        assert_eq!(server.get("/").status, 200);
        lines(server, name) > before
    });
}

/// Kills the worker, and waits for the next one.
fn replace_worker(server: &Server) {
    let old = server.workers();
    server.allow(&format!("pid={}", old[0]));
    server.allow("died: SIGKILL");
    process::signal(old[0], Signal::SIGKILL);
    until::holds("another worker", || {
        let new = server.workers();
        new.len() == 1 && new != old && server.log().matches(" ready").count() > 1
    });
}

#[test]
fn logs_are_rotated_as_root_and_workers_of_another_user_go_on() {
    for (owner, is_made) in [(0, true), (0, false), (NOBODY, true), (NOBODY, false)] {
        let Some(setup) = setup() else { return };
        let setup = setup.flags(&["--access-logfile", "logs/access.log"]);
        directory(&setup, "logs", owner);
        let server = setup.start();
        let path = server.directory.join("logs/access.log");
        assert_eq!(fs::metadata(&path).unwrap().uid(), NOBODY);
        assert_logged(&server, "logs/access.log");
        fs::rename(&path, server.directory.join("logs/access.log.1")).unwrap();
        if is_made {
            // As `create 0640 root adm` does it.
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        }
        server.signal(Signal::SIGUSR1);
        server.wait_for_log("log files opened again");
        assert_logged(&server, "logs/access.log");
        replace_worker(&server);
        assert_logged(&server, "logs/access.log");
    }
}

#[test]
fn a_worker_whose_log_was_rotated_without_a_word_boots() {
    let Some(setup) = setup() else { return };
    let setup = setup.flags(&["--access-logfile", "logs/access.log"]);
    directory(&setup, "logs", 0);
    let server = setup.start();
    fs::remove_file(server.directory.join("logs/access.log")).unwrap();
    replace_worker(&server);
    assert_logged(&server, "logs/access.log");
}

#[test]
fn a_log_that_cannot_be_opened_stops_no_boot() {
    let Some(setup) = setup() else { return };
    let setup = setup.flags(&["--access-logfile", "logs/access.log"]);
    let logs = directory(&setup, "logs", 0);
    let server = setup.start();
    fs::remove_dir_all(&logs).unwrap();
    server.allow("cannot open log file");
    replace_worker(&server);
    server.wait_for_log("; standard output is written instead");
    assert_logged(&server, "stdout");
    fs::create_dir(&logs).unwrap();
    server.signal(Signal::SIGUSR1);
    assert_logged(&server, "logs/access.log");
}

#[test]
fn a_link_in_place_of_a_log_leads_root_nowhere() {
    for link in ["logs/error.log", "logs"] {
        let Some(setup) = setup() else { return };
        let setup = setup.flags(&["--error-logfile", "site/logs/error.log"]);
        let (secret, site) = (secret(&setup), directory(&setup, "site", NOBODY));
        let inner = directory(&setup, "inner", 0);
        match link {
            "logs" => symlink(&inner, site.join(link)).unwrap(),
            _ => {
                directory(&setup, "site/logs", NOBODY);
                symlink(&secret, site.join(link)).unwrap();
            }
        }
        let end = setup.run();
        assert_eq!(end.code, Some(1), "{}", end.stderr);
        let text = "may not write it, and ";
        assert!(end.stderr.contains(text), "{}", end.stderr);
        assert_untouched(&secret);
        assert_eq!(fs::read_dir(inner).unwrap().count(), 0);
    }
}

#[test]
fn a_link_that_comes_later_leads_root_nowhere() {
    let Some(setup) = setup() else { return };
    let setup = setup.flags(&["--error-logfile", "logs/error.log"]);
    let (secret, logs) = (secret(&setup), directory(&setup, "logs", NOBODY));
    let missing = setup.directory.join("missing");
    let server = setup.spawn();
    let log = logs.join("error.log");
    let old = logs.join("old.log");
    until::holds("a ready line", || {
        server.directory.read("logs/error.log").contains("master: serving")
    });
    for (signal, target) in
        [(Signal::SIGUSR1, &secret), (Signal::SIGUSR1, &missing), (Signal::SIGHUP, &secret)]
    {
        fs::rename(&log, &old).unwrap();
        symlink(target, &log).unwrap();
        let refused = || fs::read_to_string(&old).unwrap().matches("may not write it").count();
        let before = refused();
        server.signal(signal);
        until::holds("a refusal", || refused() > before);
        assert_untouched(&secret);
        assert!(!missing.exists());
        fs::remove_file(&log).unwrap();
        fs::rename(&old, &log).unwrap();
    }
    server.allow("may not write it");
    server.allow("permission denied; standard error is written instead");
    until::holds("a new generation", || {
        server.directory.read("logs/error.log").contains("gen=2 serves")
    });
}
