//! Reloads after changes of files (`reload`), in the ways in which editors and tools write them.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;

use crate::support::server::Server;
use crate::support::setup::Setup;
use crate::support::until;

const APPLICATION: &str = "
import pathlib
WORD = pathlib.Path('word').read_text()

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', str(len(WORD)))])
    return [WORD.encode()]
";

/// A server that shows the file `word`, which is one of those that are watched.
fn setup() -> Setup {
    let setup = Setup::of("shown:application").patient().flag("--pythonpath=.");
    let setup = setup.file("shown.py", APPLICATION).file("word", "old");
    setup.flags(&["--reload", "--reload-extra-file", "word"])
}

fn shows(server: &Server, word: &str) {
    until::holds(word, || server.get("/").text() == word);
}

/// Whether the generation that was begun last serves. One that is replaced before that never does.
fn newest_serves(log: &str) -> bool {
    let last = log.rsplit_once("reloading: gen=").and_then(|(_, rest)| rest.split_once(' '));
    last.is_some_and(|(number, _)| log.contains(&format!("reloaded: gen={number} serves")))
}

/// The number of reloads that have succeeded.
fn reloads(server: &Server) -> usize {
    server.log().lines().filter(|line| line.contains("reloaded: gen=")).count()
}

#[test]
fn a_file_that_is_saved_in_any_way_reloads() {
    let server = setup().start();
    let path = |name: &str| server.directory.join(name);
    server.directory.write("word", "in place");
    shows(&server, "in place");
    server.wait_for_log("reloading: word has changed");
    // Most editors: another file takes its name.
    server.directory.write(".word.tmp", "renamed");
    fs::rename(path(".word.tmp"), path("word")).unwrap();
    shows(&server, "renamed");
    // vim with backups: the old file is moved away, a new one is written, the old one removed.
    fs::rename(path("word"), path("word~")).unwrap();
    server.directory.write("word", "from vim");
    fs::remove_file(path("word~")).unwrap();
    shows(&server, "from vim");
    // The same length, and an older modification time, as tools have it that unpack archives.
    server.directory.write("word.tmp", "from tar");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let times = FileTimes::new().set_modified(long_ago);
    File::options().write(true).open(path("word.tmp")).unwrap().set_times(times).unwrap();
    fs::rename(path("word.tmp"), path("word")).unwrap();
    shows(&server, "from tar");
}

#[test]
fn a_link_that_leads_elsewhere_and_a_file_that_was_missing_reload() {
    let setup = setup().flags(&["--reload-extra-file", "releases/missing/name"]);
    for (name, word) in [("one", "one"), ("two", "two")] {
        let directory = setup.directory.join("releases").join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("word"), word).unwrap();
    }
    fs::remove_file(setup.directory.join("word")).unwrap();
    symlink("current/word", setup.directory.join("word")).unwrap();
    symlink("releases/one", setup.directory.join("current")).unwrap();
    let server = setup.start();
    assert_eq!(server.get("/").text(), "one");
    symlink("releases/two", server.directory.join("next")).unwrap();
    fs::rename(server.directory.join("next"), server.directory.join("current")).unwrap();
    shows(&server, "two");
    server.directory.write("releases/two/word", "two again");
    shows(&server, "two again");
    fs::create_dir(server.directory.join("releases/missing")).unwrap();
    server.directory.write("releases/missing/name", "");
    server.wait_for_log("reloading: releases/missing/name has changed");
}

