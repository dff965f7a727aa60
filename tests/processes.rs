//! The attributes of master and workers in the system: pid file, user, directory,
//! environment, search path.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use nix::sys::signal::Signal;
use nix::unistd::User;

use crate::support::directory::Directory;
use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;
use crate::support::user::{self, NOBODY};

#[test]
fn the_pid_file_names_the_master_while_it_runs() {
    let server = Setup::of("environ").flags(&["--pid", "master.pid"]).start();
    assert_eq!(server.directory.read("master.pid"), format!("{}\n", server.pid()));
    let mode = fs::metadata(server.directory.join("master.pid")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert!(!server.directory.join("master.pid").exists());
}

#[test]
fn the_pid_file_of_a_running_master_is_respected() {
    let server = Setup::of("environ").flags(&["--pid", "master.pid"]).start();
    let path = server.directory.join("master.pid");
    let end = Setup::of("environ").flags(&["--pid", path.to_str().unwrap()]).run();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    let pid = server.pid().to_string();
    assert!(end.stderr.contains("master.pid") && end.stderr.contains(&pid), "{}", end.stderr);
    assert_eq!(server.directory.read("master.pid").trim(), pid, "the file is untouched");
}

#[test]
fn of_two_masters_that_start_at_once_one_has_the_pid_file() {
    for content in [None, Some("1\n")] {
        let directory = Directory::new();
        let path = directory.join("shared.pid");
        content.inspect(|content| fs::write(&path, content).unwrap());
        let start = || Setup::of("environ").flags(&["--pid", path.to_str().unwrap()]).spawn();
        let pair = [start(), start()];
        until::holds("an end of one", || pair.iter().any(Server::has_ended));
        let [mut one, mut other] = pair;
        if other.has_ended() {
            std::mem::swap(&mut one, &mut other);
        }
        other.wait_until_ready();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", other.pid()));
        let end = one.wait_for_end();
        assert_eq!(end.code, Some(1), "{}", end.stderr);
        assert!(end.stderr.contains("shared.pid is held by a running master"), "{}", end.stderr);
        other.stop();
        assert!(!path.exists());
    }
}

#[test]
fn a_pid_file_that_is_a_link_is_not_followed() {
    let setup = Setup::of("environ").flags(&["--pid", "link.pid"]).file("precious", "content");
    symlink("precious", setup.directory.join("link.pid")).unwrap();
    let end = setup.run();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(end.stderr.contains("link.pid: it is a symbolic link"), "{}", end.stderr);
    assert_eq!(end.directory.read("precious"), "content");
}

#[test]
fn a_stale_pid_file_is_replaced() {
    for content in ["1\n", "4194000\n", "", "no number", "-5", "0"] {
        let setup = Setup::of("environ").flags(&["--pid", "master.pid"]);
        let server = setup.file("master.pid", content).start();
        let written = server.directory.read("master.pid");
        assert_eq!(written, format!("{}\n", server.pid()), "{content:?}");
    }
}

#[test]
fn a_pid_file_of_another_process_is_not_removed() {
    let server = Setup::of("environ").flags(&["--pid", "own.pid"]).start();
    let path = server.directory.write("own.pid", "12345\n");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    assert_eq!(server.directory.read("own.pid"), "12345\n");
    fs::remove_file(path).unwrap();
}

#[test]
fn a_pid_file_that_cannot_be_written_is_one_line() {
    let end = Setup::of("environ").flags(&["--pid", "no/such/directory/master.pid"]).run();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(end.stderr.contains("no/such/directory"), "{}", end.stderr);
}

#[test]
fn a_daemon_serves_on_its_own() {
    let setup = Setup::bare().apps().workers(2).flags(&["--daemon", "--pid", "master.pid"]);
    let setup = setup.flags(&["--bind", "127.0.0.1:0", "--error-logfile", "log", "stream:route"]);
    let server = setup.spawn();
    assert_eq!(server.wait_for_exit(), 0, "whoever started it goes on");
    let read = || server.directory.read("master.pid").trim().parse::<i32>().ok();
    let master = until::some("a pid file", read);
    let address = until::some("a ready line", || {
        let log = server.directory.read("log");
        let (_, after) = log.split_once("master: serving stream:route at http://")?;
        after.split_whitespace().next()?.parse().ok()
    });
    assert_ne!(master, server.pid());
    let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(master))).unwrap();
    assert_ne!(session, nix::unistd::getsid(None).unwrap(), "it has a session of its own");
    let held = process::descriptors(master).unwrap();
    assert!(!held.iter().any(|target| target.ends_with("stderr")), "{held:?}");
    let worker = process::children(master)[0];
    let mut connection = crate::support::client::Connection::tcp(address).unwrap();
    assert_eq!(connection.get("/").status, 200);
    process::signal(master, Signal::SIGTERM);
    until::holds("the end of the daemon", || {
        !process::is_alive(master) && !process::is_alive(worker)
    });
    let log = server.directory.read("log");
    assert!(!log.contains("ERROR"), "{log}");
}

