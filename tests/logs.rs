//! The error log and the access log.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::cases::at_once;
use crate::support::client::{get, request};
use crate::support::directory::Directory;
use crate::support::setup::Setup;
use crate::support::until;

/// `[2026-11-22 09:23:00 +0000] [pid] [LEVEL] text` as (pid, level, text).
fn parse(line: &str) -> Option<(i32, &str, &str)> {
    let (time, rest) = line.strip_prefix('[')?.split_once("] [")?;
    let (pid, rest) = rest.split_once("] [")?;
    let (level, text) = rest.split_once("] ")?;
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    let right =
        ["9999-99-99 99:99:99 +9999", "9999-99-99 99:99:99 -9999"].contains(&shape.as_str());
    right.then_some(())?;
    Some((pid.parse().ok()?, level, text))
}

#[test]
fn every_line_of_the_error_log_has_the_same_form() {
    let server = Setup::of("environ").workers(2).start();
    assert_eq!(server.get("/").status, 200);
    let log = server.log();
    for line in log.lines() {
        let (pid, level, text) = parse(line).unwrap_or_else(|| panic!("{line:?}"));
        let is_master = text.starts_with("master: ");
        assert_eq!(pid == server.pid(), is_master, "{line}");
        let worker = server.workers().iter().position(|worker| *worker == pid);
        assert_eq!(worker.is_some(), text.starts_with("worker="), "{line}");
        assert_ne!(worker.is_some(), is_master, "{line}");
        assert!(["DEBUG", "INFO", "WARNING"].contains(&level), "{line}");
    }
    let ready = server.ready_line();
    for part in [server.address().to_string(), server.pid().to_string()] {
        assert!(ready.contains(&part), "{part} in {ready}");
    }
    assert!(ready.contains(env!("CARGO_PKG_VERSION")), "{ready}");
}

/// Sets the variable by which systemd names standard error as the journal's
/// (`systemd.exec(5)`).
const JOURNAL: &str = "export JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2); \
                       exec \"$0\" \"$@\" 3<&0 0</dev/null";

#[test]
fn lines_for_the_journal_have_a_priority_and_no_time_or_pid() {
    for flags in [&[][..], &["--preload"]] {
        let server = Setup::of("faults").flags(flags).script(JOURNAL).start();
        server.allow("[ERROR]");
        server.allow("Traceback");
        assert_eq!(server.get("/before").status, 500);
        server.wait_for_log("ValueError: raised before start_response");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait_for_exit(), 0);
        let log = server.log();
        let (before, failure) = log.split_once("<3>[ERROR] worker=0 gen=1: ").expect("an error");
        assert!(before.lines().all(|line| line.starts_with("<6>[INFO] ")), "{log}");
        let (traceback, after) = failure.split_once("<6>").expect("lines after the error");
        assert!(traceback.lines().skip(1).all(|line| line.starts_with("<3>")), "{log}");
        assert!(after.ends_with("<6>[INFO] master: stopped\n"), "{log}");
    }
    let wrong = Setup::bare().flags(&["--workers", "many"]).script(JOURNAL).run();
    assert!(wrong.stderr.starts_with("<3>monoceros: "), "{}", wrong.stderr);
    let another = Setup::of("faults").variable("JOURNAL_STREAM", "1:1").start();
    assert!(parse(&another.ready_line()).is_some(), "{}", another.log());
}

#[test]
fn the_log_level_is_the_least_that_is_logged() {
    let level = |name: &str| {
        let server = Setup::of("faults").flags(&["--log-level", name]).spawn();
        until::holds("a worker", || server.get("/").status == 200);
        server.allow("[ERROR]");
        server.allow("Traceback");
        assert_eq!(server.get("/before").status, 500);
        server.wait_for_log("raised before start_response");
        // The master's line about it may come later.
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait_for_exit(), 0);
        server.log()
    };
    assert!(level("info").contains("[INFO]"));
    assert!(level("debug").contains("[INFO]"));
    let log = level("error");
    assert!(log.contains("[ERROR]") && !log.contains("[INFO]"), "{log}");
}