#[test]
fn many_files_are_one_or_two_reloads_with_a_few_names() {
    let setup = setup().flags(&["--reload-extra-file", "tree"]);
    let names: Vec<_> = (0..1000).map(|number| format!("{}/{number}.html", number % 30)).collect();
    let write_all = |text: &str| {
        for name in &names {
            let path = setup.directory.join("tree").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    };
    write_all("old");
    let tree = setup.directory.join("tree");
    let server = setup.start();
    // On a slow machine the files may be written for longer than the server waits for the next.
    server.signal(Signal::SIGSTOP);
    for name in &names {
        let path = tree.join(name);
        fs::remove_file(&path).unwrap();
        fs::write(path, "new").unwrap();
    }
    server.directory.write("word", "new");
    server.signal(Signal::SIGCONT);
    shows(&server, "new");
    server.wait_for_log(" more have changed");
    until::holds("the last reload", || newest_serves(&server.log()));
    assert!((1..=2).contains(&reloads(&server)), "{}", server.log());
}

#[test]
fn what_programs_write_beside_the_files_reloads_nothing() {
    let setup = setup().flags(&["--reload-extra-file", "tree"]);
    fs::create_dir_all(setup.directory.join("tree/__pycache__")).unwrap();
    let server = setup.start();
    for name in [
        "db.sqlite3",
        "shop.log",
        "upload.jpg",
        "tree/db.sqlite3-journal",
        "tree/shop.log",
        "tree/__pycache__/shown.cpython-312.pyc",
        "tree/.a.html.swp",
        "tree/4913",
    ] {
        server.directory.write(name, "x");
    }
    server.directory.write("tree/a.html", "x");
    until::holds("the last reload", || newest_serves(&server.log()));
    let log = server.log();
    let mut reasons = log.lines().filter(|line| line.contains(" changed"));
    assert!(reasons.all(|line| line.ends_with("reloading: tree/a.html has changed")), "{log}");
}

#[test]
fn configuration_files_reload_and_a_broken_one_waits_for_its_correction() {
    let yaml = |rest: &str| format!("workers: 1\n{rest}");
    let server = setup().file("monoceros.yaml", &yaml("")).start();
    let old = server.workers();
    server.directory.write("monoceros.yaml", "workers: many\n");
    server.allow("[ERROR]");
    server.wait_for_log("reload failed, nothing is changed");
    assert_eq!(server.workers(), old);
    server.directory.write("monoceros.yaml", &yaml("threads: 2\n"));
    server.wait_for_new_workers(&old, 1);
    server.wait_for_log_times("reloading: monoceros.yaml has changed", 2);
}

#[test]
fn a_change_during_a_reload_is_followed_by_another_one() {
    let server = setup().start();
    for number in 0..20 {
        server.directory.write("word", &number.to_string());
        until::holds("a reload", || server.log().matches("reloading: gen=").count() > 0);
    }
    shows(&server, "19");
}

/// Writes a module whenever it is imported.
const GENERATING: &str = "
import pathlib, time
pathlib.Path('generated.py').write_text('TIME = %d' % time.time_ns())
import generated
WORD = pathlib.Path('word').read_text()

def application(environ, start_response):
    start_response('200 OK', [('Content-Length', str(len(WORD)))])
    return [WORD.encode()]
";

/// Whether the generation that was begun last serves, and it was begun behind the warning.
fn is_settled(log: &str) -> bool {
    log.find("[WARNING]").is_some_and(|at| newest_serves(&log[at..]))
}

#[test]
fn what_the_application_writes_whenever_it_is_loaded_does_not_reload_without_end() {
    let server = setup().file("shown.py", GENERATING).start();
    server.allow("[WARNING]");
    server.wait_for_log("generated.py is written whenever the application is loaded");
    // Once more, since a person may have written it.
    until::holds("the last reload", || is_settled(&server.log()));
    let count = || server.log().matches("generated.py has changed").count();
    let settled = count();
    server.directory.write("word", "new");
    shows(&server, "new");
    until::holds("the reload for the word", || is_settled(&server.log()));
    assert_eq!(count(), settled, "{}", server.log());
}

/// Takes a name that one process can have at a time. A request for `/wait` has no end.
const EXCLUSIVE: &str = "
import pathlib, socket, threading
taken = socket.socket(socket.AF_UNIX)
taken.bind('\\0' + str(pathlib.Path.cwd()))
WORD = pathlib.Path('word').read_text()
if WORD == 'mistake':
    raise ValueError('a mistake')

def application(environ, start_response):
    if environ['PATH_INFO'] == '/wait':
        pathlib.Path('waits').touch()
        threading.Event().wait()
    start_response('200 OK', [('Content-Length', str(len(WORD)))])
    return [WORD.encode()]
";

#[test]
fn an_application_that_needs_something_alone_gets_it_when_the_old_worker_has_ended() {
    let flags = ["--threads", "2", "--graceful-timeout", "1h"];
    let server = setup().file("shown.py", EXCLUSIVE).flags(&flags).start();
    for text in ["[ERROR]", "[WARNING]", "Traceback", "Error: ", "  "] {
        server.allow(text);
    }
    server.directory.write("word", "one");
    shows(&server, "one");
    let mut waiting = server.connect();
    waiting.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    until::holds("the request", || server.directory.join("waits").exists());
    server.directory.write("word", "two");
    shows(&server, "two");
    let text = "Address already in use: the old worker may have what is in use, so it ends";
    assert_eq!(server.log().matches(text).count(), 1, "{}", server.log());
    server.directory.write("word", "mistake");
    // There is no old code that could serve.
    until::holds("the failure", || server.get("/").status == 500);
    server.wait_for_log("ValueError: a mistake");
    server.directory.write("word", "three");
    shows(&server, "three");
}

#[test]
fn a_program_reloads_after_changes_of_the_files_that_are_named() {
    let server = Setup::program(&["sleep", "1000"]).file("word", "");
    let flags = ["--ready-after", "0", "--reload", "--reload-extra-file", "word"];
    let server = server.flags(&flags).start();
    server.wait_for_log("reload watches the configuration and reload-extra-file only");
    let old = server.workers();
    server.directory.write("word", "new");
    server.wait_for_new_workers(&old, 1);
}

#[test]
fn without_reload_no_file_is_watched() {
    let server =
        Setup::of("environ").flags(&["--reload-extra-file", "word"]).file("word", "").start();
    let links = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let targets = links.filter_map(|link| fs::read_link(link.unwrap().path()).ok());
    assert_eq!(targets.filter(|it| it.to_string_lossy().contains("inotify")).count(), 0);
}
