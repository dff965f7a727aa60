//! A root master and workers of another user: nothing that the user can change
//! makes root do what the user may not.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::support::process;
use crate::support::server::Server;
use crate::support::setup::{Setup, install, program};
use crate::support::until;
use crate::support::user::{self, NOBODY};

const PLAIN: &str = "
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'x']
";

/// A root server whose workers run as another user; nothing where there is none.
fn setup() -> Option<Setup> {
    let python = user::python()?;
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
    server.wait_for_replacement(&old);
    server.wait_for_log_times(" ready", 2);
}

#[test]
fn logs_are_rotated_as_root_and_workers_of_another_user_go_on() {
    for (owner, is_made) in [(0, true), (0, false), (NOBODY, true), (NOBODY, false)] {
        let Some(setup) = setup() else { return };
        let setup = setup.flags(&["--access-logfile", "logs/access.log"]);
        directory(&setup, "logs", owner);
        let server = setup.start();
        let path = server.directory.join("logs/access.log");
        assert_eq!(fs::metadata(&path).unwrap().uid(), owner);
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
fn a_worker_boots_after_a_rotation_without_a_signal() {
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
    server.wait_for_log("; workers still write to the old file");
    assert_eq!(server.get("/").status, 200);
    // A new generation has no old file.
    server.signal(Signal::SIGHUP);
    server.wait_for_log("; standard output is written instead");
    server.wait_for_log("gen=2 serves");
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
        let text = "may not do it, and ";
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
        let refused = || fs::read_to_string(&old).unwrap().matches("may not do it").count();
        let before = refused();
        server.signal(signal);
        until::holds("a refusal", || refused() > before);
        assert_untouched(&secret);
        assert!(!missing.exists());
        fs::remove_file(&log).unwrap();
        fs::rename(&old, &log).unwrap();
    }
    server.allow("may not do it");
    server.allow("permission denied; standard error is written instead");
    until::holds("a new generation", || {
        server.directory.read("logs/error.log").contains("gen=2 serves")
    });
}

#[test]
fn root_reads_no_configuration_file_that_others_can_change() {
    type Prepare<'a> = &'a dyn Fn(&Path);
    let refused = |prepare: Prepare| -> Option<String> {
        let setup = setup()?.file("site/monoceros.yaml", "threads: 2\n");
        prepare(&setup.directory.join("site"));
        let end = setup.flags(&["--config", "site/monoceros.yaml"]).run();
        assert_eq!(end.code, Some(1), "{}", end.stderr);
        Some(end.stderr)
    };
    let own = |path: &Path| chown(path, Some(NOBODY), None).unwrap();
    let open = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let file = |site: &Path| site.join("monoceros.yaml");
    let cases: [(Prepare, &str); 5] = [
        (&own, "site belongs to user 65534"),
        (&|site| open(site, 0o757), "site can be written by others"),
        (&|site| own(&file(site)), "monoceros.yaml belongs to user 65534"),
        (&|site| open(&file(site), 0o646), "monoceros.yaml can be written by others"),
        (
            &|site| {
                let inner = site.join("inner");
                fs::create_dir(&inner).unwrap();
                fs::rename(file(site), inner.join("a.yaml")).unwrap();
                own(&inner);
                symlink(inner.join("a.yaml"), file(site)).unwrap();
            },
            "inner belongs to user 65534",
        ),
    ];
    for (prepare, text) in cases {
        let Some(stderr) = refused(prepare) else { return };
        assert!(stderr.contains("monoceros.yaml is not believed: "), "{stderr}");
        assert!(stderr.contains(text), "{stderr}");
    }
}

#[test]
fn a_reload_reads_no_file_that_another_user_owns_now() {
    let Some(setup) = setup() else { return };
    let server = setup.file("monoceros.yaml", "timeout: 30\n").start();
    server.allow("[ERROR]");
    let path = server.directory.write("monoceros.yaml", "user: root\n");
    chown(&path, Some(NOBODY), None).unwrap();
    server.signal(Signal::SIGHUP);
    server.wait_for_log("reload failed, nothing is changed: ");
    server.wait_for_log("monoceros.yaml belongs to user 65534");
}

#[test]
fn a_file_of_the_user_that_became_root_by_sudo_is_read() {
    let Some(setup) = setup() else { return };
    let setup = setup.file("monoceros.yaml", "timeout: 30\n");
    chown(setup.directory.join("monoceros.yaml"), Some(NOBODY), None).unwrap();
    let server = setup.variable("SUDO_UID", NOBODY.to_string()).start();
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn sockets_and_pid_files_are_the_users_where_the_user_can_write() {
    for owner in [NOBODY, 0] {
        let Some(setup) = setup() else { return };
        let run = directory(&setup, "run", owner);
        let setup = setup.flags(&["--bind", "unix:run/a.sock", "--pid", "run/a.pid"]);
        let server = setup.start();
        let uid = |name| run.join(name).symlink_metadata().unwrap().uid();
        assert_eq!((uid("a.sock"), uid("a.pid")), (NOBODY, owner));
        assert!(process::descriptors(server.pid()).is_ok());
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait_for_exit(), 0);
        assert_eq!(fs::read_dir(&run).unwrap().count(), 0, "both are removed");
    }
}

#[test]
fn sockets_and_pid_files_are_made_behind_no_link_of_the_users() {
    for flags in [["--bind", "unix:site/run/a.sock"], ["--pid", "site/run/a.pid"]] {
        let Some(setup) = setup() else { return };
        let (site, inner) = (directory(&setup, "site", NOBODY), directory(&setup, "inner", 0));
        symlink(&inner, site.join("run")).unwrap();
        let end = setup.flags(&flags).run();
        assert_eq!(end.code, Some(1), "{}", end.stderr);
        assert!(end.stderr.contains("site belongs to user 65534"), "{}", end.stderr);
        assert_eq!(fs::read_dir(inner).unwrap().count(), 0);
    }
}

#[test]
fn an_upgrade_executes_no_program_that_others_can_change() {
    let Some(setup) = setup() else { return };
    let bin = directory(&setup, "bin", 0);
    let extension = "libmonoceros_python.so";
    install(&program(), &bin.join("monoceros"));
    symlink(program().with_file_name(extension), bin.join(extension)).unwrap();
    chown(&bin, Some(NOBODY), None).unwrap();
    let server = setup.binary(bin.join("monoceros")).start();
    let old = server.workers();
    let text = "bin/monoceros is not to be executed by root, since others can change it: ";
    server.wait_for_log(text);
    server.allow(text);
    server.signal(Signal::SIGUSR2);
    server.wait_for_log_times(text, 2);
    assert_eq!(server.workers(), old);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_file_that_another_user_has_locked_does_not_prevent_a_start() {
    const LOCK: &str = "import fcntl, os, sys\n\
        files = [os.open(name, os.O_RDONLY) for name in sys.argv[1:]]\n\
        [fcntl.flock(file, fcntl.LOCK_EX) for file in files]\n\
        print('locked', flush=True)\n\
        sys.stdin.read()";
    let Some(setup) = setup() else { return };
    let run = directory(&setup, "run", 0);
    // Left by a server that was killed.
    let pid_file = setup.directory.write("run/a.pid", "1\n");
    fs::set_permissions(&pid_file, Permissions::from_mode(0o644)).unwrap();
    let mut command = Command::new(user::python().unwrap());
    command.args(["-c", LOCK]).arg(&run).arg(&pid_file).uid(NOBODY).gid(NOBODY);
    let mut other = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "locked\n");
    let server = setup.flags(&["--bind", "unix:run/a.sock", "--pid", "run/a.pid"]).start();
    assert_eq!(server.directory.read("run/a.pid").trim(), server.pid().to_string());
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
}

/// An application that sends messages to the master through the channel of its worker.
const SPEAKING: &str = "
import os, socket, stat

def channels():
    for name in os.listdir('/proc/self/fd'):
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
        except OSError:
            continue
        found = socket.socket(fileno=os.dup(int(name)))
        if found.type == socket.SOCK_SEQPACKET:
            yield found

def say(text, last=0):
    for channel in list(channels())[-last:]:
        try:
            channel.send(text)
        except OSError:
            pass

def application(environ, start_response):
    if environ['PATH_INFO'] == '/say':
        say(environ['QUERY_STRING'].encode())
    start_response('200 OK', [])
    return [b'x']
";

/// What a worker may send, and is not to be believed.
fn speaking(application: &str) -> Setup {
    let setup = Setup::of(application).file("speaking.py", SPEAKING);
    setup.flags(&["--pythonpath", "."])
}

#[test]
fn a_message_of_a_mold_from_a_worker_is_refused() {
    let not_forked = r#"{"NotForked":{"worker":1,"text":"x","passes":true}}"#;
    let forked = format!(r#"{{"Forked":{{"worker":1,"pid":{}}}}}"#, std::process::id());
    for text in [r#""Forked""#, not_forked, forked.as_str(), "{}", "\\u0000"] {
        let server = speaking("speaking:application").workers(2).start();
        let old = server.workers();
        server.allow("[ERROR]");
        server.get(&format!("/say?{text}"));
        until::holds("a refusal", || {
            let log = server.log();
            log.contains("sends a message that only a mold may send")
                || log.contains("cannot understand pid")
        });
        assert_eq!(server.get("/").status, 200);
        assert_eq!(server.workers(), old);
    }
}

#[test]
fn texts_of_a_worker_are_cleaned_before_they_are_logged() {
    let broken = "raise ValueError('\\x1b[2Jred\\x07')\n";
    let setup = Setup::of("broken_by:application").file("broken_by.py", broken);
    let end = setup.flags(&["--pythonpath", "."]).run();
    assert_eq!(end.code, Some(3), "{}", end.stderr);
    assert!(end.stderr.contains("\\x1b[2Jred\\x07"), "{}", end.stderr);
    assert!(!end.stderr.contains(['\u{1b}', '\u{7}']), "{}", end.stderr);
}

/// A mold that reports a child of its own as the worker.
const CLAIMING: &str = "
import os, speaking

application = speaking.application
inside = False

def claim():
    global inside
    if inside or not os.path.exists('claim'):
        return
    inside = True
    said, tell = os.pipe()
    if os.fork() == 0:
        speaking.say(b'\"Forked\"', 1)
        os.write(tell, b'x')
        os.execv('/bin/sleep', ['sleep', '1000'])
    # The true one comes second.
    os.read(said, 1)
    inside = False

os.register_at_fork(before=claim)
";

#[test]
fn a_mold_that_claims_a_process_of_its_own_has_not_forked() {
    let setup = speaking("claiming:application").flags(&["--preload"]);
    let server = setup.file("claiming.py", CLAIMING).start();
    server.allow("[ERROR]");
    let worker = |server: &Server| {
        let found =
            server.workers().into_iter().find(|pid| process::title(*pid).contains("worker"));
        until::some("a worker", || found)
    };
    let old = worker(&server);
    server.directory.write("claim", "");
    process::signal(old, Signal::SIGKILL);
    server.wait_for_log("says that it is a forked worker: it is no child of the master");
    fs::remove_file(server.directory.join("claim")).unwrap();
    until::holds("a true one", || server.log().matches("worker=0").count() > 2);
    until::holds("an answer", || server.get("/").status == 200);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit(), 0);
    until::holds("the end of what was claimed", || {
        let left = process::marked(&server.mark, server.directory.path());
        left.iter().for_each(|pid| process::signal(*pid, Signal::SIGKILL));
        left.is_empty()
    });
}

/// The text of every source file below a directory.
fn sources(directory: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            text += &sources(&path);
        } else if path.extension().is_some_and(|it| it == "rs") {
            text += &fs::read_to_string(&path).unwrap();
        }
    }
    text
}

#[test]
fn every_test_that_the_document_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = ["src", "tests", "workers"].map(|it| sources(&root.join(it))).concat();
    let document = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let names = document.split('`').skip(1).step_by(2).filter_map(|it| it.rsplit_once("::"));
    let tests: Vec<_> = names.filter(|(_, test)| test.matches('_').count() > 2).collect();
    assert!(tests.len() > 15, "{tests:?}");
    for (module, test) in tests {
        assert!(text.contains(&format!("fn {test}()")), "{module}::{test}");
    }
}