#[test]
fn workers_open_their_logs_again_where_the_next_release_is() {
    let said = "def application(environ, start_response):
    environ['wsgi.errors'].write('said by the application\\n')
    start_response('200 OK', [])
    return []
";
    let setup = Setup::of("saying:application").flags(&["--error-logfile", "log"]);
    let setup = setup.file("releases/uno/saying.py", said).file("releases/dos/log", "");
    let point_to = |directory: &Directory, release: &str| {
        symlink(format!("releases/{release}"), directory.join("next")).unwrap();
        fs::rename(directory.join("next"), directory.join("current")).unwrap();
    };
    point_to(&setup.directory, "uno");
    let server =
        setup.script("cd current && export PWD && exec \"$0\" \"$@\" 3<&0 0</dev/null").spawn();
    let log = |release| server.directory.read(&format!("releases/{release}/log"));
    until::holds("a server", || log("uno").contains("master: serving"));
    point_to(&server.directory, "dos");
    fs::remove_dir_all(server.directory.join("releases/uno")).unwrap();
    server.signal(Signal::SIGUSR1);
    until::holds("the log of the next release", || {
        assert_eq!(server.get("/").status, 200);
        log("dos").contains("said by the application")
    });
}

#[test]
fn the_error_log_can_be_a_file_that_is_reopened_when_it_was_moved() {
    let server = Setup::of("faults").workers(2).flags(&["--error-logfile", "error.log"]).spawn();
    let read = |name: &str| server.directory.read(name);
    until::holds("a ready line", || read("error.log").contains("master: serving"));
    assert_eq!(server.get("/before").status, 500);
    until::holds("the traceback", || read("error.log").contains("raised before"));
    fs::rename(server.directory.join("error.log"), server.directory.join("error.log.1")).unwrap();
    server.signal(Signal::SIGUSR1);
    until::holds("a new file", || server.directory.join("error.log").exists());
    server.wait_for_reopened("error.log.1", "error.log");
    for _ in 0..10 {
        assert_eq!(server.get("/after").status, 500);
    }
    until::holds("ten more", || {
        read("error.log").matches("ValueError: raised after").count() == 10
    });
    assert!(!read("error.log.1").contains("raised after"));
    assert_eq!(server.log(), "", "nothing is on standard error");
}

#[test]
fn a_log_file_that_cannot_be_opened_is_named() {
    for flag in ["--error-logfile", "--access-logfile"] {
        let end = Setup::of("environ").flags(&[flag, "no/such/directory/log"]).run();
        assert_eq!(end.code, Some(1), "{}", end.stderr);
        assert!(end.stderr.contains("no/such/directory/log"), "{}", end.stderr);
    }
}

#[test]
fn the_access_log_has_gunicorns_format() {
    let server = Setup::of("environ:echo").flags(&["--access-logfile", "access.log"]).start();
    let headers = [
        ("Referer", "http://here/"),
        ("User-Agent", "test \"quoted\""),
        ("Authorization", "Basic YWRhOnNlY3JldA=="),
    ];
    server.ask(request("POST", "/path?query=1", &headers, "hello"));
    let line = server.access_lines(1).remove(0);
    assert!(line.starts_with("127.0.0.1 - ada ["), "{line}");
    let shape: String = line.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    let month = shape.find('/').expect("a date");
    assert!(shape[month + 4..].starts_with("/9999:99:99:99 +9999] "), "{line}");
    let rest = "\"POST /path?query=1 HTTP/1.1\" 200 5 \"http://here/\" \"test \\\"quoted\\\"\"";
    assert!(line.ends_with(rest), "{line}");
}

