//! Rotation of log files, by the real logrotate with the packaged rules: in every way all
//! processes of the server go on in the new file.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::client::get;
use crate::support::need;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;
use crate::support::user::{self, NOBODY};

const WRITING: &str = "
def application(environ, start_response):
    print('printed for ' + environ['PATH_INFO'])
    environ['wsgi.errors'].write('written for ' + environ['PATH_INFO'] + '\\n')
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

/// The ways in which logrotate leaves the name of a log that it has rotated.
const WAYS: [&str; 5] =
    ["nocreate", "create", "create 0600 root root", "create 0400 daemon daemon", "copytruncate"];

/// The packaged rules for the logs of this server, with another way and another signal.
fn rules(server: &Server, way: &str, signal: Signal) -> PathBuf {
    let replacements = [
        ("/var/log/monoceros/*/*.log", server.directory.join("logs/*.log").display().to_string()),
        ("\tnocreate\n", format!("\t{way}\n")),
        (
            "systemctl kill --signal=USR1 --kill-who=main 'monoceros@*.service' 2>/dev/null || true",
            format!("kill -{} {}", &signal.as_str()[3..], server.pid()),
        ),
    ];
    let mut rules = include_str!("../packaging/debian/monoceros.logrotate").to_owned();
    for (from, to) in replacements {
        assert!(rules.contains(from), "{from} in {rules}");
        rules = rules.replace(from, &to);
    }
    let path = server.directory.join("rules");
    fs::write(&path, rules).unwrap();
    path
}

fn logrotate(server: &Server, way: &str, signal: Signal) {
    let rules = rules(server, way, signal);
    let mut command = Command::new("logrotate");
    command.arg("--force").arg("--state").arg(server.directory.join("state")).arg(rules);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{way}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The server's processes: the master, a mold if there is one, the workers.
fn processes(server: &Server) -> Vec<i32> {
    server.workers().into_iter().chain([server.pid()]).collect()
}

/// Every process has the logs of today open, and none has one of yesterday.
fn assert_all_have_new_files(server: &Server, way: &str) {
    let new = ["error.log", "access.log"].map(|name| server.directory.join("logs").join(name));
    let new = new.map(|path| path.display().to_string());
    until::holds(&format!("processes with the new files after {way}"), || {
        processes(server).into_iter().all(|pid| {
            // A process that ends meanwhile has none.
            let held = process::descriptors(pid).unwrap_or_default();
            let logs: Vec<_> = held.iter().filter(|name| name.contains("/logs/")).collect();
            logs.iter().all(|name| new.contains(name)) && logs.contains(&&new[0])
        })
    });
}

/// What the server writes is in the new files.
fn assert_writes_new_files(server: &Server, target: &str) {
    let mut connection = server.connect();
    connection.send(get(target));
    assert_eq!(connection.response().status, 200);
    for (name, text) in [
        ("error.log", format!("printed for {target}")),
        ("error.log", format!("written for {target}")),
        ("access.log", format!("GET {target} HTTP/1.1")),
    ] {
        let read = || server.directory.read(&format!("logs/{name}"));
        until::holds(&format!("{text} in {name}"), || read().contains(&text));
        assert!(!read().contains('\0'), "no hole is left in front of the lines");
    }
}

fn assert_rotates_in_every_way(setup: impl Fn() -> Setup, owner: u32) {
    for (number, way) in WAYS.iter().enumerate() {
        let setup = setup().workers(2).flag("writing:application").file("writing.py", WRITING);
        let logs = setup.directory.join("logs");
        fs::create_dir(&logs).unwrap();
        chown(&logs, Some(owner), Some(owner)).unwrap();
        let flags = ["--error-logfile", "logs/error.log", "--access-logfile", "logs/access.log"];
        let setup = setup.flags(&flags).flags(&["--capture-output", "--pythonpath=."]);
        let setup = if number % 2 == 0 { setup } else { setup.flag("--preload") };
        let server = setup.spawn();
        until::holds("a server", || {
            server.directory.read("logs/error.log").contains("master: serving")
        });
        for signal in [Signal::SIGUSR1, Signal::SIGHUP, Signal::SIGUSR1] {
            assert_writes_new_files(&server, "/before");
            logrotate(&server, way, signal);
            assert_all_have_new_files(&server, way);
            assert_writes_new_files(&server, "/after");
        }
        let error = |name: &str| server.directory.read(&format!("logs/{name}"));
        for name in ["error.log", "error.log.1"] {
            assert!(!error(name).contains("cannot open log file"), "{way}: {}", error(name));
        }
        assert_eq!(server.log(), "", "{way}");
    }
}

fn has_logrotate() -> bool {
    let found = Command::new("logrotate").arg("--version").output();
    // It reads only rules that belong to root.
    need::root() && need::met(found.is_ok(), "logrotate")
}

#[test]
fn logs_are_rotated_in_every_way() {
    if has_logrotate() {
        assert_rotates_in_every_way(
            || Setup::listening().flag("--python").flag(crate::support::setup::python()),
            0,
        );
    }
}

#[test]
fn logs_are_rotated_in_every_way_as_root_for_workers_of_another_user() {
    if !has_logrotate() {
        return;
    }
    for owner in [0, NOBODY] {
        let Some(python) = user::python() else { return };
        let setup = || {
            let setup = Setup::listening().flag("--python").flag(python);
            setup.flags(&["--user", "nobody", "--group", "nogroup"])
        };
        assert_rotates_in_every_way(setup, owner);
    }
}