#[test]
fn workers_give_up_their_privileges_and_the_master_keeps_its_own() {
    let Some(python) = user::python() else { return };
    let setup = Setup::bare().flag("--python").flag(python).flags(&["--bind", "127.0.0.1:0"]);
    let setup = setup.flags(&["--user", "nobody", "--group", "nogroup", "--umask", "0o027"]);
    let setup = setup.flag("writing:application").file("writing.py", WRITING);
    chown(setup.directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let server = setup.start();
    let number = NOBODY.to_string();
    let worker = server.workers()[0];
    for name in ["Uid", "Gid"] {
        assert_eq!(process::status(worker, name), vec![number.clone(); 4], "{name}");
        assert_eq!(process::status(server.pid(), name)[1], "0", "{name}");
    }
    assert!(!process::status(worker, "Groups").contains(&"0".to_owned()), "no group of root");
    assert_eq!(process::status(worker, "NoNewPrivs"), ["1"]);
    assert_eq!(process::status(server.pid(), "NoNewPrivs"), ["0"]);
    assert_eq!(server.directory.read("imported by"), NOBODY.to_string());
    assert_eq!(server.get("/").status, 200);
    let written = fs::metadata(server.directory.join("written")).unwrap();
    assert_eq!((written.uid(), written.mode() & 0o777), (NOBODY, 0o640));
}

const VARIABLES: &str = "
import json, os

def application(environ, start_response):
    body = json.dumps(dict(os.environ)).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

#[test]
fn workers_of_another_user_have_the_environment_of_that_user() {
    let Some(python) = user::python() else { return };
    let variables = |flags: &[&str]| {
        let setup = Setup::bare().flag("--python").flag(python).flags(&["--bind", "127.0.0.1:0"]);
        let setup = setup.flag("variables:application").file("variables.py", VARIABLES);
        let setup =
            setup.variable("HOME", "/root").variable("USER", "root").variable("LOGNAME", "root");
        chown(setup.directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        setup.flags(flags).start().get("/").json()
    };
    let home = |name: &str| User::from_name(name).unwrap().unwrap().dir;
    let known = variables(&["--user", "nobody"]);
    assert_eq!(known["HOME"], home("nobody").to_str().unwrap());
    assert_eq!((&known["USER"], &known["LOGNAME"]), (&"nobody".into(), &"nobody".into()));
    let set = variables(&["--user", "nobody", "--env", "HOME=/srv", "--env", "USER=shop"]);
    assert_eq!(
        (&set["HOME"], &set["USER"], &set["LOGNAME"]),
        (&"/srv".into(), &"shop".into(), &"nobody".into())
    );
    let number = variables(&["--user", "123456"]);
    assert_eq!(
        (&number["HOME"], number.get("USER"), number.get("LOGNAME")),
        (&"/".into(), None, None)
    );
    let group = variables(&["--group", "nogroup"]);
    assert_eq!((&group["HOME"], &group["USER"]), (&"/root".into(), &"root".into()));
}

const WRITING: &str = "
import os

with open('imported by', 'w') as file:
    file.write(str(os.geteuid()))

def application(environ, start_response):
    open('written', 'w').close()
    start_response('200 OK', [])
    return []
";

#[test]
fn users_and_groups_that_do_not_exist_are_named() {
    for (flag, name) in [("--user", "nobody-of-that-name"), ("--group", "no-group-of-that-name")] {
        let end = Setup::of("environ").flags(&[flag, name]).run();
        assert_eq!(end.code, Some(1), "{}", end.stderr);
        assert!(end.stderr.contains(name), "{}", end.stderr);
    }
}

#[test]
fn workers_get_variables_a_directory_and_a_search_path() {
    let setup = Setup::bare().flag("--python").flag(crate::support::setup::python());
    let setup =
        setup.flags(&["--bind", "127.0.0.1:0", "--chdir", "site", "--pythonpath", "../lib"]);
    let setup = setup.flags(&["-e", "ONE=1", "--env", "TWO=a=b c", "looking:application"]);
    let setup = setup.file("site/looking.py", LOOKING).file("lib/beside.py", "word = 'beside'");
    let server = setup.variable("INHERITED", "yes").start();
    let answer = server.get("/").json();
    assert_eq!(answer["cwd"], server.directory.join("site").to_str().unwrap());
    assert_eq!(answer["word"], "beside");
    for (name, value) in [("ONE", "1"), ("TWO", "a=b c"), ("INHERITED", "yes")] {
        assert_eq!(answer["environment"][name], value);
    }
    assert_eq!(answer["environment"]["MONOCEROS_SLOT"], "0");
    assert_eq!(answer["environment"]["MONOCEROS_GENERATION"], "1");
    let names = answer["environment"].as_object().unwrap().keys();
    let internal: Vec<_> = names.filter(|name| name.contains("CHANNEL")).collect();
    assert!(internal.is_empty(), "{internal:?}");
}

const LOOKING: &str = "
import json, os
import beside

def application(environ, start_response):
    answer = {'cwd': os.getcwd(), 'environment': dict(os.environ), 'word': beside.word}
    body = json.dumps(answer).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

#[test]
fn a_directory_that_does_not_exist_is_named() {
    let end = Setup::of("environ").flags(&["--chdir", "no/such/place"]).run();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(end.stderr.contains("no/such/place"), "{}", end.stderr);
}

#[test]
fn an_application_in_the_working_directory_is_found() {
    let setup = Setup::bare().flag("--python").flag(crate::support::setup::python());
    let setup = setup.flags(&["--bind", "127.0.0.1:0", "looking:application"]);
    let server = setup.file("looking.py", LOOKING).file("beside.py", "word = 'here'").start();
    assert_eq!(server.get("/").json()["word"], "here");
}

#[test]
fn workers_can_be_as_many_as_the_machine_can_run() {
    let server = Setup::of("environ").flags(&["--workers", "auto"]).start();
    assert!(!server.workers().is_empty());
}