#[test]
fn every_atom_of_gunicorns_format_is_known() {
    let format = "h=%(h)s l=%(l)s u=%(u)s r=%(r)s m=%(m)s U=%(U)s q=%(q)s H=%(H)s s=%(s)s B=%(B)s \
        b=%(b)s f=%(f)s a=%(a)s p=%(p)s own=%({x-own}i)s type=%({content-type}o)s \
        raw=%({RAW_URI}e)s none=%({x-none}i)s T=%(T)s M=%(M)s D=%(D)s L=%(L)s";
    let flags = ["--access-logfile", "access.log", "--access-logformat", format];
    let server = Setup::of("environ:echo").flags(&flags).start();
    server.ask(request("GET", "/a%20b?q=1", &[("X-Own", "mine")], ""));
    let line = server.access_lines(1).remove(0);
    let worker = server.workers()[0];
    let expected = format!(
        "h=127.0.0.1 l=- u=- r=GET /a%20b?q=1 HTTP/1.1 m=GET U=/a b q=q=1 H=HTTP/1.1 s=200 B=0 b=0 \
         f=- a=- p=<{worker}> own=mine type=application/octet-stream raw=/a%20b?q=1 none=- T="
    );
    // gunicorn's U is the path as PATH_INFO has it.
    assert!(line.starts_with(&expected), "{line}\n{expected}");
    let rest: Vec<_> = line[expected.len()..].split(' ').collect();
    let micros = rest[2].strip_prefix("D=").and_then(|text| text.parse::<u64>().ok()).unwrap();
    assert_eq!(rest[0], (micros / 1_000_000).to_string(), "{rest:?}");
    assert_eq!(rest[1], format!("M={}", micros / 1_000), "{rest:?}");
    assert!(rest[3].strip_prefix("L=").is_some_and(|text| text.parse::<f64>().is_ok()), "{rest:?}");
}

#[test]
fn every_response_has_its_line_in_the_access_log() {
    let format = ["--access-logformat", "%(m)s %(U)s %(s)s %(B)s"];
    let flags = ["--access-logfile", "access.log"];
    let server = Setup::of("faults").flags(&flags).flags(&format).start();
    server.allow("[ERROR]");
    server.allow("Traceback");
    server.get("/");
    server.get("/before");
    server.get("/second-to-none");
    // Another thread logs the next one, which may come first.
    server.access_lines(3);
    server.ask("GET / HTTP/1.1\r\n\r\n");
    let lines = server.access_lines(4);
    assert_eq!(lines[0], "GET / 200 4");
    assert!(lines[1].starts_with("GET /before 500 "), "{lines:?}");
    assert_eq!(lines[2], "GET /second-to-none 200 4");
    assert!(lines[3].contains(" 400 "), "{lines:?}");
}

#[test]
fn a_client_cannot_forge_a_line_of_the_access_log() {
    let flags = ["--access-logfile", "access.log", "--access-logformat", "%(a)s|%(U)s"];
    let server = Setup::of("environ:echo").flags(&flags).start();
    server.ask(b"GET /%0aforged%1b HTTP/1.1\r\nHost: a\r\nUser-Agent: a\x85\xe9\tb\r\n\r\n");
    let line = server.access_lines(1).remove(0);
    assert!(!line.contains('\u{1b}'), "{line:?}");
}

#[test]
fn the_access_log_can_be_standard_output() {
    let server = Setup::of("environ:echo").flags(&["--access-logfile", "-"]).start();
    server.get("/here");
    until::holds("a line", || server.directory.read("stdout").contains("GET /here"));
}

#[test]
fn the_access_log_loses_no_line_when_it_is_rotated() {
    let flags = ["--access-logfile", "access.log", "--access-logformat", "%(U)s"];
    let server = Setup::of("environ:echo").workers(2).flags(&flags).start();
    for round in 0..5 {
        for number in 0..20 {
            server.get(&format!("/{round}-{number}"));
        }
        let rotated = server.directory.join(&format!("access.log.{round}"));
        fs::rename(server.directory.join("access.log"), rotated).unwrap();
        server.signal(Signal::SIGUSR1);
        until::holds("a new file", || server.directory.join("access.log").exists());
    }
    server.get("/last");
    let lines = || -> Vec<String> {
        let names = (0..5).map(|round| format!("access.log.{round}"));
        let files = names.chain(["access.log".to_owned()]);
        files
            .flat_map(|name| {
                server.directory.read(&name).lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect()
    };
    until::holds("all lines", || lines().len() >= 101);
    let mut seen = lines();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 101, "each once");
}

const PRINTING: &str = "
import ctypes, os, subprocess, sys

C = ctypes.CDLL(None)

def application(environ, start_response):
    print('said by print')
    print('said on stderr', file=sys.stderr)
    os.write(1, b'said by write\\n')
    os.write(2, b'said by write on stderr\\n')
    C.puts(b'said by C')
    C.fflush(None)
    C.perror(b'said by C on stderr')
    program = 'echo said by a program; echo said by a program on stderr >&2'
    subprocess.run(['sh', '-c', program], check=True)
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

/// What the application writes to standard output, and to standard error.
const ON_STDOUT: [&str; 4] =
    ["said by print", "said by write\n", "said by C\n", "said by a program\n"];
const ON_STDERR: [&str; 4] = [
    "said on stderr",
    "said by write on stderr\n",
    "said by C on stderr: ",
    "said by a program on stderr\n",
];

#[test]
fn output_of_the_application_can_be_captured() {
    at_once(&[&[][..], &["--preload"], &["--threads", "2"]], |more| {
        let setup = Setup::of("printing:application").file("printing.py", PRINTING);
        let flags = ["--pythonpath", ".", "--capture-output", "--error-logfile", "error.log"];
        let server = setup.flags(&flags).flags(more).spawn();
        let read = || server.directory.read("error.log");
        until::holds("a ready line", || read().contains("master: serving"));
        assert_eq!(server.get("/").status, 200);
        for text in ON_STDOUT.into_iter().chain(ON_STDERR) {
            until::holds(text, || read().contains(text));
        }
        // The descriptors lead to the log that was opened again.
        fs::rename(server.directory.join("error.log"), server.directory.join("old")).unwrap();
        server.signal(Signal::SIGUSR1);
        until::holds("a new file", || read().contains("log files opened again"));
        until::holds("all lines in the new file", || {
            assert_eq!(server.get("/").status, 200);
            ON_STDOUT.into_iter().chain(ON_STDERR).all(|text| read().contains(text))
        });
        assert_eq!(server.directory.read("stdout") + &server.log(), "", "{more:?}");
    });
}

#[test]
fn output_of_the_application_goes_to_the_standard_streams() {
    let setup = Setup::of("printing:application").file("printing.py", PRINTING);
    let server = setup.flags(&["--pythonpath", "."]).start();
    assert_eq!(server.get("/").status, 200);
    let has = |name: &str, text| server.directory.read(name).contains(text);
    for text in ON_STDOUT {
        until::holds(text, || has("stdout", text));
    }
    for text in ON_STDERR {
        until::holds(text, || has("stderr", text));
    }
}

const CALLING: &str = "
import os

print('said at import')

def application(environ, start_response):
    print('said in a request')
    os.kill(os.getpid(), 9)
";

#[test]
fn printed_lines_are_written_before_their_worker_is_killed() {
    for flags in [&[][..], &["--preload"], &["--threads", "2"]] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let setup = Setup::of("calling:application").file("calling.py", CALLING);
        let setup = setup.flags(&["--pythonpath", ".", "--error-logfile", "log"]).flags(flags);
        let server = setup.output(writer).spawn();
        let mut connection = server.connect();
        connection.send(get("/"));
        connection.try_response("GET").unwrap_err();
        let mut seen = String::new();
        while !seen.contains("said in a request\n") {
            let mut bytes = [0; 1024];
            let count = reader.read(&mut bytes).unwrap();
            seen.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        assert!(seen.starts_with("said at import\n"), "{flags:?}: {seen}");
    }
}

#[test]
fn a_stream_that_is_a_socket_is_written_by_its_name() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(until::DEADLINE)).unwrap();
    let flags = ["--error-logfile", "/dev/stderr", "--access-logfile", "/proc/self/fd/1"];
    let server = Setup::of("environ").flags(&flags).output(theirs).spawn();
    let mut said = BufReader::new(ours).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("master: serving")));
    assert_eq!(server.get("/").status, 200);
    assert!(said.any(|line| line.contains("\"GET / HTTP/1.1\" 200")));
}

#[test]
fn a_descriptor_that_was_passed_in_is_a_log() {
    let script = "exec \"$0\" \"$@\" 3<&0 0</dev/null 7>>given";
    let flags = ["--error-logfile", "/dev/fd/7", "--access-logfile", "/dev/fd/7"];
    let server = Setup::of("environ").script(script).flags(&flags).spawn();
    let given = || server.directory.read("given");
    until::holds("a ready line", || given().contains("master: serving"));
    assert_eq!(server.get("/").status, 200);
    until::holds("an access line", || given().contains("\"GET / HTTP/1.1\" 200"));
    server.signal(Signal::SIGUSR1);
    until::holds("an opened log", || given().contains("log files opened again"));
    assert_eq!(server.log(), "");
}

#[test]
fn a_full_disk_does_not_stop_the_service() {
    let flags = ["--access-logfile", "/dev/full", "--error-logfile", "/dev/full"];
    let server = Setup::of("faults").flags(&flags).spawn();
    until::holds("a worker", || server.get("/").status == 200);
    for _ in 0..20 {
        assert_eq!(server.get("/").status, 200);
        assert_eq!(server.get("/before").status, 500);
    }
}

/// Fills a pipe.
fn fill(pipe: &mut File) {
    let line = format!("{:0100}\n", 0);
    loop {
        match pipe.write(line.as_bytes()) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_log_that_is_not_read_any_more_does_not_stop_the_service() {
    for flag in ["--access-logfile", "--error-logfile"] {
        let setup = Setup::of("faults").workers(2).flags(&[flag, "log"]);
        let path = setup.directory.join("log");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let server = setup.spawn();
        let old = server.wait_for_workers(2);
        until::holds("a worker", || server.get("/").status == 200);
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(nix::libc::O_NONBLOCK);
        let mut pipe = options.open(&path).unwrap();
        fill(&mut pipe);
        server.allow("[ERROR]");
        server.allow("Traceback");
        for _ in 0..50 {
            assert_eq!(server.get("/").status, 200);
            assert_eq!(server.get("/before").status, 500);
        }
        server.signal(Signal::SIGUSR1);
        let mut seen = String::new();
        until::holds("lines after the loss", || {
            assert_eq!(server.get("/before").status, 500);
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(count) = pipe.read(&mut bytes) {
                seen.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
            // Each worker logs its own loss.
            let rest = seen.split_once("were lost here").map_or("", |(_, rest)| rest);
            rest.contains("GET /before") || rest.contains("ValueError")
        });
        assert_eq!(server.workers(), old, "nobody was killed");
    }
}

#[test]
fn a_log_whose_reader_has_died_does_not_stop_the_service() {
    let (reader, writer) = std::io::pipe().unwrap();
    let setup = Setup::of("faults").workers(2).flags(&["--access-logfile", "-"]);
    let server = setup.output(writer).spawn();
    let old = server.wait_for_workers(2);
    until::holds("a worker", || server.get("/").status == 200);
    drop(reader);
    for _ in 0..50 {
        assert_eq!(server.get("/").status, 200);
        assert_eq!(server.get("/before").status, 500);
    }
    assert_eq!(server.workers(), old, "nobody has died of SIGPIPE");
    server.signal(Signal::SIGHUP);
    server.wait_for_new_workers(&old, 2);
    assert_eq!(server.get("/").status, 200);
}

/// No file may be longer than 1024 bytes, or 512, as shells disagree.
/// Files may have 64 KiB (128 blocks), and the logs have them already.
const SHORT_FILES: &str = "printf '%65536s' '' >&2; printf '%65536s' '' >access; ulimit -f 128; \
                           exec \"$0\" \"$@\" 3<&0 0</dev/null";

#[test]
fn a_log_that_may_not_grow_does_not_stop_the_service() {
    let flags = ["--log-level", "debug", "--access-logfile", "access"];
    let server = Setup::of("faults").flags(&flags).script(SHORT_FILES).spawn();
    let old = server.wait_for_workers(1);
    until::holds("a worker", || server.get("/").status == 200);
    server.allow("ValueError");
    server.allow("Traceback");
    server.allow("[ERROR]");
    for _ in 0..20 {
        assert_eq!(server.get("/").status, 200);
        assert_eq!(server.get("/before").status, 500);
    }
    // The master logs a line for each.
    for count in 2..4 {
        server.signal(Signal::SIGTTIN);
        server.wait_for_workers(count);
    }
    assert!(server.workers().contains(&old[0]), "nobody has died of SIGXFSZ");
    assert_eq!(server.log().len(), 65536);
}
